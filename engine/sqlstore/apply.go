package sqlstore

import (
	"bytes"

	"keyflow/engine/runs"
	"keyflow/engine/sqlstore/record"
	"keyflow/internal/fault"
)

// apply applies the entries in order to what is stored, and sets the outcome of each.
func (b *batch) apply() {
	for i := range b.entries {
		if b.slots != nil {
			b.slots.entry = i
		}
		b.outcomes[i] = b.outcome(&b.entries[i], &b.encoded[i])
	}
	b.grantWaiting()
	for i, runs := range b.woken {
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
		b.applyAdmit(e.Admit)
		return runs.Outcome{}
	case e.Claim != nil:
		return runs.Outcome{Run: e.Claim.Run, Err: b.claim(e.Claim)}
	default:
		return b.signal(e.Signal)
	}
}

func (b *batch) create(n *runs.NewRun, enc *record.Encoded) runs.Outcome {
	if enc.Dedupe != nil {
		stored := b.stored.keys[enc.Dedupe.Hash]
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
	r := b.stored.runs[n.Run.ID]
	if r.exists { // by an earlier Commit whose answer was lost; another process may have claimed it since
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
	default: // it is not due
	}
	r.started, r.finished, r.cancel = record.Micros(n.Run.StartedAt), record.Micros(n.Run.FinishedAt), n.Run.CancelRequested
	r.output, r.failure = enc.Output, enc.Failure
	if len(n.Slots) > 0 {
		if err := b.admit(n, r); err != nil {
			return b.skip(n, enc, err)
		}
	}
	r.exists = true
	b.writes.inserts = append(b.writes.inserts, r)
	b.addSteps(enc.Steps)
	b.writes.blobs = append(b.writes.blobs, enc.Blobs...)
	return runs.Outcome{Run: r.id, Waits: r.waitsForSlot()}
}

// progress returns the starts that were refused.
func (b *batch) progress(p *runs.Progress, enc *record.Encoded) (unstarted []runs.ID, err error) {
	r := b.stored.runs[p.Run]
	switch {
	case !r.exists:
		return nil, missing(p.Run)
	case r.fence == p.Fence && r.owner == (runs.OwnerID{}) && ends(p.Set):
		return nil, nil // stored by an earlier Commit whose answer was lost: the fence is still the same
	case r.fence != p.Fence || r.owner != p.Owner:
		return nil, runs.ErrFenced
	case waits(p.Set) && (r.signaled || r.unread > max(p.ReadSignals, r.readTo)):
		return nil, runs.ErrSignals
	}
	if p.ReadSignals > r.readTo {
		if r.readTo == 0 {
			b.writes.consumed = append(b.writes.consumed, r)
		}
		r.readTo = p.ReadSignals
	}
	b.addSteps(enc.Steps)
	b.writes.blobs = append(b.writes.blobs, enc.Blobs...)
	if enc.Answer != nil {
		b.writes.answers = append(b.writes.answers, record.AnswerRow{Run: p.Run, Data: enc.Answer})
	}
	for i := range p.Starts {
		if out := b.create(&p.Starts[i], &enc.Starts[i]); out.Err != nil {
			unstarted = append(unstarted, p.Starts[i].Run.ID)
		}
	}
	for i := range p.Signals {
		b.signal(&p.Signals[i]) // one to an ended run is dropped
	}
	b.writes.events = append(b.writes.events, p.Events...)
	if p.Set != nil {
		b.set(r, p.Set, enc)
	}
	if p.Frees != "" && p.Set != nil && p.Set.Status.Final() {
		b.free(p.Run)
	}
	return unstarted, nil
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
	r := b.stored.runs[c.Run]
	none := runs.OwnerID{}
	switch {
	case !r.exists:
		return missing(c.Run)
	case record.RunStatus(r.status).Final():
		return fault.New(fault.Conflict, "run %s has ended", c.Run)
	case c.Again && r.owner == c.Owner && !r.claimed:
		b.markClaimed(r)
		return nil
	case c.TakeoverFrom != nil && r.owner != *c.TakeoverFrom, c.TakeoverFrom == nil && r.owner != none:
		return fault.New(fault.Conflict, "run %s has been taken by another process", c.Run)
	case b.hasNewBeat(c):
		return fault.New(fault.Conflict, "run %s keeps its owner, which is alive again", c.Run)
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
	b.markClaimed(r)
	return nil
}

// markClaimed makes Commit load the run for its new owner.
func (b *batch) markClaimed(r *liveRun) {
	r.claimed = true
	b.claimed = append(b.claimed, r.id)
}

// hasNewBeat reports whether the owner has beaten since it was found silent. A claim can wait in
// the journal for longer than a beat takes.
func (b *batch) hasNewBeat(c *runs.Claim) bool {
	return c.TakeoverFrom != nil && b.stored.beats[*c.TakeoverFrom] != c.Beat
}

// beat records the last beat of an owner.
func (b *batch) beat(owner []byte, number int64) {
	if b.stored.beats == nil {
		b.stored.beats = make(map[runs.OwnerID]int64, len(b.lookups.owners))
	}
	b.stored.beats[runs.OwnerID(owner)] = number
}
