package sqlstore

import (
	"database/sql/driver"
	"fmt"
	"slices"

	"github.com/jackc/pgx/v5"

	"keyflow/engine/runs"
)

// gatherOwner notes whose beat a takeover needs to know.
func (b *batch) gatherOwner(c *runs.Claim) {
	if c.TakeoverFrom != nil && !slices.Contains(b.silent, *c.TakeoverFrom) {
		b.silent = append(b.silent, *c.TakeoverFrom)
	}
}

// isBack reports whether the process that the claim wants to take from has beaten since it was
// found silent: a claim can have waited for its turn.
func (b *batch) isBack(c *runs.Claim) bool {
	return c.TakeoverFrom != nil && b.beats[*c.TakeoverFrom] != c.Beat
}

// beat notes the last beat of an owner.
func (b *batch) beat(owner []byte, number int64) {
	if b.beats == nil {
		b.beats = make(map[runs.OwnerID]int64, len(b.silent))
	}
	b.beats[runs.OwnerID(owner)] = number
}

// readOwners needs no lock: a beat waits for the writing connection.
func (w *sqliteWriter) readOwners(b *batch) error {
	for _, owner := range b.silent {
		err := w.query(func(row []driver.Value) { b.beat(owner[:], row[0].(int64)) },
			"SELECT beat_at FROM owners WHERE id = ?", owner[:])
		if err != nil {
			return fmt.Errorf("read owners: %w", err)
		}
	}
	return nil
}

// queueOwners locks the rows of the owners, so that a beat is stored either before the takeover,
// which then sees it, or after, and the process that sent it finds its runs taken. The lock is
// shared: takeovers of other processes do not wait. Beats and leaves lock nothing else.
func queueOwners(q *pgx.Batch, b *batch) {
	if len(b.silent) == 0 {
		return
	}
	// No condition on the beat: a row that does not meet it would not be locked.
	const query = "SELECT id, beat_at FROM owners WHERE id = ANY($1::bytea[]) ORDER BY id FOR SHARE"
	q.Queue(query, column(b.silent, func(id runs.OwnerID) []byte { return id[:] })).Query(func(rows pgx.Rows) error {
		var id []byte
		var number int64
		_, err := pgx.ForEachRow(rows, []any{&id, &number}, func() error {
			b.beat(id, number)
			return nil
		})
		return wrap("lock owners", err)
	})
}
