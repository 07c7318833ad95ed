package sqlstore

import (
	"github.com/google/uuid"

	"keyflow/engine/runs"
	"keyflow/engine/sqlstore/record"
	"keyflow/internal/fault"
	"keyflow/workflows"
)

// admit decides whether a new run gets its slots, waits for the first that is not free, or is
// refused. It takes none before it has checked all of them.
func (b *batch) admit(n *runs.NewRun, r *liveRun) error {
	l := b.slots
	for i := range n.Slots {
		slot := &n.Slots[i]
		group := l.groups[slot.Group]
		full := group.full()
		switch {
		case full && slot.OnLimit == workflows.OnLimitSkip:
			return limitReached(slot)
		case full && slot.MaxWaiting > 0 && max(len(group.waiting), group.queued) >= slot.MaxWaiting:
			return queueFull(slot)
		}
	}
	state := int64(slotTaken)
	for i := range n.Slots {
		slot := &n.Slots[i]
		group := l.groups[slot.Group]
		group.entry = l.entry
		if slot.OnLimit == workflows.OnLimitCancelOldest {
			b.cancelOldest(group, r.id)
		}
		s := &slotRow{key: slotKey{r.id, slot.Place}, workflow: n.Run.Workflow, group: slot.Group}
		l.slots[s.key] = s
		if state == slotTaken {
			state = l.takeOrQueue(s, group)
		} else {
			l.set(s, slotPending)
		}
	}
	if state != slotTaken { // it starts when a run ends and the slot is granted to it
		r.status, r.owner, r.fence, r.due, r.started = record.RunQueued, runs.OwnerID{}, 0, 0, 0
	}
	return nil
}

// skip drops a start that got no slot, and its dedupe key.
func (b *batch) skip(n *runs.NewRun, enc *record.Encoded, err error) runs.Outcome {
	out := runs.Outcome{Err: err}
	if n.RecordSkip && fault.Is(err, fault.Conflict) {
		out = runs.Outcome{Skipped: true}
	}
	if enc.Dedupe != nil {
		stored := b.stored.keys[enc.Dedupe.Hash]
		stored.Run, stored.Refused = runs.ID{}, out.Err
		b.writes.skipped = append(b.writes.skipped, stored)
	}
	return out
}

func limitReached(slot *runs.Slot) error {
	if slot.Place == runs.PlaceTrigger {
		return fault.New(fault.Conflict, "the trigger's run before this one goes on")
	}
	return fault.New(fault.Conflict, "the workflow has reached its limit of runs at once (%d): try again when one has ended", slot.Limit)
}

func queueFull(slot *runs.Slot) error {
	if slot.Place == runs.PlaceTrigger {
		return limitReached(slot)
	}
	return fault.New(fault.Unavailable, "%d runs of the workflow wait for a slot already; try again", slot.MaxWaiting)
}

// cancelOldest cancels the oldest runs of the group until, with the new one, the group is within
// its capacity. Their slots become free when they have ended.
func (b *batch) cancelOldest(group *slotGroup, newcomer runs.ID) {
	for group.active+len(group.waiting) >= group.capacity {
		oldest, found := group.oldestRun()
		if !found {
			return
		}
		b.slots.markEnding(oldest)
		b.slots.dequeue(oldest)
		id := uuid.NewSHA1(uuid.UUID(newcomer), oldest[:])
		if out := b.signal(&runs.Signal{Run: oldest, Kind: runs.SignalCancel, ID: id}); out.Err == nil {
			b.addWoken(b.slots.entry, oldest, group.workflow)
		}
	}
}

// free releases the slots of an ended run.
func (b *batch) free(run runs.ID) {
	if r := b.stored.runs[run]; r.exists && !r.cancel {
		b.slots.markEnding(run)
	}
	b.slots.dequeue(run)
	b.slots.release(run)
}

// applyAdmit frees the slots of ended runs. grantWaiting grants them with those of other entries.
func (b *batch) applyAdmit(a *runs.Admit) {
	for _, run := range a.Ended {
		if r := b.stored.runs[run]; !r.exists || record.RunStatus(r.status).Final() {
			b.free(run)
		}
	}
	if group := b.slots.groups[a.Group]; group != nil {
		group.entry = b.slots.entry
	}
}

// grantWaiting grants the free slots to waiting runs. A run that gets the slot of its trigger may
// then wait for that of its workflow, so the groups of triggers come first.
func (b *batch) grantWaiting() {
	if b.slots == nil {
		return
	}
	for place := runs.PlaceTrigger; place <= runs.PlaceWorkflow; place++ {
		for _, group := range b.slots.ordered(place) {
			for group.taken < group.capacity && len(group.waiting) > 0 {
				s := group.waiting[0]
				group.waiting = group.waiting[1:]
				b.grantSlot(s, group)
			}
		}
	}
}

// grantSlot grants a slot to a waiting run. After the last slot that it needs, the run is due.
func (b *batch) grantSlot(s *slotRow, group *slotGroup) {
	l, r := b.slots, b.stored.runs[s.key.run]
	if r == nil || !r.exists || r.status != record.RunQueued || r.due != 0 {
		l.set(s, slotGone) // a row that no release writes: the run does not wait
		return
	}
	group.taken++
	l.set(s, slotTaken)
	if s.key.place == runs.PlaceTrigger {
		if next := l.slot(s.key.run, runs.PlaceWorkflow); next != nil {
			of := l.groups[next.group]
			of.entry = group.entry
			if l.takeOrQueue(next, of) != slotTaken {
				return
			}
		}
	}
	b.change(r)
	r.due = b.now
	b.addWoken(group.entry, r.id, group.workflow)
}

// addWoken adds to the outcome of an entry another run that is due because of it.
func (b *batch) addWoken(entry int, run runs.ID, workflow workflows.ID) {
	if b.woken == nil {
		b.woken = map[int][]runs.DueRun{}
	}
	b.woken[entry] = append(b.woken[entry], runs.DueRun{Run: run, Workflow: workflow})
}
