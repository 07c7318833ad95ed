package follow_test

import (
	"context"
	"fmt"
	"testing"
	"testing/synctest"
	"time"

	"github.com/google/go-cmp/cmp"

	"keyflow/internal/identity"
	"keyflow/triggers"
	"keyflow/triggers/internal/firingtest"
	"keyflow/triggers/plans"
	"keyflow/triggers/schedule"
	"keyflow/workflows"
)

func TestLoadRepairsPlans(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		h := firingtest.Setup(t)
		h.Apply(t, "a", firingtest.EveryMinute)
		h.Apply(t, "gone", firingtest.EveryMinute)
		ctx := t.Context()
		if err := h.Store.Keep(ctx, "a", nil); err != nil { // lost
			t.Fatal(err)
		}
		if err := h.Store.Arm(ctx, []plans.Plan{{Workflow: "stranger", Trigger: "t", Spec: schedule.Spec{Schedule: "* * * * *", Timezone: "UTC"}, Anchor: time.Now(), NextAt: time.Now()}}); err != nil {
			t.Fatal(err)
		}
		if err := h.Manager.Load(ctx); err != nil {
			t.Fatal(err)
		}
		counts, err := h.Store.Counts(ctx)
		if diff := cmp.Diff(map[workflows.ID]int{"a": 1, "gone": 1}, counts); err != nil || diff != "" {
			t.Errorf("%v -want +got\n%s", err, diff)
		}
		if err := h.Catalog.Delete(ctx, identity.System(), "gone"); err != nil {
			t.Fatal(err)
		}
		counts, err = h.Store.Counts(ctx)
		if diff := cmp.Diff(map[workflows.ID]int{"a": 1}, counts); err != nil || diff != "" {
			t.Errorf("%v -want +got\n%s", err, diff)
		}
	})
}

// Only what changed is read again, by any number of schedules that sleep.
func TestLoadReadsOnlyChanges(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		h := firingtest.Setup(t)
		for i := range 20 {
			h.Apply(t, fmt.Sprintf("w%d", i), firingtest.EveryMinute+fmt.Sprintf(`, "h": {"type": "webhook", "path": "p%d"}`, i))
		}
		h.Apply(t, "gone", ``)
		if err := h.Catalog.Delete(t.Context(), identity.System(), "gone"); err != nil {
			t.Fatal(err)
		}
		counted := &countingCatalog{Catalog: h.Catalog}
		m := triggers.New(triggers.Options{Store: h.Store, Catalog: counted, Starter: h.Starter, Verifier: h.Verifier, Shared: true})
		load := func(wantDefinitions ...workflows.ID) {
			t.Helper()
			counted.read = nil
			if err := m.Load(t.Context()); err != nil {
				t.Fatal(err)
			}
			if diff := cmp.Diff(wantDefinitions, counted.read); diff != "" {
				t.Errorf("definitions read: -want +got\n%s", diff)
			}
		}
		if err := m.Load(t.Context()); err != nil || len(counted.read) != 20 {
			t.Errorf("first: %d definitions, %v", len(counted.read), err)
		}
		load()
		h.Apply(t, "w7", firingtest.EveryMinute, `"name": "new"`)
		if _, err := h.Catalog.SetEnabled(t.Context(), identity.System(), "w3", false); err != nil {
			t.Fatal(err)
		}
		load("w7", "w3")
		load()
		if err := h.Catalog.Delete(t.Context(), identity.System(), "w5"); err != nil {
			t.Fatal(err)
		}
		load()
		if _, taken := m.Taken("p5", ""); taken {
			t.Error("the webhook of a deleted workflow is still there")
		}
	})
}

// countingCatalog notes which definitions are asked for.
type countingCatalog struct {
	triggers.Catalog
	read []workflows.ID
}

func (c *countingCatalog) Changes(ctx context.Context, after int64, limit int) ([]workflows.Change, error) {
	changes, err := c.Catalog.Changes(ctx, after, limit)
	for _, change := range changes {
		if !change.Deleted {
			c.read = append(c.read, change.ID)
		}
	}
	return changes, err
}
