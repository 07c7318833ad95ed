package engine

import (
	"context"
	"encoding/json"
	"fmt"
	"slices"
	"time"

	"keyflow/engine/plan"
	"keyflow/engine/runs"
	"keyflow/engine/state"
	"keyflow/internal/fault"
	"keyflow/internal/jsonvalue"
	"keyflow/nodes"
	"keyflow/workflows"
)

// Bring gives a step that waits for reason (nodes.CodeWaitsForCallback or CodeWaitsForApproval)
// its raw output, and returns once that is on disk. A callback may come before the step waits;
// it is kept. Faults: NotFound (no such run or node), Conflict (the run or step has ended, does
// not wait for this, or somebody was faster).
func (e *Engine) Bring(ctx context.Context, id runs.ID, node workflows.NodeID, reason string, output any) error {
	if _, err := e.waiting(ctx, id, node, reason); err != nil {
		return err
	}
	raw, err := jsonvalue.Encode(output)
	if err != nil {
		return fmt.Errorf("encode what is brought to a step: %w", err)
	}
	s, err := (&runs.ExternalResult{Node: node, Index: runs.NoIndex, Output: raw}).Signal(id)
	if err != nil {
		return err
	}
	out, err := e.journal.Write(ctx, runs.Entry{Signal: s})
	if err == nil && out.Duplicate {
		err = errDecided(node)
	}
	if err == nil {
		e.told(id)
	}
	return err
}

// waiting returns the node whose step waits for reason, or will. Faults as those of Bring.
func (e *Engine) waiting(ctx context.Context, id runs.ID, node workflows.NodeID, reason string) (*plan.Node, error) {
	run, err := e.o.Store.Run(ctx, id)
	if err != nil {
		return nil, err
	}
	plan, err := e.starts.PlanOf(ctx, &run)
	if err != nil {
		return nil, err
	}
	n, known := plan.Index[node]
	switch {
	case !known:
		return nil, fault.New(fault.NotFound, "the run has no node %q", node)
	case run.Status.Final():
		return nil, fault.New(fault.Conflict, "the run has ended: it is %s", run.Status)
	}
	steps, err := e.o.Store.StepPage(ctx, runs.StepFilter{Run: id, Node: node, Limit: 1}) // its own step is the first
	if err != nil {
		return nil, err
	}
	return &plan.Nodes[n], takes(&plan.Nodes[n], steps, reason)
}

func errDecided(node workflows.NodeID) error {
	return fault.New(fault.Conflict, "step %q does not wait any more: somebody was faster, or its time is over", node)
}

// takes reports whether the node's step can be brought something now.
func takes(p *plan.Node, steps []runs.Step, reason string) error {
	i := slices.IndexFunc(steps, func(s runs.Step) bool { return s.Node == p.ID && s.Index == runs.NoIndex })
	if i < 0 {
		if reason == nodes.CodeWaitsForCallback && p.Methods != nil {
			return nil // it comes early
		}
		return fault.New(fault.Conflict, "step %q has not begun to wait", p.ID)
	}
	switch s := &steps[i]; {
	case s.Status == runs.StepWaiting && s.Error != nil && s.Error.Code == reason:
		return nil
	case s.Status.Final(), s.Status == runs.StepPending && s.Output != nil:
		return errDecided(p.ID)
	default:
		return fault.New(fault.Conflict, "step %q does not wait for this", p.ID)
	}
}

// told brings a signal that is on disk to its run: to the runner in this process, or by
// claiming a run that nobody owns. Another process finds it with its beat.
func (e *Engine) told(id runs.ID) {
	if e.running(id) != nil {
		e.lookNow()
		return
	}
	go e.claimNow(id)
}

// claimNow claims a run outside the queue: whoever was told something is not to wait for a slot,
// which only steps need. For the same reason a claim that failed is not left to the queue alone.
func (e *Engine) claimNow(id runs.ID) {
	if !e.claim(id, nil) {
		time.AfterFunc(feedEvery, func() { e.claimNow(id) })
	}
}

// deliver takes a SignalStep in. It becomes a stored step at once, because the signal is removed
// with the next entry. r.mu is held.
func (r *runner) deliver(data []byte) {
	var x runs.ExternalResult
	if err := json.Unmarshal(data, &x); err != nil {
		r.engine.o.Logger.Error("a signal of a run cannot be read", "run", r.run.ID, "error", err)
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
		r.happen(state.Event{Kind: state.Due, Node: node, Index: x.Index}, r.tick())
	}
}

func (r *runner) keepExternal(key state.StepKey, x *runs.ExternalResult) {
	if r.external == nil {
		r.external = map[state.StepKey]*runs.ExternalResult{}
	}
	r.external[key] = x
}

// restoreExternal reads back the external result that a pending step had before a crash. r.mu is held.
func (r *runner) restoreExternal(key state.StepKey, row *runs.Step) {
	var x runs.ExternalResult
	if err := json.Unmarshal(row.Output, &x); err != nil {
		r.engine.o.Logger.Error("what a step was given cannot be read", "run", r.run.ID, "node", row.Node, "error", err)
		return
	}
	r.keepExternal(key, &x)
}

// late says, by a signal that competes with what it waited for, that a step's time is over.
func (e *Engine) late(run runs.ID, node workflows.NodeID, index int) {
	s, err := (&runs.ExternalResult{Node: node, Index: index, Late: true}).Signal(run)
	if err == nil {
		err = (<-e.journal.Send(runs.Entry{Signal: s})).Err
	}
	switch {
	case err == nil:
		e.lookNow()
	case fault.Is(err, fault.Conflict), fault.Is(err, fault.NotFound), e.steps.Err() != nil: // nobody waits any more
	default:
		e.o.Logger.Warn("cannot end the wait of a step; it is tried again", "run", run, "node", node, "error", err)
		time.AfterFunc(feedEvery, func() { e.late(run, node, index) })
	}
}
