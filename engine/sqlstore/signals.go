package sqlstore

import (
	"bytes"

	"keyflow/engine/runs"
	"keyflow/engine/sqlstore/record"
	"keyflow/internal/fault"
)

func (b *batch) signal(s *runs.Signal) runs.Outcome {
	r, id := b.stored.runs[s.Run], runs.ID(s.ID)
	out := runs.Outcome{Run: s.Run}
	earlier, known := b.stored.signals[id]
	switch {
	case !r.exists:
		out.Err = missing(s.Run)
	case record.RunStatus(r.status).Final():
		out.Err = fault.New(fault.Conflict, "run %s has ended", s.Run)
	case known: // written again, or sent by a competing process with the same id
		out.Duplicate = !s.Again || !bytes.Equal(earlier, s.Data)
	case s.Step != nil && b.delivered(record.StepKey{Run: s.Run, Node: s.Step.Node, Index: s.Step.Index}):
		out.Duplicate = true
	}
	if out.Err != nil || out.Duplicate || known {
		return out
	}
	b.stored.signals[id] = s.Data
	b.writes.signals = append(b.writes.signals, record.SignalRow{ID: s.ID, Run: s.Run, Kind: s.Kind, Data: s.Data})
	r.signaled = true
	if s.Kind == runs.SignalCancel {
		b.change(r)
		if !r.cancel {
			b.slots.markEnding(r.id)
		}
		r.cancel = true
		if r.status == record.RunQueued && r.due == 0 { // it waits for a slot and ends without one
			b.slots.dequeue(r.id)
			r.due = b.now
		}
	}
	if r.status == record.RunWaiting && r.owner == (runs.OwnerID{}) {
		b.change(r)
		r.status, r.due = record.RunQueued, b.now
	}
	return out
}

// delivered reports whether a step has ended, or already has the result that it waits for.
func (b *batch) delivered(key record.StepKey) bool {
	number := b.stored.steps[key]
	if at, ok := b.writes.stepAt[key]; ok {
		number = b.writes.steps[at].Status
	}
	status := record.StepStatus(number)
	return status == runs.StepPending || status.Final()
}

// eachStepCheck calls each with every step that a signal of the batch names.
func (b *batch) eachStepCheck(each func(a *record.StepCheck) error) error {
	for _, i := range b.lookups.stepChecks {
		for j := range b.encoded[i].StepChecks {
			if err := each(&b.encoded[i].StepChecks[j]); err != nil {
				return err
			}
		}
	}
	return nil
}
