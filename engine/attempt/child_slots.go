package attempt

import (
	"context"
	"fmt"
	"slices"
	"strconv"
	"time"

	"keyflow/engine/backoff"
	"keyflow/engine/runs"
	"keyflow/engine/values"
	"keyflow/internal/fault"
	"keyflow/nodes"
	"keyflow/workflows"
)

// childSlots looks at the slots of a run that a step starts. How many wait for a slot is not bounded
// for it: its parent may hold the slot that they wait for, and would wait for ever. Of a run that the step waits for it
// notes which groups the waiting ones are in: a run that waited for the slot of one that waits
// for it would wait for ever, and one that cancels the oldest would cancel it, and itself with it.
func (s child) childSlots(ctx context.Context, n *runs.NewRun, wait bool) *nodes.Error {
	parent := s.Run
	if wait && len(parent.Groups)+len(parent.Above) > 0 {
		n.Run.Above = slices.Concat(parent.Above, parent.Groups)
	}
	skips := false
	for i := range n.Slots {
		slot := &n.Slots[i]
		if slot.OnLimit != workflows.OnLimitSkip && slices.Contains(n.Run.Above, slot.Group) {
			return refusedStart("workflow %q counts its runs together with this one, which waits for its end and may hold the slot that it needs: give it another concurrency.key, or set with.wait to false", n.Run.Workflow)
		}
		skips = skips || slot.OnLimit == workflows.OnLimitSkip
	}
	if !skips {
		return nil
	}
	return s.startNow(ctx, n)
}

// childKeys is how long the start of a child is remembered, for the step that a crash repeats.
const childKeys = 24 * time.Hour

// startNow stores a child before the result of its step, because its workflow may refuse it. An
// attempt that is repeated after a crash finds the child that it has started. A child that is
// stored is the result of the step, also when the run was stopped meanwhile: runner.outcome
// cancels it then.
func (s child) startNow(ctx context.Context, n *runs.NewRun) *nodes.Error {
	n.Dedupe = &runs.DedupeKey{
		Kind: triggerWorkflow, Trigger: string(s.Node.ID), ExpiresAt: s.process.Now().Add(childKeys),
		Key: fmt.Sprintf("%s/%d/%s", s.Run.ID, s.Key.Index, strconv.Itoa(s.Number)),
	}
	out := s.process.Children.Create(n)
	for failures := 1; fault.Is(out.Err, fault.Unavailable) && ctx.Err() == nil; failures++ {
		backoff.Sleep(ctx, backoff.Delay(failures)) // nothing was stored, and the run is not to blame
		out = s.process.Children.Create(n)
	}
	switch {
	case out.Err == nil:
	case fault.Is(out.Err, fault.Conflict):
		return &nodes.Error{Code: nodes.CodeConcurrencyLimit, Message: fmt.Sprintf("workflow %q was not started: %s", n.Run.Workflow, fault.Message(out.Err))}
	case ctx.Err() != nil:
		return values.ContextError(ctx)
	default:
		return &nodes.Error{Code: nodes.CodeInternal, Message: "internal error", Err: out.Err}
	}
	n.Run.ID = out.Run // of the first time
	if out.Waits {     // for a slot, and not in the queue
		s.process.Children.Unreserve(s.Reserved)
	}
	return nil
}
