package triggers

import (
	"context"
	"time"
)

const (
	// followShared and followAlone are how often changes of workflows are read. A process that is
	// alone also gets every change from the catalog.
	followShared = time.Second
	followAlone  = time.Minute
	// compareEvery is how often the stored plans are counted, and reconcileEvery how often each is
	// compared with its trigger even when the number is right.
	compareEvery   = time.Minute
	reconcileEvery = time.Hour
)

// Serve fires due schedules until ctx is done. Any number of processes may serve the same
// store. It returns nil: failures are logged and tried again.
func (m *Manager) Serve(ctx context.Context) error {
	load := ticker{every: followAlone}
	compare, reconcile := ticker{every: compareEvery, last: m.now()}, ticker{every: reconcileEvery, last: m.now()} // the first Load does it
	if m.shared {
		load.every = followShared
	}
	var began time.Time
	for ctx.Err() == nil {
		now := m.now()
		if load.due(now) {
			m.report(ctx, "load triggers", m.follower.Load(ctx))
		}
		switch {
		case !m.follower.Loaded():
		case reconcile.due(now):
			m.report(ctx, "compare plans", m.follower.Reconcile(ctx))
		case compare.due(now):
			m.report(ctx, "count plans", m.follower.Compare(ctx))
		}
		if began.IsZero() || now.Before(began) {
			began = now
		}
		fired := m.scheduler.Drain(ctx, now, began)
		if began = now; !fired { // else the next round continues with the backlog
			began = time.Time{}
			m.scheduler.Sleep(ctx, now)
		}
	}
	return nil
}

func (m *Manager) report(ctx context.Context, what string, err error) {
	if err != nil && ctx.Err() == nil {
		m.logger.Error(what, "error", err)
	}
}

// ticker is due at once and then after each interval, or when the clock was set back.
type ticker struct {
	every time.Duration
	last  time.Time
}

func (t *ticker) due(now time.Time) bool {
	if !t.last.IsZero() && !now.Before(t.last) && now.Sub(t.last) < t.every {
		return false
	}
	t.last = now
	return true
}
