package sqlstore

import (
	"context"
	"errors"
	"time"

	"github.com/jackc/pgx/v5/pgconn"

	"keyflow/engine/runs"
	"keyflow/internal/database"
	"keyflow/internal/fault"
)

// Commit implements runs.Store.
func (s *Store) Commit(ctx context.Context, entries []runs.Entry, now time.Time) ([]runs.Outcome, error) {
	b := newBatch(s.codec, entries, now)
	if err := s.names.resolve(ctx, b); err != nil {
		return nil, commitError(err)
	}
	if err := s.write.commit(ctx, b); err != nil {
		return nil, commitError(err)
	}
	s.notifyEvents(b)
	s.loadClaimed(ctx, b)
	return b.outcomes, nil
}

// commitError classifies a failed transaction: Unavailable blames the database.
func commitError(err error) error {
	if errors.Is(err, context.DeadlineExceeded) || errors.Is(err, context.Canceled) {
		return fault.New(fault.Unavailable, "the database did not answer in time").Because(err)
	}
	if e, ok := errors.AsType[*pgconn.PgError](err); ok && !blamesData(e.Code) {
		return fault.New(fault.Unavailable, "the database cannot store anything now: try again").Because(err)
	}
	return database.Translate(err, "journal")
}

// blamesData reports whether an error of Postgres is about the values of a batch, by its SQLSTATE
// (PostgreSQL documentation, appendix A). Every other error is about the state of the server, from
// a failover to a missing privilege, and no reason to refuse the result of a run. A duplicate is
// such an error too: a COMMIT whose answer was lost stored the row, and this transaction began
// before it was visible.
func blamesData(code string) bool {
	switch code[:2] {
	case "22", "54", "XX": // data exception, program limit exceeded, internal error (of a damaged row)
		return true
	case "23": // integrity constraint violation
		return code != uniqueViolation
	default:
		return false
	}
}

const uniqueViolation = "23505"

// loadWithin is the timeout for loading the claimed runs together, and again for loading them one
// by one.
const loadWithin = 10 * time.Second

// loadClaimed loads the claimed runs into their outcomes. If that fails it loads them one by one,
// so that one run does not stop the others.
func (s *Store) loadClaimed(ctx context.Context, b *batch) {
	if len(b.claimed) == 0 {
		return
	}
	ctx = context.WithoutCancel(ctx) // the rest of the transaction's time may be too short
	loaded, err := s.loadInTime(ctx, b.claimed)
	if err != nil {
		loaded = s.loadEach(ctx, b.claimed)
	}
	for i := range b.outcomes {
		out := &b.outcomes[i]
		if b.entries[i].Claim == nil || out.Err != nil {
			continue
		}
		if out.Loaded = loaded[out.Run]; out.Loaded != nil {
			continue
		}
		if out.Unread = err != nil; !out.Unread {
			out.Err = missing(out.Run) // deleted since it was claimed
		}
	}
}

func (s *Store) loadInTime(ctx context.Context, ids []runs.ID) (map[runs.ID]*runs.Loaded, error) {
	ctx, cancel := context.WithTimeout(ctx, loadWithin)
	defer cancel()
	return s.load(ctx, ids)
}

// loadEach loads as many of the runs as it can.
func (s *Store) loadEach(ctx context.Context, ids []runs.ID) map[runs.ID]*runs.Loaded {
	ctx, cancel := context.WithTimeout(ctx, loadWithin)
	defer cancel()
	all := make(map[runs.ID]*runs.Loaded, len(ids))
	for _, id := range ids {
		if loaded, err := s.load(ctx, []runs.ID{id}); err == nil {
			all[id] = loaded[id]
		}
	}
	return all
}

// notifyEvents reports the stored events of a batch.
func (s *Store) notifyEvents(b *batch) {
	if len(b.writes.events) > 0 && s.notify != nil {
		s.notify()
	}
}
