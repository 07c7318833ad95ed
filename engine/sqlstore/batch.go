package sqlstore

import (
	"bytes"
	"slices"
	"time"

	"keyflow/engine/runs"
	"keyflow/engine/sqlstore/record"
	"keyflow/internal/fault"
	"keyflow/internal/outbox"
)

// batch decides what the entries of one transaction do. It is used in this order:
//
//	newBatch          encodes; what cannot be stored has its outcome already
//	names.resolve     fills in the numbers of origins and nodes
//	writer.commit     BEGIN; reads runs, keys, unread, owners (locking the runs in id order);
//	                  calls apply; writes inserts, updates, steps, blobs, signals; COMMIT
//
// It asks no database itself. A writer that repeats a transaction starts with a new batch.
type batch struct {
	now      int64
	entries  []runs.Entry
	encoded  []record.Encoded
	outcomes []runs.Outcome

	// What the writer reads before apply.
	ids    []runs.ID                      // the runs to read and lock, in order
	keys   []*record.DedupeRow            // to insert where free, then to read: the row that is stored
	parked []runs.ID                      // runs whose highest unread signal apply needs to know
	runs   map[runs.ID]*liveRun           // one for each of ids
	told   []runs.ID                      // ids of signals, to see which are stored
	unread map[runs.ID][]byte             // the data of those that are stored
	asked  []int                          // entries with asks
	status map[record.StepKey]int16       // of the steps that asks are about; none: no row
	silent []runs.OwnerID                 // whose last beat takeovers need to know
	beats  map[runs.OwnerID]int64         // the last of each; none: no row
	held   map[[16]byte]*record.DedupeRow // keys by hash
	stepAt map[record.StepKey]int         // place in steps

	// What the writer writes after apply.
	inserts []*liveRun
	updates []*liveRun
	read    []*liveRun // whose signals up to readTo go
	steps   []record.StepRow
	blobs   []record.BlobRow
	signals []record.SignalRow
	answers []record.AnswerRow
	events  []outbox.Event

	claimed []runs.ID

	slots   *slotBook             // nil: no entry is about slots
	skipped []*record.DedupeRow   // keys of starts that got none
	telling map[int][]runs.DueRun // by entry
}

// liveRun is the part of a run that decides, as read and then as the entries change it.
type liveRun struct {
	id       runs.ID
	exists   bool // a row is stored, or inserted by this batch
	status   int16
	owner    runs.OwnerID
	fence    int64
	due      int64
	started  int64
	unread   int64 // highest number of an unread signal; known for parked runs
	signaled bool  // this batch adds a signal
	claimed  bool  // this batch gives it to a claim

	fresh    *record.RunRow // to be inserted
	changed  bool           // to be updated
	finished int64          // 0, nil: as stored
	cancel   bool           // as stored, and then as the entries change it
	output   []byte
	failure  []byte
	readTo   int64
}

func newBatch(c *record.Codec, entries []runs.Entry, now time.Time) *batch {
	b := &batch{
		now: now.UnixMicro(), entries: entries,
		encoded: make([]record.Encoded, len(entries)), outcomes: make([]runs.Outcome, len(entries)),
		runs: make(map[runs.ID]*liveRun, len(entries)), held: map[[16]byte]*record.DedupeRow{}, stepAt: map[record.StepKey]int{},
		unread: map[runs.ID][]byte{}, status: map[record.StepKey]int16{},
	}
	for i := range entries {
		enc := c.Encode(&entries[i])
		b.encoded[i] = enc
		if enc.Err == nil {
			b.gather(&entries[i], &enc)
			b.gatherSlots(&entries[i])
			if len(enc.StepChecks) > 0 {
				b.asked = append(b.asked, i)
			}
		}
	}
	b.sortRuns()
	slices.SortFunc(b.keys, func(x, y *record.DedupeRow) int { return bytes.Compare(x.Hash[:], y.Hash[:]) })
	return b
}

// sortRuns puts the runs in the order in which they are locked.
func (b *batch) sortRuns() {
	slices.SortFunc(b.ids, func(x, y runs.ID) int { return bytes.Compare(x[:], y[:]) })
}

// gather notes what has to be read for the entry.
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
		if parks(e.Progress.Set) {
			b.parked = append(b.parked, e.Progress.Run)
		}
	case e.Claim != nil:
		b.touch(e.Claim.Run)
		b.gatherOwner(e.Claim)
	case e.Signal != nil:
		b.gatherSignal(e.Signal)
	}
}

func (b *batch) gatherCreate(n *runs.NewRun, enc *record.Encoded) {
	if enc.Dedupe != nil && b.held[enc.Dedupe.Hash] == nil {
		key := *enc.Dedupe
		b.held[key.Hash] = &key
		b.keys = append(b.keys, &key)
	}
	b.touch(n.Run.ID)
	b.gatherNeeds(n)
}

func (b *batch) gatherSignal(s *runs.Signal) {
	b.touch(s.Run)
	b.told = append(b.told, runs.ID(s.ID))
	if s.Kind == runs.SignalCancel {
		b.book().cancels = append(b.book().cancels, s.Run)
	}
}

func (b *batch) touch(id runs.ID) {
	if b.runs[id] == nil {
		b.runs[id] = &liveRun{id: id}
		b.ids = append(b.ids, id)
	}
}

// parks reports whether the change gives the run up until something happens.
func parks(set *runs.Change) bool {
	return set != nil && set.Release && set.Status == runs.Waiting
}

// ends reports whether the change ends ownership.
func ends(set *runs.Change) bool { return set != nil && (set.Release || set.Status.Final()) }

// apply carries the entries out on what was read, in order, and gives each its outcome.
func (b *batch) apply() {
	for i := range b.entries {
		if b.slots != nil {
			b.slots.at = i
		}
		b.outcomes[i] = b.outcome(&b.entries[i], &b.encoded[i])
	}
	b.handOn()
	for i, runs := range b.telling {
		b.outcomes[i].Woken = runs
	}
}

func (b *batch) outcome(e *runs.Entry, enc *record.Encoded) runs.Outcome {
	switch {
	case enc.Err != nil:
		return runs.Outcome{Err: enc.Err}
	case e.Create != nil:
		return b.create(e.Create, enc)
	case e.Progress != nil:
		unstarted, err := b.progress(e.Progress, enc)
		return runs.Outcome{Run: e.Progress.Run, Unstarted: unstarted, Err: err}
	case e.Admit != nil:
		b.regulate(e.Admit)
		return runs.Outcome{}
	case e.Claim != nil:
		return runs.Outcome{Run: e.Claim.Run, Err: b.claim(e.Claim)}
	default:
		return b.signal(e.Signal)
	}
}

func (b *batch) create(n *runs.NewRun, enc *record.Encoded) runs.Outcome {
	if enc.Dedupe != nil {
		stored := b.held[enc.Dedupe.Hash]
		none := runs.ID{}
		switch {
		case stored.Refused != nil:
			return runs.Outcome{Err: stored.Refused}
		case enc.Dedupe.InputHash != nil && !bytes.Equal(enc.Dedupe.InputHash, stored.InputHash):
			return runs.Outcome{Run: stored.Run, Err: fault.New(fault.Conflict, "the idempotency key was used before, with another input")}
		case stored.Run != n.Run.ID:
			return runs.Outcome{Run: stored.Run, Duplicate: true, Skipped: stored.Run == none}
		}
	}
	r := b.runs[n.Run.ID]
	if r.exists { // by an earlier Commit whose answer was lost; meanwhile others may have had it
		taken := r.owner != n.Run.Owner || r.fence != n.Run.Fence
		return runs.Outcome{Run: r.id, Waits: taken || r.waitsForSlot()}
	}
	r.fresh = enc.Run
	r.status, r.owner, r.fence = record.RunNumber(n.Run.Status), n.Run.Owner, n.Run.Fence
	switch n.Run.Status {
	case runs.Queued:
		r.due = enc.Run.Created
	case runs.Waiting:
		r.due = record.Micros(n.Run.WakeAt)
	default: // nothing is due
	}
	r.started, r.finished, r.cancel = record.Micros(n.Run.StartedAt), record.Micros(n.Run.FinishedAt), n.Run.CancelRequested
	r.output, r.failure = enc.Output, enc.Failure
	if len(n.Slots) > 0 {
		if err := b.admit(n, r); err != nil {
			return b.skip(n, enc, err)
		}
	}
	r.exists = true
	b.inserts = append(b.inserts, r)
	b.addSteps(enc.Steps)
	b.blobs = append(b.blobs, enc.Blobs...)
	return runs.Outcome{Run: r.id, Waits: r.waitsForSlot()}
}

// progress reports the starts that were refused.
func (b *batch) progress(p *runs.Progress, enc *record.Encoded) (unstarted []runs.ID, err error) {
	r := b.runs[p.Run]
	switch {
	case !r.exists:
		return nil, missing(p.Run)
	case r.fence == p.Fence && r.owner == (runs.OwnerID{}) && ends(p.Set):
		return nil, nil // stored by an earlier Commit whose answer was lost: nobody else had this fence
	case r.fence != p.Fence || r.owner != p.Owner:
		return nil, runs.ErrFenced
	case parks(p.Set) && (r.signaled || r.unread > max(p.ReadSignals, r.readTo)):
		return nil, runs.ErrSignals
	}
	if p.ReadSignals > r.readTo {
		if r.readTo == 0 {
			b.read = append(b.read, r)
		}
		r.readTo = p.ReadSignals
	}
	b.addSteps(enc.Steps)
	b.blobs = append(b.blobs, enc.Blobs...)
	if enc.Answer != nil {
		b.answers = append(b.answers, record.AnswerRow{Run: p.Run, Data: enc.Answer})
	}
	for i := range p.Starts {
		if out := b.create(&p.Starts[i], &enc.Starts[i]); out.Err != nil {
			unstarted = append(unstarted, p.Starts[i].Run.ID)
		}
	}
	for i := range p.Signals {
		b.signal(&p.Signals[i]) // to an ended run: nobody waits for it
	}
	b.events = append(b.events, p.Events...)
	if p.Set != nil {
		b.set(r, p.Set, enc)
	}
	if p.Frees != "" && p.Set != nil && p.Set.Status.Final() {
		b.free(p.Run)
	}
	return unstarted, nil
}

// addSteps adds rows to be stored; of rows of one step the last counts.
func (b *batch) addSteps(rows []record.StepRow) {
	for _, row := range rows {
		if at, ok := b.stepAt[row.Key]; ok {
			b.steps[at] = row
			continue
		}
		b.stepAt[row.Key] = len(b.steps)
		b.steps = append(b.steps, row)
	}
}

func (b *batch) set(r *liveRun, set *runs.Change, enc *record.Encoded) {
	b.change(r)
	r.status = record.RunNumber(set.Status)
	r.due = record.Micros(set.WakeAt)
	if set.Status == runs.Queued && r.due == 0 {
		r.due = b.now
	}
	if set.StartedAt != nil {
		r.started = record.Micros(set.StartedAt)
	}
	if set.FinishedAt != nil {
		r.finished = record.Micros(set.FinishedAt)
	}
	if set.Status.Final() {
		r.due = 0
	}
	if ends(set) {
		r.owner = runs.OwnerID{}
	}
	if enc.Output != nil {
		r.output = enc.Output
	}
	if enc.Failure != nil {
		r.failure = enc.Failure
	}
}

func (b *batch) claim(c *runs.Claim) error {
	r := b.runs[c.Run]
	none := runs.OwnerID{}
	switch {
	case !r.exists:
		return missing(c.Run)
	case record.RunStatus(r.status).Final():
		return fault.New(fault.Conflict, "run %s has ended", c.Run)
	case c.Again && r.owner == c.Owner && !r.claimed:
		b.grant(r)
		return nil
	case c.TakeoverFrom != nil && r.owner != *c.TakeoverFrom, c.TakeoverFrom == nil && r.owner != none:
		return fault.New(fault.Conflict, "run %s has been taken by another process", c.Run)
	case b.isBack(c):
		return fault.New(fault.Conflict, "run %s keeps its owner, which is back", c.Run)
	case c.TakeoverFrom == nil && r.status == record.RunWaiting && (r.due == 0 || r.due > b.now):
		return fault.New(fault.Conflict, "run %s is not due", c.Run)
	case c.TakeoverFrom == nil && r.waitsForSlot():
		return fault.New(fault.Conflict, "run %s waits for a slot", c.Run)
	}
	b.change(r)
	r.status, r.owner, r.due = record.RunRunning, c.Owner, 0
	r.fence++
	if r.started == 0 {
		r.started = b.now
	}
	b.grant(r)
	return nil
}

func (b *batch) grant(r *liveRun) {
	r.claimed = true
	b.claimed = append(b.claimed, r.id)
}

// change notes that the run's row must be written; a new one is inserted in its last state.
func (b *batch) change(r *liveRun) {
	if r.fresh == nil && !r.changed {
		r.changed = true
		b.updates = append(b.updates, r)
	}
}

func missing(id runs.ID) error { return fault.New(fault.NotFound, "run %s does not exist", id) }

// waitsForSlot reports whether the run is queued behind the limit of its workflow.
func (r *liveRun) waitsForSlot() bool { return r.status == record.RunQueued && r.due == 0 }
