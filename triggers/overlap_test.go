package triggers_test

import (
	"fmt"
	"testing"
	"testing/synctest"
	"time"

	"github.com/google/go-cmp/cmp"

	"keyflow/engine"
	"keyflow/internal/fault"
	"keyflow/triggers"
)

// counts returns missed and skipped occurrences of the only cron trigger.
func (h *house) counts(t *testing.T) (missed, skipped int64) {
	t.Helper()
	list, err := h.manager.List(t.Context(), triggers.Filter{})
	if err != nil || len(list) != 1 {
		t.Fatalf("List: %v, %v", list, err)
	}
	return list[0].Missed, list[0].Skipped
}

func tick(overlap string) string {
	return fmt.Sprintf(`"tick": {"type": "cron", "schedule": "* * * * *", "overlap": %q}`, overlap)
}

// C68: the previous run goes on for a while; each policy is counted.
func TestServeOverlap(t *testing.T) {
	t.Parallel()
	tests := []struct {
		overlap  string
		want     []string // planned instants of runs
		skipped  int64
		canceled int
	}{
		{"allow", []string{"00:01:00", "00:02:00", "00:03:00", "00:04:00", "00:05:00"}, 0, 0},
		{"skip", []string{"00:01:00", "00:04:00", "00:05:00"}, 2, 0},
		{"queue", []string{"00:01:00", "00:02:00", "00:04:00", "00:05:00"}, 1, 0},
		{"cancel_previous", []string{"00:01:00", "00:02:00", "00:03:00", "00:04:00", "00:05:00"}, 0, 3},
	}
	for _, tt := range tests {
		t.Run(tt.overlap, func(t *testing.T) {
			t.Parallel()
			synctest.Test(t, func(t *testing.T) {
				h := setup(t)
				h.apply(t, "a", tick(tt.overlap))
				stop := serve(t, h.manager)
				pass(3*time.Minute + 30*time.Second)
				h.starter.finish() // the run of 00:01 goes on until now
				pass(10 * time.Second)
				h.starter.finish() // what waited
				pass(time.Minute)
				if tt.overlap != "cancel_previous" {
					h.starter.finish()
				}
				pass(time.Minute)
				stop()
				wantPlanned(t, h, "a", tt.want...)
				if missed, skipped := h.counts(t); missed != 0 || skipped != tt.skipped || len(h.starter.cancel) != tt.canceled {
					t.Errorf("missed %d, skipped %d, canceled %d; want 0, %d, %d", missed, skipped, len(h.starter.cancel), tt.skipped, tt.canceled)
				}
			})
		})
	}
}

// What waits for its predecessor waits through a restart, however long, and shows.
func TestServeHeldOccurrenceSurvivesARestart(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		h := setup(t)
		h.apply(t, "a", tick("queue"))
		stop := serve(t, h.manager)
		pass(2*time.Minute + 30*time.Second)
		stop()
		pass(time.Hour) // nothing runs; the run of 00:01 is resumed by nobody
		list, err := h.manager.List(t.Context(), triggers.Filter{})
		at := func(hour, minute int) time.Time { return time.Date(2000, 1, 1, hour, minute, 0, 0, time.UTC) }
		if err != nil || len(list) != 1 || list[0].Waiting == nil || !list[0].Waiting.Equal(at(0, 2)) || !list[0].Next[0].Equal(at(1, 3)) {
			t.Errorf("List: %+v, %v", list, err)
		}
		h.starter.finish()
		stop = serve(t, h.manager)
		pass(time.Minute)
		stop()
		wantPlanned(t, h, "a", "00:01:00", "00:02:00") // the run of 00:02 goes on: 01:03 waits
		if missed, skipped := h.counts(t); missed != 0 || skipped != 60 {
			t.Errorf("missed %d, skipped %d; want 0 and 60", missed, skipped)
		}
	})
}

// A start that is repeated after a crash before the plan moved on finds its own run: it is
// neither skipped nor does it cancel itself.
func TestServeRepeatsAStart(t *testing.T) {
	t.Parallel()
	for _, overlap := range []string{"skip", "queue", "cancel_previous"} {
		t.Run(overlap, func(t *testing.T) {
			t.Parallel()
			synctest.Test(t, func(t *testing.T) {
				h := setup(t)
				h.apply(t, "a", tick(overlap))
				before, err := h.store.Plans(t.Context(), "a")
				if err != nil {
					t.Fatal(err)
				}
				stop := serve(t, h.manager)
				pass(61 * time.Second)
				stop()
				if err := h.store.Arm(t.Context(), before); err != nil { // as if Advance had not happened
					t.Fatal(err)
				}
				stop = serve(t, h.manager)
				pass(5 * time.Second)
				stop()
				wantPlanned(t, h, "a", "00:01:00")
				if missed, skipped := h.counts(t); missed != 0 || skipped != 0 || len(h.starter.cancel) != 0 {
					t.Errorf("missed %d, skipped %d, canceled %v", missed, skipped, h.starter.cancel)
				}
			})
		})
	}
}

// Manual runs and those of other triggers are no predecessors.
func TestServeOverlapLooksAtItsOwnRuns(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		h := setup(t)
		h.apply(t, "a", tick("skip")+`, "other": {"type": "cron", "schedule": "0 * * * *"}`)
		later := time.Now().Add(time.Hour)
		h.starter.going = []engine.Run{
			{Workflow: "a", Trigger: engine.TriggerRef{ID: "manual", Type: "manual"}, Status: engine.RunRunning},
			{Workflow: "a", Trigger: engine.TriggerRef{ID: "other", Type: "cron", ScheduledAt: new(time.Now())}, Status: engine.RunRunning},
			{Workflow: "a", Trigger: engine.TriggerRef{ID: "tick", Type: "webhook"}, Status: engine.RunRunning},
			{Workflow: "a", Trigger: engine.TriggerRef{ID: "tick", Type: "cron", ScheduledAt: new(time.Now())}, Status: engine.RunFailed},
			{Workflow: "a", Trigger: engine.TriggerRef{ID: "tick", Type: "cron", ScheduledAt: &later}, Status: engine.RunQueued},
		}
		stop := serve(t, h.manager)
		pass(61 * time.Second)
		stop()
		wantPlanned(t, h, "a", "00:01:00")
	})
}

func TestServeOverlapWhenTheEngineIsAway(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		h := setup(t)
		h.apply(t, "a", tick("cancel_previous"))
		h.starter.fail(fault.New(fault.Unavailable, "away"))
		stop := serve(t, h.manager)
		pass(65 * time.Second)
		wantPlanned(t, h, "a")
		h.starter.fail(nil)
		pass(2 * time.Second)
		stop()
		wantPlanned(t, h, "a", "00:01:00")
	})
}

// C64, C65: downtime, by policy.
func TestServeCatchUp(t *testing.T) {
	t.Parallel()
	tests := []struct {
		name, trigger string
		down          time.Duration
		first, last   string // of what is made up; "" is none
		runs          int
		missed        int64
	}{
		{"default", `"schedule": "* * * * *"`, 112*time.Minute + 30*time.Second, "01:52:00", "01:52:00", 1, 111},
		{"none", `"schedule": "* * * * *", "catch_up": "0s"`, 112*time.Minute + 30*time.Second, "", "", 0, 112},
		{"none, but a moment late is not missed", `"schedule": "* * * * *", "catch_up": "0s"`, 112*time.Minute + 9*time.Second, "01:52:00", "01:52:00", 1, 111},
		{"an hour", `"schedule": "* * * * *", "catch_up": "1h"`, 112*time.Minute + 30*time.Second, "00:53:00", "01:52:00", 60, 52},
		{"at most a hundred", `"schedule": "* * * * *", "catch_up": "1d"`, 112*time.Minute + 30*time.Second, "00:13:00", "01:52:00", 100, 12},
		{"at most a hundred of each second", `"schedule": "* * * * * *", "seconds": true, "catch_up": "1d"`, time.Hour, "00:58:21", "01:00:00", 100, 3500},
		{"at most a hundred of every", `"schedule": "@every 1s", "catch_up": "1d"`, time.Hour, "00:58:21", "01:00:00", 100, 3500},
		{"fewer than a hundred", `"schedule": "0 * * * *", "catch_up": "30d"`, 12 * time.Hour, "01:00:00", "12:00:00", 12, 0},
		{"over before", `"schedule": "* * * * *", "until": "2000-01-01T00:30:00Z"`, 112 * time.Minute, "", "", 0, 30},
		{"over while down", `"schedule": "@every 1m", "catch_up": "1h", "until": "2000-01-01T01:30:00Z"`, 112 * time.Minute, "00:52:00", "01:30:00", 39, 51},
		{"not begun", `"schedule": "* * * * *", "from": "2000-01-02T00:30:00Z"`, 112 * time.Minute, "", "", 0, 0},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			t.Parallel()
			synctest.Test(t, func(t *testing.T) {
				h := setup(t)
				h.apply(t, "a", `"tick": {"type": "cron", `+tt.trigger+`}`)
				pass(tt.down)
				stop := serve(t, h.manager)
				pass(100 * time.Millisecond)
				stop()
				got := h.starter.planned("a")
				if len(got) != tt.runs || tt.runs > 0 && (got[0] != tt.first || got[len(got)-1] != tt.last) {
					t.Errorf("%d runs %v; want %d from %s to %s", len(got), got, tt.runs, tt.first, tt.last)
				}
				if missed, _ := h.counts(t); missed != tt.missed {
					t.Errorf("missed %d, want %d", missed, tt.missed)
				}
			})
		})
	}
}

func TestServeStaysWithinItsBounds(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		h := setup(t)
		h.apply(t, "a", `"tick": {"type": "cron", "schedule": "*/20 * * * * *", "seconds": true, "from": "2000-01-01T00:01:10Z", "until": "2000-01-01T00:02:00Z"}`)
		stop := serve(t, h.manager)
		pass(5 * time.Minute) // reconcile looks at it meanwhile
		stop()
		wantPlanned(t, h, "a", "00:01:20", "00:01:40", "00:02:00")
		plans, err := h.store.Plans(t.Context(), "a")
		if err != nil || len(plans) != 1 || plans[0].Revision != 1 || !plans[0].NextAt.IsZero() {
			t.Errorf("plans %+v, %v; want the one that has ended", plans, err)
		}
		list, err := h.manager.List(t.Context(), triggers.Filter{})
		if diff := cmp.Diff([]time.Time{}, list[0].Next); err != nil || diff != "" {
			t.Errorf("%v next: -want +got\n%s", err, diff)
		}
	})
}
