package sqlstore

import (
	"bytes"
	"slices"
	"time"

	"keyflow/engine/runs"
	"keyflow/engine/sqlstore/record"
	"keyflow/workflows"
)

// newBatch encodes the entries and collects the lookups that they need.
func newBatch(c *record.Codec, entries []runs.Entry, now time.Time) *batch {
	b := &batch{
		now: now.UnixMicro(), entries: entries,
		encoded: make([]record.Encoded, len(entries)), outcomes: make([]runs.Outcome, len(entries)),
		stored: stored{
			runs: make(map[runs.ID]*liveRun, len(entries)), keys: map[[16]byte]*record.DedupeRow{},
			signals: map[runs.ID][]byte{}, steps: map[record.StepKey]int16{},
		},
		writes: writes{stepAt: map[record.StepKey]int{}},
	}
	for i := range entries {
		enc := c.Encode(&entries[i])
		b.encoded[i] = enc
		if enc.Err == nil {
			b.gather(&entries[i], &enc)
			b.gatherSlots(&entries[i])
			if len(enc.StepChecks) > 0 {
				b.lookups.stepChecks = append(b.lookups.stepChecks, i)
			}
		}
	}
	b.sortRuns()
	slices.SortFunc(b.lookups.keys, func(x, y *record.DedupeRow) int { return bytes.Compare(x.Hash[:], y.Hash[:]) })
	return b
}

// gather adds the lookups of an entry.
func (b *batch) gather(e *runs.Entry, enc *record.Encoded) {
	switch {
	case e.Create != nil:
		b.gatherCreate(e.Create, enc)
	case e.Progress != nil:
		b.touch(e.Progress.Run)
		for i := range e.Progress.Starts {
			b.gatherCreate(&e.Progress.Starts[i], &enc.Starts[i])
		}
		for i := range e.Progress.Signals {
			b.gatherSignal(&e.Progress.Signals[i])
		}
		if waits(e.Progress.Set) {
			b.lookups.waiting = append(b.lookups.waiting, e.Progress.Run)
		}
	case e.Claim != nil:
		b.touch(e.Claim.Run)
		b.gatherOwner(e.Claim)
	case e.Signal != nil:
		b.gatherSignal(e.Signal)
	}
}

func (b *batch) gatherCreate(n *runs.NewRun, enc *record.Encoded) {
	if enc.Dedupe != nil && b.stored.keys[enc.Dedupe.Hash] == nil {
		key := *enc.Dedupe
		b.stored.keys[key.Hash] = &key
		b.lookups.keys = append(b.lookups.keys, &key)
	}
	b.touch(n.Run.ID)
	b.gatherNewSlots(n)
}

func (b *batch) gatherSignal(s *runs.Signal) {
	b.touch(s.Run)
	b.lookups.signals = append(b.lookups.signals, runs.ID(s.ID))
	if s.Kind == runs.SignalCancel {
		b.ledger().canceled = append(b.ledger().canceled, s.Run)
	}
}

// gatherOwner adds the owner whose last beat a takeover compares.
func (b *batch) gatherOwner(c *runs.Claim) {
	if c.TakeoverFrom != nil && !slices.Contains(b.lookups.owners, *c.TakeoverFrom) {
		b.lookups.owners = append(b.lookups.owners, *c.TakeoverFrom)
	}
}

// gatherSlots adds what the slots of an entry need.
func (b *batch) gatherSlots(e *runs.Entry) {
	switch {
	case e.Progress != nil && e.Progress.Frees != "" && ends(e.Progress.Set) && e.Progress.Set.Status.Final():
		l := b.ledger()
		l.addWorkflow(e.Progress.Frees, -1, 0)
		l.ended = append(l.ended, e.Progress.Run)
	case e.Admit != nil:
		l, a := b.ledger(), e.Admit
		version := int64(-1)
		if a.Place == runs.PlaceWorkflow && a.Limit > 0 {
			version = int64(a.Version)
		}
		l.addWorkflow(a.Workflow, version, int64(a.Limit))
		if a.Group != (runs.GroupID{}) {
			l.group(a.Workflow, a.Group, a.Place)
		}
		for _, run := range a.Ended {
			b.touch(run)
			l.ended = append(l.ended, run)
		}
	}
}

// gatherNewSlots adds the slots that a new run needs.
func (b *batch) gatherNewSlots(n *runs.NewRun) {
	for i := range n.Slots {
		slot := &n.Slots[i]
		l, version := b.ledger(), int64(-1)
		if slot.Place == runs.PlaceWorkflow {
			version = int64(slot.Version)
		}
		l.addWorkflow(n.Run.Workflow, version, int64(slot.Limit))
		group := l.group(n.Run.Workflow, slot.Group, slot.Place)
		if slot.OnLimit == workflows.OnLimitCancelOldest {
			group.cancelings++
		}
		group.maxWaiting = max(group.maxWaiting, slot.MaxWaiting)
	}
}

// ledger returns the slot ledger of the batch, made at its first use.
func (b *batch) ledger() *slotLedger {
	if b.slots == nil {
		b.slots = newSlotLedger()
	}
	return b.slots
}
