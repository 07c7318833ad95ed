package execution

import (
	"context"
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
)

// Answer waits until the run has responded or left this process (nil).
func (r *Run) Answer(ctx context.Context) (*runs.Answer, error) {
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

// AnswerAwaited reports whether a caller waits for the answer of the run.
func (r *Run) AnswerAwaited() bool { return r.reply != nil }

// Run carries out one run that this process owns. It has no goroutine of its own: each step has one
// while it works, and the goroutine with an event (a result, a due time, a signal) also
// stores what follows from it and starts it.
//
// Events change the state under mu at once; persist stores what follows. Only one goroutine
// persists at a time and takes everything pending in one journal entry, so the entries of a run are
// stored in order, and what depends on an event starts only after it is on disk.
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
// process, before begin, restore or quit has set its state. gaps is
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
	r.process.forget(&r.run, r.final != nil)
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

func endStatus(s *state.State, kind state.EventKind) runs.StepStatus {
	switch kind {
	case state.Succeeded:
		return runs.StepSucceeded
	case state.Unwanted:
		return runs.StepSkipped
	case state.Failed:
		return runs.StepFailed
	default:
		return s.StoppedStatus()
	}
}

// What a run may hold beyond the output of one step (Options.MaxOutput). A stored value of any
// kind is at most 16 MiB.
const (
	// maxCalls bounds the addresses of a step's calls that the history keeps, in bytes: of more,
	// by thousands of pages over many attempts, the latest are kept.
	maxCalls = 4 << 20
)

// latestCalls drops the oldest calls when they are too many to store.
func latestCalls(calls []credentials.Call) []credentials.Call {
	size := 0
	for i := len(calls) - 1; i >= 0; i-- {
		if size += len(calls[i].URL) + len(calls[i].Fingerprint) + 128; size > maxCalls { // 128: the rest of one
			return calls[i+1:]
		}
	}
	return calls
}
