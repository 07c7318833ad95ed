package sqlstore

import (
	"fmt"

	"github.com/jackc/pgx/v5"

	"keyflow/internal/outbox"
)

// OnEvents has notify called after each transaction that has put events into the outbox.
func (s *Store) OnEvents(notify func()) { s.notify = notify }

// tell makes the stored events of a batch known.
func (s *Store) tell(b *batch) {
	if len(b.events) > 0 && s.notify != nil {
		s.notify()
	}
}

// An event that was stored before, by a commit whose answer was lost, stays as it is.
const (
	eventColumns  = "id, source, type, subject, folder, depth, time, data"
	eventConflict = " ON CONFLICT (id) DO NOTHING"
)

func (w *sqliteWriter) insertEvents(b *batch) error {
	for i := range b.events {
		e := &b.events[i]
		err := w.exec("INSERT INTO event_outbox ("+eventColumns+") VALUES (?, ?, ?, ?, ?, ?, ?, ?)"+eventConflict,
			e.ID[:], e.Source, e.Type, e.Subject, e.Folder, int64(e.Depth), e.Time.UnixMicro(), []byte(e.Data))
		if err != nil {
			return fmt.Errorf("store event: %w", err)
		}
	}
	return nil
}

func queueEvents(q *pgx.Batch, b *batch) {
	if len(b.events) == 0 {
		return
	}
	rows := b.events
	q.Queue("INSERT INTO event_outbox ("+eventColumns+`)
		SELECT * FROM unnest($1::bytea[], $2::text[], $3::text[], $4::text[], $5::text[], $6::smallint[], $7::bigint[], $8::bytea[])`+eventConflict,
		column(rows, func(e outbox.Event) []byte { return e.ID[:] }),
		column(rows, func(e outbox.Event) string { return e.Source }),
		column(rows, func(e outbox.Event) string { return e.Type }),
		column(rows, func(e outbox.Event) string { return e.Subject }),
		column(rows, func(e outbox.Event) string { return e.Folder }),
		column(rows, func(e outbox.Event) int16 { return int16(e.Depth) }), // at most MaxDepth + 1
		column(rows, func(e outbox.Event) int64 { return e.Time.UnixMicro() }),
		column(rows, func(e outbox.Event) []byte { return e.Data }))
}
