package dispatch

import (
	"context"
	"time"

	"keyflow/engine/runs"
)

const (
	// sweepEvery is how often the sweeps run.
	sweepEvery = time.Minute
	// dueOfEach is how many due runs of each origin are read when there are too many for all.
	dueOfEach = 16
)

// Serve keeps the queue filled from the store, takes signals to their runs, and runs the sweeps
// now and then, until ctx is done.
func (d *Dispatcher) Serve(ctx context.Context, sweeps ...func(context.Context)) {
	ticker, sweep := time.NewTicker(feedEvery), time.NewTicker(sweepEvery)
	defer ticker.Stop()
	defer sweep.Stop()
	runAll := func() {
		for _, run := range sweeps {
			run(ctx)
		}
	}
	runAll()
	for {
		d.feed(ctx)
		select {
		case <-ticker.C:
		case <-d.look:
		case <-sweep.C:
			runAll()
		case <-ctx.Done():
			return
		}
	}
}

func (d *Dispatcher) feed(ctx context.Context) {
	signals, err := d.o.Store.Signals(ctx, d.o.Ownership.ID())
	if err != nil && ctx.Err() == nil {
		d.o.Logger.Warn("cannot read signals", "error", err)
	}
	for _, s := range signals {
		if c := d.o.Live.Get(s.Run); c != nil {
			c.Signal([]runs.Signal{s})
		}
	}
	due, err := d.due(ctx)
	if err != nil && ctx.Err() == nil {
		d.o.Logger.Warn("cannot read due runs", "error", err)
	}
	for _, run := range due {
		if d.o.Live.Get(run.Run) == nil {
			d.Enqueue(run, nil)
		}
	}
}

// due reads which runs are due: all of them, or, when there are too many, the oldest, and the
// first of each origin, so that a flood of one workflow does not hide the others'.
func (d *Dispatcher) due(ctx context.Context) ([]runs.DueRun, error) {
	var oldest []runs.DueRun
	var err error
	if d.o.Queue.Queued() <= d.o.QueueLimit/2 { // else what is queued keeps the process busy
		if oldest, err = d.o.Store.Due(ctx, d.o.Now(), d.o.QueueLimit); err != nil || len(oldest) < d.o.QueueLimit {
			return oldest, err
		}
	}
	each, err := d.o.Store.DueOfEach(ctx, d.o.Now(), dueOfEach)
	return append(each, oldest...), err
}
