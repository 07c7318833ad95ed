package engine

import (
	"context"

	"keyflow/engine/runs"
	"keyflow/internal/fault"
	"keyflow/workflows"
)

// How much of the slots one sweep looks at; the next one goes on from there.
const (
	linePage  = 256
	linePages = 8
	leakPage  = 512
)

// slotSweep is where the last sweep ended. It belongs to the goroutine of feed.
type slotSweep struct {
	line runs.SlotQueue
	run  runs.ID
}

// sweepSlots hands on what the end of a run did not: after a limit was raised, and should anything
// ever be inconsistent. Its cost depends on neither the history nor the number of those who wait.
func (e *Engine) sweepSlots(ctx context.Context) {
	if err := e.sweepLeaked(ctx); err != nil && ctx.Err() == nil {
		e.o.Logger.Warn("cannot look for slots of runs that have ended", "error", err)
	}
	for range linePages {
		lines, err := e.o.Store.SlotQueues(ctx, e.swept.line, linePage)
		if err != nil {
			if ctx.Err() == nil {
				e.o.Logger.Warn("cannot look for free slots", "error", err)
			}
			return
		}
		for i := range lines {
			e.openLine(ctx, &lines[i])
		}
		if len(lines) < linePage {
			e.swept.line = runs.SlotQueue{}
			return
		}
		e.swept.line = lines[len(lines)-1].After()
	}
}

// openLine lets those go on who wait although a slot is free.
func (e *Engine) openLine(ctx context.Context, l *runs.SlotQueue) {
	limit, version := e.limitOf(ctx, l)
	if limit <= l.Taken && version == l.Version {
		return
	}
	e.admit(ctx, &runs.Admit{Workflow: l.Workflow, Group: l.Group, Place: l.Place, Limit: limit, Version: version})
}

// limitOf is the limit that the workflow states now. One that is gone keeps the last; one that
// states none any more does not make anybody wait.
func (e *Engine) limitOf(ctx context.Context, l *runs.SlotQueue) (limit, version int) {
	if l.Place != runs.PlaceWorkflow || e.o.Catalog == nil {
		return l.Limit, l.Version
	}
	summary, err := e.o.Catalog.Summary(ctx, l.Workflow)
	if err != nil || summary.Version <= l.Version {
		return l.Limit, l.Version
	}
	d, err := e.o.Catalog.Definition(ctx, l.Workflow, summary.Version)
	switch {
	case err != nil:
		return l.Limit, l.Version
	case d.Concurrency == nil:
		return workflows.MaxConcurrency, summary.Version
	default:
		return d.Concurrency.Limit, summary.Version
	}
}

// sweepLeaked takes slots back whose runs have ended without giving them: a process of an older
// release does so.
func (e *Engine) sweepLeaked(ctx context.Context) error {
	ended, last, err := e.o.Store.Leaked(ctx, e.swept.run, leakPage)
	if err != nil {
		return err
	}
	e.swept.run = last
	for workflow, finished := range ended {
		e.o.Logger.Warn("runs have ended and kept their slots; they are free now", "workflow", workflow, "runs", len(finished))
		e.admit(ctx, &runs.Admit{Workflow: workflow, Ended: finished})
	}
	return nil
}

func (e *Engine) admit(ctx context.Context, a *runs.Admit) {
	out, err := e.journal.Write(ctx, runs.Entry{Admit: a})
	if err != nil && ctx.Err() == nil && !fault.Is(err, fault.Unavailable) {
		e.o.Logger.Error("cannot hand slots on", "workflow", a.Workflow, "error", err)
	}
	e.tell(out.Woken)
}
