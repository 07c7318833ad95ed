// Package sqlstore is the outbox in the database of package internal/database. Stores append
// events in the transaction of the change that these tell of.
package sqlstore

import (
	"context"
	"fmt"
	"time"

	"gorm.io/gorm"

	"keyflow/internal/database"
	"keyflow/internal/outbox"
)

// Queue implements outbox.Queue. It is safe for concurrent use.
type Queue struct {
	db   *database.DB
	wake chan struct{} // holds a token when events may have been stored
}

var _ outbox.Queue = (*Queue)(nil)

// New returns the outbox of db.
func New(db *database.DB) *Queue { return &Queue{db: db, wake: make(chan struct{}, 1)} }

type eventRow struct {
	Seq     int64 `gorm:"->"`
	ID      []byte
	Type    string
	Subject string
	Folder  string
	Time    int64
	Data    []byte
}

func (eventRow) TableName() string { return "event_outbox" }

// Append stores events in the transaction of the change that they tell of. After its end
// Notify makes them known.
func Append(tx *gorm.DB, events ...outbox.Event) error {
	if len(events) == 0 {
		return nil
	}
	rows := make([]eventRow, len(events))
	for i, e := range events {
		rows[i] = eventRow{ID: e.ID[:], Type: e.Type, Subject: e.Subject, Folder: e.Folder, Time: e.Time.UnixMicro(), Data: e.Data}
	}
	if err := tx.Create(&rows).Error; err != nil {
		return fmt.Errorf("store events: %w", err)
	}
	return nil
}

// Notify tells that a transaction with events has been committed. It does not block.
func (q *Queue) Notify() {
	select {
	case q.wake <- struct{}{}:
	default:
	}
}

// Wake implements outbox.Queue.
func (q *Queue) Wake() <-chan struct{} { return q.wake }

// Shared implements outbox.Queue: one process at a time opens an SQLite folder.
func (q *Queue) Shared() bool { return q.db.Dialect() != database.SQLite }

// Take implements outbox.Queue.
func (q *Queue) Take(ctx context.Context, holder string, life time.Duration, limit int) ([]outbox.Entry, error) {
	if q.Shared() {
		mine, err := q.lease(ctx, holder, life)
		if err != nil || !mine {
			return nil, database.Translate(err, "events")
		}
	}
	var rows []eventRow
	if err := q.db.Read().WithContext(ctx).Order("seq").Limit(limit).Find(&rows).Error; err != nil {
		return nil, database.Translate(err, "events")
	}
	entries := make([]outbox.Entry, len(rows))
	for i, row := range rows {
		if len(row.ID) != len(entries[i].ID) {
			return nil, fmt.Errorf("event %d has an id of %d bytes", row.Seq, len(row.ID))
		}
		entries[i] = outbox.Entry{Seq: row.Seq, Event: outbox.Event{
			ID: [16]byte(row.ID), Type: row.Type, Subject: row.Subject, Folder: row.Folder, Time: time.UnixMicro(row.Time).UTC(), Data: row.Data,
		}}
	}
	return entries, nil
}

// lease reports whether there are events and holder may hand them out. The time is the database's.
func (q *Queue) lease(ctx context.Context, holder string, life time.Duration) (bool, error) {
	tx := q.db.Write().WithContext(ctx)
	var any []int64
	if err := tx.Raw("SELECT seq FROM event_outbox ORDER BY seq LIMIT 1").Scan(&any).Error; err != nil || len(any) == 0 {
		return false, err
	}
	const now = "CAST(extract(epoch FROM clock_timestamp()) * 1000000 AS BIGINT)"
	done := tx.Exec("INSERT INTO event_lease (id, holder, expires_at) VALUES (1, ?, "+now+" + ?) "+
		"ON CONFLICT (id) DO UPDATE SET holder = excluded.holder, expires_at = excluded.expires_at "+
		"WHERE event_lease.holder = excluded.holder OR event_lease.expires_at <= "+now, holder, life.Microseconds())
	return done.RowsAffected == 1, done.Error
}

// Remove implements outbox.Queue.
func (q *Queue) Remove(ctx context.Context, seq int64) error {
	err := q.db.Write().WithContext(ctx).Exec("DELETE FROM event_outbox WHERE seq = ?", seq).Error
	return database.Translate(err, "events")
}

// Release implements outbox.Queue.
func (q *Queue) Release(ctx context.Context, holder string) error {
	if !q.Shared() {
		return nil
	}
	err := q.db.Write().WithContext(ctx).Exec("DELETE FROM event_lease WHERE holder = ?", holder).Error
	return database.Translate(err, "events")
}
