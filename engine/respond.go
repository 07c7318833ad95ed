package engine

import (
	"context"
	"fmt"
	"time"

	"keyflow/engine/backoff"
	"keyflow/engine/live"
	"keyflow/engine/plan"
	"keyflow/engine/runs"
	"keyflow/internal/fault"
	"keyflow/nodes"
)

// reply is the answer of a run whose caller waits for it. Its fields are guarded by the
// runner's mu, until done is closed.
type reply struct {
	by     stepKey      // the step that was first; none: node -1
	news   *runs.Answer // to be stored with the step
	stored *runs.Answer // on disk
	done   chan struct{}
}

// nobody is the step of a reply that no step has given.
var nobody = stepKey{node: -1}

// newReply returns nil for a run that nobody waits for.
func newReply(plan *plan.Plan, run *runs.Run) *reply {
	if !plan.AnswerAwaited(run) {
		return nil
	}
	return &reply{by: nobody, done: make(chan struct{})}
}

// respond is the outcome of a step that answers the caller.
func (s *stepRun) respond(ctx context.Context, result *nodes.Respond) (outcome, *nodes.Error) {
	if limit := s.runner.engine.o.MaxOutput; len(result.Body) > limit {
		return outcome{}, &nodes.Error{
			Code:    nodes.CodeTooLarge,
			Message: fmt.Sprintf("with.body has %d bytes; at most %d are allowed", len(result.Body), limit), Permanent: true,
		}
	}
	reason, err := s.runner.mayRespond(ctx, s.key)
	if err != nil {
		return outcome{}, nodeError(ctx, err)
	}
	said := map[string]any{"status": result.Status, "responded": reason == ""}
	if reason != "" {
		said["reason"] = reason
	}
	out, wrong := s.done(ctx, said)
	switch {
	case reason != "":
	case wrong != nil:
		s.runner.leaveUnsaid(s.key)
	default:
		out.answer = &runs.Answer{Status: result.Status, Header: result.Header, Body: result.Body}
	}
	return out, wrong
}

// mayRespond lets the first step of a run that asks; the others are told why not.
func (r *runner) mayRespond(ctx context.Context, key stepKey) (reason string, err error) {
	if r.reply == nil {
		return "no webhook with respond on_finish waits for this run", nil
	}
	const second = "the run has responded already"
	if r.run.Fence > 1 { // another owner's step may have been first
		earlier, err := r.earlierAnswer(ctx)
		if err != nil {
			return "", fmt.Errorf("read the answer of the run: %w", err)
		}
		if earlier != nil {
			return second, nil
		}
	}
	r.mu.Lock()
	defer r.mu.Unlock()
	if r.reply.by != nobody && r.reply.by != key {
		return second, nil
	}
	r.reply.by = key
	return "", nil
}

// earlierAnswer reads what the run has said. It waits while the database cannot be read, which is
// no fault of the step.
func (r *runner) earlierAnswer(ctx context.Context) (*runs.Answer, error) {
	for failures := 1; ; failures++ {
		a, err := r.engine.o.Store.Answer(ctx, r.run.ID)
		if !fault.Is(err, fault.Unavailable) || ctx.Err() != nil {
			return a, err
		}
		backoff.Sleep(ctx, backoff.Delay(failures))
	}
}

// leaveUnsaid lets another step respond, because this one failed.
func (r *runner) leaveUnsaid(key stepKey) {
	r.mu.Lock()
	defer r.mu.Unlock()
	if r.reply.by == key && r.reply.news == nil {
		r.reply.by = nobody
	}
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
