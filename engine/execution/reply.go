package execution

import (
	"keyflow/engine/plan"
	"keyflow/engine/runs"
	"keyflow/engine/state"
)

// reply is the answer of a run whose caller waits for it. Its fields are guarded by the
// run's mu, until done is closed.
type reply struct {
	by      state.StepKey // the step that was first; none: node -1
	pending *runs.Answer  // to be stored with the step
	stored  *runs.Answer  // on disk
	done    chan struct{}
}

// nobody is the step of a reply that no step has given.
var nobody = state.StepKey{Node: -1}

// newReply returns nil for a run that nobody waits for.
func newReply(plan *plan.Plan, run *runs.Run) *reply {
	if !plan.AnswerAwaited(run) {
		return nil
	}
	return &reply{by: nobody, done: make(chan struct{})}
}

// say notes the answer of a step that has succeeded. The run's mu is held.
func (p *reply) say(a *runs.Answer) {
	if a != nil && p != nil {
		p.pending = a
	}
}

// take gives the answer that is to be stored now. The run's mu is held.
func (p *reply) take() *runs.Answer {
	if p == nil {
		return nil
	}
	a := p.pending
	p.pending = nil
	return a
}

// onDisk passes the answer, which is stored now, to who waits for it in this process. The run's mu
// is held.
func (p *reply) onDisk(a *runs.Answer) {
	if a != nil && p.stored == nil {
		p.stored = a
		close(p.done)
	}
}
