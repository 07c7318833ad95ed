package heartbeat_test

import (
	"context"
	"testing"
	"time"

	"keyflow/engine/runs"
	"keyflow/engine/sqlstore/heartbeat"
	"keyflow/internal/database/databasetest"
)

// TestBeatDespiteExhaustedPool takes every connection of the pool but the heartbeat's.
func TestBeatDespiteExhaustedPool(t *testing.T) {
	t.Parallel()
	db := databasetest.Postgres(t)
	owners := heartbeat.New(db)
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
		t.Errorf("read the beats: %v", err)
	}
	if _, err := owners.OwnedBy(ctx, []runs.OwnerID{{1}}, 1); err != nil {
		t.Errorf("read the runs of silent owners: %v", err)
	}
	if err := owners.Leave(ctx, runs.OwnerID{1}); err != nil {
		t.Errorf("leave: %v", err)
	}
}

// TestBeatSurvivesCutConnection: the beat after the one that failed has a new connection.
func TestBeatSurvivesCutConnection(t *testing.T) {
	t.Parallel()
	db := databasetest.Postgres(t)
	owners := heartbeat.New(db)
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
