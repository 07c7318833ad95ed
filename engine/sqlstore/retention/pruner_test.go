package retention_test

import (
	"bytes"
	"encoding/json"
	"math/rand/v2"
	"strconv"
	"sync"
	"testing"
	"time"

	"github.com/google/uuid"

	"keyflow/engine/runs"
	"keyflow/engine/sqlstore"
	"keyflow/engine/sqlstore/retention"
	"keyflow/internal/database"
	"keyflow/internal/database/databasetest"
	"keyflow/workflows"
)

// archive is a store with runs that have ended, one a second.
type archive struct {
	*testing.T
	db    *database.DB
	store *sqlstore.Store
	start time.Time
	runs  int
	added []runs.Entry // stored by the next commit
}

func eachArchive(t *testing.T, test func(a *archive)) {
	t.Helper()
	databasetest.Each(t, func(t *testing.T, open func() *database.DB) {
		t.Helper()
		db := open()
		store, err := sqlstore.New(db)
		if err != nil {
			t.Fatal(err)
		}
		test(&archive{T: t, db: db, store: store, start: time.Date(2026, 8, 1, 0, 0, 0, 0, time.UTC)})
	})
}

// add makes a run with the given status, which began a second after the previous one and took no
// time.
func (a *archive) add(workflow workflows.ID, trigger string, status runs.Status, steps ...runs.Step) runs.ID {
	a.Helper()
	at := a.start.Add(time.Duration(a.runs) * time.Second)
	a.runs++
	ms := uint64(at.UnixMilli())
	id := runs.ID{6: 0x70, 8: 0x80, 14: byte(a.runs >> 8), 15: byte(a.runs)}
	for i := range 6 {
		id[i] = byte(ms >> (40 - 8*i))
	}
	run := runs.Run{ID: id, Workflow: workflow, Version: 1, Status: status, CreatedAt: at, StartedAt: &at, Trigger: runs.TriggerRef{ID: trigger, Type: "cron", FiredAt: at}}
	if status.Final() {
		run.FinishedAt = &at
	}
	key := &runs.DedupeKey{Kind: "k", Trigger: trigger, Key: id.String(), ExpiresAt: at.Add(365 * 24 * time.Hour)}
	a.added = append(a.added, runs.Entry{Create: &runs.NewRun{Run: run, Steps: steps, Dedupe: key}})
	return id
}

// commit stores entries, after the runs that were added.
func (a *archive) commit(entries ...runs.Entry) {
	a.Helper()
	entries = append(a.added, entries...)
	a.added = nil
	out, err := a.store.Commit(a.Context(), entries, a.start)
	if err != nil {
		a.Fatal(err)
	}
	for _, o := range out {
		if o.Err != nil {
			a.Fatal(o.Err)
		}
	}
}

// prune calls a pruner until it has nothing more to do, and returns how many runs it deleted in how
// many portions.
func (a *archive) prune(p *retention.Pruner, now time.Time) (runs, portions int) {
	a.Helper()
	if len(a.added) > 0 {
		a.commit()
	}
	p.Begin(now)
	for more := true; more; portions++ {
		var n int
		var err error
		if n, more, err = p.Prune(a.Context(), now); err != nil {
			a.Fatal(err)
		}
		runs += n
	}
	return runs, portions
}

// rows counts the rows of a table.
func (a *archive) rows(table string) (n int) {
	a.Helper()
	if err := a.db.Read().Raw("SELECT count(*) FROM " + table).Scan(&n).Error; err != nil {
		a.Fatal(err)
	}
	return n
}

func (a *archive) wantRows(what string, want map[string]int) {
	a.Helper()
	for table, n := range want {
		if got := a.rows(table); got != n {
			a.Errorf("%s: %d rows in %s, want %d", what, got, table, n)
		}
	}
}

func step(index int, output []byte) runs.Step {
	at := time.Date(2026, 8, 1, 0, 0, 0, 0, time.UTC)
	return runs.Step{Node: "n", Index: index, Status: runs.StepSucceeded, StartedAt: &at, FinishedAt: &at, Output: output}
}

// noise is a JSON text that does not compress.
func noise(size int) []byte {
	raw := make([]byte, size/2)
	random := rand.NewChaCha8([32]byte{byte(size)})
	_, _ = random.Read(raw)
	text, _ := json.Marshal(raw)
	return text
}

// TestPruneByAge: runs that ended long ago are deleted with all their rows. An active run stays
// until it has ended for long enough. Keys that are valid stay.
func TestPruneByAge(t *testing.T) {
	t.Parallel()
	eachArchive(t, func(a *archive) {
		const old = 230
		for i := range old {
			a.add("a", "t", runs.Succeeded, step(runs.NoIndex, []byte(`1`)), step(0, noise(1000+i%20/19*40<<10)))
		}
		waiting := a.add("a", "t", runs.Waiting, step(0, nil))
		owner := runs.OwnerID{1}
		a.commit(runs.Entry{Signal: &runs.Signal{Run: waiting, Kind: "x", ID: uuid.New()}}, runs.Entry{Claim: &runs.Claim{Run: waiting, Owner: owner}})
		a.commit(runs.Entry{Progress: &runs.Progress{Run: waiting, Owner: owner, Fence: 1, Answer: &runs.Answer{Status: 200}}})
		a.start = a.start.Add(24 * time.Hour)
		a.add("a", "t", runs.Failed, step(0, nil))

		p := retention.NewPruner(a.db, retention.Keep{For: 12 * time.Hour})
		if n, _ := a.prune(p, a.start.Add(time.Hour)); n != old {
			t.Errorf("%d runs were pruned, want %d", n, old)
		}
		a.wantRows("kept", map[string]int{"runs": 2, "steps": 2, "blobs": 0, "signals": 1, "answers": 1, "deleted_runs": 0, "dedupe": old + 2})
		end := a.start.Add(time.Minute)
		a.commit(runs.Entry{Progress: &runs.Progress{Run: waiting, Owner: owner, Fence: 1, Set: &runs.Change{Status: runs.Canceled, FinishedAt: &end}}})
		if n, _ := a.prune(p, end.Add(12*time.Hour-time.Second)); n != 0 {
			t.Errorf("%d runs were pruned before their time", n)
		}
		if n, _ := a.prune(p, end.Add(14*time.Hour)); n != 2 {
			t.Errorf("%d runs were pruned after the restart, want 2", n)
		}
		a.wantRows("all", map[string]int{"runs": 0, "steps": 0, "blobs": 0, "signals": 0, "answers": 0, "deleted_runs": 0, "dedupe": old + 2})
	})
}

// TestPruneByNumber: the newest ended runs of each workflow stay, over all triggers; active runs do
// not count.
func TestPruneByNumber(t *testing.T) {
	t.Parallel()
	eachArchive(t, func(a *archive) {
		for i := range 230 {
			a.add("a", []string{"t", "u"}[i%2], runs.Succeeded)
			if i%10 == 0 {
				a.add("a", "t", runs.Waiting)
			}
		}
		a.add("b", "t", runs.Failed)
		a.add("b", "t", runs.Canceled)
		p := retention.NewPruner(a.db, retention.Keep{Runs: 3})
		if n, _ := a.prune(p, a.start); n != 227 {
			t.Errorf("%d runs were pruned, want 227", n)
		}
		left, err := a.store.Runs(t.Context(), runs.Filter{Workflow: "a", Status: runs.Succeeded})
		if err != nil || len(left) != 3 || left[0].CreatedAt.Sub(left[2].CreatedAt) != 2*time.Second {
			t.Errorf("left: %v, %v", left, err)
		}
		a.wantRows("kept", map[string]int{"runs": 3 + 23 + 2})
		if n, portions := a.prune(p, a.start); n != 0 || portions > 3 {
			t.Errorf("again: %d runs in %d portions", n, portions)
		}
		a.add("b", "u", runs.Succeeded)
		a.add("b", "t", runs.Succeeded)
		if n, _ := a.prune(p, a.start); n != 1 {
			t.Errorf("after new runs: %d were pruned, want 1", n)
		}
	})
}

// TestPruneManyOrigins: a workflow with very many triggers, as a sub-workflow has.
func TestPruneManyOrigins(t *testing.T) {
	t.Parallel()
	eachArchive(t, func(a *archive) {
		const origins, keep = 502, 70
		for i := range origins {
			a.add("a", "t"+strconv.Itoa(i*31%origins), runs.Succeeded)
		}
		p := retention.NewPruner(a.db, retention.Keep{Runs: keep})
		if n, _ := a.prune(p, a.start); n != origins-keep {
			t.Errorf("%d runs were pruned, want %d", n, origins-keep)
		}
		left, err := a.store.Runs(t.Context(), runs.Filter{Workflow: "a", Limit: 500})
		if err != nil || len(left) != keep || left[0].CreatedAt.Sub(left[keep-1].CreatedAt) != (keep-1)*time.Second {
			t.Errorf("left: %v, %v", left, err)
		}
	})
}

// TestPruneInPortions: a run of any size is deleted in portions, also if the process ended while it
// deleted the run.
func TestPruneInPortions(t *testing.T) {
	t.Parallel()
	eachArchive(t, func(a *archive) {
		steps := make([]runs.Step, 0, 1800)
		for i := range cap(steps) {
			steps = append(steps, step(i, []byte(`"small"`)))
		}
		for i := range 4 {
			steps[i].Output = noise(3<<20 + i)
		}
		run := a.add("a", "t", runs.Succeeded, steps...)
		other := a.add("a", "t", runs.Succeeded, step(0, []byte(`1`)))
		a.commit()
		if err := a.db.Write().Exec("INSERT INTO deleted_runs (run) VALUES ( ?)", run[:]).Error; err != nil {
			t.Fatal(err)
		}
		if err := a.db.Write().Exec("DELETE FROM runs WHERE id = ?", run[:]).Error; err != nil {
			t.Fatal(err)
		}
		_, portions := a.prune(retention.NewPruner(a.db, retention.Keep{}), a.start)
		if portions < 6 {
			t.Errorf("%d portions", portions)
		}
		a.wantRows("left", map[string]int{"runs": 1, "steps": 1, "blobs": 0, "deleted_runs": 0})
		if err := a.store.Delete(t.Context(), other); err != nil {
			t.Fatal(err)
		}
		a.wantRows("deleted", map[string]int{"runs": 0, "steps": 0, "deleted_runs": 0})
	})
}

// TestPruneSideBySide: several pruners delete each run once.
func TestPruneSideBySide(t *testing.T) {
	t.Parallel()
	eachArchive(t, func(a *archive) {
		const count = 330
		for range count {
			a.add("a", "t", runs.Succeeded, step(0, bytes.Repeat([]byte("1"), 600)))
		}
		a.commit()
		var mu sync.Mutex
		var all sync.WaitGroup
		total := 0
		for range 3 {
			all.Go(func() {
				n, _ := a.prune(retention.NewPruner(a.db, retention.Keep{For: time.Hour, Runs: 1}), a.start.Add(48*time.Hour))
				mu.Lock()
				defer mu.Unlock()
				total += n
			})
		}
		all.Wait()
		if total != count {
			t.Errorf("%d runs were pruned, want %d", total, count)
		}
		a.prune(retention.NewPruner(a.db, retention.Keep{}), a.start)
		a.wantRows("left", map[string]int{"runs": 0, "steps": 0, "deleted_runs": 0})
	})
}
