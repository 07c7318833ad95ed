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

// beats reports whether the process that the claim wants to take from is alive: a claim can have
// waited for its turn since somebody found the process silent.
func (b *batch) beats(c *runs.Claim) bool {
	if c.TakeoverFrom == nil || c.Silence == 0 {
		return false
	}
	age, ok := b.ages[*c.TakeoverFrom]
	return ok && age < c.Silence.Microseconds()
}

// beat notes how old the last beat of an owner is.
func (b *batch) beat(owner []byte, age int64) {
	if b.ages == nil {
		b.ages = make(map[runs.OwnerID]int64, len(b.silent))
	}
	b.ages[runs.OwnerID(owner)] = age
}

// readOwners needs no lock: a beat waits for the writing connection.
func (w *sqliteWriter) readOwners(b *batch) error {
	for _, owner := range b.silent {
		err := w.query(func(row []driver.Value) { b.beat(owner[:], row[0].(int64)) },
			"SELECT "+sqliteNow+" - beat_at FROM owners WHERE id = ?", owner[:])
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
	// No condition on the age: a row that does not meet it would not be locked.
	const query = "SELECT id, " + postgresNow + " - beat_at FROM owners WHERE id = ANY($1::bytea[]) ORDER BY id FOR SHARE"
	q.Queue(query, column(b.silent, func(id runs.OwnerID) []byte { return id[:] })).Query(func(rows pgx.Rows) error {
		var id []byte
		var age int64
		_, err := pgx.ForEachRow(rows, []any{&id, &age}, func() error {
			b.beat(id, age)
			return nil
		})
		return wrap("lock owners", err)
	})
}
