package sqlstore

import (
	"bytes"
	"slices"

	"github.com/google/uuid"

	"keyflow/engine/runs"
	"keyflow/engine/sqlstore/record"
	"keyflow/internal/fault"
	"keyflow/workflows"
)

// The states of a slot in the database.
const (
	slotLater = iota // the one before it is not held yet
	slotWaits
	slotHeld
	slotGone // no row
)

// slotBook is the part of a batch that decides which runs get a slot. It is made when the first
// entry needs it: a batch without slots reads and writes nothing for them.
//
// The row of a workflow in admissions is the lock of all its groups. It is taken before the rows
// of runs, so what the book knows cannot change until the end of the transaction.
type slotBook struct {
	asks    map[workflows.ID]*admission
	order   []*admission // by workflow
	rooms   map[runs.GroupID]*room
	slots   map[slotKey]*slotRow
	cancels []runs.ID // runs that are canceled: they may wait for a slot
	ended   []runs.ID // runs that may end: they may hold slots
	touched []*slotRow
	at      int // the entry at work
}

// admission is the row of one workflow.
type admission struct {
	workflow workflows.ID
	version  int64 // of the highest version among the entries; -1: none states a capacity
	capacity int64
}

// room is one group.
type room struct {
	group    runs.GroupID
	place    runs.Place
	workflow workflows.ID
	capacity int
	held     int
	waiting  []*slotRow // oldest first; the first of them, when there are many
	more     bool       // there are more than these
	line     int        // how many wait, counted up to most
	most     int        // the largest MaxWaiting of a start; up to 1 what is read anyway tells enough
	// Of a group in which a start cancels others: how many holders were not canceled yet, and the
	// first of these.
	alive   int
	oldest  []runs.ID
	cancels int // starts that cancel
	by      int // the last entry that concerned it
}

type slotKey struct {
	run   runs.ID
	place runs.Place
}

// slotRow is a slot of one run.
type slotRow struct {
	key      slotKey
	workflow workflows.ID
	group    runs.GroupID
	state    int64
	stored   bool // there is a row
	changed  bool
	lapsed   bool // by this batch
}

// book returns the batch's book of slots, made at its first use.
func (b *batch) book() *slotBook {
	if b.slots == nil {
		b.slots = &slotBook{asks: map[workflows.ID]*admission{}, rooms: map[runs.GroupID]*room{}, slots: map[slotKey]*slotRow{}}
	}
	return b.slots
}

// gatherSlots notes what has to be read for the slots of an entry.
func (b *batch) gatherSlots(e *runs.Entry) {
	switch {
	case e.Progress != nil && e.Progress.Frees != "" && ends(e.Progress.Set) && e.Progress.Set.Status.Final():
		k := b.book()
		k.ask(e.Progress.Frees, -1, 0)
		k.ended = append(k.ended, e.Progress.Run)
	case e.Admit != nil:
		k, a := b.book(), e.Admit
		version := int64(-1)
		if a.Place == runs.PlaceWorkflow && a.Limit > 0 {
			version = int64(a.Version)
		}
		k.ask(a.Workflow, version, int64(a.Limit))
		if a.Group != (runs.GroupID{}) {
			k.room(a.Workflow, a.Group, a.Place)
		}
		for _, run := range a.Ended {
			b.touch(run)
			k.ended = append(k.ended, run)
		}
	}
}

func (b *batch) gatherNeeds(n *runs.NewRun) {
	for i := range n.Slots {
		slot := &n.Slots[i]
		k, version := b.book(), int64(-1)
		if slot.Place == runs.PlaceWorkflow {
			version = int64(slot.Version)
		}
		k.ask(n.Run.Workflow, version, int64(slot.Limit))
		room := k.room(n.Run.Workflow, slot.Group, slot.Place)
		if slot.OnLimit == workflows.OnLimitCancelOldest {
			room.cancels++
		}
		room.most = max(room.most, slot.MaxWaiting)
	}
}

func (k *slotBook) ask(workflow workflows.ID, version, capacity int64) {
	a := k.asks[workflow]
	if a == nil {
		a = &admission{workflow: workflow, version: -1}
		k.asks[workflow] = a
		at, _ := slices.BinarySearchFunc(k.order, a, func(x, y *admission) int { return bytes.Compare([]byte(x.workflow), []byte(y.workflow)) })
		k.order = slices.Insert(k.order, at, a)
	}
	if version > a.version {
		a.version, a.capacity = version, capacity
	}
}

func (k *slotBook) room(workflow workflows.ID, group runs.GroupID, place runs.Place) *room {
	r := k.rooms[group]
	if r == nil {
		r = &room{group: group, place: place, workflow: workflow, by: k.at}
		k.rooms[group] = r
	}
	return r
}

// full reports whether a run that comes now has to wait: those that wait already are before it.
func (r *room) full() bool { return r.held >= r.capacity || len(r.waiting) > 0 }

// slot returns the row of a run, nil when it has none.
func (k *slotBook) slot(run runs.ID, place runs.Place) *slotRow {
	return k.slots[slotKey{run, place}]
}

func (k *slotBook) set(s *slotRow, state int64) {
	s.state = state
	if !s.changed {
		s.changed = true
		k.touched = append(k.touched, s)
	}
}

// admit decides about a new run: it takes its slots, waits for the first that is not free, or
// is refused. All slots are asked before any is taken.
func (b *batch) admit(n *runs.NewRun, r *liveRun) error {
	k := b.slots
	for i := range n.Slots {
		slot := &n.Slots[i]
		room := k.rooms[slot.Group]
		full := room.full()
		switch {
		case full && slot.OnLimit == workflows.OnLimitSkip:
			return limitReached(slot)
		case full && slot.MaxWaiting > 0 && max(len(room.waiting), room.line) >= slot.MaxWaiting:
			return lineFull(slot)
		}
	}
	state := int64(slotHeld)
	for i := range n.Slots {
		slot := &n.Slots[i]
		room := k.rooms[slot.Group]
		room.by = k.at
		if slot.OnLimit == workflows.OnLimitCancelOldest {
			b.makeRoom(room, r.id)
		}
		s := &slotRow{key: slotKey{r.id, slot.Place}, workflow: n.Run.Workflow, group: slot.Group}
		k.slots[s.key] = s
		if state == slotHeld {
			state = k.take(s, room)
		} else {
			k.set(s, slotLater)
		}
	}
	if state != slotHeld { // it begins when it is somebody's turn to give it a slot
		r.status, r.owner, r.fence, r.due, r.started = record.RunQueued, runs.OwnerID{}, 0, 0, 0
	}
	return nil
}

// skip gives up a start that got no slot, and its dedupe key.
func (b *batch) skip(n *runs.NewRun, enc *record.Encoded, err error) runs.Outcome {
	out := runs.Outcome{Err: err}
	if n.RecordSkip && fault.Is(err, fault.Conflict) {
		out = runs.Outcome{Skipped: true}
	}
	if enc.Dedupe != nil {
		stored := b.held[enc.Dedupe.Hash]
		stored.Run, stored.Refused = runs.ID{}, out.Err
		b.skipped = append(b.skipped, stored)
	}
	return out
}

// take gives a run a slot of the room, or the place in its line that its age says.
func (k *slotBook) take(s *slotRow, room *room) int64 {
	if !room.full() {
		room.held++
		if room.alive == len(room.oldest) {
			room.oldest = append(room.oldest, s.key.run)
		}
		room.alive++
		k.set(s, slotHeld)
		return slotHeld
	}
	k.set(s, slotWaits)
	room.line++
	at, _ := slices.BinarySearchFunc(room.waiting, s, func(x, y *slotRow) int { return bytes.Compare(x.key.run[:], y.key.run[:]) })
	if at < len(room.waiting) || !room.more {
		room.waiting = slices.Insert(room.waiting, at, s)
	}
	return slotWaits
}

func limitReached(slot *runs.Slot) error {
	if slot.Place == runs.PlaceTrigger {
		return fault.New(fault.Conflict, "the trigger's run before this one goes on")
	}
	return fault.New(fault.Conflict, "the workflow has reached its limit of runs at once (%d): try again when one has ended", slot.Limit)
}

func lineFull(slot *runs.Slot) error {
	if slot.Place == runs.PlaceTrigger {
		return limitReached(slot)
	}
	return fault.New(fault.Unavailable, "%d runs of the workflow wait for a slot already; try again", slot.MaxWaiting)
}

// makeRoom cancels the oldest runs of the group, so that with the new one no more go on than
// may. Their slots become free when they have ended.
func (b *batch) makeRoom(room *room, newcomer runs.ID) {
	for room.alive+len(room.waiting) >= room.capacity {
		var oldest runs.ID
		switch {
		case len(room.oldest) > 0 && (len(room.waiting) == 0 || bytes.Compare(room.oldest[0][:], room.waiting[0].key.run[:]) < 0):
			oldest = room.oldest[0]
		case len(room.waiting) > 0:
			oldest = room.waiting[0].key.run
		default:
			return
		}
		b.slots.lapse(oldest)
		b.slots.unwait(oldest)
		id := uuid.NewSHA1(uuid.UUID(newcomer), oldest[:])
		if out := b.signal(&runs.Signal{Run: oldest, Kind: runs.SignalCancel, ID: id}); out.Err == nil {
			b.tell(b.slots.at, oldest, room.workflow)
		}
	}
}

// lapse notes of a run that was not canceled yet that it is now, or ends: what it holds will be
// free, so nobody has to be canceled for that.
func (k *slotBook) lapse(run runs.ID) {
	for place := runs.PlaceTrigger; place <= runs.PlaceWorkflow; place++ {
		s := k.slot(run, place)
		if s == nil || s.state != slotHeld || s.lapsed {
			continue
		}
		s.lapsed = true
		if room := k.rooms[s.group]; room != nil {
			room.alive--
			room.oldest = slices.DeleteFunc(room.oldest, func(id runs.ID) bool { return id == run })
		}
	}
}

// unwait takes a run that is canceled out of the lines that it waits in; what it holds it gives
// back at its end.
func (k *slotBook) unwait(run runs.ID) {
	for place := runs.PlaceTrigger; place <= runs.PlaceWorkflow; place++ {
		s := k.slot(run, place)
		if s == nil || s.state == slotHeld {
			continue
		}
		if room := k.rooms[s.group]; room != nil {
			room.waiting = slices.DeleteFunc(room.waiting, func(w *slotRow) bool { return w == s })
		}
		k.set(s, slotGone)
	}
}

// free gives back what an ended run holds.
func (b *batch) free(run runs.ID) {
	k := b.slots
	if r := b.runs[run]; r.exists && !r.cancel {
		k.lapse(run)
	}
	k.unwait(run)
	for place := runs.PlaceTrigger; place <= runs.PlaceWorkflow; place++ {
		if s := k.slot(run, place); s != nil && s.state == slotHeld {
			k.set(s, slotGone)
			if room := k.rooms[s.group]; room != nil {
				room.held--
				room.by = k.at
			}
		}
	}
}

// regulate carries an Admit out; the slots are handed on with those of the other entries.
func (b *batch) regulate(a *runs.Admit) {
	for _, run := range a.Ended {
		if r := b.runs[run]; !r.exists || record.RunStatus(r.status).Final() {
			b.free(run)
		}
	}
	if room := b.slots.rooms[a.Group]; room != nil {
		room.by = b.slots.at
	}
}

// handOn gives the free slots to those who wait. Who gets that of its trigger joins the line of
// its workflow, so triggers come first.
func (b *batch) handOn() {
	if b.slots == nil {
		return
	}
	for place := runs.PlaceTrigger; place <= runs.PlaceWorkflow; place++ {
		for _, room := range b.slots.ordered(place) {
			for room.held < room.capacity && len(room.waiting) > 0 {
				s := room.waiting[0]
				room.waiting = room.waiting[1:]
				b.give(s, room)
			}
		}
	}
}

// ordered returns the rooms of a place in the order of their ids.
func (k *slotBook) ordered(place runs.Place) []*room {
	var rooms []*room
	for _, r := range k.rooms {
		if r.place == place {
			rooms = append(rooms, r)
		}
	}
	slices.SortFunc(rooms, func(x, y *room) int { return bytes.Compare(x.group[:], y.group[:]) })
	return rooms
}

// give gives a slot to a run that waits. When it was the last that the run needs, it is due.
func (b *batch) give(s *slotRow, room *room) {
	k, r := b.slots, b.runs[s.key.run]
	if r == nil || !r.exists || r.status != record.RunQueued || r.due != 0 {
		k.set(s, slotGone) // it waits no more; nothing of ours leaves this behind
		return
	}
	room.held++
	k.set(s, slotHeld)
	if s.key.place == runs.PlaceTrigger {
		if next := k.slot(s.key.run, runs.PlaceWorkflow); next != nil {
			line := k.rooms[next.group]
			line.by = room.by
			if k.take(next, line) != slotHeld {
				return
			}
		}
	}
	b.change(r)
	r.due = b.now
	b.tell(room.by, r.id, room.workflow)
}

// tell lets the outcome of an entry name another run that is due because of it.
func (b *batch) tell(entry int, run runs.ID, workflow workflows.ID) {
	if b.telling == nil {
		b.telling = map[int][]runs.DueRun{}
	}
	b.telling[entry] = append(b.telling[entry], runs.DueRun{Run: run, Workflow: workflow})
}
