package sqlstore_test

import (
	"testing"
	"time"

	"keyflow/engine/runs"
	"keyflow/engine/sqlstore/heartbeat"
	"keyflow/internal/database/databasetest"
	"keyflow/internal/fault"
)

// TestTakeoverWaitsForBeat: a takeover that finds an uncommitted beat waits for its commit and
// then sees it.
func TestTakeoverWaitsForBeat(t *testing.T) {
	t.Parallel()
	db := databasetest.Postgres(t)
	store, owners := newStore(t, db), heartbeat.New(db)
	from, now := runs.OwnerID{1}, time.Now().UTC().Truncate(time.Microsecond)
	if err := owners.Beat(t.Context(), from); err != nil {
		t.Fatal(err)
	}
	run := runs.Run{
		ID: runs.ID{1}, Workflow: "w", Version: 1, Folder: "/", Status: runs.Running, Owner: from, Fence: 1,
		CreatedAt: now, StartedAt: &now, Trigger: runs.TriggerRef{ID: "manual", Type: "manual", FiredAt: now},
	}
	if _, err := store.Commit(t.Context(), []runs.Entry{{Create: &runs.NewRun{Run: run}}}, now); err != nil {
		t.Fatal(err)
	}
	if err := db.Write().Exec("UPDATE owners SET beat_at = 7").Error; err != nil { // silent for long
		t.Fatal(err)
	}
	beat := db.Write().Begin()
	if err := beat.Exec("UPDATE owners SET beat_at = CAST(extract(epoch FROM clock_timestamp()) * 1000000 AS BIGINT)").Error; err != nil {
		t.Fatal(err)
	}
	done := make(chan error, 1)
	go func() {
		out, err := store.Commit(t.Context(), []runs.Entry{{Claim: &runs.Claim{Run: run.ID, Owner: runs.OwnerID{2}, TakeoverFrom: &from, Beat: 7}}}, now)
		if err == nil {
			err = out[0].Err
		}
		done <- err
	}()
	tick := time.NewTicker(time.Millisecond)
	defer tick.Stop()
	for waiting := 0; waiting == 0; <-tick.C {
		if len(done) > 0 {
			t.Fatalf("the takeover did not wait for the beat: %v", <-done)
		}
		if err := db.Read().Raw("SELECT count(*) FROM pg_stat_activity WHERE datname = current_database() AND wait_event_type = 'Lock'").Scan(&waiting).Error; err != nil {
			t.Fatal(err)
		}
	}
	if err := beat.Commit().Error; err != nil {
		t.Fatal(err)
	}
	if err := <-done; !fault.Is(err, fault.Conflict) {
		t.Errorf("takeover from a process with a newer beat: %v, want a conflict", err)
	}
	if err := owners.Leave(t.Context(), from); err != nil {
		t.Error(err)
	}
}
