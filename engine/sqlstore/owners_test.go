package sqlstore_test

import (
	"context"
	"testing"
	"time"

	"keyflow/engine/runs"
	"keyflow/engine/sqlstore"
	"keyflow/internal/database/databasetest"
	"keyflow/internal/fault"
)

// TestBeatDespiteExhaustedPool takes every connection of the pool but the heartbeat's.
func TestBeatDespiteExhaustedPool(t *testing.T) {
	t.Parallel()
	db := databasetest.Postgres(t)
	owners := sqlstore.NewOwners(db)
	if err := owners.Beat(t.Context(), runs.OwnerID{1}); err != nil {
		t.Fatal(err)
	}
	pool := db.SQL().Stats()
	for range pool.MaxOpenConnections - pool.InUse {
		conn, err := db.SQL().Conn(t.Context())
		if err != nil {
			t.Fatal(err)
		}
		t.Cleanup(func() {
			if err := conn.Close(); err != nil {
				t.Error(err)
			}
		})
	}
	if full := db.SQL().Stats(); full.InUse != full.MaxOpenConnections {
		t.Fatalf("%d of %d connections are taken", full.InUse, full.MaxOpenConnections)
	}
	ctx, cancel := context.WithTimeout(t.Context(), 5*time.Second)
	defer cancel()
	if err := owners.Beat(ctx, runs.OwnerID{1}); err != nil {
		t.Errorf("beat: %v", err)
	}
	if _, err := owners.Beats(ctx); err != nil {
		t.Errorf("look at the beats: %v", err)
	}
	if _, err := owners.OwnedBy(ctx, []runs.OwnerID{{1}}, 1); err != nil {
		t.Errorf("look for runs of silent owners: %v", err)
	}
	if err := owners.Leave(ctx, runs.OwnerID{1}); err != nil {
		t.Errorf("leave: %v", err)
	}
}

// TestBeatSurvivesCutConnection: the beat after the one that failed has a new connection.
func TestBeatSurvivesCutConnection(t *testing.T) {
	t.Parallel()
	db := databasetest.Postgres(t)
	owners := sqlstore.NewOwners(db)
	if err := owners.Beat(t.Context(), runs.OwnerID{1}); err != nil {
		t.Fatal(err)
	}
	const cut = "SELECT pg_terminate_backend(pid) FROM pg_stat_activity WHERE datname = current_database() AND pid <> pg_backend_pid()"
	if err := db.Write().Exec(cut).Error; err != nil {
		t.Fatal(err)
	}
	if err := owners.Beat(t.Context(), runs.OwnerID{1}); err == nil {
		t.Error("the heartbeat did not use the connection that was cut")
	}
	if err := owners.Beat(t.Context(), runs.OwnerID{1}); err != nil {
		t.Errorf("beat after the cut: %v", err)
	}
	if err := owners.Leave(t.Context(), runs.OwnerID{1}); err != nil {
		t.Errorf("leave: %v", err)
	}
}

// TestTakeoverWaitsForBeat has a beat on its way when a takeover is carried out: the takeover
// waits for its end and sees it.
func TestTakeoverWaitsForBeat(t *testing.T) {
	t.Parallel()
	db := databasetest.Postgres(t)
	store, owners := newStore(t, db), sqlstore.NewOwners(db)
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
		t.Errorf("takeover from a process that has just beaten: %v, want a conflict", err)
	}
	if err := owners.Leave(t.Context(), from); err != nil {
		t.Error(err)
	}
}
