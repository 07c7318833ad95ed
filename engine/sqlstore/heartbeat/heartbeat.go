// Package heartbeat stores which processes are alive: one row for each, with its last beat. It
// reads which runs a silent process owns, and changes no run.
package heartbeat

import (
	"context"
	"database/sql"
	"errors"
	"sync"

	"gorm.io/gorm"

	"keyflow/engine/runs"
	"keyflow/internal/database"
)

// Owners implements runs.Owners. A beat is the database's time, or one more than the previous beat
// if that clock was set back.
//
// On Postgres it reserves one connection of the pool, so that a pool exhausted by slow queries
// does not look like a dead process. SQLite has a single writing connection, which beats share;
// there the lock of the data folder shows which process is alive.
type Owners struct {
	db    *database.DB
	now   string // the database's time in microseconds
	later string // the function that gives the greater of two numbers

	mu   sync.Mutex
	conn *sql.Conn // only on Postgres; nil until the first use
}

var _ runs.Owners = (*Owners)(nil)

// The databases' time in microseconds.
const (
	sqliteNow   = "CAST(unixepoch('subsec') * 1000000 AS INTEGER)"
	postgresNow = "CAST(extract(epoch FROM clock_timestamp()) * 1000000 AS BIGINT)"
)

// New returns the heartbeat of processes in db.
func New(db *database.DB) *Owners {
	if db.Dialect() == database.Postgres {
		return &Owners{db: db, now: postgresNow, later: "GREATEST"}
	}
	return &Owners{db: db, now: sqliteNow, later: "MAX"}
}

// Beat implements runs.Owners.
func (o *Owners) Beat(ctx context.Context, owner runs.OwnerID) error {
	return o.use(ctx, o.db.Write(), func(db *gorm.DB) error {
		return db.Exec("INSERT INTO owners (beat_at, id) VALUES ("+o.now+", ?) ON CONFLICT (id) DO UPDATE SET beat_at = "+o.later+"(excluded.beat_at, owners.beat_at + 1)", owner[:]).Error
	})
}

// Leave implements runs.Owners. It returns the connection to the pool.
func (o *Owners) Leave(ctx context.Context, owner runs.OwnerID) error {
	err := o.use(ctx, o.db.Write(), func(db *gorm.DB) error { return db.Exec("DELETE FROM owners WHERE id = ?", owner[:]).Error })
	o.mu.Lock()
	defer o.mu.Unlock()
	return errors.Join(err, o.release())
}

// use calls fn with the connection of the heartbeat, which is replaced after an error. On SQLite
// that is the connection of the given handle.
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
		err = errors.Join(err, o.release())
	}
	return database.Translate(err, "heartbeat")
}

// release returns the connection to the pool, which closes it if it is broken.
func (o *Owners) release() error {
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

// lastBeats goes from one owner to the next in the index of owners, and reads one run of each.
const lastBeats = `WITH RECURSIVE owning (owner) AS (
		SELECT (SELECT owner FROM runs WHERE owner IS NOT NULL ORDER BY owner LIMIT 1)
		UNION ALL SELECT (SELECT owner FROM runs WHERE owner > owning.owner ORDER BY owner LIMIT 1) FROM owning WHERE owning.owner IS NOT NULL
	) SELECT owning.owner, COALESCE(w.beat_at, 0) AS beat FROM owning LEFT JOIN owners w ON w.id = owning.owner WHERE owning.owner IS NOT NULL`

// Beats implements runs.Owners. It uses the connection of the heartbeat, because waiting for
// another one would delay the next beat.
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

// OwnedBy implements runs.Owners. Like Beats, it uses the connection of the heartbeat.
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
