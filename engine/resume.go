package engine

import (
	"bytes"
	"cmp"
	"context"
	"slices"
	"strings"
	"time"

	"keyflow/engine/attempt"
	"keyflow/engine/dispatch"
	"keyflow/engine/runs"
	"keyflow/engine/state"
	"keyflow/internal/fault"
	"keyflow/nodes"
)

// adopt takes over runs of silent processes. It is the heartbeat's callback.
func (e *Engine) adopt(_ context.Context, orphans []runs.Orphan) {
	for _, o := range orphans {
		if e.running(o.Run) == nil {
			e.enqueue(runs.DueRun{Run: o.Run}, &o)
		}
	}
}

// enqueue lets a run be claimed when its turn comes; from its owner when that is silent, else nil.
func (e *Engine) enqueue(due runs.DueRun, from *runs.Orphan) {
	e.queue.Submit(&dispatch.Task{
		Run: due.Run, Workflow: due.Workflow, Claim: true,
		Do: func(func()) { e.claim(due.Run, from) },
	})
}

// claim takes a run that nobody owns, or whose owner is silent, and goes on with it. False: it
// could not be found out whether there is anything to take, or the run was given back.
func (e *Engine) claim(id runs.ID, from *runs.Orphan) (settled bool) {
	if !e.enter() {
		return true
	}
	defer e.exit()
	if e.running(id) != nil {
		return true
	}
	e.owner.Await(e.steps)
	sure := e.owner.Gaps() // the answer can be late
	claim := &runs.Claim{Run: id, Owner: e.owner.ID()}
	if from != nil {
		claim.TakeoverFrom, claim.Beat = &from.Owner, from.Beat
	}
	out := <-e.journal.Send(runs.Entry{Claim: claim})
	switch {
	case fault.Is(out.Err, fault.Conflict), fault.Is(out.Err, fault.NotFound): // somebody was faster, the owner is back, or it is over
		return true
	case out.Err != nil:
		e.o.Logger.Warn("cannot claim a run; it is tried again", "run", id, "error", out.Err)
		return false
	}
	return e.resume(out.Loaded, sure)
}

// resume goes on with a run that this process has just become the owner of; false when it had
// to be given back. sure is as for newRunner.
func (e *Engine) resume(l *runs.Loaded, sure int64) bool {
	if l.Err != nil {
		e.o.Logger.Error("what is stored of a run cannot be read", "run", l.Run.ID, "error", l.Err)
		e.fail(l.Run, nodes.CodeInternal, "internal error: what is stored of the run cannot be read")
		return true
	}
	plan, err := e.starts.PlanOf(e.steps, &l.Run)
	if err != nil {
		if fault.Is(err, fault.Unavailable) || e.steps.Err() != nil {
			e.release(l.Run)
			return false
		}
		e.o.Logger.Error("cannot resume a run", "run", l.Run.ID, "workflow", l.Run.Workflow, "version", l.Run.Version, "error", err)
		e.fail(l.Run, nodes.CodeInterrupted, "the run cannot be resumed: "+fault.Message(err))
		return true
	}
	r := newRunner(e, plan, l.Run, sure)
	if e.adopted(r) {
		r.quit()
		return true
	}
	r.restore(l)
	return true
}

// fail ends a run that cannot go on.
func (e *Engine) fail(run runs.Run, code, message string) {
	now := e.now()
	p := &runs.Progress{Run: run.ID, Owner: run.Owner, Fence: run.Fence, Frees: run.FreesSlotsOf(), Set: &runs.Change{
		Status: runs.Failed, FinishedAt: &now, Error: &runs.RunError{Code: code, Message: message},
	}}
	if run.Parent != nil {
		if s, err := reportEnd(&run, p.Set); err == nil {
			p.Signals = []runs.Signal{s}
		}
	}
	e.announce(&run, p)
	if err := e.write(p); err != nil {
		e.o.Logger.Error("cannot store the end of a run", "run", run.ID, "error", err)
		return
	}
	for i := range p.Signals {
		e.told(p.Signals[i].Run)
	}
}

// release gives a claimed run back: it is tried again.
func (e *Engine) release(run runs.Run) {
	err := e.write(&runs.Progress{Run: run.ID, Owner: run.Owner, Fence: run.Fence, Set: &runs.Change{Status: runs.Queued, Release: true}})
	if err != nil {
		e.o.Logger.Error("cannot hand a run back", "run", run.ID, "error", err)
	}
}

// restore brings the state to where the stored steps say it was, and goes on from there.
//
// Every event of a run has its own instant, and apply is deterministic: the results, applied
// again in the order of their times, give the same decisions. Steps without a result were in
// flight; they run again as the same attempt, except those at most once. r.mu is held, and
// released.
func (r *runner) restore(l *runs.Loaded) {
	r.watchTimeout(r.plan.Timeout - runningTime(l.Steps))
	r.happen(state.Event{Kind: state.Began}, r.newest)
	rows := slices.Clone(l.Steps)
	slices.SortFunc(rows, func(a, b runs.Step) int {
		return cmp.Or(orderTime(a.FinishedAt).Compare(orderTime(b.FinishedAt)),
			bytes.Compare([]byte(a.Node), []byte(b.Node)), cmp.Compare(a.Index, b.Index))
	})
	for i := range rows {
		r.replay(&rows[i])
	}
	r.rows, r.unarmed = nil, r.waitingSteps() // what was derived is stored already
	r.next = slices.DeleteFunc(r.next, func(key state.StepKey) bool {
		return r.live[key] == nil || r.live[key].status != runs.StepRunning
	})
	r.interrupted(rows)
	if r.run.CancelRequested {
		r.happen(state.Event{Kind: state.Canceled}, r.tick())
	}
	r.apply(l.Signals)
	r.settle()
}

// orderTime puts steps without an end behind all others.
func orderTime(t *time.Time) time.Time {
	if t == nil {
		return time.Unix(1<<40, 0)
	}
	return *t
}

// replay applies a stored step. r.mu is held.
func (r *runner) replay(row *runs.Step) {
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
		r.restoreExternal(key, row)
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
		if step.hold = row.NeedsConnect; step.hold != "" {
			step.holdEnd = step.due
			r.engine.lookAt(step.hold, 0)
		}
		r.happen(state.Event{Kind: state.Postponed, Node: node, Index: row.Index}, at)
	case runs.StepSucceeded, runs.StepFailed, runs.StepSkipped:
		delete(r.live, key)
		if row.Index == runs.NoIndex {
			r.keep(node, row)
		} else {
			r.values.KeepElement(key.Node, row)
		}
		kind := map[runs.StepStatus]state.EventKind{runs.StepSucceeded: state.Succeeded, runs.StepFailed: state.Failed, runs.StepSkipped: state.Unwanted}[row.Status]
		r.happen(state.Event{Kind: kind, Node: node, Index: row.Index}, at)
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
func (r *runner) expandAgain(node int, row *runs.Step, at time.Time) bool {
	if r.values.Elements(node) != nil {
		return row.Index != runs.NoIndex
	}
	if r.live[state.StepKey{Node: node, Index: runs.NoIndex}] == nil {
		return false
	}
	plan := &r.plan.Nodes[node]
	s, err := attempt.New(r.engine.process, host{r}, attempt.Input{
		Run: &r.run, Plan: r.plan, Node: plan, Key: state.StepKey{Node: node, Index: runs.NoIndex}, Number: 1, Ready: r.values.ReadyAt(plan),
	}, r.values)
	if err != nil {
		r.engine.o.Logger.Error("cannot read what a for_each goes through", "run", r.run.ID, "node", plan.ID, "error", err)
		return false
	}
	out := s.Expand(r.ctx)
	if out.Kind != state.Expanded {
		r.engine.o.Logger.Error("a for_each cannot be evaluated again", "run", r.run.ID, "node", plan.ID, "error", out.Err)
		return false
	}
	r.values.Expand(node, out.Elements, at)
	delete(r.live, state.StepKey{Node: node, Index: runs.NoIndex})
	r.happen(state.Event{Kind: state.Expanded, Node: node, Index: runs.NoIndex, Count: len(out.Elements.Items)}, at)
	return row.Index != runs.NoIndex && row.Index < len(out.Elements.Items)
}

// waitingSteps are the steps that need a timer. r.mu is held.
func (r *runner) waitingSteps() []state.StepKey {
	var keys []state.StepKey
	for key, step := range r.live {
		if step.status == runs.StepWaiting {
			keys = append(keys, key)
		}
	}
	return keys
}

// interrupted fails the at_most_once steps whose start is stored and whose end is not: it is
// unknown what their requests did. r.mu is held.
func (r *runner) interrupted(rows []runs.Step) {
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

// tell brings what the store has decided about other runs to them: those that got a slot are
// claimed, those that were canceled for one are told.
func (e *Engine) tell(runs []runs.DueRun) {
	for _, due := range runs {
		if e.running(due.Run) != nil {
			e.lookNow()
		} else {
			e.enqueue(due, nil)
		}
	}
}
