package cron_test

import (
	"context"
	"fmt"
	"strings"
	"sync"
	"testing"
	"testing/synctest"
	"time"

	"github.com/google/go-cmp/cmp"

	"keyflow/internal/fault"
	"keyflow/internal/identity"
	"keyflow/triggers"
	"keyflow/triggers/internal/firingtest"
	"keyflow/triggers/plans"
	"keyflow/triggers/schedule"
	"keyflow/workflows"
)

// Tests of Serve run in fake time, which begins at midnight UTC on 2000-01-01.

// serve runs the manager until the returned function is called.
func serve(t *testing.T, m *triggers.Manager) (stop func()) {
	t.Helper()
	ctx, cancel := context.WithCancel(t.Context())
	var wg sync.WaitGroup
	wg.Go(func() {
		if err := m.Serve(ctx); err != nil {
			t.Errorf("Serve: %v", err)
		}
	})
	return func() { cancel(); wg.Wait() }
}

// pass lets fake time go by.
func pass(d time.Duration) {
	time.Sleep(d)
	synctest.Wait()
}

func wantPlanned(t *testing.T, h *firingtest.Harness, id workflows.ID, want ...string) {
	t.Helper()
	if diff := cmp.Diff(want, h.Starter.Planned(id)); diff != "" {
		t.Errorf("planned instants of %s: -want +got\n%s", id, diff)
	}
}

func TestServeFiresEachOccurrenceOnce(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		h := firingtest.Setup(t)
		h.Apply(t, "a", firingtest.EveryMinute)
		h.Apply(t, "b", `"t": {"type": "cron", "schedule": "*/2 * * * *", "timezone": "Asia/Kathmandu", "input": {"at": "{{ trigger.scheduled_at }}", "n": "{{ vars.n }}"}}`, `"vars": {"n": 7}`)
		stop := serve(t, h.Manager)
		pass(4*time.Minute + 10*time.Second)
		stop()
		wantPlanned(t, h, "a", "00:01:00", "00:02:00", "00:03:00", "00:04:00")
		wantPlanned(t, h, "b", "00:01:00", "00:03:00") // Kathmandu is 5:45 ahead
		for _, s := range h.Starter.All() {
			want := "{}"
			if s.Workflow == "b" {
				want = fmt.Sprintf(`{"at":"2000-01-01T%sZ","n":7}`, s.Trigger.ScheduledAt.Format(time.TimeOnly))
			}
			late := s.Trigger.FiredAt.Sub(*s.Trigger.ScheduledAt)
			if string(s.Input) != want || s.Trigger.Type != "cron" || late < 0 || late > 100*time.Millisecond {
				t.Errorf("got %s start %+v, %v late", s.Input, s.Trigger, late)
			}
			if d := s.Dedupe; d.Kind != "cron" || d.Trigger != s.Trigger.ID || d.Key != s.Trigger.ScheduledAt.Format(time.RFC3339Nano) || d.ExpiresAt.Sub(s.Trigger.FiredAt) != 24*time.Hour {
				t.Errorf("got dedupe key %+v", d)
			}
		}
	})
}

func TestServeMakesUpWhatIsYoungerThanAMinute(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		h := firingtest.Setup(t)
		h.Apply(t, "a", `"tick": {"type": "cron", "schedule": "@every 20s"}`)
		pass(9*time.Minute + 5*time.Second) // nothing runs
		stop := serve(t, h.Manager)
		pass(time.Second)
		stop()
		wantPlanned(t, h, "a", "00:08:20", "00:08:40", "00:09:00")
		list, err := h.Manager.List(t.Context(), triggers.Filter{})
		if err != nil || len(list) != 1 || list[0].Missed != 24 {
			t.Errorf("got %+v, %v; want 24 missed", list, err)
		}
	})
}

// A clock that jumps ten years must not make the process spin, nor fire ten years of runs.
func TestServeAfterALongOutage(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		h := firingtest.Setup(t)
		h.Apply(t, "a", firingtest.EveryMinute)
		h.Apply(t, "b", `"tick": {"type": "cron", "schedule": "@every 1s"}`)
		pass(10*365*24*time.Hour + 30*time.Second)
		stop := serve(t, h.Manager)
		pass(100 * time.Millisecond)
		stop()
		wantPlanned(t, h, "a", "00:00:00")
		if got := h.Starter.Planned("b"); len(got) != 61 {
			t.Errorf("made up %d runs of the last minute, want 61: %v", len(got), got)
		}
	})
}

func TestServeStartsFromNowAfterAnEditOrEnable(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		h := firingtest.Setup(t)
		h.Apply(t, "a", firingtest.EveryMinute)
		stop := serve(t, h.Manager)
		pass(90 * time.Second) // 00:01:30
		if _, err := h.Catalog.SetEnabled(t.Context(), identity.System(), "a", false); err != nil {
			t.Fatal(err)
		}
		pass(3 * time.Minute) // 00:04:30
		if _, err := h.Catalog.SetEnabled(t.Context(), identity.System(), "a", true); err != nil {
			t.Fatal(err)
		}
		pass(time.Minute) // 00:05:30
		h.Apply(t, "a", `"tick": {"type": "cron", "schedule": "10 * * * *"}`)
		pass(5 * time.Minute)                                          // 00:10:30
		h.Apply(t, "a", firingtest.EveryMinute, `"name": "back"`)      // plans from now
		pass(time.Minute)                                              // 00:11:30
		h.Apply(t, "a", firingtest.EveryMinute, `"name": "same plan"`) // an edit elsewhere leaves the plan alone
		pass(time.Minute)                                              // 00:12:30
		h.Apply(t, "a", ``)
		pass(3 * time.Minute)
		stop()
		wantPlanned(t, h, "a", "00:01:00", "00:05:00", "00:10:00", "00:11:00", "00:12:00")
	})
}

func TestServeEveryCountsFromItsAnchor(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		h := firingtest.Setup(t)
		pass(7 * time.Second)
		h.Apply(t, "a", `"tick": {"type": "cron", "schedule": "@every 90s"}`)
		stop := serve(t, h.Manager)
		pass(2 * time.Minute)
		stop()
		pass(50 * time.Second)
		stop = serve(t, h.Manager) // a restart does not move it
		pass(time.Minute)
		stop()
		wantPlanned(t, h, "a", "00:01:37", "00:03:07")
	})
}

func TestServeTriesAgainWhenNothingIsAccepted(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		h := firingtest.Setup(t)
		h.Apply(t, "a", firingtest.EveryMinute)
		h.Starter.Fail(fault.New(fault.Unavailable, "full"))
		stop := serve(t, h.Manager)
		pass(80 * time.Second)
		wantPlanned(t, h, "a")
		h.Starter.Fail(nil)
		pass(2 * time.Second)
		stop()
		wantPlanned(t, h, "a", "00:01:00")
	})
}

// An occurrence that can never start is given up; the schedule goes on.
func TestServeGoesOnAfterARefusedStart(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		h := firingtest.Setup(t)
		h.Apply(t, "a", firingtest.EveryMinute)
		h.Starter.Fail(fault.New(fault.Invalid, "the input does not match"))
		stop := serve(t, h.Manager)
		pass(90 * time.Second)
		h.Starter.Fail(nil)
		pass(time.Minute)
		stop()
		wantPlanned(t, h, "a", "00:02:00")
	})
}

// A stored row that no release would store stops only itself (research row 70).
func TestServeSurvivesABadStoredSchedule(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		h := firingtest.Setup(t)
		h.Apply(t, "a", firingtest.EveryMinute)
		h.Apply(t, "b", firingtest.EveryMinute)
		if err := h.Manager.Load(t.Context()); err != nil {
			t.Fatal(err)
		}
		bad := plans.Plan{Workflow: "a", Trigger: "tick", Spec: schedule.Spec{Schedule: "TZ=0", Timezone: "UTC"}, Anchor: time.Now(), NextAt: time.Now()}
		if err := h.Store.Arm(t.Context(), []plans.Plan{bad}); err != nil {
			t.Fatal(err)
		}
		stop := serve(t, h.Manager)
		pass(3*time.Minute + time.Second)
		stop()
		wantPlanned(t, h, "b", "00:01:00", "00:02:00", "00:03:00")
		wantPlanned(t, h, "a", "00:01:00", "00:02:00", "00:03:00") // made anew when it was due
	})
}

// Three processes on one store, each tick seen by all: one run each (C66).
func TestServeManyProcesses(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		h := firingtest.Setup(t)
		h.Apply(t, "a", `"tick": {"type": "cron", "schedule": "@every 2s"}`)
		var stops []func()
		for range 3 {
			other := triggers.New(triggers.Options{Store: h.Store, Catalog: h.Catalog, Starter: h.Starter, Verifier: &firingtest.Verifier{}, Shared: true})
			stops = append(stops, serve(t, other))
		}
		pass(60*time.Second + 500*time.Millisecond)
		for _, stop := range stops {
			stop()
		}
		got := h.Starter.Planned("a")
		if len(got) != 30 {
			t.Errorf("%d runs, want 30", len(got))
		}
	})
}

// More schedules than one claim takes, all at one instant: each starts once (C69).
func TestServeManyAtOneInstant(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		h := firingtest.Setup(t)
		var list []string
		for i := range 100 {
			list = append(list, fmt.Sprintf(`"t%d": {"type": "cron", "schedule": "2 0 * * *"}`, i))
		}
		for i := range 3 {
			h.Apply(t, fmt.Sprintf("w%d", i), strings.Join(list, ","))
		}
		stop := serve(t, h.Manager)
		pass(3 * time.Minute)
		stop()
		if got := len(h.Starter.All()); got != 300 {
			t.Errorf("%d runs, want 300", got)
		}
	})
}

// A plan that is lost while everything runs is made anew: within a minute, or, when a plan too
// many hides it from those that count, within an hour.
func TestServeRepairsPlans(t *testing.T) {
	t.Parallel()
	for name, tt := range map[string]struct {
		extra  bool
		before int // of "a", two minutes after the loss
	}{"lost": {false, 1}, "lost, and one too many": {true, 0}} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			synctest.Test(t, func(t *testing.T) {
				h := firingtest.Setup(t)
				h.Apply(t, "a", `"tick": {"type": "cron", "schedule": "@yearly"}`)
				stop := serve(t, h.Manager)
				defer stop()
				pass(time.Second)
				if err := h.Store.Keep(t.Context(), "a", nil); err != nil {
					t.Fatal(err)
				}
				if tt.extra {
					stranger := plans.Plan{
						Workflow: "stranger", Trigger: "t", Spec: schedule.Spec{Schedule: "@yearly", Timezone: "UTC"},
						Anchor: time.Now(), NextAt: time.Now().Add(1000 * time.Hour),
					}
					if err := h.Store.Arm(t.Context(), []plans.Plan{stranger}); err != nil {
						t.Fatal(err)
					}
				}
				pass(2 * time.Minute)
				if counts, err := h.Store.Counts(t.Context()); err != nil || counts["a"] != tt.before {
					t.Errorf("after two minutes: %v, %v", counts, err)
				}
				pass(time.Hour)
				counts, err := h.Store.Counts(t.Context())
				if diff := cmp.Diff(map[workflows.ID]int{"a": 1}, counts); err != nil || diff != "" {
					t.Errorf("after an hour: %v -want +got\n%s", err, diff)
				}
			})
		})
	}
}
