package sqlstore_test

import (
	"context"
	"encoding/json"
	"fmt"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"github.com/google/uuid"

	"keyflow/credentials"
	"keyflow/engine/journal"
	"keyflow/engine/runs"
	"keyflow/internal/database"
	"keyflow/internal/database/databasetest"
)

// BenchmarkDurableRuns measures runs of two steps. Each run waits for two entries: its creation
// with an owner, and both steps with the end. Postgres must be started with its
// defaults (KEYFLOW_TEST_POSTGRES_OPTIONS=" "), or its figures are meaningless.
//
//	KEYFLOW_TEST_POSTGRES_OPTIONS=" " scripts/with-postgres go test -bench DurableRuns ./engine/sqlstore
func BenchmarkDurableRuns(b *testing.B) {
	for name, open := range map[string]func(testing.TB) *database.DB{
		"sqlite": databasetest.SQLite, "postgres": databasetest.Postgres,
	} {
		for _, concurrent := range []int{1, 64, 256} {
			b.Run(fmt.Sprintf("%s/%d", name, concurrent), func(b *testing.B) {
				benchmarkRuns(b, open(b), concurrent)
			})
		}
	}
}

func benchmarkRuns(b *testing.B, db *database.DB, concurrent int) {
	j := journal.New(newStore(b, db), journal.Options{})
	ctx, stop := context.WithCancel(context.Background())
	served := make(chan error)
	go func() { served <- j.Serve(ctx) }()
	defer func() {
		stop()
		if err := <-served; err != nil {
			b.Error(err)
		}
	}()
	var left atomic.Int64
	left.Store(int64(b.N))
	var group sync.WaitGroup
	before := diskSize(b, db)
	b.ReportAllocs()
	b.ResetTimer()
	for range concurrent {
		group.Go(func() {
			for left.Add(-1) >= 0 {
				if err := oneRun(ctx, j); err != nil {
					b.Error(err)
					return
				}
			}
		})
	}
	group.Wait()
	b.StopTimer()
	b.ReportMetric(float64(b.N)/b.Elapsed().Seconds(), "runs/s")
	b.ReportMetric(float64(diskSize(b, db)-before)/float64(b.N), "disk-B/run")
}

// diskSize is the size of the database without its log.
func diskSize(b *testing.B, db *database.DB) (size int64) {
	query := "SELECT page_count * page_size FROM pragma_page_count(), pragma_page_size()"
	if db.Dialect() == database.Postgres {
		query = "SELECT pg_database_size(current_database())"
	}
	if err := db.Read().Raw(query).Scan(&size).Error; err != nil {
		b.Fatal(err)
	}
	return size
}

// oneRun stores a run that an inbound webhook starts and that makes one HTTP call.
func oneRun(ctx context.Context, j *journal.Journal) error {
	now := time.Now()
	run := runs.Run{
		ID: runs.ID(uuid.Must(uuid.NewV7())), Workflow: "order-sync", Version: 4, Folder: "/sales/orders",
		Status: runs.Running, Owner: runs.OwnerID{1}, Fence: 1, CreatedAt: now, StartedAt: &now,
		Input: json.RawMessage(`{"order":{"id":"A-1009","amount":129.9,"currency":"EUR","customer":"c-778"}}`),
		Trigger: runs.TriggerRef{ID: "in", Type: "webhook", FiredAt: now, Request: json.RawMessage(
			`{"method":"POST","path":"/hooks/orders","headers":{"content-type":"application/json","user-agent":"wrk/4.2","host":"127.0.0.1:8080",` +
				`"content-length":"76"},"body":{"order":{"id":"A-1009","amount":129.9,"currency":"EUR","customer":"c-778"}}}`)},
	}
	if _, err := j.Write(ctx, runs.Entry{Create: &runs.NewRun{Run: run}}); err != nil {
		return err
	}
	end := time.Now()
	request := &runs.Request{Method: "GET", URL: "http://127.0.0.1:9000/orders/A-1009", Status: 200, DurationMS: 1}
	output := json.RawMessage(`{"status":200,"headers":{"content-type":"application/json","content-length":"43"},"body":{"ok":true,"order":"A-1009","state":"accepted"}}`)
	steps := []runs.Step{
		{
			Node: "fetch", Index: runs.NoIndex, Status: runs.StepSucceeded, StartedAt: &now, FinishedAt: &end, Output: output,
			Attempts: []runs.Attempt{{Attempt: 1, StartedAt: now, FinishedAt: &end, Request: request}},
			Calls: []credentials.Call{{
				Credential: "orders-api", Version: 2, Fingerprint: "9f31c2aa", Host: "127.0.0.1:9000", Method: "GET",
				URL: request.URL, Status: 200, Duration: 1234 * time.Microsecond,
			}},
		},
		{
			Node: "answer", Index: runs.NoIndex, Status: runs.StepSucceeded, StartedAt: &end, FinishedAt: &end,
			Output:   json.RawMessage(`{"ok":true,"order":"A-1009","state":"accepted"}`),
			Attempts: []runs.Attempt{{Attempt: 1, StartedAt: end, FinishedAt: &end}},
		},
	}
	_, err := j.Write(ctx, runs.Entry{Progress: &runs.Progress{
		Run: run.ID, Owner: run.Owner, Fence: run.Fence, Steps: steps,
		Set: &runs.Change{Status: runs.Succeeded, FinishedAt: &end, Output: json.RawMessage(`{"ok":true,"order":"A-1009","state":"accepted"}`)},
	}})
	return err
}

// BenchmarkGrowth shows that a list page and the search for due runs cost the same whatever
// the number of stored runs (of 2,000 workflows; one in 500 failed).
func BenchmarkGrowth(b *testing.B) {
	for name, open := range map[string]func(testing.TB) *database.DB{
		"sqlite": databasetest.SQLite, "postgres": databasetest.Postgres,
	} {
		for _, stored := range []int{10_000, 400_000} {
			db := open(b)
			fill(b, db, stored)
			store := newStore(b, db)
			for page, f := range map[string]runs.Filter{
				"all": {}, "workflow": {Workflow: "w7"}, "folder": {Folder: "/f"}, "failed": {Status: runs.Failed},
				"failed in folder": {Folder: "/f", Status: runs.Failed}, "running": {Status: runs.Running},
			} {
				b.Run(fmt.Sprintf("%s/%d/%s", name, stored, page), func(b *testing.B) {
					for b.Loop() {
						if _, err := store.Runs(b.Context(), f); err != nil {
							b.Fatal(err)
						}
					}
				})
			}
			b.Run(fmt.Sprintf("%s/%d/due", name, stored), func(b *testing.B) {
				for b.Loop() {
					if _, err := store.Due(b.Context(), time.Now(), 100); err != nil {
						b.Fatal(err)
					}
				}
			})
		}
	}
}

// fill stores ended runs, one each millisecond since 1970.
func fill(b *testing.B, db *database.DB, stored int) {
	b.Helper()
	numbers := "WITH RECURSIVE g (n) AS (SELECT 1 UNION ALL SELECT n + 1 FROM g WHERE n < ?)"
	id, own := "unhex(printf('%012x7000%016x', n, n))", ""
	if db.Dialect() == database.Postgres {
		numbers = "WITH g AS (SELECT n FROM generate_series(1, ?) AS t (n))"
		id, own = "decode(lpad(to_hex(n), 12, '0') || '7000' || lpad(to_hex(n), 16, '0'), 'hex')", " OVERRIDING SYSTEM VALUE"
	}
	for _, statement := range []struct {
		text string
		rows int
	}{
		{"INSERT INTO origins (id, workflow, folder, trigger_id, trigger_type)" + own + " " + numbers +
			" SELECT n, 'w' || n, '/f/' || n, 't', 'cron' FROM g", 2000},
		{"INSERT INTO runs (id, origin, version, status, fence, created_at, depth, cancel_requested) " + numbers +
			" SELECT " + id + ", 1 + n % 2000, 1, CASE WHEN n % 500 = 7 THEN 5 ELSE 4 END, 1, n * 1000, 0, 0 FROM g", stored},
	} {
		if err := db.Write().Exec(statement.text, statement.rows).Error; err != nil {
			b.Fatal(err)
		}
	}
	if err := db.Write().Exec("ANALYZE").Error; err != nil {
		b.Fatal(err)
	}
}
