package sqlstore

import (
	"context"
	"database/sql"
	"errors"
	"sync"

	"gorm.io/gorm"

	"keyflow/engine/runs"
	"keyflow/internal/database"
)

// Owners implements runs.Owners with rows that hold the last beat: the database's time, or one
// more than the beat before when that clock was set back.
//
// On Postgres it keeps one connection of the pool to itself, so that a pool exhausted by
// slow queries does not look like a dead process. SQLite has a single writing connection,
// which a beat shares; there the folder lock says who is alive.
type Owners struct {
	db    *database.DB
	now   string // the database's time in microseconds
	later string // the function that gives the greater of two numbers

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
	if db.Dialect() == database.Postgres {
		return &Owners{db: db, now: postgresNow, later: "GREATEST"}
	}
	return &Owners{db: db, now: sqliteNow, later: "MAX"}
}

// Beat implements engine.Owners.
func (o *Owners) Beat(ctx context.Context, owner runs.OwnerID) error {
	return o.use(ctx, o.db.Write(), func(db *gorm.DB) error {
		return db.Exec("INSERT INTO owners (beat_at, id) VALUES ("+o.now+", ?) ON CONFLICT (id) DO UPDATE SET beat_at = "+o.later+"(excluded.beat_at, owners.beat_at + 1)", owner[:]).Error
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

// lastBeats steps from one owner of runs to the next in the index and reads no other run.
const lastBeats = `WITH RECURSIVE held (owner) AS (
		SELECT (SELECT owner FROM runs WHERE owner IS NOT NULL ORDER BY owner LIMIT 1)
		UNION ALL SELECT (SELECT owner FROM runs WHERE owner > held.owner ORDER BY owner LIMIT 1) FROM held WHERE held.owner IS NOT NULL
	) SELECT held.owner, COALESCE(w.beat_at, 0) AS beat FROM held LEFT JOIN owners w ON w.id = held.owner WHERE held.owner IS NOT NULL`

// Beats implements runs.Owners. It is part of the heartbeat: waiting for a connection of the
// pool here would delay the next beat.
func (o *Owners) Beats(ctx context.Context) (map[runs.OwnerID]int64, error) {
	var rows []struct {
		Owner []byte
		Beat  int64
	}
	err := o.use(ctx, o.db.Read(), func(db *gorm.DB) error { return db.Raw(lastBeats).Scan(&rows).Error })
	if err != nil {
		return nil, err
	}
	beats := make(map[runs.OwnerID]int64, len(rows))
	for _, row := range rows {
		beats[runs.OwnerID(row.Owner)] = row.Beat
	}
	return beats, nil
}

// OwnedBy implements runs.Owners, on the connection of the heartbeat as Beats.
func (o *Owners) OwnedBy(ctx context.Context, owners []runs.OwnerID, limit int) ([]runs.Orphan, error) {
	var orphans []runs.Orphan
	for _, owner := range owners {
		var ids [][]byte
		err := o.use(ctx, o.db.Read(), func(db *gorm.DB) error {
			return db.Raw("SELECT id FROM runs WHERE owner = ? LIMIT ?", owner[:], limit-len(orphans)).Scan(&ids).Error
		})
		if err != nil {
			return nil, err
		}
		for _, id := range ids {
			orphans = append(orphans, runs.Orphan{Run: runs.ID(id), Owner: owner})
		}
		if len(orphans) == limit {
			break
		}
	}
	return orphans, nil
}
