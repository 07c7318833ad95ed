package retention

import (
	"context"
	"strings"

	"gorm.io/gorm"

	"keyflow/engine/runs"
	"keyflow/engine/sqlstore/record"
	"keyflow/internal/database"
	"keyflow/internal/fault"
)

// A transaction that deletes is bounded by rows and by bytes, so that no run waits longer for
// SQLite's single writer than it waits for a batch of the journal.
const (
	portionRows  = 250
	portionBytes = 4 << 20
	portionRuns  = 50 // cleared in one transaction
)

// Deleter deletes runs that have ended, with everything that belongs to them. The rows of a run
// that many rows refer to go in several transactions: first the run itself, with a note of what
// is left in deleted_runs, then the rest, portion by portion.
type Deleter struct{ db *database.DB }

// NewDeleter returns a deleter of the runs in db.
func NewDeleter(db *database.DB) *Deleter { return &Deleter{db: db} }

// Delete deletes one run. Its dedupe key stays until it expires. Errors: NotFound, and Conflict
// for a run that has not ended.
func (d *Deleter) Delete(ctx context.Context, id runs.ID) error {
	deleted, err := d.deleteRuns(ctx, [][]byte{id[:]}, lockAll)
	if err == nil && deleted == 0 {
		err = d.notDeleted(ctx, id)
	}
	for more := true; err == nil && more; {
		more, err = d.clear(ctx, &id)
	}
	return database.Translate(err, "run "+id.String())
}

// notDeleted is the reason why a run was not deleted.
func (d *Deleter) notDeleted(ctx context.Context, id runs.ID) error {
	var stored int
	if err := d.db.Read().WithContext(ctx).Raw("SELECT count(*) FROM runs WHERE id = ?", id[:]).Scan(&stored).Error; err != nil {
		return err
	}
	if stored == 0 {
		return fault.New(fault.NotFound, "run %s does not exist", id)
	}
	return fault.New(fault.Conflict, "run %s has not ended: cancel it first", id)
}

// locking says what a transaction does about rows that another one has locked. SQLite has one
// writer, so its statements lock nothing.
type locking string

const (
	lockAll    locking = " FOR UPDATE"
	skipLocked locking = " FOR UPDATE SKIP LOCKED"
)

func (d *Deleter) clause(l locking) string {
	if d.db.Dialect() == database.SQLite {
		return ""
	}
	return string(l)
}

// finalStatuses are the numbers of the statuses of runs that have ended.
func finalStatuses() []int { return []int{record.RunSucceeded, record.RunFailed, record.RunCanceled} }

// deleteRuns deletes those of the runs that have ended, and records in deleted_runs that their
// other rows must be deleted too. It returns how many runs it deleted.
func (d *Deleter) deleteRuns(ctx context.Context, ids [][]byte, l locking) (n int, err error) {
	err = d.db.Tx(ctx, func(tx *gorm.DB) error {
		var found [][]byte
		err := tx.Raw("SELECT id FROM runs WHERE id IN ? AND status IN ? ORDER BY id"+d.clause(l), ids, finalStatuses()).Scan(&found).Error
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

// clear deletes a portion of the rows that deleted runs have left, or one of them, and reports
// whether there may be more.
func (d *Deleter) clear(ctx context.Context, only *runs.ID) (more bool, err error) {
	err = d.db.Tx(ctx, func(tx *gorm.DB) error {
		var ids [][]byte
		find := tx.Raw("SELECT run FROM deleted_runs ORDER BY run LIMIT ?"+d.clause(skipLocked), portionRuns)
		if only != nil {
			find = tx.Raw("SELECT run FROM deleted_runs WHERE run = ?"+d.clause(lockAll), only[:])
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
	size  string // roughly how many bytes a row frees
}

// delete deletes rows of the runs, in the order of the key, until the portion is full. all reports
// that no row is left.
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
