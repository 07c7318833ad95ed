package sqlstore_test

import (
	"context"
	"errors"
	"testing"
	"time"

	"keyflow/engine"
	"keyflow/engine/sqlstore"
	"keyflow/internal/database/databasetest"
)

// TestBeatDespiteExhaustedPool takes every connection of the pool but the heartbeat's.
func TestBeatDespiteExhaustedPool(t *testing.T) {
	t.Parallel()
	db := databasetest.Postgres(t)
	owners := sqlstore.NewOwners(db)
	if err := owners.Beat(t.Context(), engine.OwnerID{1}); err != nil {
		t.Fatal(err)
	}
	for {
		ctx, cancel := context.WithTimeout(t.Context(), 200*time.Millisecond)
		conn, err := db.SQL().Conn(ctx)
		cancel()
		if errors.Is(err, context.DeadlineExceeded) {
			break
		}
		if err != nil {
			t.Fatal(err)
		}
		t.Cleanup(func() {
			if err := conn.Close(); err != nil {
				t.Error(err)
			}
		})
	}
	ctx, cancel := context.WithTimeout(t.Context(), 5*time.Second)
	defer cancel()
	if err := owners.Beat(ctx, engine.OwnerID{1}); err != nil {
		t.Errorf("beat: %v", err)
	}
	if err := owners.Leave(ctx, engine.OwnerID{1}); err != nil {
		t.Errorf("leave: %v", err)
	}
}

// TestBeatSurvivesCutConnection: the beat after the one that failed has a new connection.
func TestBeatSurvivesCutConnection(t *testing.T) {
	t.Parallel()
	db := databasetest.Postgres(t)
	owners := sqlstore.NewOwners(db)
	if err := owners.Beat(t.Context(), engine.OwnerID{1}); err != nil {
		t.Fatal(err)
	}
	const cut = "SELECT pg_terminate_backend(pid) FROM pg_stat_activity WHERE datname = current_database() AND pid <> pg_backend_pid()"
	if err := db.Write().Exec(cut).Error; err != nil {
		t.Fatal(err)
	}
	if err := owners.Beat(t.Context(), engine.OwnerID{1}); err == nil {
		t.Error("the heartbeat did not use the connection that was cut")
	}
	if err := owners.Beat(t.Context(), engine.OwnerID{1}); err != nil {
		t.Errorf("beat after the cut: %v", err)
	}
	if err := owners.Leave(t.Context(), engine.OwnerID{1}); err != nil {
		t.Errorf("leave: %v", err)
	}
}
