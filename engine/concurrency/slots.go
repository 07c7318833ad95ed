// Package concurrency says which slots a run needs, and hands on those that the end of a run did
// not. Whether a run may begin is decided in one place: the store, in the transaction that creates
// it. A run that finds no slot is stored as queued and is not due; the transaction that ends a
// holder makes the next one due. docs/decisions/022 says why.
//
// It must not know how runs are carried out.
package concurrency

import (
	"context"
	"crypto/sha256"
	"encoding/binary"
	"errors"

	"keyflow/engine/plan"
	"keyflow/engine/runs"
	"keyflow/engine/values"
	"keyflow/internal/expression"
	"keyflow/internal/fault"
	"keyflow/internal/jsonvalue"
	"keyflow/workflows"
)

// Need completes a new run with the slots that it needs. It costs nothing without
// "concurrency" and "overlap". The error is Invalid when the key cannot be computed.
func Need(ctx context.Context, plan *plan.Plan, n *runs.NewRun) error {
	run := &n.Run
	if run.Version == 0 {
		return nil // a definition in no catalog is known to its process alone
	}
	if slot, ok := triggerSlot(plan, run); ok {
		n.Slots = append(n.Slots, slot)
	}
	if c := plan.Concurrency; c != nil {
		key, err := slotKey(ctx, plan, run)
		if err != nil {
			return err
		}
		n.Slots = append(n.Slots, runs.Slot{
			Group: groupOf(run.Workflow, "workflow", key), Place: runs.PlaceWorkflow,
			Limit: c.Limit, Version: run.Version, OnLimit: c.OnLimit,
		})
	}
	for i := range n.Slots {
		run.Groups = append(run.Groups, n.Slots[i].Group)
	}
	return nil
}

// BoundWaiting keeps callers from storing runs without end that wait for a slot of the workflow.
func BoundWaiting(n *runs.NewRun, most int) {
	for i := range n.Slots {
		if s := &n.Slots[i]; s.Place == runs.PlaceWorkflow && s.OnLimit == workflows.OnLimitQueue {
			s.MaxWaiting = most
		}
	}
}

// triggerSlot is the slot that the overlap of a cron trigger asks for. A retry is none of its
// occurrences, but waits for them and holds them up as one.
func triggerSlot(plan *plan.Plan, run *runs.Run) (runs.Slot, bool) {
	if run.Trigger.Type != workflows.TriggerCron {
		return runs.Slot{}, false
	}
	t, known := plan.Definition.Triggers[run.Trigger.ID]
	if !known || t.Type != workflows.TriggerCron {
		return runs.Slot{}, false
	}
	slot := runs.Slot{Group: groupOf(run.Workflow, "trigger", run.Trigger.ID), Place: runs.PlaceTrigger, Limit: 1, OnLimit: workflows.OnLimitQueue}
	switch {
	case t.Overlap == workflows.OverlapAllow:
		return runs.Slot{}, false
	case run.RetryOf != nil:
	case t.Overlap == workflows.OverlapSkip:
		slot.OnLimit = workflows.OnLimitSkip
	case t.Overlap == workflows.OverlapCancelPrevious:
		slot.OnLimit = workflows.OnLimitCancelOldest
	default:
		slot.MaxWaiting = 1
	}
	return slot, true
}

// slotKey evaluates the key of a run that is about to start. Texts count as they are, other values
// as JSON; without a key, or with null, it is "".
func slotKey(ctx context.Context, of *plan.Plan, run *runs.Run) (string, error) {
	c := of.Concurrency
	if c.Key == nil {
		return "", nil
	}
	use, err := values.New(of, run, nil).Vars(&c.Reads)
	if err != nil {
		return "", fault.New(fault.Internal, "concurrency.key: internal error").Because(err)
	}
	v, err := c.Key.Eval(ctx, values.Environment(run.ID, "concurrency.key", run.CreatedAt, use.Vars))
	if err != nil {
		message := "the value cannot be computed"
		if e, ok := errors.AsType[*expression.Error](err); ok {
			message = e.Message
		}
		return "", fault.Problems("the run cannot be counted against the workflow's limit", []fault.Problem{
			{Path: "/concurrency/key", Code: plan.CodeExpression, Message: message},
		})
	}
	switch v := v.(type) {
	case nil:
		return "", nil
	case string:
		return v, nil
	default:
		raw, err := jsonvalue.Encode(v)
		if err != nil {
			return "", fault.New(fault.Invalid, "concurrency.key: the value cannot be written as JSON").Because(err)
		}
		return string(raw), nil
	}
}

// groupOf makes the id of a group. Every part is preceded by its length, so that moving a border
// makes another group.
func groupOf(workflow workflows.ID, kind, key string) runs.GroupID {
	h := sha256.New()
	for _, part := range [...]string{string(workflow), kind, key} {
		var n [8]byte
		binary.BigEndian.PutUint64(n[:], uint64(len(part)))
		h.Write(n[:])
		h.Write([]byte(part))
	}
	return runs.GroupID(h.Sum(nil)[:len(runs.GroupID{})])
}
