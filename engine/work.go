package engine

import (
	"context"
	"strconv"
	"time"

	"keyflow/engine/dispatch"
	"keyflow/engine/live"
	"keyflow/engine/runs"
	"keyflow/engine/state"
	"keyflow/engine/values"
)

// submit hands a step to the queue.
func (r *runner) submit(key stepKey) {
	r.engine.queue.Submit(&dispatch.Task{
		Run: r.run.ID, Workflow: r.run.Workflow, Queue: &r.lane,
		Do:   func(release func()) { r.work(key, release) },
		Drop: r.dropped,
	})
}

// dropped tells that the queue was closed before a step's turn came.
func (r *runner) dropped() {
	r.mu.Lock()
	r.atWork--
	r.settle()
}

// work makes one attempt of a step and brings the result. release frees the slot of the
// step; storing the result needs none.
func (r *runner) work(key stepKey, release func()) {
	r.awaitOwnership(r.ctx)
	s, out := r.prepare(key)
	if s != nil {
		out = s.run(r.ctx)
	}
	release()
	r.finished(key, s, out)
}

// prepare gathers what a step needs. Without a step, the outcome is final.
func (r *runner) prepare(key stepKey) (*stepRun, outcome) {
	r.mu.Lock()
	defer r.mu.Unlock()
	step := r.live[key]
	switch {
	case r.gone || r.leaving || step == nil || r.broken:
		return nil, outcome{dropped: true}
	case r.state.Stopped != state.NotStopped:
		return nil, outcome{kind: state.Cut}
	}
	plan := &r.plan.Nodes[key.node]
	s := &stepRun{
		runner: r, plan: plan, key: key, name: string(plan.ID),
		attempt: len(step.attempts) + 1, readyAt: r.values.ReadyAt(plan), holdEnd: step.holdEnd, brought: r.brought[key],
		fresh: len(step.attempts) == 0 && key.index == runs.NoIndex,
	}
	step.begun, step.current = true, r.engine.now()
	s.readyToTry = step.readyToTry(&plan.Retry)
	if r.engine.hub.Watched() {
		now := r.atWorkStep(key, step)
		r.engine.hub.Publish(r.run.ID, live.Update{Step: &now})
	}
	var err error
	if s.reading, err = r.values.Vars(&plan.Reads); err != nil {
		return nil, outcome{kind: state.Failed, err: values.VarsError(err)}
	}
	s.sealed = r.values.SealedOutputs(plan.Reads.Sealed)
	if key.index != runs.NoIndex {
		s.name += "/" + strconv.Itoa(key.index)
		if plan.Reads.Item {
			s.item, s.itemKey = r.values.Elements(key.node).At(key.index)
			s.addItem(s.reading.Vars)
		}
	}
	return s, outcome{}
}

// finished brings the outcome of an attempt. s is nil when there was none.
func (r *runner) finished(key stepKey, s *stepRun, out outcome) {
	r.mu.Lock()
	r.atWork--
	if step := r.live[key]; step != nil && !r.gone && !out.dropped && !r.broken {
		if s != nil {
			step.calls = latestCalls(append(step.calls, s.credentialCalls()...))
		}
		if out.attempt != nil {
			step.attempts = append(step.attempts, *out.attempt)
		}
		r.outcome(key, step, &out)
	}
	r.unreserveUnstarted(s)
	r.settle()
}

// outcome records how an attempt ended and lets the state know. r.mu is held.
func (r *runner) outcome(key stepKey, step *liveStep, out *outcome) {
	at := r.tick()
	if out.kind == state.Expanded {
		r.values.Expand(key.node, out.elements, at)
		delete(r.live, key)
		r.happen(state.Event{Kind: state.Expanded, Node: key.node, Index: runs.NoIndex, Count: len(out.elements.Items)}, at)
		return
	}
	row := runs.Step{Node: r.plan.Nodes[key.node].ID, Index: key.index, Output: out.output, Sealed: out.sealed}
	step.begins(out, at)
	step.into(&row)
	if out.attempt != nil {
		row.Error = out.attempt.Error
	} else if out.err != nil {
		row.Error = stepError(out.err, len(step.attempts))
	}
	if out.kind == state.Postponed && r.state.Stopped == state.NotStopped {
		due := r.engine.now().Add(out.wait) // not after at, which is ahead of a clock that was set back
		if out.forever {
			due = time.Time{}
		}
		if out.start != nil {
			r.starts = append(r.starts, *out.start)
			step.child = out.start.Run.ID
		}
		if step.awaits = out.awaits; !out.idle {
			delete(r.brought, key) // the next attempt begins anew
		}
		if out.hold == "" {
			step.holdEnd = time.Time{}
		} else {
			due = step.heldUntil(due)
		}
		step.hold, row.NeedsConnect = out.hold, out.hold
		r.postpone(key, step, due, row)
		return
	}
	if out.kind == state.Postponed && out.start != nil && out.start.Dedupe != nil { // startNow has stored it
		r.cancelChild(out.start.Run.ID)
	}
	if out.start != nil && out.kind == state.Succeeded {
		r.starts = append(r.starts, *out.start)
	}
	r.say(out.answer)
	if out.event != nil && out.kind == state.Succeeded {
		r.emitted = append(r.emitted, *out.event)
	}
	row.Status, row.FinishedAt = r.endStatus(out.kind), &at
	if out.kind == state.Cut || out.kind == state.Postponed {
		row.Error = r.stopError()
	}
	delete(r.live, key)
	r.rows = append(r.rows, row)
	if key.index == runs.NoIndex {
		r.keep(key.node, &row)
		if out.kind == state.Succeeded {
			r.values.KeepValue(key.node, len(out.output), out.value)
		}
	} else {
		r.values.KeepElement(key.node, &row)
	}
	r.happen(state.Event{Kind: out.kind, Node: key.node, Index: key.index}, at)
}

func (r *runner) endStatus(kind state.EventKind) runs.StepStatus {
	switch kind {
	case state.Succeeded:
		return runs.StepSucceeded
	case state.Unwanted:
		return runs.StepSkipped
	case state.Failed:
		return runs.StepFailed
	default:
		return r.state.StoppedStatus()
	}
}

// postpone stores until when a step waits; only then the wait begins. Zero is without an end.
func (r *runner) postpone(key stepKey, step *liveStep, until time.Time, row runs.Step) {
	step.status, step.due = runs.StepWaiting, until
	row.Status = runs.StepWaiting
	if !until.IsZero() {
		row.DueAt = &until
		r.unarmed = append(r.unarmed, key)
	}
	r.rows = append(r.rows, row)
	r.awake = false
	r.happen(state.Event{Kind: state.Postponed, Node: key.node, Index: key.index}, r.newest)
	if step.awaits != "" && r.brought[key] != nil { // it came early
		r.happen(state.Event{Kind: state.Due, Node: key.node, Index: key.index}, r.tick())
	}
}

// storeStart puts the start of an at_most_once step on disk before its request is sent.
func (r *runner) storeStart(ctx context.Context, key stepKey, attempt int, started time.Time) error {
	row := runs.Step{
		Node: r.plan.Nodes[key.node].ID, Index: key.index, Status: runs.StepRunning, StartedAt: &started,
		Attempts: []runs.Attempt{{Attempt: attempt, StartedAt: started}},
	}
	err := r.engine.write(&runs.Progress{Run: r.run.ID, Owner: r.run.Owner, Fence: r.run.Fence, Steps: []runs.Step{row}})
	if err != nil {
		r.mu.Lock()
		r.refused(nil, err)
		r.settle()
		return err
	}
	return ctx.Err()
}
