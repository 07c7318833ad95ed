package engine

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
	"keyflow/internal/outbox"
	"keyflow/nodes"
	"keyflow/workflows"
)

// runner carries out one run that this process owns. It has no goroutine of its own: each
// step has one while it works, and the goroutine that brings news (a result, a due time, a
// signal) also stores it and starts what follows.
//
// News change the state under mu at once; settle stores them. Only one goroutine settles at
// a time and takes all the news there are in one journal entry, so the entries of a run are
// stored in order, and what depends on news starts only after they are on disk.
type runner struct {
	engine    *Engine
	plan      *plan.Plan
	ctx       context.Context // of all its steps
	interrupt context.CancelCauseFunc
	done      chan struct{} // closed when the run has left this process

	run  runs.Run          // as it was when it came here; not changed
	lane dispatch.RunQueue // of its steps in the queue
	// sure is how many gaps the heartbeat had when the run was known to be this process's.
	sure atomic.Int64

	mu       sync.Mutex
	state    *state.State
	values   *values.Scope
	live     map[state.StepKey]*liveStep            // steps at work or waiting
	external map[state.StepKey]*runs.ExternalResult // what was delivered to steps; may be nil
	newest   time.Time                              // of all events; grows with each, so that they can be replayed in order
	failure  *runs.RunError                         // of the first node that fails the run

	rows     []runs.Step   // news to be stored
	starts   []runs.NewRun // runs to be started with them
	tell     []runs.Signal // to other runs, to be stored with them
	emitted  []outbox.Event
	next     []state.StepKey // to be started once the rows are stored
	unarmed  []state.StepKey // waiting steps without a timer
	settling bool
	atWork   int         // steps in the queue or in a goroutine
	verdict  runs.Status // set when all nodes have ended
	leaving  bool        // the process is stopping: start nothing, hand the run back
	gone     bool        // the run has left this process
	final    *runs.Run   // once its end is stored
	broken   bool        // the store refused news for good
	awake    bool        // do not park now: there were signals
	readSeq  int64       // signals up to this one were applied
	reply    *reply      // nil: nobody waits for what the run says
	deadline *time.Timer
}

// liveStep is a step between its start and its end.
type liveStep struct {
	status   runs.StepStatus // running or waiting
	begun    bool            // of a running step: its attempt has begun
	attempts []runs.Attempt  // those that ended
	calls    []credentials.Call
	started  time.Time      // when the first attempt, or a wait before it, began; zero before
	current  time.Time      // of the attempt at work
	due      time.Time      // of a waiting step
	hold     credentials.ID // of a waiting step: the credential it waits for
	// holdEnd is until when the step waits for its credential, also between two waits without
	// an attempt; zero when it does not.
	holdEnd time.Time
	awaits  string  // of a waiting step: what else can end the wait, a nodes.CodeWaitsFor…
	child   runs.ID // the run that a workflow node started and waits for
	timer   *time.Timer
}

// begins notes when the step began, which its first outcome tells: that of an attempt, or that it
// has to wait, which is no attempt but counts in how long the step took.
func (s *liveStep) begins(out *attempt.Outcome, at time.Time) {
	switch {
	case !s.started.IsZero():
	case out.Attempt != nil:
		s.started = out.Attempt.StartedAt
	case out.Kind == state.Postponed:
		s.started = at
	}
}

// readyToTry is when the attempt at work could have begun, also when it had to wait since.
func (s *liveStep) readyToTry(retry *plan.RetryPolicy) time.Time {
	at := s.started
	if n := len(s.attempts); n > 0 && s.attempts[n-1].FinishedAt != nil {
		at = s.attempts[n-1].FinishedAt.Add(retry.Delay(n, 0, 0))
	}
	if at.IsZero() || at.After(s.current) {
		return s.current
	}
	return at
}

// into fills in what a stored step says about its attempts.
func (s *liveStep) into(row *runs.Step) {
	if !s.started.IsZero() {
		row.StartedAt = &s.started
	}
	row.Attempts, row.Calls = s.attempts, s.calls
}

// parkAfter is the shortest wait for which a run is given up to the database; a shorter one
// costs less in memory. Neither holds a goroutine.
const parkAfter = time.Second

// newRunner returns a runner whose mutex is held: nothing reaches it, no signal and no stop of
// the process, before begin, restore or quit has brought its state to where the run stands.
// sure is how many gaps the heartbeat had before the process asked for the run.
func newRunner(e *Engine, plan *plan.Plan, run runs.Run, sure int64) *runner {
	r := &runner{
		engine: e, plan: plan, run: run, lane: dispatch.RunQueue{Run: run.ID}, done: make(chan struct{}),
		state: state.New(plan.Shape),
		live:  make(map[state.StepKey]*liveStep, 1), newest: *run.StartedAt, reply: newReply(plan, &run),
	}
	r.values = values.New(plan, &r.run, e.o.Sealer)
	r.ctx, r.interrupt = context.WithCancelCause(e.steps)
	r.sure.Store(sure)
	r.mu.Lock()
	return r
}

// begin starts a run from the beginning. r.mu is held, and released.
func (r *runner) begin() {
	r.watchTimeout(r.plan.Timeout)
	r.happen(state.Event{Kind: state.Began}, r.newest)
	r.settle()
}

// watchTimeout limits the running time that is left. r.mu is held.
func (r *runner) watchTimeout(left time.Duration) {
	r.deadline = time.AfterFunc(left, func() {
		r.mu.Lock()
		if r.failure == nil {
			r.failure = &runs.RunError{Code: nodes.CodeTimeout, Message: fmt.Sprintf("the run took longer than its timeout of %s", workflows.Duration(r.plan.Timeout))}
		}
		r.happen(state.Event{Kind: state.TimedOut}, r.tick())
		r.settle()
	})
}

// tick returns the time of a new event: later than any before it, in the precision of the
// store, so that the order of events can be read from their times. r.mu is held.
func (r *runner) tick() time.Time {
	now := r.engine.now()
	if !now.After(r.newest) {
		now = r.newest.Add(time.Microsecond)
	}
	r.newest = now
	return now
}

// happen applies an event and notes what follows from it. r.mu is held.
func (r *runner) happen(ev state.Event, at time.Time) {
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
			r.ended(a, at)
		case state.Interrupt:
			r.interrupt(r.stopCause())
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
func (r *runner) cutQueued() {
	for key, step := range r.live {
		if step.status == runs.StepRunning && !step.begun {
			r.outcome(key, step, &attempt.Outcome{Kind: state.Cut})
		}
	}
}

// stopCause is why a stopped run was stopped.
func (r *runner) stopCause() error {
	if r.state.Stopped == state.StopTimedOut {
		return attempt.ErrTimedOut
	}
	return attempt.ErrCanceled
}

// ended records a step that has no result of its own: it was skipped or canceled, is the
// aggregate of a for_each, or waited when the run was stopped. r.mu is held.
func (r *runner) ended(a state.Action, at time.Time) {
	key := state.StepKey{Node: a.Node, Index: a.Index}
	row := runs.Step{Node: r.plan.Nodes[a.Node].ID, Index: a.Index, Status: a.Status, FinishedAt: &at}
	if step := r.live[key]; step != nil {
		step.into(&row)
		delete(r.live, key)
		if step.child != (runs.ID{}) {
			r.cancelChild(step.child)
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
		row.Error = r.stopError()
	}
	r.rows = append(r.rows, row)
	if a.Index == runs.NoIndex {
		r.keep(a.Node, &row)
	}
}

// stopError is the error of a started step that a stop left without a result.
func (r *runner) stopError() *runs.StepError {
	if r.state.Stopped == state.StopTimedOut {
		return &runs.StepError{Code: nodes.CodeTimeout, Message: attempt.ErrTimedOut.Error()}
	}
	return &runs.StepError{Code: nodes.CodeCanceled, Message: attempt.ErrCanceled.Error()}
}

// keep notes what dependents and the run see of a node that has ended. r.mu is held.
func (r *runner) keep(node int, row *runs.Step) {
	r.values.Keep(node, row)
	if row.Status == runs.StepFailed && !r.plan.Nodes[node].ContinueOnError && r.failure == nil && row.Error != nil {
		r.failure = &runs.RunError{Node: row.Node, Code: row.Error.Code, Message: row.Error.Message}
	}
}

// leave ends the run's stay in this process. r.mu is held.
func (r *runner) leave(cause error) {
	if r.gone {
		return
	}
	r.gone = true
	r.interrupt(cause)
	r.stopTimers()
	r.engine.unreserve(r.starts)
	r.engine.forget(r)
	close(r.done)
}

func (r *runner) stopTimers() {
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
func (r *runner) arm() {
	for _, key := range r.unarmed {
		if step := r.live[key]; step != nil && step.status == runs.StepWaiting && !step.due.IsZero() {
			step.timer = time.AfterFunc(step.due.Sub(r.engine.now()), func() { r.dueNow(key) })
		}
	}
	r.unarmed = r.unarmed[:0]
}

func (r *runner) dueNow(key state.StepKey) {
	r.mu.Lock()
	if step := r.live[key]; !r.leaving && !r.gone && step != nil {
		step.timer = nil
		if step.awaits != "" {
			go r.engine.late(r.run.ID, r.plan.Nodes[key.Node].ID, key.Index)
		} else {
			r.happen(state.Event{Kind: state.Due, Node: key.Node, Index: key.Index}, r.tick())
		}
	}
	r.settle()
}

// signal brings facts from outside: those of this run that were not applied yet count.
func (r *runner) signal(signals []runs.Signal) {
	r.mu.Lock()
	r.apply(signals)
	r.settle()
}

// apply applies signals in order. r.mu is held.
func (r *runner) apply(signals []runs.Signal) {
	for _, s := range signals {
		if s.Run != r.run.ID || s.Seq <= r.readSeq {
			continue
		}
		r.readSeq, r.awake = s.Seq, false
		switch s.Kind {
		case runs.SignalCancel:
			r.happen(state.Event{Kind: state.Canceled}, r.tick())
		case runs.SignalConnected:
			r.connected(credentials.ID(s.Data))
		case runs.SignalStep:
			r.deliver(s.Data)
		}
	}
}

// stop makes the run leave: steps at work may end, nothing else starts.
func (r *runner) stop() {
	r.mu.Lock()
	r.quit()
}

// quit is stop with r.mu held, which it releases.
func (r *runner) quit() {
	r.leaving = true
	r.stopTimers()
	r.settle()
}
