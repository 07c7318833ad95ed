// Package sqlstore is the outbox in the database of package internal/database. Stores append
// events in the transaction of the change that these tell of.
package sqlstore

import (
	"context"
	"encoding/json"
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
	Seq      int64 `gorm:"->"`
	ID       []byte
	Source   string
	Type     string
	Subject  string
	Folder   string
	Depth    int
	Time     int64
	Data     []byte
	Attempts int    `gorm:"->"`
	LeftTo   []byte `gorm:"->"`
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
		rows[i] = eventRow{
			ID: e.ID[:], Source: e.Source, Type: e.Type, Subject: e.Subject, Folder: e.Folder, Depth: e.Depth, Time: e.Time.UnixMicro(), Data: e.Data,
		}
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
	seqs, err := q.due(ctx, limit)
	if err != nil || len(seqs) == 0 {
		return nil, database.Translate(err, "events")
	}
	var rows []eventRow
	if err := q.db.Read().WithContext(ctx).Where("seq IN ?", seqs).Order("seq").Find(&rows).Error; err != nil {
		return nil, database.Translate(err, "events")
	}
	entries := make([]outbox.Entry, len(rows))
	for i := range rows {
		if entries[i], err = rows[i].entry(); err != nil {
			return nil, err
		}
	}
	return entries, nil
}

// maxBytes bounds the data of the entries that are taken at once; one may have more.
const maxBytes = 8 << 20

// due returns the entries to take: those that were never postponed, and some of those that were,
// so that neither keeps the other waiting.
func (q *Queue) due(ctx context.Context, limit int) ([]int64, error) {
	const columns = "SELECT seq, length(data) AS size FROM event_outbox "
	var fresh, again []struct{ Seq, Size int64 }
	db := q.db.Read().WithContext(ctx)
	if err := db.Raw(columns+"WHERE due_at = 0 ORDER BY seq LIMIT ?", limit).Scan(&fresh).Error; err != nil {
		return nil, err
	}
	now := time.Now().UnixMicro()
	if err := db.Raw(columns+"WHERE due_at > 0 AND due_at <= ? ORDER BY due_at LIMIT ?", now, max(limit/4, 1)).Scan(&again).Error; err != nil {
		return nil, err
	}
	var seqs []int64
	var size int64
	for _, row := range append(again, fresh...) {
		if size += row.Size; len(seqs) == limit || len(seqs) > 0 && size > maxBytes {
			break
		}
		seqs = append(seqs, row.Seq)
	}
	return seqs, nil
}

func (r *eventRow) entry() (outbox.Entry, error) {
	e := outbox.Entry{Seq: r.Seq, Attempts: r.Attempts, Event: outbox.Event{
		Source: r.Source, Type: r.Type, Subject: r.Subject, Folder: r.Folder, Depth: r.Depth, Time: time.UnixMicro(r.Time).UTC(), Data: r.Data,
	}}
	if len(r.ID) != len(e.ID) {
		return e, fmt.Errorf("event %d has an id of %d bytes", r.Seq, len(r.ID))
	}
	e.ID = [16]byte(r.ID)
	if r.LeftTo != nil {
		if err := json.Unmarshal(r.LeftTo, &e.Left); err != nil {
			return e, fmt.Errorf("event %d: what is left of it: %w", r.Seq, err)
		}
	}
	return e, nil
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
func (q *Queue) Remove(ctx context.Context, seqs []int64) error {
	if len(seqs) == 0 {
		return nil
	}
	err := q.db.Write().WithContext(ctx).Exec("DELETE FROM event_outbox WHERE seq IN ?", seqs).Error
	return database.Translate(err, "events")
}

// Postpone implements outbox.Queue.
func (q *Queue) Postpone(ctx context.Context, seq int64, pause time.Duration, left []string) error {
	var text []byte
	if left != nil {
		text, _ = json.Marshal(left) // texts always have a JSON form
	}
	err := q.db.Write().WithContext(ctx).Exec("UPDATE event_outbox SET due_at = ?, attempts = attempts + 1, left_to = ? WHERE seq = ?",
		time.Now().Add(pause).UnixMicro(), text, seq).Error
	return database.Translate(err, "events")
}

// Next implements outbox.Queue.
func (q *Queue) Next(ctx context.Context) (pause time.Duration, ok bool, err error) {
	var due []int64
	err = q.db.Read().WithContext(ctx).Raw("SELECT due_at FROM event_outbox WHERE due_at > 0 ORDER BY due_at LIMIT 1").Scan(&due).Error
	if err != nil || len(due) == 0 {
		return 0, false, database.Translate(err, "events")
	}
	return time.Until(time.UnixMicro(due[0])), true, nil
}

// Release implements outbox.Queue.
func (q *Queue) Release(ctx context.Context, holder string) error {
	if !q.Shared() {
		return nil
	}
	err := q.db.Write().WithContext(ctx).Exec("DELETE FROM event_lease WHERE holder = ?", holder).Error
	return database.Translate(err, "events")
}
