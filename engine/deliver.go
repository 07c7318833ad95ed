package engine

import (
	"context"
	"fmt"
	"slices"

	"keyflow/engine/plan"
	"keyflow/engine/runs"
	"keyflow/internal/fault"
	"keyflow/internal/jsonvalue"
	"keyflow/nodes"
	"keyflow/workflows"
)

// Deliver gives a step that waits for reason (nodes.CodeWaitsForCallback or CodeWaitsForApproval)
// its raw output, and returns once that is on disk. A callback may come before the step waits;
// it is kept. Faults: NotFound (no such run or node), Conflict (the run or step has ended, does
// not wait for this, or somebody was faster).
func (e *Engine) Deliver(ctx context.Context, id runs.ID, node workflows.NodeID, reason string, output any) error {
	if _, err := e.waiting(ctx, id, node, reason); err != nil {
		return err
	}
	raw, err := jsonvalue.Encode(output)
	if err != nil {
		return fmt.Errorf("encode the external result of a step: %w", err)
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
		e.dispatcher.Signaled(id)
	}
	return err
}

// waiting returns the node whose step waits for reason, or will. Faults as those of Deliver.
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

// takes reports whether an external result can be delivered to the node's step now.
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
