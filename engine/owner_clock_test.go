package engine_test

import (
	"context"
	"database/sql"
	"testing"
	"time"

	"keyflow/engine"
	"keyflow/engine/runs"
	"keyflow/internal/database"
	"keyflow/internal/database/databasetest"
	"keyflow/nodes"
)

// clocked is a Postgres database whose clock the test steps.
func clocked(t *testing.T) (db *database.DB, step func(by time.Duration)) {
	t.Helper()
	url := databasetest.PostgresURL(t)
	admin, err := sql.Open("pgx", url)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = admin.Close() })
	run := func(statement string, args ...any) {
		t.Helper()
		if _, err := admin.ExecContext(context.Background(), statement, args...); err != nil {
			t.Fatal(err)
		}
	}
	run("CREATE TABLE clock (seconds FLOAT8)")
	run("INSERT INTO clock VALUES (0)")
	run("CREATE FUNCTION public.clock_timestamp() RETURNS timestamptz LANGUAGE sql VOLATILE AS " +
		"'SELECT pg_catalog.clock_timestamp() + make_interval(secs => (SELECT seconds FROM public.clock))'")
	run("DO $$ BEGIN EXECUTE format('ALTER DATABASE %I SET search_path = public, pg_catalog', current_database()); END $$")
	db, err = database.Open(t.Context(), database.Options{URL: url})
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() {
		if err := db.Close(); err != nil {
			t.Error(err)
		}
	})
	return db, func(by time.Duration) { run("UPDATE clock SET seconds = seconds + $1", by.Seconds()) }
}

// TestStepsOfTheDatabaseClockTakeNoRuns steps the clock forward behind every beat, so that each
// beat seems ten seconds old to whoever compares it with the time.
func TestStepsOfTheDatabaseClockTakeNoRuns(t *testing.T) {
	t.Parallel()
	db, step := clocked(t)
	w := setupOn(t, db)
	w.stop()
	w.boot(engine.Options{})
	firstOwners, goOn := w.owners, make(chan struct{})
	w.do = func(_ context.Context, _ nodes.Env, c call) (any, error) {
		<-goOn
		return c.n, nil
	}
	id := w.start(w.apply(`{"id": "x", "nodes": {"a": {"type": "call", "with": {"name": "a"}}}}`), "")
	w.eventually("the step is at work", func() bool { return w.count("a") == 1 })
	w.boot(engine.Options{}) // the second process
	var stepped int64
	w.eventually("the second has judged for some seconds", func() bool {
		if beats := firstOwners.beats.Load() + w.owners.beats.Load(); beats > stepped {
			stepped = beats
			step(10 * time.Second)
		}
		return w.owners.beats.Load() >= 10
	})
	if n := w.owners.orphaned.Load(); n > 0 {
		t.Errorf("the second found the first silent %d times", n)
	}
	close(goOn)
	if run, _ := w.wait(id); run.Status != runs.Succeeded || run.Fence != 1 || w.count("a") != 1 {
		t.Errorf("run %s with fence %d, %d calls; want it to stay with its owner", run.Status, run.Fence, w.count("a"))
	}
}

// TestClockSetBackKeepsNoDeadProcessAlive sets the clock back behind the last beat of a process:
// its beat is an hour in the future, and its runs are taken over all the same.
func TestClockSetBackKeepsNoDeadProcessAlive(t *testing.T) {
	t.Parallel()
	db, step := clocked(t)
	w := setupOn(t, db)
	w.stop()
	w.boot(engine.Options{})
	firstOwners, goOn := w.owners, make(chan struct{})
	t.Cleanup(func() { close(goOn) })
	w.do = func(_ context.Context, _ nodes.Env, c call) (any, error) {
		if c.n == 1 {
			<-goOn
		}
		return c.n, nil
	}
	id := w.start(w.apply(`{"id": "x", "nodes": {"a": {"type": "call", "with": {"name": "a"}}}}`), "")
	w.eventually("the step is at work", func() bool { return w.count("a") == 1 })
	firstOwners.dead.Store(true)
	step(-time.Hour)
	w.boot(engine.Options{}) // the second process
	if run, _ := w.wait(id); run.Status != runs.Succeeded || run.Fence != 2 {
		t.Errorf("run %s with fence %d, want it taken over", run.Status, run.Fence)
	}
}
