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

	"keyflow/engine"
	"keyflow/internal/database"
	"keyflow/internal/fault"
)

// Store implements engine.Store.
type Store struct {
	db    *database.DB
	codec *codec
	names *names
	write writer
	// notify is called after a transaction with events; nil: nobody is told.
	notify func()
}

var _ engine.Store = (*Store)(nil)

// writer carries a batch out in one transaction: it reads what the batch asks for, lets it
// decide, and writes what has changed.
type writer interface {
	commit(ctx context.Context, b *batch) error
}

// New returns the store of runs in db.
func New(db *database.DB) (*Store, error) {
	codec, err := newCodec()
	if err != nil {
		return nil, fmt.Errorf("open run store: %w", err)
	}
	s := &Store{db: db, codec: codec, names: newNames(db)}
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
func (s *Store) Commit(ctx context.Context, entries []engine.Entry, now time.Time) ([]engine.Outcome, error) {
	b := newBatch(s.codec, entries, now)
	if err := s.names.resolve(ctx, b); err != nil {
		return nil, commitError(err)
	}
	if err := s.write.commit(ctx, b); err != nil {
		return nil, commitError(err)
	}
	s.tell(b)
	if err := s.loadClaimed(ctx, b); err != nil {
		// Stored, but the claims cannot be answered: all is written again, which changes nothing.
		return nil, commitError(errors.Join(engine.ErrUnknown, err))
	}
	return b.outcomes, nil
}

// commitError classifies a failed transaction: Unavailable blames the database.
func commitError(err error) error {
	if errors.Is(err, context.DeadlineExceeded) || errors.Is(err, context.Canceled) {
		return fault.New(fault.Unavailable, "the database did not answer in time").Because(err)
	}
	return database.Translate(err, "journal")
}

// loadClaimed reads the runs that the batch has claimed into their outcomes. The error is that of
// the database: a run that cannot be read is no reason to write the others again.
func (s *Store) loadClaimed(ctx context.Context, b *batch) error {
	if len(b.claimed) == 0 {
		return nil
	}
	loaded, err := s.load(ctx, b.claimed)
	if err != nil {
		return err
	}
	for i := range b.outcomes {
		if out := &b.outcomes[i]; b.entries[i].Claim != nil && out.Err == nil {
			if out.Loaded = loaded[out.Run]; out.Loaded == nil {
				out.Err = missing(out.Run) // deleted meanwhile
			}
		}
	}
	return nil
}
