package engine

import (
	"context"
	"time"

	"keyflow/engine/runs"
	"keyflow/workflows"
)

const (
	// feedEvery is how often the store is asked for due runs and unread signals.
	feedEvery = time.Second
	// A run parked for less than timerWithin is woken by a timer, exactly; others, and those
	// over maxTimers, when the store is asked the next time.
	timerWithin = time.Minute
	maxTimers   = 10_000
)

// feed keeps the queue filled from the store and brings signals to their runs.
func (e *Engine) feed(ctx context.Context) error {
	ticker, sweep := time.NewTicker(feedEvery), time.NewTicker(sweepEvery)
	defer ticker.Stop()
	defer sweep.Stop()
	e.sweepHolds(ctx)
	e.slots.Run(ctx)
	for {
		e.feedOnce(ctx)
		select {
		case <-ticker.C:
		case <-e.look:
		case <-sweep.C:
			e.sweepHolds(ctx)
			e.slots.Run(ctx)
		case <-ctx.Done():
			return nil
		}
	}
}

func (e *Engine) feedOnce(ctx context.Context) {
	signals, err := e.o.Store.Signals(ctx, e.owner.ID())
	if err != nil && ctx.Err() == nil {
		e.o.Logger.Warn("cannot read signals", "error", err)
	}
	for _, s := range signals {
		if r := e.running(s.Run); r != nil {
			r.signal([]runs.Signal{s})
		}
	}
	due, err := e.due(ctx)
	if err != nil && ctx.Err() == nil {
		e.o.Logger.Warn("cannot read due runs", "error", err)
	}
	for _, d := range due {
		if e.running(d.Run) == nil {
			e.enqueue(d, nil)
		}
	}
}

// dueOfEach is how many due runs of each origin are looked at when there are too many for all.
const dueOfEach = 16

// due reads which runs are due: all of them, or, when there are too many to look at, the oldest,
// and the first of each origin, so that a flood of one workflow does not hide the others'.
func (e *Engine) due(ctx context.Context) ([]runs.DueRun, error) {
	var oldest []runs.DueRun
	var err error
	if e.queue.Queued() <= e.o.QueueLimit/2 { // else what is queued keeps the process busy
		if oldest, err = e.o.Store.Due(ctx, e.now(), e.o.QueueLimit); err != nil || len(oldest) < e.o.QueueLimit {
			return oldest, err
		}
	}
	each, err := e.o.Store.DueOfEach(ctx, e.now(), dueOfEach)
	return append(each, oldest...), err
}

// lookNow makes feed look at once.
func (e *Engine) lookNow() {
	select {
	case e.look <- struct{}{}:
	default:
	}
}

// wakeAt sets a timer for a run that was parked and is due soon.
func (e *Engine) wakeAt(id runs.ID, workflow workflows.ID, due time.Time) {
	wait := due.Sub(e.now())
	if wait > timerWithin {
		return
	}
	if e.timers.Add(1) > maxTimers {
		e.timers.Add(-1)
		return
	}
	time.AfterFunc(wait, func() {
		e.timers.Add(-1)
		e.enqueue(runs.DueRun{Run: id, Workflow: workflow}, nil)
	})
}
