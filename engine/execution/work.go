package execution

import (
	"slices"
	"time"

	"keyflow/credentials"
	"keyflow/engine/attempt"
	"keyflow/engine/dispatch"
	"keyflow/engine/live"
	"keyflow/engine/runs"
	"keyflow/engine/state"
	"keyflow/engine/values"
)

// submit hands a step to the queue.
func (r *Run) submit(key state.StepKey) {
	r.process.Queue.Submit(&dispatch.Task{
		Run: r.run.ID, Workflow: r.run.Workflow, Queue: &r.queue,
		Do:   func(release func()) { r.work(key, release) },
		Drop: r.dropped,
	})
}

// dropped tells that the queue was closed before a step's turn came.
func (r *Run) dropped() {
	r.mu.Lock()
	r.atWork--
	r.persist()
}

// work makes one attempt of a step and brings the result. release frees the slot of the
// step; storing the result needs none.
func (r *Run) work(key state.StepKey, release func()) {
	host{r}.AwaitOwnership(r.ctx)
	s, out := r.prepare(key)
	if s != nil {
		out = s.Do(r.ctx)
	}
	release()
	r.finished(key, s, out)
}

// prepare gathers what a step needs. Without a step, the outcome is final.
func (r *Run) prepare(key state.StepKey) (*attempt.Attempt, attempt.Outcome) {
	r.mu.Lock()
	defer r.mu.Unlock()
	step := r.live[key]
	switch {
	case r.gone || r.leaving || step == nil || r.broken:
		return nil, attempt.Outcome{Dropped: true}
	case r.state.Stopped != state.NotStopped:
		return nil, attempt.Outcome{Kind: state.Cut}
	}
	node := &r.plan.Nodes[key.Node]
	step.begun, step.current = true, r.process.now()
	if r.process.Hub.Watched() {
		now := r.atWorkStep(key, step)
		r.process.Hub.Publish(r.run.ID, live.Update{Step: &now})
	}
	s, err := attempt.New(r.process.Attempts, host{r}, attempt.Input{
		Run: &r.run, Plan: r.plan, Node: node, Key: key,
		Number: len(step.attempts) + 1, Fresh: len(step.attempts) == 0 && key.Index == runs.NoIndex,
		Ready: r.values.ReadyAt(node), ReadyToTry: step.readyToTry(&node.Retry), ConnectEnd: step.holdEnd, External: r.external[key],
	}, r.values)
	if err != nil {
		return nil, attempt.Outcome{Kind: state.Failed, Err: values.VarsError(err)}
	}
	return s, attempt.Outcome{}
}

// finished brings the outcome of an attempt. s is nil when there was none.
func (r *Run) finished(key state.StepKey, s *attempt.Attempt, out attempt.Outcome) {
	r.mu.Lock()
	r.atWork--
	if step := r.live[key]; step != nil && !r.gone && !out.Dropped && !r.broken {
		if s != nil {
			step.calls = latestCalls(append(step.calls, s.CredentialCalls()...))
		}
		if out.Attempt != nil {
			step.attempts = append(step.attempts, *out.Attempt)
		}
		r.outcome(key, step, &out)
	}
	r.unreserveUnstarted(s)
	r.persist()
}

// outcome records how an attempt ended and lets the state know. r.mu is held.
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
		due := r.process.now().Add(out.Wait.Lasting) // not after at, which is ahead of a clock that was set back
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
			step.holdEnd = time.Time{}
		} else {
			due = step.heldUntil(due)
		}
		step.hold, row.NeedsConnect = out.Wait.Connect, out.Wait.Connect
		r.postpone(key, step, due, row)
		return
	}
	if out.Kind == state.Postponed && out.Start != nil && out.Start.Dedupe != nil { // startNow has stored it
		r.pending.cancelChild(out.Start.Run.ID)
	}
	if out.Start != nil && out.Kind == state.Succeeded {
		r.starts = append(r.starts, *out.Start)
	}
	r.reply.say(out.Answer)
	if out.Event != nil && out.Kind == state.Succeeded {
		r.events = append(r.events, *out.Event)
	}
	row.Status, row.FinishedAt = endStatus(r.state, out.Kind), &at
	if out.Kind == state.Cut || out.Kind == state.Postponed {
		row.Error = stopError(r.state)
	}
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

// postpone stores until when a step waits; only then the wait begins. Zero is without an end.
func (r *Run) postpone(key state.StepKey, step *liveStep, until time.Time, row runs.Step) {
	step.status, step.due = runs.StepWaiting, until
	row.Status = runs.StepWaiting
	if !until.IsZero() {
		row.DueAt = &until
		r.unarmed = append(r.unarmed, key)
	}
	r.rows = append(r.rows, row)
	r.awake = false
	r.apply(state.Event{Kind: state.Postponed, Node: key.Node, Index: key.Index}, r.newest)
	if step.awaits != "" && r.external[key] != nil { // it came early
		r.apply(state.Event{Kind: state.Due, Node: key.Node, Index: key.Index}, r.tick())
	}
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

// unreserveUnstarted frees the place of a run that the attempt prepared and did not start. r.mu is
// held.
func (r *Run) unreserveUnstarted(s *attempt.Attempt) {
	if s == nil || s.Reserved == (runs.ID{}) {
		return
	}
	started := func(n runs.NewRun) bool { return n.Run.ID == s.Reserved }
	if !slices.ContainsFunc(r.starts, started) {
		r.process.Queue.Unreserve(s.Reserved)
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
