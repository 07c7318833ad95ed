package sqlstore

import (
	"bytes"

	"keyflow/engine/runs"
	"keyflow/engine/sqlstore/record"
	"keyflow/internal/fault"
)

func (b *batch) signal(s *runs.Signal) runs.Outcome {
	r, id := b.runs[s.Run], runs.ID(s.ID)
	out := runs.Outcome{Run: s.Run}
	earlier, told := b.unread[id]
	switch {
	case !r.exists:
		out.Err = missing(s.Run)
	case record.RunStatus(r.status).Final():
		out.Err = fault.New(fault.Conflict, "run %s has ended", s.Run)
	case told: // its own, when it is written again; signals that compete have one id
		out.Duplicate = !s.Again || !bytes.Equal(earlier, s.Data)
	case s.Step != nil && b.settled(record.StepKey{Run: s.Run, Node: s.Step.Node, Index: s.Step.Index}):
		out.Duplicate = true
	}
	if out.Err != nil || out.Duplicate || told {
		return out
	}
	b.unread[id] = s.Data
	b.signals = append(b.signals, record.SignalRow{ID: s.ID, Run: s.Run, Kind: s.Kind, Data: s.Data})
	r.signaled = true
	if s.Kind == runs.SignalCancel {
		b.change(r)
		if !r.cancel {
			b.slots.lapse(r.id)
		}
		r.cancel = true
		if r.status == record.RunQueued && r.due == 0 { // it waits for a slot, and ends without one
			b.slots.unwait(r.id)
			r.due = b.now
		}
	}
	if r.status == record.RunWaiting && r.owner == (runs.OwnerID{}) {
		b.change(r)
		r.status, r.due = record.RunQueued, b.now
	}
	return out
}

// settled reports whether a step has ended or been brought what it waits for.
func (b *batch) settled(key record.StepKey) bool {
	status := b.status[key]
	if at, ok := b.stepAt[key]; ok {
		status = b.steps[at].Status
	}
	ended := record.StepStatus(status)
	return ended == runs.StepPending || ended.Final()
}

// asks calls each with every step that a signal of the batch is for.
func (b *batch) asks(each func(a *record.StepCheck) error) error {
	for _, i := range b.asked {
		for j := range b.encoded[i].StepChecks {
			if err := each(&b.encoded[i].StepChecks[j]); err != nil {
				return err
			}
		}
	}
	return nil
}
