package sqlstore_test

import (
	"context"
	"testing"
	"time"

	"github.com/google/uuid"

	"keyflow/engine/journal"
	"keyflow/engine/runs"
	"keyflow/internal/database"
	"keyflow/internal/database/databasetest"
	"keyflow/internal/fault"
)

// serveJournal runs a journal on db until the test ends.
func serveJournal(t *testing.T, db *database.DB, o journal.Options) *journal.Journal {
	t.Helper()
	j := journal.New(newStore(t, db), o)
	ctx, cancel := context.WithCancel(context.Background())
	ended := make(chan error, 1)
	go func() { ended <- j.Serve(ctx) }()
	t.Cleanup(func() {
		cancel()
		if err := <-ended; err != nil {
			t.Error(err)
		}
	})
	return j
}

// outcome waits for the outcome of an entry.
func outcome(t *testing.T, of <-chan runs.Outcome) runs.Outcome {
	t.Helper()
	select {
	case out := <-of:
		return out
	case <-time.After(20 * time.Second):
		t.Fatal("no outcome")
		return runs.Outcome{}
	}
}

func ownRun() runs.Run {
	now := time.Now().UTC().Truncate(time.Microsecond)
	return runs.Run{
		ID: runs.ID(uuid.Must(uuid.NewV7())), Workflow: "w", Folder: "/", Status: runs.Running,
		Owner: runs.OwnerID{1}, Fence: 1, CreatedAt: now, StartedAt: &now, Trigger: runs.TriggerRef{ID: "t", Type: "manual", FiredAt: now},
	}
}

// While a server is read-only, as before its promotion, results of runs are kept and new runs are
// refused.
func TestReadOnlyServer(t *testing.T) {
	t.Parallel()
	db := databasetest.Postgres(t)
	j := serveJournal(t, db, journal.Options{})
	run := ownRun()
	if out := outcome(t, j.Send(runs.Entry{Create: &runs.NewRun{Run: run}})); out.Err != nil {
		t.Fatal(out.Err)
	}
	setReadOnly(t, db, "on")
	db.SQL().SetMaxIdleConns(0) // only new connections are read-only
	now := time.Now()
	step := runs.Step{Node: "a", Index: runs.NoIndex, Status: runs.StepSucceeded, FinishedAt: &now, Output: []byte("1")}
	progress := j.Send(runs.Entry{Progress: &runs.Progress{Run: run.ID, Owner: run.Owner, Fence: 1, Steps: []runs.Step{step}}})
	for deadline := time.Now().Add(10 * time.Second); j.Err() == nil; time.Sleep(time.Millisecond) {
		if time.Now().After(deadline) {
			t.Fatal("the journal does not notice")
		}
	}
	if out := outcome(t, j.Send(runs.Entry{Create: &runs.NewRun{Run: ownRun()}})); !fault.Is(out.Err, fault.Unavailable) {
		t.Errorf("a new run: %v", out.Err)
	}
	setReadOnly(t, db, "off")
	if out := outcome(t, progress); out.Err != nil {
		t.Errorf("the result of a step: %v", out.Err)
	}
	if steps, err := newStore(t, db).Steps(t.Context(), run.ID); err != nil || len(steps) != 1 {
		t.Errorf("%d steps, %v", len(steps), err)
	}
}

func setReadOnly(t *testing.T, db *database.DB, value string) {
	t.Helper()
	conn, err := db.SQL().Conn(t.Context())
	if err != nil {
		t.Fatal(err)
	}
	defer func() { _ = conn.Close() }()
	for _, query := range []string{
		"SET default_transaction_read_only = off",
		"DO $$ BEGIN EXECUTE 'ALTER DATABASE '||quote_ident(current_database())||' SET default_transaction_read_only = " + value + "'; END $$",
	} {
		if _, err := conn.ExecContext(t.Context(), query); err != nil {
			t.Fatal(err)
		}
	}
}

// The server completes a COMMIT whose sender has timed out. The entries that are sent again are
// already stored, which is no error.
func TestCommitOutlivesItsSender(t *testing.T) {
	t.Parallel()
	db := databasetest.Postgres(t)
	for _, query := range []string{
		`CREATE FUNCTION slow() RETURNS trigger LANGUAGE plpgsql AS $$ BEGIN
			BEGIN PERFORM pg_sleep(5); EXCEPTION WHEN query_canceled THEN PERFORM pg_sleep(0.5); END; RETURN NULL; END $$`,
		`CREATE CONSTRAINT TRIGGER slow AFTER INSERT ON runs DEFERRABLE INITIALLY DEFERRED FOR EACH ROW EXECUTE FUNCTION slow()`,
	} {
		if err := db.Write().Exec(query).Error; err != nil {
			t.Fatal(err)
		}
	}
	j := serveJournal(t, db, journal.Options{CommitTimeout: 300 * time.Millisecond})
	run := ownRun()
	if out := outcome(t, j.Send(runs.Entry{Create: &runs.NewRun{Run: run}})); out.Err != nil || out.Run != run.ID || out.Waits || out.Duplicate {
		t.Errorf("%+v", out)
	}
}

// A host that fails in the middle of a transaction does not keep its locks.
func TestIdleTransactionIsEnded(t *testing.T) {
	t.Parallel()
	url := databasetest.PostgresURL(t)
	for name, want := range map[string]string{url: "10s", url + "&idle_in_transaction_session_timeout=3s": "3s"} {
		db, err := database.Open(t.Context(), database.Options{URL: name})
		if err != nil {
			t.Fatal(err)
		}
		var got string
		if err := db.SQL().QueryRowContext(t.Context(), "SHOW idle_in_transaction_session_timeout").Scan(&got); err != nil || got != want {
			t.Errorf("%q, %v; want %s", got, err, want)
		}
		if err := db.Close(); err != nil {
			t.Error(err)
		}
	}
}

// A claimed run that cannot be read now is loaded again later. The other entries of the transaction
// do not wait for it.
func TestUnreadClaim(t *testing.T) {
	t.Parallel()
	databasetest.Each(t, func(t *testing.T, open func() *database.DB) {
		db := open()
		j := serveJournal(t, db, journal.Options{})
		run := ownRun()
		run.Status, run.Owner, run.Fence, run.StartedAt = runs.Queued, runs.OwnerID{}, 0, nil
		if out := outcome(t, j.Send(runs.Entry{Create: &runs.NewRun{Run: run}})); out.Err != nil {
			t.Fatal(out.Err)
		}
		rename := func(from, to string) {
			if err := db.Write().Exec("ALTER TABLE " + from + " RENAME TO " + to).Error; err != nil {
				t.Fatal(err)
			}
		}
		rename("blobs", "moved")
		claim := j.Send(runs.Entry{Claim: &runs.Claim{Run: run.ID, Owner: runs.OwnerID{1}}})
		for range 3 {
			if out := outcome(t, j.Send(runs.Entry{Create: &runs.NewRun{Run: ownRun()}})); out.Err != nil {
				t.Fatal(out.Err)
			}
		}
		if len(claim) != 0 {
			t.Fatalf("%+v", <-claim)
		}
		rename("moved", "blobs")
		if out := outcome(t, claim); out.Err != nil || out.Loaded == nil || out.Loaded.Run.Owner != (runs.OwnerID{1}) {
			t.Errorf("%+v", out)
		}
	})
}
