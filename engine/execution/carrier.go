package execution

import (
	"keyflow/engine/runs"
	"keyflow/engine/state"
)

// begin starts a run from the beginning. r.mu is held, and released.
func (r *Run) begin() {
	r.watchTimeout(r.plan.Timeout)
	r.apply(state.Event{Kind: state.Began}, r.newest)
	r.persist()
}

// Signal implements dispatch.Carrier: signals of this run that were not applied yet count.
func (r *Run) Signal(signals []runs.Signal) {
	r.mu.Lock()
	r.applySignals(signals)
	r.persist()
}

// Stop implements dispatch.Carrier: steps at work may end, nothing else starts, and the run is
// handed back.
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
