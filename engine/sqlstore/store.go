// Package sqlstore stores runs, steps, signals and dedupe keys in SQLite or Postgres.
//
// All entries of the journal are written by [Store.Commit]: it encodes the entries, reads and locks
// the rows that they concern, lets a batch decide in memory what each entry does (the same code
// for both databases), and writes all changes with as few statements as the dialect allows.
// Reading goes through gorm.
//
//	record      turns entries into rows, and rows into runs
//	heartbeat   stores which processes are alive
//	retention   deletes what is not kept
//
// It knows the tables of migration 00003 and nothing of plans, nodes or expressions.
package sqlstore

import (
	"context"
	"fmt"

	"keyflow/engine/runs"
	"keyflow/engine/sqlstore/record"
	"keyflow/engine/sqlstore/retention"
	"keyflow/internal/database"
)

// Store implements runs.Store.
type Store struct {
	db     *database.DB
	codec  *record.Codec
	names  *names
	write  writer
	delete *retention.Deleter
	// notify is called after a transaction with events; nil for none.
	notify func()
}

var _ runs.Store = (*Store)(nil)

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

// Delete implements runs.Store. The dedupe key of the run stays until it expires.
func (s *Store) Delete(ctx context.Context, id runs.ID) error { return s.delete.Delete(ctx, id) }

// OnEvents makes Commit call notify after each transaction that has added events to the outbox.
func (s *Store) OnEvents(notify func()) { s.notify = notify }
