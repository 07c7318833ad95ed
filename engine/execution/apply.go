package execution

import (
	"encoding/json"
	"time"

	"keyflow/engine/attempt"
	"keyflow/engine/runs"
	"keyflow/engine/state"
)

// apply applies an event and notes what follows from it. r.mu is held.
func (r *Run) apply(ev state.Event, at time.Time) {
	interrupted := false
	for _, a := range state.Apply(r.state, ev) {
		key := state.StepKey{Node: a.Node, Index: a.Index}
		switch a.Kind {
		case state.Start, state.StartItem:
			r.live[key] = &liveStep{status: runs.StepRunning}
			r.next = append(r.next, key)
		case state.Repeat:
			r.live[key].status, r.live[key].begun = runs.StepRunning, false
			r.next = append(r.next, key)
		case state.End:
			r.recordEnd(a, at)
		case state.Interrupt:
			r.interrupt(stopCause(r.state))
			interrupted = true
		case state.Finish:
			r.verdict = a.Run
		}
	}
	if interrupted {
		r.cutQueued()
	}
}

// cutQueued ends the steps of a stopped run whose attempt has not begun: they must not wait
// for a slot only to end. r.mu is held.
func (r *Run) cutQueued() {
	for key, step := range r.live {
		if step.status == runs.StepRunning && !step.begun {
			r.outcome(key, step, &attempt.Outcome{Kind: state.Cut})
		}
	}
}

// recordEnd records a step that has no result of its own: it was skipped or canceled, is the
// aggregate of a for_each, or waited when the run was stopped. r.mu is held.
func (r *Run) recordEnd(a state.Action, at time.Time) {
	key := state.StepKey{Node: a.Node, Index: a.Index}
	row := runs.Step{Node: r.plan.Nodes[a.Node].ID, Index: a.Index, Status: a.Status, FinishedAt: &at}
	if step := r.live[key]; step != nil {
		step.into(&row)
		delete(r.live, key)
		if step.child != (runs.ID{}) {
			r.pending.cancelChild(step.child)
		}
	}
	elements := r.values.Elements(a.Node)
	if elements != nil && a.Index == runs.NoIndex {
		row.StartedAt = &elements.Started
		row.Error = elements.Err
		if len(elements.Outputs) == 0 {
			row.Output = json.RawMessage("[]")
		}
	}
	switch {
	case a.Status == runs.StepSucceeded || a.Status == runs.StepSkipped:
		row.Error = nil
	case row.Error == nil:
		row.Error = stopError(r.state)
	}
	r.rows = append(r.rows, row)
	if a.Index == runs.NoIndex {
		r.keep(a.Node, &row)
	}
}

// outcome records how an attempt ended and applies it to the state. r.mu is held.
func (r *Run) outcome(key state.StepKey, step *liveStep, out *attempt.Outcome) {
	at := r.tick()
	if out.Kind == state.Expanded {
		r.values.Expand(key.Node, out.Elements, at)
		delete(r.live, key)
		r.apply(state.Event{Kind: state.Expanded, Node: key.Node, Index: runs.NoIndex, Count: len(out.Elements.Items)}, at)
		return
	}
	row := runs.Step{Node: r.plan.Nodes[key.Node].ID, Index: key.Index, Output: out.Output, Sealed: out.Sealed}
	step.begins(out, at)
	step.into(&row)
	if out.Attempt != nil {
		row.Error = out.Attempt.Error
	} else if out.Err != nil {
		row.Error = attempt.StepError(out.Err, len(step.attempts))
	}
	if out.Kind == state.Postponed && r.state.Stopped == state.NotStopped {
		r.postponed(key, step, out, row)
	} else {
		r.ended(key, out, row, at)
	}
}

// ended records the outcome of a step that has ended. r.mu is held.
func (r *Run) ended(key state.StepKey, out *attempt.Outcome, row runs.Step, at time.Time) {
	row.Status, row.FinishedAt = endStatus(r.state, out.Kind), &at
	switch out.Kind {
	case state.Succeeded:
		if out.Start != nil {
			r.starts = append(r.starts, *out.Start)
		}
		if out.Event != nil {
			r.events = append(r.events, *out.Event)
		}
	case state.Postponed: // of a stopped run
		if out.Start != nil && out.Start.Dedupe != nil { // the attempt has stored it
			r.pending.cancelChild(out.Start.Run.ID)
		}
		row.Error = stopError(r.state)
	case state.Cut:
		row.Error = stopError(r.state)
	default: // its own error, or none
	}
	r.reply.say(out.Answer)
	delete(r.live, key)
	r.rows = append(r.rows, row)
	if key.Index == runs.NoIndex {
		r.keep(key.Node, &row)
		if out.Kind == state.Succeeded {
			r.values.KeepValue(key.Node, len(out.Output), out.Value)
		}
	} else {
		r.values.KeepElement(key.Node, &row)
	}
	r.apply(state.Event{Kind: out.Kind, Node: key.Node, Index: key.Index}, at)
}

// postponed records the outcome of a step that waits. r.mu is held.
func (r *Run) postponed(key state.StepKey, step *liveStep, out *attempt.Outcome, row runs.Step) {
	due := r.process.now().Add(out.Wait.Lasting) // not after newest, which is ahead of a clock that was set back
	if out.Wait.Forever {
		due = time.Time{}
	}
	if out.Start != nil {
		r.starts = append(r.starts, *out.Start)
		step.child = out.Start.Run.ID
	}
	if step.awaits = out.Wait.Awaits; !out.Wait.Idle {
		delete(r.external, key) // the next attempt begins anew
	}
	if out.Wait.Connect == "" {
		step.connectEnd = time.Time{}
	} else {
		due = step.connectUntil(due)
	}
	step.connect, row.NeedsConnect = out.Wait.Connect, out.Wait.Connect
	step.status, step.due, row.Status = runs.StepWaiting, due, runs.StepWaiting
	if !due.IsZero() {
		row.DueAt = &due
		r.unarmed = append(r.unarmed, key) // the wait begins once it is stored
	}
	r.rows = append(r.rows, row)
	r.awake = false
	r.apply(state.Event{Kind: state.Postponed, Node: key.Node, Index: key.Index}, r.newest)
	if step.awaits != "" && r.external[key] != nil { // it came early
		r.apply(state.Event{Kind: state.Due, Node: key.Node, Index: key.Index}, r.tick())
	}
}
