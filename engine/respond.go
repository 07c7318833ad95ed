package engine

import (
	"context"
	"time"

	"keyflow/engine/live"
	"keyflow/engine/runs"
)

// Answer returns what a respond node of the run says as soon as that is on disk, or nil with
// the run once it has ended without one. The error is ctx's, or a fault: NotFound for a run that
// was deleted.
func (e *Engine) Answer(ctx context.Context, id runs.ID) (*runs.Answer, runs.Run, error) {
	if r := e.running(id); r != nil && !r.AnswerAwaited() {
		run, err := e.Wait(ctx, id)
		return nil, run, err
	}
	w, stop := e.hub.Subscribe(id)
	defer stop()
	ticker := time.NewTicker(live.PollEvery)
	defer ticker.Stop()
	for {
		if r := e.running(id); r != nil && r.AnswerAwaited() {
			if a, err := r.Answer(ctx); a != nil || err != nil {
				return a, runs.Run{}, err
			}
		}
		a, run, err := e.storedAnswer(ctx, id)
		if err != nil || a != nil || run.Status.Final() {
			return a, run, err
		}
		select {
		case <-w.Changed():
			w.Take()
		case <-ticker.C:
		case <-ctx.Done():
			return nil, runs.Run{}, ctx.Err()
		}
	}
}

// storedAnswer reads the run first: a run that has ended says nothing more.
func (e *Engine) storedAnswer(ctx context.Context, id runs.ID) (*runs.Answer, runs.Run, error) {
	run, err := e.o.Store.Run(ctx, id)
	if err != nil {
		return nil, runs.Run{}, err
	}
	if plan, err := e.starts.PlanOf(ctx, &run); err == nil && !plan.AnswerAwaited(&run) {
		return nil, run, nil
	}
	a, err := e.o.Store.Answer(ctx, id)
	return a, run, err
}
