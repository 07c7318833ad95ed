package retention_test

import (
	"testing"
	"time"

	"github.com/google/uuid"

	"keyflow/engine/runs"
	"keyflow/engine/sqlstore"
	"keyflow/engine/sqlstore/retention"
	"keyflow/internal/database"
	"keyflow/internal/database/databasetest"
)

// TestPruneDedupe: keys are deleted once they have expired, at most so many at a time.
func TestPruneDedupe(t *testing.T) {
	t.Parallel()
	databasetest.Each(t, func(t *testing.T, open func() *database.DB) {
		t.Helper()
		db := open()
		store, err := sqlstore.New(db)
		if err != nil {
			t.Fatal(err)
		}
		now := time.Date(2026, 11, 5, 9, 30, 0, 0, time.UTC)
		start := func(key string, expires time.Time) runs.Outcome {
			t.Helper()
			entry := runs.Entry{Create: &runs.NewRun{
				Run:    runs.Run{ID: runs.ID(uuid.Must(uuid.NewV7())), Workflow: "a", Status: runs.Queued, Trigger: runs.TriggerRef{ID: "t", Type: "cron", FiredAt: now}, CreatedAt: now},
				Dedupe: &runs.DedupeKey{Kind: "cron", Trigger: "t", Key: key, ExpiresAt: expires},
			}}
			out, err := store.Commit(t.Context(), []runs.Entry{entry}, now)
			if err != nil || out[0].Err != nil {
				t.Fatalf("Commit: %v, %v", err, out)
			}
			return out[0]
		}
		for i, key := range []string{"a", "b", "c", "d"} {
			start(key, now.Add(time.Duration(i)*time.Minute))
		}
		pruner := retention.NewPruner(db, retention.Keep{})
		prune := func(at time.Time, limit, want int) {
			t.Helper()
			if n, err := pruner.PruneDedupe(t.Context(), at, limit); err != nil || n != want {
				t.Errorf("PruneDedupe: %d, %v; want %d", n, err, want)
			}
		}
		prune(now.Add(-time.Second), 10, 0)
		prune(now.Add(2*time.Minute), 2, 2)
		prune(now.Add(2*time.Minute), 2, 1)
		prune(now.Add(2*time.Minute), 2, 0)
		prune(now.Add(time.Hour), 10, 1)
	})
}
