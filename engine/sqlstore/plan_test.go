package sqlstore_test

import (
	"slices"
	"strings"
	"testing"
	"time"

	"gorm.io/gorm"

	"keyflow/engine/runs"
	"keyflow/engine/sqlstore/heartbeat"
	"keyflow/internal/database/databasetest"
)

// TestTicksWalkNoTable: the queries that every process makes every second must not read rows that
// are not due, however many are stored. Without statistics, SQLite may choose to scan a table in
// the order of its ids.
func TestTicksWalkNoTable(t *testing.T) {
	t.Parallel()
	db := databasetest.SQLite(t)
	store, owners := newStore(t, db), heartbeat.New(db)
	now := time.Now()
	tests := map[string]func() error{
		"due runs":                       func() error { _, err := store.Due(t.Context(), now, 100); return err },
		"signals":                        func() error { _, err := store.Signals(t.Context(), runs.OwnerID{1}); return err },
		"beats of owners":                func() error { _, err := owners.Beats(t.Context()); return err },
		"runs of silent owners":          func() error { _, err := owners.OwnedBy(t.Context(), []runs.OwnerID{{1}}, 100); return err },
		"credentials that runs wait for": func() error { _, err := store.AwaitedCredentials(t.Context()); return err },
	}
	type query struct {
		text string
		args []any
	}
	var asked []query
	err := db.Read().Callback().Row().After("gorm:row").Register("asked", func(tx *gorm.DB) {
		asked = append(asked, query{tx.Statement.SQL.String(), slices.Clone(tx.Statement.Vars)})
	})
	if err != nil {
		t.Fatal(err)
	}
	for name, ask := range tests {
		asked = nil
		if err := ask(); err != nil || len(asked) != 1 {
			t.Fatalf("%s: %d queries, %v", name, len(asked), err)
		}
		var steps []struct{ Detail string }
		if err := db.Read().Raw("EXPLAIN QUERY PLAN "+asked[0].text, asked[0].args...).Scan(&steps).Error; err != nil {
			t.Fatal(err)
		}
		for _, s := range steps {
			if table, scanned := strings.CutPrefix(s.Detail, "SCAN "); scanned && !strings.HasPrefix(table, "owning") && !strings.HasPrefix(table, "awaited") && !strings.Contains(table, "CONSTANT ROW") {
				t.Errorf("%s: %s", name, s.Detail)
			}
		}
	}
}
