package sqlstore

import (
	"context"
	"strings"

	"gorm.io/gorm"

	"keyflow/engine/runs"
	"keyflow/internal/database"
	"keyflow/internal/fault"
)

// A transaction that deletes is bounded by rows and by bytes, so that no run waits for the one
// writer of SQLite longer than for a batch of the journal.
const (
	portionRows  = 250
	portionBytes = 4 << 20
	portionRuns  = 50 // that are cleared side by side
)

// Delete implements engine.Store. The dedupe key of the run stays until it expires.
func (s *Store) Delete(ctx context.Context, id runs.ID) error {
	gone, err := s.deleteRuns(ctx, [][]byte{id[:]}, wait)
	if err == nil && gone == 0 {
		if _, err = s.Run(ctx, id); err == nil {
			err = fault.New(fault.Conflict, "run %s has not ended: cancel it first", id)
		} else if fault.Is(err, fault.NotFound) {
			err = missing(id)
		}
	}
	for more := true; err == nil && more; {
		more, err = s.clear(ctx, &id)
	}
	return database.Translate(err, "run "+id.String())
}

// locking says what a transaction does about rows that another one has locked; on SQLite there
// is only one.
type locking string

const (
	wait  locking = " FOR UPDATE"
	leave locking = " FOR UPDATE SKIP LOCKED"
)

func (s *Store) locked(l locking) string {
	if s.db.Dialect() == database.SQLite {
		return ""
	}
	return string(l)
}

// ended are the numbers of the final statuses.
var ended = []int{runSucceeded, runFailed, runCanceled}

// deleteRuns deletes those of the runs that have ended, and notes that what belongs to them is
// to be deleted, too. It returns how many they were.
func (s *Store) deleteRuns(ctx context.Context, ids [][]byte, l locking) (n int, err error) {
	err = s.db.Tx(ctx, func(tx *gorm.DB) error {
		var found [][]byte
		err := tx.Raw("SELECT id FROM runs WHERE id IN ? AND status IN ? ORDER BY id"+s.locked(l), ids, ended).Scan(&found).Error
		if n = len(found); err != nil || n == 0 {
			return err
		}
		// The space keeps gorm from reading an id, behind a parenthesis, as a list of numbers.
		values := strings.TrimSuffix(strings.Repeat("( ?), ", n), ", ")
		args := make([]any, n)
		for i := range found {
			args[i] = found[i]
		}
		if err := tx.Exec("INSERT INTO deleted_runs (run) VALUES "+values+" ON CONFLICT DO NOTHING", args...).Error; err != nil {
			return err
		}
		return tx.Exec("DELETE FROM runs WHERE id IN ?", found).Error
	})
	return n, err
}

// clear deletes a portion of what is left of deleted runs, or of one of them, and reports
// whether there may be more.
func (s *Store) clear(ctx context.Context, only *runs.ID) (more bool, err error) {
	err = s.db.Tx(ctx, func(tx *gorm.DB) error {
		var ids [][]byte
		find := tx.Raw("SELECT run FROM deleted_runs ORDER BY run LIMIT ?"+s.locked(leave), portionRuns)
		if only != nil {
			find = tx.Raw("SELECT run FROM deleted_runs WHERE run = ?"+s.locked(wait), only[:])
		}
		if err := find.Scan(&ids).Error; err != nil || len(ids) == 0 {
			return err
		}
		more = true
		for _, of := range []belongings{{"blobs", "hash", "length(data)"}, {"steps", "node, idx", "COALESCE(length(output), 0) + COALESCE(length(detail), 0)"}} {
			if all, err := of.delete(tx, ids); err != nil || !all {
				return err
			}
		}
		for _, table := range []string{"signals", "answers", "deleted_runs"} {
			if err := tx.Exec("DELETE FROM "+table+" WHERE run IN ?", ids).Error; err != nil {
				return err
			}
		}
		return nil
	})
	return more, err
}

// belongings is a table with many rows for each run.
type belongings struct {
	table string
	keys  string // the columns of its primary key behind run
	size  string // what a row has to be freed, near enough
}

// delete deletes rows of the runs, in the order of the key, until the portion is full. all says
// that none is left.
func (of belongings) delete(tx *gorm.DB, ids [][]byte) (all bool, err error) {
	columns := "run, " + of.keys
	var rows []map[string]any
	err = tx.Raw("SELECT "+columns+", "+of.size+" AS size FROM "+of.table+" WHERE run IN ? ORDER BY "+columns+" LIMIT ?", ids, portionRows).Scan(&rows).Error
	if err != nil || len(rows) == 0 {
		return err == nil, err
	}
	n, size := 0, 0
	for n < len(rows) && size <= portionBytes {
		size += sizeOf(rows[n]["size"])
		n++
	}
	if n == len(rows) && n < portionRows {
		return true, tx.Exec("DELETE FROM "+of.table+" WHERE run IN ?", ids).Error
	}
	args := []any{ids}
	for key := range strings.SplitSeq(columns, ", ") {
		args = append(args, rows[n-1][key])
	}
	upTo := "(" + columns + ") <= ( " + strings.TrimSuffix(strings.Repeat("?, ", len(args)-1), ", ") + ")"
	return false, tx.Exec("DELETE FROM "+of.table+" WHERE run IN ? AND "+upTo, args...).Error
}

// sizeOf reads a number as the driver of the database gives it.
func sizeOf(v any) int {
	switch v := v.(type) {
	case int64:
		return int(v)
	case int32:
		return int(v)
	default:
		return 0
	}
}
