package sqlstore

import (
	"bytes"
	"context"
	"slices"
	"strings"
	"time"

	"keyflow/internal/database"
)

// Keep says how long runs are kept that have ended. A run goes when either bound says so.
type Keep struct {
	For  time.Duration // since its end; 0: for ever
	Runs int           // the newest of each workflow; 0: all
}

const (
	pruneRuns      = 100 // looked at, and deleted, at once
	pruneWorkflows = 50  // looked at at once
	// renewEvery is how often everything is looked at again: runs that went on when their turn
	// came, and workflows in which nothing was started since.
	renewEvery = time.Hour
	// slowLook is a look at one workflow that is too dear to be made at every new run: it has
	// very many runs that wait.
	slowLook = 250 * time.Millisecond
)

// Pruner deletes the runs that are not kept any more. What it does in one call is bounded,
// whatever is stored. It remembers where it was, so one goroutine has one; any number of
// processes may.
//
// There is no index by end, because every run would pay for it: a run that ended before some
// time was created before it, so the ids, which sort by creation, are walked once, and again at
// every renewal for those that had not ended.
type Pruner struct {
	store *Store
	keep  Keep

	renewed  time.Time
	after    []byte           // the ids up to here were looked at for their age
	workflow string           // the workflows up to here were looked at for their number
	counted  bool             // so were all
	newest   map[int64][]byte // the newest run of an origin when its workflow was looked at
	dear     map[string]bool  // workflows at which to look only at a renewal
}

// NewPruner returns a pruner that begins with the oldest run.
func (s *Store) NewPruner(k Keep) *Pruner { return &Pruner{store: s, keep: k} }

// Begin lets the next calls of Prune look for what may go since the last ones.
func (p *Pruner) Begin(now time.Time) {
	p.workflow, p.counted = "", p.keep.Runs == 0
	if now.Sub(p.renewed) >= renewEvery {
		p.renewed, p.after, p.newest, p.dear = now, []byte{}, map[int64][]byte{}, map[string]bool{}
	}
}

// Prune deletes a portion. runs is how many went with it; more is false when there is nothing
// to do until the next Begin.
func (p *Pruner) Prune(ctx context.Context, now time.Time) (runs int, more bool, err error) {
	if more, err = p.store.clearSome(ctx); more || err != nil {
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
	runs, err = p.store.deleteRuns(ctx, ids, leave)
	return runs, true, database.Translate(err, "runs")
}

// clearSome asks the readers first, so that the writer is left alone when nothing was deleted.
func (s *Store) clearSome(ctx context.Context) (bool, error) {
	var found int64
	err := s.db.Read().WithContext(ctx).Raw("SELECT count(*) FROM (SELECT 1 FROM deleted_runs LIMIT 1) t").Scan(&found).Error
	if err != nil || found == 0 {
		return false, err
	}
	return s.clear(ctx, nil)
}

// aged returns the runs among the next ids that ended at a time or before.
func (p *Pruner) aged(ctx context.Context, before time.Time) (ids [][]byte, more bool, err error) {
	var rows []struct {
		ID   []byte
		Gone int
	}
	err = p.store.db.Read().WithContext(ctx).Raw(`SELECT id, CASE WHEN status IN (4, 5, 6) AND COALESCE(finished_at, created_at) <= ? THEN 1 ELSE 0 END AS gone
		FROM runs WHERE id > ? AND id < ? ORDER BY id LIMIT ?`, before.UnixMicro(), p.after, firstID(before.UnixMilli()+1), pruneRuns).Scan(&rows).Error
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

// origin is one of those of a workflow, with its newest run.
type origin struct {
	Workflow string
	Origin   int64
	Newest   []byte
}

// surplus returns runs of the next workflows that have ended and of which there are enough newer ones.
func (p *Pruner) surplus(ctx context.Context) (ids [][]byte, err error) {
	var rows []origin
	err = p.store.db.Read().WithContext(ctx).Raw(`SELECT o.workflow, o.id AS origin, (SELECT r.id FROM runs r WHERE r.origin = o.id ORDER BY r.id DESC LIMIT 1) AS newest
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

// surplusOf looks at one workflow, if it is worth it.
func (p *Pruner) surplusOf(ctx context.Context, origins []origin) (ids [][]byte, err error) {
	workflow := origins[0].Workflow
	if p.dear[workflow] {
		return nil, nil
	}
	if worth, err := p.worth(ctx, origins); err != nil || !worth {
		return nil, err
	}
	began := time.Now()
	if ids, err = p.beyond(ctx, origins); err != nil || len(ids) == pruneRuns {
		return ids, err // there may be more
	}
	p.dear[workflow] = time.Since(began) > slowLook
	for _, o := range origins {
		p.newest[o.Origin] = o.Newest
	}
	return ids, nil
}

// worth reports whether a workflow was not looked at since the renewal, or has a quarter more
// runs since: a look walks past all runs that are kept.
func (p *Pruner) worth(ctx context.Context, origins []origin) (bool, error) {
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
		err := p.store.db.Read().WithContext(ctx).Raw("SELECT count(*) FROM (SELECT 1 FROM runs WHERE origin = ? AND id > ? LIMIT ?) t", o.Origin, before, least).Scan(&n).Error
		if more += n; err != nil || more >= least {
			return true, err
		}
	}
	return false, nil
}

// beyond returns the newest ended runs of a workflow behind those that are kept.
func (p *Pruner) beyond(ctx context.Context, origins []origin) (ids [][]byte, err error) {
	if len(origins) <= originsAtOnce {
		return p.ended(ctx, origins, pruneRuns, p.keep.Runs)
	}
	for some := range slices.Chunk(origins, originsAtOnce) {
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

// ended returns so many ended runs of the origins, newest first, without the first offset ones.
func (p *Pruner) ended(ctx context.Context, origins []origin, limit, offset int) (ids [][]byte, err error) {
	parts := make([]string, len(origins))
	var args []any
	for i, o := range origins {
		parts[i] = "SELECT id FROM (SELECT r.id FROM runs r WHERE r.origin = ? AND r.status IN (4, 5, 6) ORDER BY r.id DESC LIMIT ?) t"
		args = append(args, o.Origin, limit+offset)
	}
	query := "SELECT id FROM (" + strings.Join(parts, " UNION ALL ") + ") t ORDER BY id DESC LIMIT ? OFFSET ?"
	return ids, p.store.db.Read().WithContext(ctx).Raw(query, append(args, limit, offset)...).Scan(&ids).Error
}
