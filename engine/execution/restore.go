package execution

import (
	"bytes"
	"cmp"
	"encoding/json"
	"slices"
	"strings"
	"time"

	"keyflow/engine/attempt"
	"keyflow/engine/runs"
	"keyflow/engine/state"
	"keyflow/nodes"
)

// replay restores the state of a run from its stored steps. The run's mu is held.
type replay struct{ *Run }

// restore brings the state to where the stored steps show it, and goes on from there.
//
// Every event of a run has its own instant, and apply is deterministic: the results, applied
// again in the order of their times, give the same decisions. Steps without a result were in
// flight; they run again as the same attempt, except those at most once. r.mu is held, and
// released.
func (r replay) restore(l *runs.Loaded) {
	r.watchTimeout(r.plan.Timeout - runningTime(l.Steps))
	r.apply(state.Event{Kind: state.Began}, r.newest)
	rows := slices.Clone(l.Steps)
	slices.SortFunc(rows, func(a, b runs.Step) int {
		return cmp.Or(orderTime(a.FinishedAt).Compare(orderTime(b.FinishedAt)),
			bytes.Compare([]byte(a.Node), []byte(b.Node)), cmp.Compare(a.Index, b.Index))
	})
	for i := range rows {
		r.step(&rows[i])
	}
	r.rows, r.unarmed = nil, r.waiting() // what was derived is stored already
	r.next = slices.DeleteFunc(r.next, func(key state.StepKey) bool {
		return r.live[key] == nil || r.live[key].status != runs.StepRunning
	})
	r.interrupted(rows)
	if r.run.CancelRequested {
		r.apply(state.Event{Kind: state.Canceled}, r.tick())
	}
	r.applySignals(l.Signals)
	r.persist()
}

// orderTime puts steps without an end behind all others.
func orderTime(t *time.Time) time.Time {
	if t == nil {
		return time.Unix(1<<40, 0)
	}
	return *t
}

// step applies a stored step. r.mu is held.
func (r replay) step(row *runs.Step) {
	node, ok := r.plan.Index[row.Node]
	if !ok {
		return
	}
	key := state.StepKey{Node: node, Index: row.Index}
	at := r.newest
	if row.FinishedAt != nil && row.FinishedAt.After(at) {
		at = *row.FinishedAt
		r.newest = at
	}
	if n := len(row.Attempts); n > 0 && row.FinishedAt == nil && row.Attempts[n-1].FinishedAt != nil {
		r.newest = latest(r.newest, *row.Attempts[n-1].FinishedAt)
	}
	if row.Index != runs.NoIndex || r.plan.Nodes[node].ForEach != nil && row.Status == runs.StepSucceeded {
		if !r.expandAgain(node, row, at) {
			return
		}
	}
	if row.Status == runs.StepPending && row.Output != nil {
		r.externalResult(key, row)
	}
	step := r.live[key]
	if step == nil {
		return // derived from other events: a skip, an aggregate
	}
	step.attempts, step.calls = row.Attempts, row.Calls
	if row.StartedAt != nil {
		step.started = *row.StartedAt
	}
	switch row.Status {
	case runs.StepWaiting:
		step.status = runs.StepWaiting
		if row.DueAt != nil {
			step.due = *row.DueAt
		}
		if row.Error != nil && row.Error.Code != nodes.CodeWaitsForTime && strings.HasPrefix(row.Error.Code, "waits_for_") {
			step.awaits = row.Error.Code
		}
		if step.awaits == nodes.CodeWaitsForWorkflow {
			step.child = childOf(row.Output)
		}
		if step.connect = row.NeedsConnect; step.connect != "" {
			step.connectEnd = step.due
			r.process.Checks.CheckNow(step.connect)
		}
		r.apply(state.Event{Kind: state.Postponed, Node: node, Index: row.Index}, at)
	case runs.StepSucceeded, runs.StepFailed, runs.StepSkipped:
		delete(r.live, key)
		if row.Index == runs.NoIndex {
			r.keep(node, row)
		} else {
			r.values.KeepElement(key.Node, row)
		}
		kind := map[runs.StepStatus]state.EventKind{runs.StepSucceeded: state.Succeeded, runs.StepFailed: state.Failed, runs.StepSkipped: state.Unwanted}[row.Status]
		r.apply(state.Event{Kind: kind, Node: node, Index: row.Index}, at)
	default: // it begins again
	}
}

func latest(a, b time.Time) time.Time {
	if b.After(a) {
		return b
	}
	return a
}

// expandAgain evaluates a for_each whose elements are being replayed. It reads only outputs
// that are stored, and now() of the node, so it gives the same elements. false: the row is
// dealt with, or belongs to a node that has not started.
func (r replay) expandAgain(node int, row *runs.Step, at time.Time) bool {
	if r.values.Elements(node) != nil {
		return row.Index != runs.NoIndex
	}
	if r.live[state.StepKey{Node: node, Index: runs.NoIndex}] == nil {
		return false
	}
	plan := &r.plan.Nodes[node]
	s, err := attempt.New(r.process.Attempts, host{r.Run}, attempt.Input{
		Run: &r.run, Plan: r.plan, Node: plan, Key: state.StepKey{Node: node, Index: runs.NoIndex}, Number: 1, Ready: r.values.ReadyAt(plan),
	}, r.values)
	if err != nil {
		r.process.Attempts.Logger.Error("cannot read what a for_each goes through", "run", r.run.ID, "node", plan.ID, "error", err)
		return false
	}
	out := s.Expand(r.ctx)
	if out.Kind != state.Expanded {
		r.process.Attempts.Logger.Error("a for_each cannot be evaluated again", "run", r.run.ID, "node", plan.ID, "error", out.Err)
		return false
	}
	r.values.Expand(node, out.Elements, at)
	delete(r.live, state.StepKey{Node: node, Index: runs.NoIndex})
	r.apply(state.Event{Kind: state.Expanded, Node: node, Index: runs.NoIndex, Count: len(out.Elements.Items)}, at)
	return row.Index != runs.NoIndex && row.Index < len(out.Elements.Items)
}

// interrupted fails the at_most_once steps whose start is stored and whose end is not: it is
// unknown what their requests did. r.mu is held.
func (r replay) interrupted(rows []runs.Step) {
	for i := range rows {
		row := &rows[i]
		node, ok := r.plan.Index[row.Node]
		key := state.StepKey{Node: node, Index: row.Index}
		if !ok || row.Status != runs.StepRunning || r.live[key] == nil {
			continue
		}
		r.next = slices.DeleteFunc(r.next, func(k state.StepKey) bool { return k == key })
		step := r.live[key]
		err := &nodes.Error{Code: nodes.CodeInterrupted, Message: "the process ended while the step was at work; at_most_once forbids another attempt"}
		step.attempts = nil // the unfinished one is completed and added again
		last := runs.Attempt{Attempt: 1, StartedAt: *r.run.StartedAt}
		if n := len(row.Attempts); n > 0 {
			last = row.Attempts[n-1]
		}
		end := r.tick()
		last.FinishedAt, last.Error = &end, attempt.StepError(err, last.Attempt)
		step.attempts = []runs.Attempt{last}
		r.outcome(key, step, &attempt.Outcome{Kind: state.Failed, Err: err, Attempt: &last})
	}
}

// runningTime is how long anything of the run was at work, by its stored attempts: waiting
// does not count towards the run's timeout.
func runningTime(rows []runs.Step) time.Duration {
	type span struct{ from, to time.Time }
	var spans []span
	for i := range rows {
		for _, a := range rows[i].Attempts {
			if a.FinishedAt != nil {
				spans = append(spans, span{a.StartedAt, *a.FinishedAt})
			}
		}
	}
	slices.SortFunc(spans, func(a, b span) int { return a.from.Compare(b.from) })
	var total time.Duration
	var end time.Time
	for _, s := range spans {
		if s.from.Before(end) {
			s.from = end
		}
		if s.to.After(s.from) {
			total += s.to.Sub(s.from)
			end = s.to
		}
	}
	return total
}

// externalResult reads back the external result that a pending step had before a crash. r.mu is
// held.
func (r replay) externalResult(key state.StepKey, row *runs.Step) {
	var x runs.ExternalResult
	if err := json.Unmarshal(row.Output, &x); err != nil {
		r.process.Attempts.Logger.Error("what a step was given cannot be read", "run", r.run.ID, "node", row.Node, "error", err)
		return
	}
	r.keepExternal(key, &x)
}
