package sqlstore

import (
	"context"
	"time"

	"keyflow/engine"
	"keyflow/internal/database"
)

// Owners implements engine.Owners with rows that hold the last beat in the database's time,
// which is the same for all processes.
type Owners struct {
	db  *database.DB
	now string // the database's time in microseconds
}

var _ engine.Owners = (*Owners)(nil)

// NewOwners returns the heartbeat of processes in db.
func NewOwners(db *database.DB) *Owners {
	now := "CAST(unixepoch('subsec') * 1000000 AS INTEGER)"
	if db.Dialect() == database.Postgres {
		now = "CAST(extract(epoch FROM clock_timestamp()) * 1000000 AS BIGINT)"
	}
	return &Owners{db: db, now: now}
}

// Beat implements engine.Owners.
func (o *Owners) Beat(ctx context.Context, owner engine.OwnerID) error {
	err := o.db.Write().WithContext(ctx).Exec("INSERT INTO owners (beat_at, id) VALUES ("+o.now+
		", ?) ON CONFLICT (id) DO UPDATE SET beat_at = excluded.beat_at", owner[:]).Error
	return database.Translate(err, "heartbeat")
}

// Silent implements engine.Owners. An owner without a row is silent.
func (o *Owners) Silent(ctx context.Context, silence time.Duration, limit int) ([]engine.Orphan, error) {
	var rows []struct{ ID, Owner []byte }
	err := o.db.Read().WithContext(ctx).Raw(`SELECT r.id, r.owner FROM runs r LEFT JOIN owners w ON w.id = r.owner
		WHERE r.owner IS NOT NULL AND (w.id IS NULL OR w.beat_at <= `+o.now+` - ?) ORDER BY r.id LIMIT ?`,
		silence.Microseconds(), limit).Scan(&rows).Error
	if err != nil {
		return nil, database.Translate(err, "owners")
	}
	orphans := make([]engine.Orphan, len(rows))
	for i, row := range rows {
		orphans[i] = engine.Orphan{Run: engine.RunID(row.ID), Owner: engine.OwnerID(row.Owner)}
	}
	return orphans, nil
}

// Leave implements engine.Owners.
func (o *Owners) Leave(ctx context.Context, owner engine.OwnerID) error {
	err := o.db.Write().WithContext(ctx).Exec("DELETE FROM owners WHERE id = ?", owner[:]).Error
	return database.Translate(err, "heartbeat")
}
