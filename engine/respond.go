package engine

import (
	"context"
	"time"

	"keyflow/engine/live"
	"keyflow/engine/plan"
	"keyflow/engine/runs"
	"keyflow/engine/state"
)

// reply is the answer of a run whose caller waits for it. Its fields are guarded by the
// runner's mu, until done is closed.
type reply struct {
	by     state.StepKey // the step that was first; none: node -1
	news   *runs.Answer  // to be stored with the step
	stored *runs.Answer  // on disk
	done   chan struct{}
}

// nobody is the step of a reply that no step has given.
var nobody = state.StepKey{Node: -1}

// newReply returns nil for a run that nobody waits for.
func newReply(plan *plan.Plan, run *runs.Run) *reply {
	if !plan.AnswerAwaited(run) {
		return nil
	}
	return &reply{by: nobody, done: make(chan struct{})}
}

// say notes the answer of a step that has succeeded. r.mu is held.
func (r *runner) say(a *runs.Answer) {
	if a != nil && r.reply != nil {
		r.reply.news = a
	}
}

// takeAnswer gives the answer that is to be stored now. r.mu is held.
func (r *runner) takeAnswer() *runs.Answer {
	if r.reply == nil {
		return nil
	}
	a := r.reply.news
	r.reply.news = nil
	return a
}

// said tells who waits in this process that the answer is on disk. r.mu is held.
func (r *runner) said(a *runs.Answer) {
	if a != nil && r.reply.stored == nil {
		r.reply.stored = a
		close(r.reply.done)
	}
}

// Answer returns what a respond node of the run says as soon as that is on disk, or nil with
// the run once it has ended without one. The error is ctx's, or a fault: NotFound for a run that
// was deleted.
func (e *Engine) Answer(ctx context.Context, id runs.ID) (*runs.Answer, runs.Run, error) {
	if r := e.running(id); r != nil && r.reply == nil {
		run, err := e.Wait(ctx, id)
		return nil, run, err
	}
	w, stop := e.hub.Subscribe(id)
	defer stop()
	ticker := time.NewTicker(live.PollEvery)
	defer ticker.Stop()
	for {
		if r := e.running(id); r != nil && r.reply != nil {
			if a, err := r.answer(ctx); a != nil || err != nil {
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

// answer waits until the run has responded or left this process (nil).
func (r *runner) answer(ctx context.Context) (*runs.Answer, error) {
	select {
	case <-r.reply.done:
	case <-r.done:
	case <-ctx.Done():
		return nil, ctx.Err()
	}
	select {
	case <-r.reply.done:
		return r.reply.stored, nil
	default:
		return nil, nil
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
