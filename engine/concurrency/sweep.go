package concurrency

import (
	"context"
	"log/slog"

	"keyflow/engine/journal"
	"keyflow/engine/plan"
	"keyflow/engine/runs"
	"keyflow/internal/fault"
	"keyflow/workflows"
)

// How much one sweep reads; the next one goes on from there.
const (
	queuePage  = 256
	queuePages = 8
	leakPage   = 512
)

// Sweep hands on what the end of a run did not. It belongs to one goroutine.
type Sweep struct {
	Store   runs.SlotQueues
	Catalog plan.Catalog // nil: a workflow keeps the limit that the store knows
	Journal *journal.Journal
	Woken   func([]runs.DueRun) // receives the runs that got a slot
	Logger  *slog.Logger

	// where the last sweep ended
	queue runs.SlotQueue
	run   runs.ID
}

// Run hands on what the end of a run did not: after a limit was raised, and should anything
// ever be inconsistent. Its cost depends on neither the history nor the number of those who wait.
func (w *Sweep) Run(ctx context.Context) {
	if err := w.sweepLeaked(ctx); err != nil && ctx.Err() == nil {
		w.Logger.Warn("cannot look for slots of runs that have ended", "error", err)
	}
	for range queuePages {
		queues, err := w.Store.SlotQueues(ctx, w.queue, queuePage)
		if err != nil {
			if ctx.Err() == nil {
				w.Logger.Warn("cannot look for free slots", "error", err)
			}
			return
		}
		for i := range queues {
			w.fill(ctx, &queues[i])
		}
		if len(queues) < queuePage {
			w.queue = runs.SlotQueue{}
			return
		}
		w.queue = queues[len(queues)-1].After()
	}
}

// fill gives free slots of a group to the runs that wait for them.
func (w *Sweep) fill(ctx context.Context, q *runs.SlotQueue) {
	limit, version := w.limitOf(ctx, q)
	if limit <= q.Taken && version == q.Version {
		return
	}
	w.admit(ctx, &runs.Admit{Workflow: q.Workflow, Group: q.Group, Place: q.Place, Limit: limit, Version: version})
}

// limitOf is the limit that the workflow states now. One that is gone keeps the last; one that
// states none any more does not make anybody wait.
func (w *Sweep) limitOf(ctx context.Context, q *runs.SlotQueue) (limit, version int) {
	if q.Place != runs.PlaceWorkflow || w.Catalog == nil {
		return q.Limit, q.Version
	}
	summary, err := w.Catalog.Summary(ctx, q.Workflow)
	if err != nil || summary.Version <= q.Version {
		return q.Limit, q.Version
	}
	d, err := w.Catalog.Definition(ctx, q.Workflow, summary.Version)
	switch {
	case err != nil:
		return q.Limit, q.Version
	case d.Concurrency == nil:
		return workflows.MaxConcurrency, summary.Version
	default:
		return d.Concurrency.Limit, summary.Version
	}
}

// sweepLeaked takes slots back whose runs have ended without giving them: a process of an older
// release does so.
func (w *Sweep) sweepLeaked(ctx context.Context) error {
	ended, last, err := w.Store.Leaked(ctx, w.run, leakPage)
	if err != nil {
		return err
	}
	w.run = last
	for workflow, finished := range ended {
		w.Logger.Warn("runs have ended and kept their slots; they are free now", "workflow", workflow, "runs", len(finished))
		w.admit(ctx, &runs.Admit{Workflow: workflow, Ended: finished})
	}
	return nil
}

func (w *Sweep) admit(ctx context.Context, a *runs.Admit) {
	out, err := w.Journal.Write(ctx, runs.Entry{Admit: a})
	if err != nil && ctx.Err() == nil && !fault.Is(err, fault.Unavailable) {
		w.Logger.Error("cannot hand slots on", "workflow", a.Workflow, "error", err)
	}
	w.Woken(out.Woken)
}
