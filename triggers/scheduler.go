package triggers

import (
	"cmp"
	"context"
	"sync"
	"time"
)

const (
	// maxSleep is how long Serve sleeps at most: the clock may be set, and another process may
	// add a plan.
	maxSleep = time.Second
	// batch and parallel bound how much is claimed and started at once.
	batch    = 256
	parallel = 64

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
	follow := ticker{every: followAlone}
	compare, reconcile := ticker{every: compareEvery, last: m.now()}, ticker{every: reconcileEvery, last: m.now()} // the first Load does it
	if m.shared {
		follow.every = followShared
	}
	var began time.Time
	for ctx.Err() == nil {
		now := m.now()
		if follow.due(now) {
			m.report(ctx, "load triggers", m.Load(ctx))
		}
		switch {
		case !m.loaded.Load():
		case reconcile.due(now):
			m.report(ctx, "compare plans", m.reconcile(ctx))
		case compare.due(now):
			m.report(ctx, "count plans", m.compare(ctx))
		}
		if began.IsZero() || now.Before(began) {
			began = now
		}
		fired := m.drain(ctx, now, began)
		if began = now; !fired { // else the next round continues with the backlog
			began = time.Time{}
			m.sleep(ctx, now)
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

// sleep waits until a plan is due or plans change, at most maxSleep. A plan that was due at
// drained could not start and is not tried again at once.
func (m *Manager) sleep(ctx context.Context, drained time.Time) {
	wait := maxSleep
	if next, err := m.store.NextDue(ctx); err == nil && next.After(drained) {
		wait = min(maxSleep, max(next.Sub(m.now()), 0))
	}
	timer := time.NewTimer(wait)
	defer timer.Stop()
	select {
	case <-ctx.Done():
	case <-m.wake:
	case <-timer.C:
	}
}

// drain fires everything that is due at now, in time order. Occurrences long due at began were
// missed while no process ran. It reports whether any plan advanced.
func (m *Manager) drain(ctx context.Context, now, began time.Time) bool {
	var r round
	var after Plan
	for ctx.Err() == nil {
		due, err := m.store.Due(ctx, now, after, batch)
		if err != nil {
			r.add(false, err)
			break
		}
		m.fireAll(ctx, &r, due, moment{now, began})
		if len(due) < batch {
			break
		}
		after = due[len(due)-1]
	}
	if r.failed > 0 && ctx.Err() == nil {
		m.logger.Error("due schedules could not start; they are tried again", "count", r.failed, "error", r.err)
	}
	return r.moved > 0
}

// moment is the time of a round, and when the process began to fire without a pause.
type moment struct{ now, began time.Time }

// fireAll fires plans side by side and then advances them together. When the process ends
// between the two, the dedupe keys keep the same runs from starting again.
func (m *Manager) fireAll(ctx context.Context, r *round, due []Plan, at moment) {
	var wg sync.WaitGroup
	slots := make(chan struct{}, parallel)
	outcomes := make([]outcome, len(due))
	for i, p := range due {
		slots <- struct{}{}
		wg.Go(func() {
			defer func() { <-slots }()
			outcomes[i] = m.fire(ctx, p, at)
		})
	}
	wg.Wait()
	var moves []Move
	var decided []outcome
	for _, o := range outcomes {
		r.add(o.recreated, o.err)
		if o.move != nil {
			moves, decided = append(moves, *o.move), append(decided, o)
		}
	}
	moved, err := m.store.Advance(ctx, moves)
	if err != nil {
		r.add(false, err)
		return
	}
	for i, o := range decided {
		if moved[i] {
			r.add(true, nil)
			m.metrics.observe(o)
		}
	}
}

// round counts the results of one drain.
type round struct {
	mu            sync.Mutex
	moved, failed int
	err           error // the first
}

func (r *round) add(moved bool, err error) {
	r.mu.Lock()
	defer r.mu.Unlock()
	if moved {
		r.moved++
	}
	if err != nil {
		r.failed++
		r.err = cmp.Or(r.err, err)
	}
}
