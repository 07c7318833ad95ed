package sqlstore_test

import (
	"fmt"
	"testing"
	"time"

	"keyflow/internal/database/databasetest"
	"keyflow/triggers/plans"
	"keyflow/triggers/schedule"
	"keyflow/triggers/sqlstore"
	"keyflow/workflows"
)

// BenchmarkDue is the cost of a look at schedules of which none is due, by how many sleep.
func BenchmarkDue(b *testing.B) {
	for _, sleeping := range []int{100, 10_000, 100_000} {
		b.Run(fmt.Sprint(sleeping), func(b *testing.B) {
			s := sqlstore.New(databasetest.SQLite(b))
			now := time.Now()
			for left := sleeping; left > 0; left -= 100 {
				list := make([]plans.Plan, 100)
				for i := range list {
					list[i] = plans.Plan{
						Workflow: workflows.ID(fmt.Sprint("w", left)), Trigger: fmt.Sprint("t", i), Spec: schedule.Spec{Schedule: "@daily", Timezone: "UTC"},
						Anchor: now, NextAt: now.Add(time.Hour),
					}
				}
				if err := s.Arm(b.Context(), list); err != nil {
					b.Fatal(err)
				}
			}
			for b.Loop() {
				if due, err := s.Due(b.Context(), now, plans.Plan{}, 256); err != nil || len(due) > 0 {
					b.Fatal(due, err)
				}
				if _, err := s.NextDue(b.Context()); err != nil {
					b.Fatal(err)
				}
			}
		})
	}
}
