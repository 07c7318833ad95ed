// Package sqlstore keeps runs, steps, signals, dedupe keys and the heartbeat of processes
// in SQLite or Postgres.
//
// Writing goes through one function, [Store.Commit]: it encodes the entries, reads and
// locks the rows they touch, lets a batch decide in memory what each entry does (the same
// code for both databases), and writes all changes with as few statements as the dialect
// allows. Reading goes through gorm.
//
// It knows the tables of migration 00003 and nothing of plans, nodes or expressions.
package sqlstore

import (
	"context"
	"errors"
	"fmt"
	"time"

	"github.com/jackc/pgx/v5/pgconn"

	"keyflow/engine/runs"
	"keyflow/engine/sqlstore/record"
	"keyflow/engine/sqlstore/retention"
	"keyflow/internal/database"
	"keyflow/internal/fault"
)

// Store implements engine.Store.
type Store struct {
	db     *database.DB
	codec  *record.Codec
	names  *names
	write  writer
	delete *retention.Deleter
	// notify is called after a transaction with events; nil: nobody is told.
	notify func()
}

var _ runs.Store = (*Store)(nil)

// writer carries a batch out in one transaction: it reads what the batch asks for, lets it
// decide, and writes what has changed.
type writer interface {
	commit(ctx context.Context, b *batch) error
}

// New returns the store of runs in db.
func New(db *database.DB) (*Store, error) {
	codec, err := record.NewCodec()
	if err != nil {
		return nil, fmt.Errorf("open run store: %w", err)
	}
	s := &Store{db: db, codec: codec, names: newNames(db), delete: retention.NewDeleter(db)}
	switch db.Dialect() {
	case database.SQLite:
		s.write = &sqliteWriter{pool: db.SQL()}
	case database.Postgres:
		s.write = &postgresWriter{pool: db.SQL()}
	default:
		return nil, fmt.Errorf("open run store: unknown dialect %q", db.Dialect())
	}
	return s, nil
}

// Commit implements engine.Store.
func (s *Store) Commit(ctx context.Context, entries []runs.Entry, now time.Time) ([]runs.Outcome, error) {
	b := newBatch(s.codec, entries, now)
	if err := s.names.resolve(ctx, b); err != nil {
		return nil, commitError(err)
	}
	if err := s.write.commit(ctx, b); err != nil {
		return nil, commitError(err)
	}
	s.tell(b)
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
// (PostgreSQL documentation, appendix A). Whatever else goes wrong is the server's state, from a
// failover to a missing right, and no reason to refuse a run's result. A duplicate is a row that
// a COMMIT stored whose answer was lost, and that this transaction was too early to see.
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

// Delete implements runs.Store. The dedupe key of the run stays until it expires.
func (s *Store) Delete(ctx context.Context, id runs.ID) error { return s.delete.Delete(ctx, id) }

// loadWithin bounds the reading of the runs that one transaction has claimed, and then of those
// among them that can be read alone.
const loadWithin = 10 * time.Second

// loadClaimed reads the runs that the batch has claimed into their outcomes. When that fails they
// are read one by one, so that one run keeps no other from going on.
func (s *Store) loadClaimed(ctx context.Context, b *batch) {
	if len(b.claimed) == 0 {
		return
	}
	ctx = context.WithoutCancel(ctx) // what is left of the transaction's time may be too short
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
			out.Err = missing(out.Run) // deleted meanwhile
		}
	}
}

func (s *Store) loadInTime(ctx context.Context, ids []runs.ID) (map[runs.ID]*runs.Loaded, error) {
	ctx, cancel := context.WithTimeout(ctx, loadWithin)
	defer cancel()
	return s.load(ctx, ids)
}

// loadEach reads as many of the runs as it can.
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
