package sqlstore

import (
	"bytes"
	"context"
	"slices"

	"keyflow/engine/runs"
	"keyflow/engine/sqlstore/record"
	"keyflow/internal/fault"
	"keyflow/internal/outbox"
)

// batch decides what the entries of one transaction do. It is used in this order:
//
//	newBatch          encodes the entries; one that cannot be stored has its outcome
//	names.resolve     sets the numbers of origins, nodes and credentials
//	writer.commit     BEGIN; executes the lookups (locking the runs in the order of their ids);
//	                  calls apply; executes the writes; COMMIT
//
// It reads no database itself. A writer that repeats a transaction starts with a new batch.
type batch struct {
	now      int64
	entries  []runs.Entry
	encoded  []record.Encoded
	outcomes []runs.Outcome
	claimed  []runs.ID
	woken    map[int][]runs.DueRun // by entry: other runs that are due because of it

	lookups lookups
	stored  stored
	writes  writes
	slots   *slotLedger // nil: no entry concerns slots
}

// writer executes a batch in one transaction.
type writer interface {
	commit(ctx context.Context, b *batch) error
}

// lookups is what the writer reads before apply.
type lookups struct {
	runs       []runs.ID           // to lock, in order
	keys       []*record.DedupeRow // to insert if they are free; then the stored row
	waiting    []runs.ID           // runs that are to wait: their highest unread signal
	signals    []runs.ID           // ids of signals: those that are stored
	stepChecks []int               // entries with step checks
	owners     []runs.OwnerID      // their last beat, for takeovers
}

// stored is what the writer has read, and then as the entries change it.
type stored struct {
	runs    map[runs.ID]*liveRun // one for each of the lookups
	keys    map[[16]byte]*record.DedupeRow
	signals map[runs.ID][]byte       // the data of the signals, by their ids
	steps   map[record.StepKey]int16 // their status
	beats   map[runs.OwnerID]int64
}

// writes is what the writer writes after apply.
type writes struct {
	inserts  []*liveRun
	updates  []*liveRun
	consumed []*liveRun // their signals up to readTo are deleted
	steps    []record.StepRow
	stepAt   map[record.StepKey]int // index in steps
	blobs    []record.BlobRow
	signals  []record.SignalRow
	answers  []record.AnswerRow
	events   []outbox.Event
	skipped  []*record.DedupeRow // of starts that got no slot
}

// liveRun is the part of a run that decisions depend on, as read and then as the entries change it.
type liveRun struct {
	id     runs.ID
	exists bool // a row is stored, or inserted by this batch
	runValues

	unread   int64 // the highest number of an unread signal, for runs that are to wait
	readTo   int64 // the signals up to this number have been read
	signaled bool  // this batch adds a signal
	claimed  bool  // by an entry of this batch

	fresh   *record.RunRow // to insert
	changed bool           // to update
}

// runValues are the columns of a run that entries change.
type runValues struct {
	status   int16
	owner    runs.OwnerID
	fence    int64
	due      int64
	started  int64
	finished int64 // not read: 0 leaves the stored value
	cancel   bool
	output   []byte // not read: nil leaves the stored value
	failure  []byte // likewise
}

func (r *liveRun) key() []byte { return r.id[:] }

// waitsForSlot reports whether the run is queued because of a limit of runs at once.
func (r *liveRun) waitsForSlot() bool { return r.status == record.RunQueued && r.due == 0 }

// touch adds a run to those that the writer locks.
func (b *batch) touch(id runs.ID) {
	if b.stored.runs[id] == nil {
		b.stored.runs[id] = &liveRun{id: id}
		b.lookups.runs = append(b.lookups.runs, id)
	}
}

// sortRuns puts the runs in the order in which they are locked.
func (b *batch) sortRuns() {
	slices.SortFunc(b.lookups.runs, func(x, y runs.ID) int { return bytes.Compare(x[:], y[:]) })
}

// change makes the writer update the run's row. A new run is inserted with its final values.
func (b *batch) change(r *liveRun) {
	if r.fresh == nil && !r.changed {
		r.changed = true
		b.writes.updates = append(b.writes.updates, r)
	}
}

// addSteps adds rows to store. Of several rows of one step, only the last is stored.
func (b *batch) addSteps(rows []record.StepRow) {
	for _, row := range rows {
		if at, ok := b.writes.stepAt[row.Key]; ok {
			b.writes.steps[at] = row
			continue
		}
		b.writes.stepAt[row.Key] = len(b.writes.steps)
		b.writes.steps = append(b.writes.steps, row)
	}
}

func missing(id runs.ID) error { return fault.New(fault.NotFound, "run %s does not exist", id) }

// waits reports whether the change releases the run until a signal or a time.
func waits(set *runs.Change) bool {
	return set != nil && set.Release && set.Status == runs.Waiting
}

// ends reports whether the change ends ownership.
func ends(set *runs.Change) bool { return set != nil && (set.Release || set.Status.Final()) }
