package sqlstore_test

import (
	"fmt"
	"strings"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"
	"github.com/google/uuid"

	"keyflow/engine/runs"
	"keyflow/internal/database"
	"keyflow/internal/database/databasetest"
)

// TestDamagedClaim: if one of several claimed runs cannot be read, only that run has an error, and
// its owner can end it.
func TestDamagedClaim(t *testing.T) {
	t.Parallel()
	databasetest.Each(t, func(t *testing.T, open func() *database.DB) {
		db := open()
		store := newStore(t, db)
		now := time.Date(2026, 8, 1, 0, 0, 0, 0, time.UTC)
		parent := runs.StepRef{Run: runs.ID(uuid.New()), Node: "c", Index: runs.NoIndex}
		var create, claim []runs.Entry
		for i := range 3 {
			run := runs.Run{
				ID: runs.ID(uuid.New()), Workflow: "w", Version: 1, Status: runs.Queued, CreatedAt: now, Parent: &parent,
				Trigger: runs.TriggerRef{ID: "t", Type: "workflow", FiredAt: now},
				Input:   fmt.Appendf(nil, `{"x": %q}`, strings.Repeat("ab", 20<<10)+fmt.Sprint(i)),
			}
			create = append(create, runs.Entry{Create: &runs.NewRun{Run: run}})
			claim = append(claim, runs.Entry{Claim: &runs.Claim{Run: run.ID, Owner: runs.OwnerID{1}}})
		}
		commit := func(entries ...runs.Entry) []runs.Outcome {
			t.Helper()
			out, err := store.Commit(t.Context(), entries, now)
			if err != nil {
				t.Fatal(err)
			}
			for _, o := range out {
				if o.Err != nil {
					t.Fatal(o.Err)
				}
			}
			return out
		}
		commit(create...)
		damaged := create[1].Create.Run.ID
		if err := db.Write().Exec("DELETE FROM blobs WHERE run = ?", damaged[:]).Error; err != nil {
			t.Fatal(err)
		}
		for i, out := range commit(claim...) {
			l, want := out.Loaded, create[i].Create.Run
			if (l.Err != nil) != (want.ID == damaged) || l.Err == nil && string(l.Run.Input) != string(want.Input) {
				t.Errorf("run %d: %v, an input of %d bytes", i, l.Err, len(l.Run.Input))
			}
			if l.Run.ID != want.ID || l.Run.Owner != (runs.OwnerID{1}) || l.Run.Fence != 1 || cmp.Diff(&parent, l.Run.Parent) != "" {
				t.Errorf("run %d: %+v", i, l.Run)
			}
		}
		commit(runs.Entry{Progress: &runs.Progress{
			Run: damaged, Owner: runs.OwnerID{1}, Fence: 1, Set: &runs.Change{Status: runs.Failed, FinishedAt: &now},
		}})
	})
}
