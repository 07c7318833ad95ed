// Package retention deletes what is not kept: runs beyond the configured age and number, single
// runs on request, and expired dedupe keys. It never deletes a run that has not ended.
package retention

import (
	"bytes"
	"context"
	"slices"
	"strings"
	"time"

	"gorm.io/gorm"

	"keyflow/engine/sqlstore/record"
	"keyflow/internal/database"
)

// Keep bounds how long runs are kept that have ended. A run beyond either bound is deleted.
type Keep struct {
	For  time.Duration // since its end; 0: no bound
	Runs int           // the newest of each workflow; 0: all
}

const (
	pruneRuns       = 100 // checked, and deleted, at once
	pruneWorkflows  = 50  // checked at once
	originsPerQuery = 64
	// restartEvery is how often the scan starts again from the oldest run: for runs that had not
	// ended when they were checked, and for workflows without new runs.
	restartEvery = time.Hour
	// slowCheck is how long the check of one workflow may take to be made after every new run.
	// A workflow with very many waiting runs takes longer.
	slowCheck = 250 * time.Millisecond
)

// Pruner deletes the runs and dedupe keys that are not kept any longer. The work of one call is
// bounded, whatever is stored. A pruner remembers its position, so only one goroutine may use
// it; any number of processes may have one.
//
// There is no index by end, because every run would pay for it. A run that ended before some time
// was created before that time, and ids sort by creation: the pruner scans them once, and again
// whenever it restarts, for the runs that had not ended.
type Pruner struct {
	deleter *Deleter
	keep    Keep

	restarted time.Time        // when the scan of all runs last began
	after     []byte           // the ids up to here have been checked for their age
	workflow  string           // the workflows up to here have been checked for their number
	counted   bool             // all workflows have been
	newest    map[int64][]byte // the newest run of an origin when its workflow was checked
	expensive map[string]bool  // workflows to check only when the scan restarts
}

// NewPruner returns a pruner of the runs in db, which begins with the oldest run.
func NewPruner(db *database.DB, k Keep) *Pruner { return &Pruner{deleter: NewDeleter(db), keep: k} }

// read is a handle for queries.
func (p *Pruner) read(ctx context.Context) *gorm.DB { return p.deleter.db.Read().WithContext(ctx) }

// Begin makes the next calls of Prune look for runs that may be deleted since the last ones.
func (p *Pruner) Begin(now time.Time) {
	p.workflow, p.counted = "", p.keep.Runs == 0
	if now.Sub(p.restarted) >= restartEvery {
		p.restarted, p.after, p.newest, p.expensive = now, []byte{}, map[int64][]byte{}, map[string]bool{}
	}
}

// Prune deletes a portion. runs is how many runs it deleted; more is false when there is nothing
// to do until the next Begin.
func (p *Pruner) Prune(ctx context.Context, now time.Time) (runs int, more bool, err error) {
	if more, err = p.clearSome(ctx); more || err != nil {
		return 0, more, database.Translate(err, "deleted runs")
	}
	var ids [][]byte
	if p.keep.For > 0 {
		if ids, more, err = p.aged(ctx, now.Add(-p.keep.For)); err != nil {
			return 0, false, database.Translate(err, "old runs")
		}
	}
	if !more && !p.counted {
		more = true
		if ids, err = p.surplus(ctx); err != nil {
			return 0, false, database.Translate(err, "runs beyond those to keep")
		}
	}
	if len(ids) == 0 {
		return 0, more, nil
	}
	runs, err = p.deleter.deleteRuns(ctx, ids, skipLocked)
	return runs, true, database.Translate(err, "runs")
}

// clearSome deletes a portion of what deleted runs have left. It reads first, so that it takes the
// writing connection only when there is something to delete.
func (p *Pruner) clearSome(ctx context.Context) (bool, error) {
	var found int64
	err := p.read(ctx).Raw("SELECT count(*) FROM (SELECT 1 FROM deleted_runs LIMIT 1) t").Scan(&found).Error
	if err != nil || found == 0 {
		return false, err
	}
	return p.deleter.clear(ctx, nil)
}

// aged returns the runs among the next ids that ended at a time or before.
func (p *Pruner) aged(ctx context.Context, before time.Time) (ids [][]byte, more bool, err error) {
	var rows []struct {
		ID   []byte
		Gone int
	}
	err = p.read(ctx).Raw(`SELECT id, CASE WHEN status IN (4, 5, 6) AND COALESCE(finished_at, created_at) <= ? THEN 1 ELSE 0 END AS gone
		FROM runs WHERE id > ? AND id < ? ORDER BY id LIMIT ?`, before.UnixMicro(), p.after, record.FirstID(before.UnixMilli()+1), pruneRuns).Scan(&rows).Error
	if err != nil || len(rows) == 0 {
		return nil, false, err
	}
	p.after = rows[len(rows)-1].ID
	for _, row := range rows {
		if row.Gone == 1 {
			ids = append(ids, row.ID)
		}
	}
	return ids, len(rows) == pruneRuns || len(ids) > 0, nil
}

// origin is an origin of a workflow, with its newest run.
type origin struct {
	Workflow string
	Origin   int64
	Newest   []byte
}

// surplus returns ended runs of the next workflows that have enough newer ones.
func (p *Pruner) surplus(ctx context.Context) (ids [][]byte, err error) {
	var rows []origin
	err = p.read(ctx).Raw(`SELECT o.workflow, o.id AS origin, (SELECT r.id FROM runs r WHERE r.origin = o.id ORDER BY r.id DESC LIMIT 1) AS newest
		FROM origins o WHERE o.workflow IN (SELECT DISTINCT workflow FROM origins WHERE workflow > ? ORDER BY workflow LIMIT ?)
		ORDER BY o.workflow, o.id`, p.workflow, pruneWorkflows).Scan(&rows).Error
	p.counted = err == nil && len(rows) == 0
	for err == nil && len(rows) > 0 && len(ids) == 0 {
		n := slices.IndexFunc(rows, func(o origin) bool { return o.Workflow != rows[0].Workflow })
		if n < 0 {
			n = len(rows)
		}
		ids, err = p.surplusOf(ctx, rows[:n])
		if len(ids) < pruneRuns {
			p.workflow = rows[0].Workflow
		}
		rows = rows[n:]
	}
	return ids, err
}

// surplusOf checks one workflow, if it has enough new runs.
func (p *Pruner) surplusOf(ctx context.Context, origins []origin) (ids [][]byte, err error) {
	workflow := origins[0].Workflow
	if p.expensive[workflow] {
		return nil, nil
	}
	if grown, err := p.grown(ctx, origins); err != nil || !grown {
		return nil, err
	}
	began := time.Now()
	if ids, err = p.beyond(ctx, origins); err != nil || len(ids) == pruneRuns {
		return ids, err // there may be more
	}
	p.expensive[workflow] = time.Since(began) > slowCheck
	for _, o := range origins {
		p.newest[o.Origin] = o.Newest
	}
	return ids, nil
}

// grown reports whether a workflow has not been checked since the scan restarted, or has a
// quarter more runs since: a check reads past all runs that are kept.
func (p *Pruner) grown(ctx context.Context, origins []origin) (bool, error) {
	least, more := max(p.keep.Runs/4, 1), 0
	for _, o := range origins {
		before, known := p.newest[o.Origin]
		switch {
		case o.Newest == nil || known && bytes.Equal(before, o.Newest):
			continue
		case !known:
			return true, nil
		}
		if before == nil {
			before = []byte{}
		}
		var n int
		err := p.read(ctx).Raw("SELECT count(*) FROM (SELECT 1 FROM runs WHERE origin = ? AND id > ? LIMIT ?) t", o.Origin, before, least).Scan(&n).Error
		if more += n; err != nil || more >= least {
			return true, err
		}
	}
	return false, nil
}

// beyond returns the newest ended runs of a workflow after those that are kept.
func (p *Pruner) beyond(ctx context.Context, origins []origin) (ids [][]byte, err error) {
	if len(origins) <= originsPerQuery {
		return p.ended(ctx, origins, pruneRuns, p.keep.Runs)
	}
	for some := range slices.Chunk(origins, originsPerQuery) {
		more, err := p.ended(ctx, some, p.keep.Runs+pruneRuns, 0)
		if err != nil {
			return nil, err
		}
		ids = append(ids, more...)
		slices.SortFunc(ids, func(x, y []byte) int { return bytes.Compare(y, x) })
		ids = ids[:min(len(ids), p.keep.Runs+pruneRuns)]
	}
	return ids[min(len(ids), p.keep.Runs):], nil
}

// ended returns at most limit ended runs of the origins, newest first, after the first offset ones.
func (p *Pruner) ended(ctx context.Context, origins []origin, limit, offset int) (ids [][]byte, err error) {
	parts := make([]string, len(origins))
	var args []any
	for i, o := range origins {
		parts[i] = "SELECT id FROM (SELECT r.id FROM runs r WHERE r.origin = ? AND r.status IN (4, 5, 6) ORDER BY r.id DESC LIMIT ?) t"
		args = append(args, o.Origin, limit+offset)
	}
	query := "SELECT id FROM (" + strings.Join(parts, " UNION ALL ") + ") t ORDER BY id DESC LIMIT ? OFFSET ?"
	return ids, p.read(ctx).Raw(query, append(args, limit, offset)...).Scan(&ids).Error
}

// PruneDedupe deletes dedupe keys that expired at now or before, at most limit of them, and
// returns how many. A key that a new start reserves at
// the same time stays.
func (p *Pruner) PruneDedupe(ctx context.Context, now time.Time, limit int) (int, error) {
	done := p.deleter.db.Write().WithContext(ctx).Exec(`DELETE FROM dedupe WHERE expires_at <= ? AND hash IN
		(SELECT hash FROM dedupe WHERE expires_at <= ? ORDER BY expires_at LIMIT ?)`, now.UnixMicro(), now.UnixMicro(), limit)
	return int(done.RowsAffected), database.Translate(done.Error, "dedupe keys")
}
