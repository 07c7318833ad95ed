package sqlstore_test

import (
	"context"
	"slices"
	"testing"
	"time"

	"keyflow/internal/database"
	"keyflow/internal/database/databasetest"
	"keyflow/triggers/plans"
	"keyflow/triggers/schedule"
	"keyflow/triggers/sqlstore"
	"keyflow/triggers/triggerstest"
	"keyflow/workflows"
)

func TestStore(t *testing.T) {
	t.Parallel()
	databasetest.Each(t, func(t *testing.T, open func() *database.DB) {
		t.Helper()
		triggerstest.TestStore(t, func() plans.Store { return sqlstore.New(open()) })
	})
}

// Two processes arm the same triggers, each in an order of its own, while a third one holds the
// plan in the middle: none waits for a row of one that waits for it.
func TestArmAtTheSameTime(t *testing.T) {
	t.Parallel()
	db := databasetest.Postgres(t)
	store := sqlstore.New(db)
	var list []plans.Plan
	for _, key := range [][2]string{{"a", "x"}, {"b", "x"}, {"b", "y"}} {
		list = append(list, plans.Plan{Workflow: workflows.ID(key[0]), Trigger: key[1], Spec: schedule.Spec{Schedule: "@daily", Timezone: "UTC"}, NextAt: time.Unix(0, 0)})
	}
	if err := store.Arm(t.Context(), list); err != nil {
		t.Fatal(err)
	}
	holder := db.Write().Begin()
	if err := holder.Exec("UPDATE schedules SET missed = 1 WHERE workflow = 'b' AND trigger_id = 'x'").Error; err != nil {
		t.Fatal(err)
	}
	backwards := slices.Clone(list)
	slices.Reverse(backwards)
	ctx, cancel := context.WithTimeout(t.Context(), 30*time.Second)
	defer cancel()
	armed := make(chan error, 2)
	for _, order := range [][]plans.Plan{list, backwards} {
		go func() { armed <- store.Arm(ctx, order) }()
	}
	tick := time.NewTicker(time.Millisecond)
	defer tick.Stop()
	for waiting := 0; waiting < 2; <-tick.C {
		if err := db.Read().WithContext(ctx).Raw("SELECT count(*) FROM pg_stat_activity WHERE datname = current_database() AND wait_event_type = 'Lock'").Scan(&waiting).Error; err != nil {
			t.Fatal(err)
		}
	}
	if err := holder.Commit().Error; err != nil {
		t.Fatal(err)
	}
	for range 2 {
		if err := <-armed; err != nil {
			t.Error(err)
		}
	}
}
