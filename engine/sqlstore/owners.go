package sqlstore

import (
	"context"
	"database/sql"
	"errors"
	"fmt"
	"sync"
	"time"

	"gorm.io/gorm"

	"keyflow/engine/runs"
	"keyflow/internal/database"
)

// Owners implements engine.Owners with rows that hold the last beat in the database's time,
// which is the same for all processes.
//
// On Postgres it keeps one connection of the pool to itself, so that a pool exhausted by
// slow queries does not look like a dead process. SQLite has a single writing connection,
// which a beat shares; there the folder lock says who is alive.
type Owners struct {
	db  *database.DB
	now string // the database's time in microseconds

	mu   sync.Mutex
	conn *sql.Conn // of Postgres; nil until it is needed
}

var _ runs.Owners = (*Owners)(nil)

// The databases' time in microseconds.
const (
	sqliteNow   = "CAST(unixepoch('subsec') * 1000000 AS INTEGER)"
	postgresNow = "CAST(extract(epoch FROM clock_timestamp()) * 1000000 AS BIGINT)"
)

// NewOwners returns the heartbeat of processes in db.
func NewOwners(db *database.DB) *Owners {
	now := sqliteNow
	if db.Dialect() == database.Postgres {
		now = postgresNow
	}
	return &Owners{db: db, now: now}
}

// Beat implements engine.Owners.
func (o *Owners) Beat(ctx context.Context, owner runs.OwnerID) error {
	return o.use(ctx, o.db.Write(), func(db *gorm.DB) error {
		return db.Exec("INSERT INTO owners (beat_at, id) VALUES ("+o.now+", ?) ON CONFLICT (id) DO UPDATE SET beat_at = excluded.beat_at", owner[:]).Error
	})
}

// Leave implements engine.Owners. It gives the connection back.
func (o *Owners) Leave(ctx context.Context, owner runs.OwnerID) error {
	err := o.use(ctx, o.db.Write(), func(db *gorm.DB) error { return db.Exec("DELETE FROM owners WHERE id = ?", owner[:]).Error })
	o.mu.Lock()
	defer o.mu.Unlock()
	return errors.Join(err, o.giveBack())
}

// use runs fn on the connection of the heartbeat, which is replaced after an error; on SQLite
// it is the one of the given handle.
func (o *Owners) use(ctx context.Context, on *gorm.DB, fn func(*gorm.DB) error) error {
	o.mu.Lock()
	defer o.mu.Unlock()
	db := on.WithContext(ctx)
	if o.db.Dialect() == database.Postgres {
		if o.conn == nil {
			conn, err := o.db.SQL().Conn(ctx)
			if err != nil {
				return database.Translate(err, "heartbeat")
			}
			o.conn = conn
		}
		db.Statement.ConnPool = o.conn
	}
	err := fn(db)
	if err != nil {
		err = errors.Join(err, o.giveBack())
	}
	return database.Translate(err, "heartbeat")
}

// giveBack returns the connection to the pool, which closes it when it is broken.
func (o *Owners) giveBack() error {
	if o.conn == nil {
		return nil
	}
	err := o.conn.Close()
	o.conn = nil
	if errors.Is(err, sql.ErrConnDone) {
		return nil
	}
	return err
}

// silent finds the runs of silent owners. It steps from one owner to the next in the index and
// reads no run of one that beats; CROSS JOIN keeps SQLite from walking all runs in the order
// of their ids instead.
const silent = `WITH RECURSIVE held (owner) AS (
		SELECT (SELECT owner FROM runs WHERE owner IS NOT NULL ORDER BY owner LIMIT 1)
		UNION ALL SELECT (SELECT owner FROM runs WHERE owner > held.owner ORDER BY owner LIMIT 1) FROM held WHERE held.owner IS NOT NULL
	), silent (owner) AS (
		SELECT held.owner FROM held LEFT JOIN owners w ON w.id = held.owner
		WHERE held.owner IS NOT NULL AND (w.id IS NULL OR w.beat_at <= %s - ?)
	) SELECT r.id, r.owner FROM silent CROSS JOIN runs r WHERE r.owner = silent.owner LIMIT ?`

// Silent implements engine.Owners. An owner without a row is silent. It is part of the heartbeat:
// waiting for a connection of the pool here would hold up the next beat.
func (o *Owners) Silent(ctx context.Context, silence time.Duration, limit int) ([]runs.Orphan, error) {
	var rows []struct{ ID, Owner []byte }
	err := o.use(ctx, o.db.Read(), func(db *gorm.DB) error {
		return db.Raw(fmt.Sprintf(silent, o.now), silence.Microseconds(), limit).Scan(&rows).Error
	})
	if err != nil {
		return nil, err
	}
	orphans := make([]runs.Orphan, len(rows))
	for i, row := range rows {
		orphans[i] = runs.Orphan{Run: runs.ID(row.ID), Owner: runs.OwnerID(row.Owner)}
	}
	return orphans, nil
}
