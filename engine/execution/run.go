package execution

import (
	"context"
	"encoding/json"
	"fmt"
	"sync"
	"sync/atomic"
	"time"

	"keyflow/credentials"
	"keyflow/engine/attempt"
	"keyflow/engine/dispatch"
	"keyflow/engine/plan"
	"keyflow/engine/runs"
	"keyflow/engine/state"
	"keyflow/engine/values"
	"keyflow/nodes"
	"keyflow/workflows"
)

// Run carries out one run that this process owns. It has no goroutine of its own: each step has one
// while it works, and the goroutine that brings an event (a result, a due time, a signal) also
// stores what follows from it and starts it.
//
// Events change the state under mu at once; persist stores what follows. Only one goroutine persists
// at a time and takes everything pending in one journal entry, so the entries of a run are stored in
// order, and what depends on an event starts only after it is on disk.
type Run struct {
	process *Process
	plan    *plan.Plan
	run     runs.Run          // as it was when it came here; not changed
	queue   dispatch.RunQueue // of its steps
	gaps    atomic.Int64      // of the heartbeat, when the run was known to be this process's
	lifetime

	mu     sync.Mutex
	state  *state.State
	values *values.Scope
	steps
	pending
	phase
	reply *reply // nil: nobody waits for the answer of the run
}

var _ dispatch.Carrier = (*Run)(nil)

// lifetime is the run's stay in this process.
type lifetime struct {
	ctx       context.Context // of all its steps
	interrupt context.CancelCauseFunc
	deadline  *time.Timer
	done      chan struct{} // closed when the run has left this process
}

// phase is how far the run is.
type phase struct {
	persisting bool
	atWork     int            // steps in the queue or in a goroutine
	failure    *runs.RunError // of the first node that fails the run
	verdict    runs.Status    // set when all nodes have ended
	final      *runs.Run      // once its end is stored
	leaving    bool           // the process is stopping: start nothing, hand the run back
	gone       bool           // the run has left this process
	broken     bool           // the store refused an entry for good
	awake      bool           // do not park now: there were signals
}

// newRun returns a run whose mutex is held: nothing reaches it, no signal and no stop of the
// process, before begin, restore or quit has brought its state to where the run stands. gaps is
// that of Ownership before the process asked for the run.
func newRun(p *Process, of *plan.Plan, run runs.Run, gaps int64) *Run {
	r := &Run{
		process: p, plan: of, run: run, queue: dispatch.RunQueue{Run: run.ID}, lifetime: lifetime{done: make(chan struct{})},
		state: state.New(of.Shape), reply: newReply(of, &run),
		steps: steps{live: make(map[state.StepKey]*liveStep, 1), newest: *run.StartedAt},
	}
	r.values = values.New(of, &r.run, p.Attempts.Sealer)
	r.ctx, r.interrupt = context.WithCancelCause(p.Context)
	r.gaps.Store(gaps)
	r.mu.Lock()
	return r
}

// parkAfter is the shortest wait for which a run is given up to the database; a shorter one
// costs less in memory. Neither holds a goroutine.
const parkAfter = time.Second

// begin starts a run from the beginning. r.mu is held, and released.
func (r *Run) begin() {
	r.watchTimeout(r.plan.Timeout)
	r.apply(state.Event{Kind: state.Began}, r.newest)
	r.persist()
}

// watchTimeout limits the running time that is left. r.mu is held.
func (r *Run) watchTimeout(left time.Duration) {
	r.deadline = time.AfterFunc(left, func() {
		r.mu.Lock()
		if r.failure == nil {
			r.failure = &runs.RunError{Code: nodes.CodeTimeout, Message: fmt.Sprintf("the run took longer than its timeout of %s", workflows.Duration(r.plan.Timeout))}
		}
		r.apply(state.Event{Kind: state.TimedOut}, r.tick())
		r.persist()
	})
}

// tick returns the time of a new event: later than any before it, in the precision of the
// store, so that the order of events can be read from their times. r.mu is held.
func (r *Run) tick() time.Time {
	now := r.process.now()
	if !now.After(r.newest) {
		now = r.newest.Add(time.Microsecond)
	}
	r.newest = now
	return now
}

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
// for a slot to be told. r.mu is held.
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

// keep notes what dependents and the run see of a node that has ended. r.mu is held.
func (r *Run) keep(node int, row *runs.Step) {
	r.values.Keep(node, row)
	if row.Status == runs.StepFailed && !r.plan.Nodes[node].ContinueOnError && r.failure == nil && row.Error != nil {
		r.failure = &runs.RunError{Node: row.Node, Code: row.Error.Code, Message: row.Error.Message}
	}
}

// leave ends the run's stay in this process. r.mu is held.
func (r *Run) leave(cause error) {
	if r.gone {
		return
	}
	r.gone = true
	r.interrupt(cause)
	r.stopTimers()
	r.process.unreserve(r.starts)
	r.process.forget(r)
	close(r.done)
}

func (r *Run) stopTimers() {
	if r.deadline != nil {
		r.deadline.Stop()
	}
	for _, step := range r.live {
		if step.timer != nil {
			step.timer.Stop()
		}
	}
}

// arm sets the timers of waiting steps whose due time is on disk. r.mu is held.
func (r *Run) arm() {
	for _, key := range r.unarmed {
		if step := r.live[key]; step != nil && step.status == runs.StepWaiting && !step.due.IsZero() {
			step.timer = time.AfterFunc(step.due.Sub(r.process.now()), func() { r.dueNow(key) })
		}
	}
	r.unarmed = r.unarmed[:0]
}

func (r *Run) dueNow(key state.StepKey) {
	r.mu.Lock()
	if step := r.live[key]; !r.leaving && !r.gone && step != nil {
		step.timer = nil
		if step.awaits != "" {
			go r.process.Dispatcher.Late(r.run.ID, r.plan.Nodes[key.Node].ID, key.Index)
		} else {
			r.apply(state.Event{Kind: state.Due, Node: key.Node, Index: key.Index}, r.tick())
		}
	}
	r.persist()
}

// Signal implements dispatch.Carrier: it brings facts from outside: those of this run that were not applied yet count.
func (r *Run) Signal(signals []runs.Signal) {
	r.mu.Lock()
	r.applySignals(signals)
	r.persist()
}

// applySignals applies signals in order. r.mu is held.
func (r *Run) applySignals(signals []runs.Signal) {
	for _, s := range signals {
		if s.Run != r.run.ID || s.Seq <= r.readSeq {
			continue
		}
		r.readSeq, r.awake = s.Seq, false
		switch s.Kind {
		case runs.SignalCancel:
			r.apply(state.Event{Kind: state.Canceled}, r.tick())
		case runs.SignalConnected:
			r.connected(credentials.ID(s.Data))
		case runs.SignalStep:
			r.deliver(s.Data)
		}
	}
}

// Stop implements dispatch.Carrier: it makes the run leave: steps at work may end, nothing else starts.
func (r *Run) Stop() {
	r.mu.Lock()
	r.quit()
}

// quit is Stop with r.mu held, which it releases.
func (r *Run) quit() {
	r.leaving = true
	r.stopTimers()
	r.persist()
}

// stopCause is why a stopped run was stopped.
func stopCause(s *state.State) error {
	if s.Stopped == state.StopTimedOut {
		return attempt.ErrTimedOut
	}
	return attempt.ErrCanceled
}

// stopError is the error of a started step that a stop left without a result.
func stopError(s *state.State) *runs.StepError {
	if s.Stopped == state.StopTimedOut {
		return &runs.StepError{Code: nodes.CodeTimeout, Message: attempt.ErrTimedOut.Error()}
	}
	return &runs.StepError{Code: nodes.CodeCanceled, Message: attempt.ErrCanceled.Error()}
}

// Done is closed when the run has left this process.
func (r *Run) Done() <-chan struct{} { return r.done }

// Final returns the run as it has ended, or nil when it left without an end. Done must be closed.
func (r *Run) Final() *runs.Run { return r.final }

// AtWork returns the steps that have started and not ended.
func (r *Run) AtWork() []runs.Step {
	r.mu.Lock()
	defer r.mu.Unlock()
	steps := make([]runs.Step, 0, len(r.live))
	for key, live := range r.live {
		if live.status == runs.StepRunning && live.begun {
			steps = append(steps, r.atWorkStep(key, live))
		}
	}
	return steps
}

// atWorkStep is a step as it is in the middle of an attempt. r.mu is held.
func (r *Run) atWorkStep(key state.StepKey, live *liveStep) runs.Step {
	step := runs.Step{Node: r.plan.Nodes[key.Node].ID, Index: key.Index, Status: runs.StepRunning}
	live.into(&step)
	if step.StartedAt == nil {
		started := live.current
		step.StartedAt = &started
	}
	n := len(live.attempts)
	step.Attempts = append(live.attempts[:n:n], runs.Attempt{Attempt: n + 1, StartedAt: live.current})
	return step
}
