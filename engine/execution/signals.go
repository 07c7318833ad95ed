package execution

import (
	"cmp"
	"encoding/json"
	"slices"

	"keyflow/credentials"
	"keyflow/engine/runs"
	"keyflow/engine/state"
)

// deliver takes a SignalStep in. It becomes a stored step at once, because the signal is removed
// with the next entry. r.mu is held.
func (r *Run) deliver(data []byte) {
	var x runs.ExternalResult
	if err := json.Unmarshal(data, &x); err != nil {
		r.process.Attempts.Logger.Error("a signal of a run cannot be read", "run", r.run.ID, "error", err)
		return
	}
	node, known := r.plan.Index[x.Node]
	key := state.StepKey{Node: node, Index: x.Index}
	if !known || r.external[key] != nil || r.state.Ended(node, x.Index) {
		return
	}
	row := runs.Step{Node: x.Node, Index: x.Index, Status: runs.StepPending, Output: data}
	step := r.live[key]
	if step != nil {
		step.into(&row)
		if step.timer != nil {
			step.timer.Stop()
		}
	}
	r.rows = append(r.rows, row)
	r.keepExternal(key, &x)
	if step != nil && step.status == runs.StepWaiting {
		r.apply(state.Event{Kind: state.Due, Node: node, Index: x.Index}, r.tick())
	}
}

// connected lets the steps go on that wait for a credential. r.mu is held.
func (r *Run) connected(id credentials.ID) {
	var keys []state.StepKey
	for key, step := range r.live {
		if step.status == runs.StepWaiting && step.connect == id {
			keys = append(keys, key)
		}
	}
	slices.SortFunc(keys, func(a, b state.StepKey) int {
		return cmp.Or(cmp.Compare(a.Node, b.Node), cmp.Compare(a.Index, b.Index))
	})
	for _, key := range keys {
		if timer := r.live[key].timer; timer != nil {
			timer.Stop()
		}
		r.apply(state.Event{Kind: state.Due, Node: key.Node, Index: key.Index}, r.tick())
	}
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
