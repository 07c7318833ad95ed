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
	"keyflow/engine"
	"keyflow/internal/database"
	"keyflow/internal/database/databasetest"
)

// BenchmarkDurableRuns measures runs of two steps, each of two entries that are awaited:
// the creation with owner, and both steps with the end. Postgres must be started with its
// defaults (KEYFLOW_TEST_POSTGRES_OPTIONS=" "), or its figures mean nothing.
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
	j := engine.NewJournal(newStore(b, db), engine.JournalOptions{})
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

// oneRun stores what an inbound webhook with one HTTP call makes.
func oneRun(ctx context.Context, j *engine.Journal) error {
	now := time.Now()
	run := engine.Run{
		ID: engine.RunID(uuid.Must(uuid.NewV7())), Workflow: "order-sync", Version: 4, Folder: "/sales/orders",
		Status: engine.RunRunning, Owner: engine.OwnerID{1}, Fence: 1, CreatedAt: now, StartedAt: &now,
		Input: json.RawMessage(`{"order":{"id":"A-1009","amount":129.9,"currency":"EUR","customer":"c-778"}}`),
		Trigger: engine.TriggerRef{ID: "in", Type: "webhook", FiredAt: now, Request: json.RawMessage(
			`{"method":"POST","path":"/hooks/orders","headers":{"content-type":"application/json","user-agent":"wrk/4.2","host":"127.0.0.1:8080",` +
				`"content-length":"76"},"body":{"order":{"id":"A-1009","amount":129.9,"currency":"EUR","customer":"c-778"}}}`)},
	}
	if _, err := j.Write(ctx, engine.Entry{Create: &engine.NewRun{Run: run}}); err != nil {
		return err
	}
	end := time.Now()
	request := &engine.Request{Method: "GET", URL: "http://127.0.0.1:9000/orders/A-1009", Status: 200, DurationMS: 1}
	output := json.RawMessage(`{"status":200,"headers":{"content-type":"application/json","content-length":"43"},"body":{"ok":true,"order":"A-1009","state":"accepted"}}`)
	steps := []engine.Step{
		{
			Node: "fetch", Index: engine.NoIndex, Status: engine.StepSucceeded, StartedAt: &now, FinishedAt: &end, Output: output,
			Attempts: []engine.Attempt{{Attempt: 1, StartedAt: now, FinishedAt: &end, Request: request}},
			Calls: []credentials.Call{{
				Credential: "orders-api", Version: 2, Fingerprint: "9f31c2aa", Host: "127.0.0.1:9000", Method: "GET",
				URL: request.URL, Status: 200, Duration: 1234 * time.Microsecond,
			}},
		},
		{
			Node: "answer", Index: engine.NoIndex, Status: engine.StepSucceeded, StartedAt: &end, FinishedAt: &end,
			Output:   json.RawMessage(`{"ok":true,"order":"A-1009","state":"accepted"}`),
			Attempts: []engine.Attempt{{Attempt: 1, StartedAt: end, FinishedAt: &end}},
		},
	}
	_, err := j.Write(ctx, engine.Entry{Progress: &engine.Progress{
		Run: run.ID, Owner: run.Owner, Fence: run.Fence, Steps: steps,
		Set: &engine.RunChange{Status: engine.RunSucceeded, FinishedAt: &end, Output: json.RawMessage(`{"ok":true,"order":"A-1009","state":"accepted"}`)},
	}})
	return err
}
