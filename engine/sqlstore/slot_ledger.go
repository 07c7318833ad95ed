package sqlstore

import (
	"bytes"
	"slices"

	"keyflow/engine/runs"
	"keyflow/workflows"
)

// The states of a slot in the database.
const (
	slotPending = iota // the slot before it is not taken yet
	slotWaiting
	slotTaken
	slotGone // no row
)

// slotLedger is the part of a batch that decides which runs get a slot. It is made when the first
// entry needs it: a batch without slots reads and writes nothing for them.
//
// The row of a workflow in admissions is the lock of all its groups. It is locked before the rows
// of runs, so what the ledger has read cannot change until the end of the transaction.
type slotLedger struct {
	workflows map[workflows.ID]*admission
	order     []*admission // by workflow
	groups    map[runs.GroupID]*slotGroup
	slots     map[slotKey]*slotRow
	canceled  []runs.ID // they may wait for a slot
	ended     []runs.ID // they may have slots
	changed   []*slotRow
	entry     int // the entry that is being applied
}

// admission is the row of one workflow.
type admission struct {
	workflow workflows.ID
	version  int64 // the highest version among the entries; -1: none states a capacity
	capacity int64
}

// slotGroup is the runs that share a number of slots: those of a trigger, or of a workflow.
type slotGroup struct {
	id       runs.GroupID
	place    runs.Place
	workflow workflows.ID
	capacity int
	taken    int
	entry    int // the last entry that concerned it

	waiting     []*slotRow // the oldest, oldest first
	moreWaiting bool       // there are more than these
	queued      int        // how many wait, counted up to maxWaiting
	maxWaiting  int        // the largest of the starts; with 1 or less, waiting is enough to decide

	// Only for a group in which a start cancels others.
	cancelings int       // starts that cancel others
	active     int       // runs with a slot that are not canceled
	oldest     []runs.ID // the first of these
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
	ending   bool // its run is canceled or ended by this batch
}

func newSlotLedger() *slotLedger {
	return &slotLedger{
		workflows: map[workflows.ID]*admission{}, groups: map[runs.GroupID]*slotGroup{}, slots: map[slotKey]*slotRow{},
	}
}

// addWorkflow makes the transaction lock a workflow's admission and, unless version is -1, store
// the capacity of that version.
func (l *slotLedger) addWorkflow(workflow workflows.ID, version, capacity int64) {
	a := l.workflows[workflow]
	if a == nil {
		a = &admission{workflow: workflow, version: -1}
		l.workflows[workflow] = a
		at, _ := slices.BinarySearchFunc(l.order, a, func(x, y *admission) int { return bytes.Compare([]byte(x.workflow), []byte(y.workflow)) })
		l.order = slices.Insert(l.order, at, a)
	}
	if version > a.version {
		a.version, a.capacity = version, capacity
	}
}

// group returns a group, made at its first use.
func (l *slotLedger) group(workflow workflows.ID, id runs.GroupID, place runs.Place) *slotGroup {
	g := l.groups[id]
	if g == nil {
		g = &slotGroup{id: id, place: place, workflow: workflow, entry: l.entry}
		l.groups[id] = g
	}
	return g
}

// ordered returns the groups of a place in the order of their ids.
func (l *slotLedger) ordered(place runs.Place) []*slotGroup {
	var groups []*slotGroup
	for _, g := range l.groups {
		if g.place == place {
			groups = append(groups, g)
		}
	}
	slices.SortFunc(groups, func(x, y *slotGroup) int { return bytes.Compare(x.id[:], y.id[:]) })
	return groups
}

// full reports whether a new run has to wait. Runs that already wait come first.
func (g *slotGroup) full() bool { return g.taken >= g.capacity || len(g.waiting) > 0 }

// oldestRun returns the oldest run that has a slot of the group or waits for one; false for none.
func (g *slotGroup) oldestRun() (runs.ID, bool) {
	switch {
	case len(g.oldest) > 0 && (len(g.waiting) == 0 || bytes.Compare(g.oldest[0][:], g.waiting[0].key.run[:]) < 0):
		return g.oldest[0], true
	case len(g.waiting) > 0:
		return g.waiting[0].key.run, true
	default:
		return runs.ID{}, false
	}
}

// addWaiting adds a run that is stored as waiting, after those that were added before.
func (l *slotLedger) addWaiting(g *slotGroup, run runs.ID) {
	key := slotKey{run, g.place}
	s := l.slots[key]
	if s == nil {
		s = &slotRow{key: key, workflow: g.workflow, group: g.id, state: slotWaiting, stored: true}
		l.slots[key] = s
	}
	g.waiting = append(g.waiting, s)
}

// slot returns the row of a run, nil when it has none.
func (l *slotLedger) slot(run runs.ID, place runs.Place) *slotRow {
	return l.slots[slotKey{run, place}]
}

func (l *slotLedger) set(s *slotRow, state int64) {
	s.state = state
	if !s.changed {
		s.changed = true
		l.changed = append(l.changed, s)
	}
}

// takeOrQueue gives a run a slot of the group or, if it is full, the position among the waiting
// runs that its age determines. It returns the new state.
func (l *slotLedger) takeOrQueue(s *slotRow, g *slotGroup) int64 {
	if !g.full() {
		g.taken++
		if g.active == len(g.oldest) {
			g.oldest = append(g.oldest, s.key.run)
		}
		g.active++
		l.set(s, slotTaken)
		return slotTaken
	}
	l.set(s, slotWaiting)
	g.queued++
	at, _ := slices.BinarySearchFunc(g.waiting, s, func(x, y *slotRow) int { return bytes.Compare(x.key.run[:], y.key.run[:]) })
	if at < len(g.waiting) || !g.moreWaiting {
		g.waiting = slices.Insert(g.waiting, at, s)
	}
	return slotWaiting
}

// markEnding records that a run which was not canceled before is now, or ends. Its slots will
// become free, so no other run has to be canceled for them.
func (l *slotLedger) markEnding(run runs.ID) {
	for place := runs.PlaceTrigger; place <= runs.PlaceWorkflow; place++ {
		s := l.slot(run, place)
		if s == nil || s.state != slotTaken || s.ending {
			continue
		}
		s.ending = true
		if g := l.groups[s.group]; g != nil {
			g.active--
			g.oldest = slices.DeleteFunc(g.oldest, func(id runs.ID) bool { return id == run })
		}
	}
}

// dequeue removes a canceled run from the groups in which it waits. It keeps the slots that it has
// until it ends.
func (l *slotLedger) dequeue(run runs.ID) {
	for place := runs.PlaceTrigger; place <= runs.PlaceWorkflow; place++ {
		s := l.slot(run, place)
		if s == nil || s.state == slotTaken {
			continue
		}
		if g := l.groups[s.group]; g != nil {
			g.waiting = slices.DeleteFunc(g.waiting, func(w *slotRow) bool { return w == s })
		}
		l.set(s, slotGone)
	}
}

// release frees the slots of an ended run.
func (l *slotLedger) release(run runs.ID) {
	for place := runs.PlaceTrigger; place <= runs.PlaceWorkflow; place++ {
		if s := l.slot(run, place); s != nil && s.state == slotTaken {
			l.set(s, slotGone)
			if g := l.groups[s.group]; g != nil {
				g.taken--
				g.entry = l.entry
			}
		}
	}
}
