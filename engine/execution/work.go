package execution

import (
	"slices"

	"keyflow/engine/attempt"
	"keyflow/engine/live"
	"keyflow/engine/runs"
	"keyflow/engine/state"
	"keyflow/engine/values"
)

// dropped notes that the queue was closed before it served a step.
func (r *Run) dropped() {
	r.mu.Lock()
	r.atWork--
	r.persist()
}

// work makes one attempt of a step and applies its outcome. release frees the slot of the
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
		Ready: r.values.ReadyAt(node), ReadyToTry: step.readyToTry(&node.Retry), ConnectEnd: step.connectEnd, External: r.external[key],
	}, r.values)
	if err != nil {
		return nil, attempt.Outcome{Kind: state.Failed, Err: values.VarsError(err)}
	}
	return s, attempt.Outcome{}
}

// finished applies the outcome of an attempt. s is nil when there was none.
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
