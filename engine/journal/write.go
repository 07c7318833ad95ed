package journal

import (
	"context"
	"errors"
	"time"

	"keyflow/engine/backoff"
	"keyflow/engine/runs"
	"keyflow/internal/fault"
)

// write commits batch and delivers the outcomes. When the transaction fails for the sake of
// an entry, it is split until that entry stands alone and is refused with the error. When
// it fails for the sake of the database, write returns the entries whose outcome is open, in order.
func (j *Journal) write(ctx context.Context, batch []pendingEntry) (rest []pendingEntry, err error) {
	outcomes, err := j.commit(ctx, batch)
	switch {
	case err == nil:
		j.up() // before anyone hears that something was stored
		for i, p := range batch {
			if outcomes[i].Unread {
				j.again(p)
				continue
			}
			p.done <- outcomes[i]
		}
		return nil, nil
	case databaseFailed(err) || len(batch) == 0:
		return batch, err
	case len(batch) == 1:
		j.o.Logger.Error("an entry cannot be stored", "error", err)
		batch[0].done <- runs.Outcome{Err: err}
		return nil, nil
	}
	half := len(batch) / 2
	rest, err = j.write(ctx, batch[:half])
	if err != nil {
		return append(rest, batch[half:]...), err
	}
	return j.write(ctx, batch[half:])
}

// again writes a claim once more, later, whose run could not be read.
func (j *Journal) again(p pendingEntry) {
	j.o.Logger.Error("a claimed run cannot be read now; it is tried again", "run", p.entry.Claim.Run)
	p.mayBeStored()
	time.AfterFunc(backoff.Max, func() {
		if err := j.accept(p); err != nil {
			p.done <- runs.Outcome{Err: err}
		}
	})
}

// databaseFailed distinguishes a database that cannot write from an entry that cannot be written.
func databaseFailed(err error) bool {
	return fault.Is(err, fault.Unavailable) || errors.Is(err, runs.ErrSync) || errors.Is(err, runs.ErrUnknown) ||
		errors.Is(err, context.DeadlineExceeded) || errors.Is(err, context.Canceled)
}

func (j *Journal) commit(ctx context.Context, batch []pendingEntry) ([]runs.Outcome, error) {
	ctx, cancel := context.WithTimeout(ctx, j.o.CommitTimeout)
	defer cancel()
	entries := make([]runs.Entry, len(batch))
	for i := range batch {
		entries[i] = batch[i].entry
	}
	outcomes, err := j.store.Commit(ctx, entries, j.o.Now())
	if errors.Is(err, runs.ErrUnknown) {
		for i := range batch {
			batch[i].mayBeStored()
		}
	}
	return outcomes, err
}

// mayBeStored marks the entry; it is written again, and a Claim or Signal must know its own trace.
func (p *pendingEntry) mayBeStored() {
	p.unknown = true
	if p.entry.Claim != nil {
		again := *p.entry.Claim
		again.Again = true
		p.entry.Claim = &again
	}
	if p.entry.Signal != nil {
		again := *p.entry.Signal
		again.Again = true
		p.entry.Signal = &again
	}
}

// giveBack puts the entries of a failed batch back to the front of the queue. After some
// failures in a row the database counts as down: then all that may be refused is refused.
func (j *Journal) giveBack(rest []pendingEntry, cause error, failures int) {
	j.mu.Lock()
	defer j.mu.Unlock()
	j.pending = append(rest, j.pending...)
	if failures < quickTries && !errors.Is(cause, context.DeadlineExceeded) && !errors.Is(cause, runs.ErrSync) {
		return
	}
	if j.down == nil {
		j.o.Logger.Error("the database cannot store anything: new runs are refused until it can", "error", cause)
	}
	j.down = cause
	kept := j.pending[:0]
	for _, p := range j.pending {
		if p.refusable() {
			p.done <- runs.Outcome{Err: refusal(cause)}
		} else {
			kept = append(kept, p)
		}
	}
	clear(j.pending[len(kept):])
	j.pending = kept
}

// up notes that a transaction was stored.
func (j *Journal) up() {
	j.mu.Lock()
	defer j.mu.Unlock()
	if j.down != nil {
		j.o.Logger.Info("the database can store again")
	}
	j.down = nil
}
