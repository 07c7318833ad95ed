package cron_test

import (
	"context"
	"errors"
	"fmt"
	"net/http"
	"slices"
	"sync"
	"testing"
	"testing/synctest"
	"time"

	"github.com/google/go-cmp/cmp"

	"keyflow/credentials"
	"keyflow/engine"
	"keyflow/engine/runs"
	enginestore "keyflow/engine/sqlstore"
	"keyflow/engine/sqlstore/heartbeat"
	"keyflow/internal/fault"
	"keyflow/internal/identity"
	"keyflow/nodes"
	"keyflow/nodes/standard"
	"keyflow/triggers"
	"keyflow/triggers/internal/firingtest"
	"keyflow/workflows"
)

// counts returns missed and skipped occurrences of the only cron trigger.
func counts(t *testing.T, h *firingtest.Harness) (missed, skipped int64) {
	t.Helper()
	list, err := h.Manager.List(t.Context(), triggers.Filter{})
	if err != nil || len(list) != 1 {
		t.Fatalf("List: %v, %v", list, err)
	}
	return list[0].Missed, list[0].Skipped
}

func tick(overlap string) string {
	return fmt.Sprintf(`"tick": {"type": "cron", "schedule": "* * * * *", "overlap": %q}`, overlap)
}

// rig is a manager over a real engine, on a database that outlives both.
type rig struct {
	*firingtest.Harness
	engine *engine.Engine
	stop   func()
}

// open begins anew on the database of the harness, as a restart does.
func open(t *testing.T, h *firingtest.Harness) *rig {
	t.Helper()
	store, err := enginestore.New(h.Database)
	if err != nil {
		t.Fatal(err)
	}
	var kinds []nodes.Type
	for _, kind := range standard.Types() {
		if kind.Name == "approval" {
			kinds = append(kinds, kind)
		}
	}
	e, err := engine.New(engine.Options{
		Store: store, Owners: heartbeat.New(h.Database), Catalog: h.Catalog, Types: nodes.NewRegistry(kinds...), Credentials: nobody{}, Exclusive: true,
	})
	if err != nil {
		t.Fatal(err)
	}
	h.Manager = triggers.New(triggers.Options{Store: h.Store, Catalog: h.Catalog, Starter: e, Verifier: h.Verifier})
	ctx, cancel := context.WithCancel(t.Context())
	var wg sync.WaitGroup
	wg.Go(func() {
		if err := e.Serve(ctx); err != nil {
			t.Errorf("Serve: %v", err)
		}
	})
	pass(time.Millisecond)
	stop := serve(t, h.Manager)
	return &rig{h, e, func() { stop(); cancel(); wg.Wait() }}
}

// nobody resolves no credential.
type nobody struct{}

func (nobody) Client(context.Context, credentials.Use) (*http.Client, error) {
	return nil, errors.New("no credentials here")
}

// asks applies a workflow whose runs go on until somebody decides.
func asks(t *testing.T, h *firingtest.Harness, id, triggersJSON string, extra string) {
	t.Helper()
	source := fmt.Sprintf(`{"id": %q, "nodes": {"ok": {"type": "approval", "with": {"message": "go?"}}}, "triggers": {%s}%s}`, id, triggersJSON, extra)
	if _, err := h.Catalog.Apply(t.Context(), identity.System(), workflows.ID(id), []byte(source), -1); err != nil {
		t.Fatalf("apply: %v %v", err, fault.ProblemsOf(err))
	}
}

// finish lets the runs that go on end well.
func (h *rig) finish(t *testing.T) {
	t.Helper()
	for _, run := range h.all(t, runs.Waiting) {
		if err := h.engine.Deliver(t.Context(), run.ID, "ok", nodes.CodeWaitsForApproval, map[string]any{"approved": true}); err != nil {
			t.Errorf("approve: %v", err)
		}
	}
	synctest.Wait()
}

// all returns the list of one status, oldest first; "" is any.
func (h *rig) all(t *testing.T, status runs.Status) []runs.Run {
	t.Helper()
	list, err := h.engine.Runs(t.Context(), runs.Filter{Status: status, Limit: 500})
	if err != nil {
		t.Fatal(err)
	}
	slices.Reverse(list)
	return list
}

// plannedRuns returns the planned instants of all runs of schedules, as clock text.
func (h *rig) plannedRuns(t *testing.T) []string {
	t.Helper()
	var out []string
	for _, run := range h.all(t, "") {
		if run.Trigger.ScheduledAt != nil {
			out = append(out, run.Trigger.ScheduledAt.Format("15:04:05"))
		}
	}
	return out
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
				h := open(t, firingtest.Setup(t))
				asks(t, h.Harness, "a", tick(tt.overlap), "")
				pass(3*time.Minute + 30*time.Second)
				h.finish(t) // the run of 00:01 goes on until now
				pass(10 * time.Second)
				h.finish(t) // what waited
				pass(time.Minute)
				if tt.overlap != "cancel_previous" {
					h.finish(t)
				}
				pass(time.Minute)
				if diff := cmp.Diff(tt.want, h.plannedRuns(t)); diff != "" {
					t.Errorf("runs (-want +got):\n%s", diff)
				}
				missed, skipped := counts(t, h.Harness)
				if canceled := len(h.all(t, runs.Canceled)); missed != 0 || skipped != tt.skipped || canceled != tt.canceled {
					t.Errorf("missed %d, skipped %d, canceled %d; want 0, %d, %d", missed, skipped, canceled, tt.skipped, tt.canceled)
				}
				h.stop()
			})
		})
	}
}

// What waits for its predecessor waits through a restart, however long, and shows.
func TestServeWaitingOccurrenceSurvivesARestart(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		house := firingtest.Setup(t)
		h := open(t, house)
		asks(t, h.Harness, "a", tick("queue"), "")
		pass(2*time.Minute + 30*time.Second)
		h.stop()
		pass(time.Hour) // nothing runs
		h = open(t, house)
		pass(10 * time.Second)
		list, err := h.Manager.List(t.Context(), triggers.Filter{})
		if want := time.Date(2000, 1, 1, 0, 2, 0, 0, time.UTC); err != nil || len(list) != 1 || list[0].Waiting == nil || !list[0].Waiting.Equal(want) {
			t.Errorf("List: %+v, %v", list, err)
		}
		h.finish(t)
		pass(time.Second)
		if diff := cmp.Diff([]string{"00:01:00", "00:02:00"}, h.plannedRuns(t)); diff != "" || len(h.all(t, runs.Waiting)) != 1 {
			t.Errorf("runs (-want +got):\n%s", diff)
		}
		h.stop()
	})
}

// Runs started by hand and those of other triggers are no predecessors; a retry is one.
func TestServeOverlapLooksAtItsOwnRuns(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		h := open(t, firingtest.Setup(t))
		asks(t, h.Harness, "a", tick("skip")+`, "other": {"type": "cron", "schedule": "0 * * * *"}`, "")
		for _, ref := range []runs.TriggerRef{{}, {ID: "other", Type: "cron"}, {ID: "tick", Type: "webhook"}} {
			if _, err := h.engine.Start(t.Context(), engine.Start{Workflow: "a", Trigger: ref}); err != nil {
				t.Fatal(err)
			}
		}
		pass(61 * time.Second)
		list := h.all(t, runs.Waiting)
		if len(list) != 4 {
			t.Fatalf("%d runs go on, want 4", len(list))
		}
		if err := h.engine.Cancel(t.Context(), list[3].ID); err != nil {
			t.Fatal(err)
		}
		pass(time.Second)
		if _, err := h.engine.Retry(t.Context(), engine.Retry{Run: list[3].ID, FromStart: true}); err != nil {
			t.Fatal(err)
		}
		pass(time.Minute)
		if list, err := h.Manager.List(t.Context(), triggers.Filter{}); err != nil || list[1].Skipped != 1 {
			t.Errorf("List: %+v, %v; want the second occurrence skipped", list, err)
		}
		h.stop()
	})
}

// Both limits hold: an occurrence needs the slot of its trigger and that of its workflow.
func TestServeOverlapWithConcurrency(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		h := open(t, firingtest.Setup(t))
		asks(t, h.Harness, "a", tick("queue"), `, "concurrency": {"limit": 1}`)
		if _, err := h.engine.Start(t.Context(), engine.Start{Workflow: "a"}); err != nil {
			t.Fatal(err)
		}
		pass(3*time.Minute + 30*time.Second) // 00:01 waits for the run started by hand, 00:02 for 00:01
		if _, skipped := counts(t, h.Harness); skipped != 1 || len(h.all(t, runs.Queued)) != 2 {
			t.Errorf("%d skipped, %d wait; want 1 and 2", skipped, len(h.all(t, runs.Queued)))
		}
		for want := 1; want >= 0; want-- {
			h.finish(t)
			pass(time.Second)
			if waiting, queued := len(h.all(t, runs.Waiting)), len(h.all(t, runs.Queued)); waiting != 1 || queued != want {
				t.Errorf("%d go on, %d wait; want 1 and %d", waiting, queued, want)
			}
		}
		h.stop()
	})
}

// An occurrence that the engine skips is counted once, whoever asks how often.
func TestServeCountsASkippedOccurrenceOnce(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		h := firingtest.Setup(t)
		h.Apply(t, "a", tick("skip"))
		h.Starter.Full = true
		before, err := h.Store.Plans(t.Context(), "a")
		if err != nil {
			t.Fatal(err)
		}
		stop := serve(t, h.Manager)
		pass(61 * time.Second)
		stop()
		if err := h.Store.Arm(t.Context(), before); err != nil { // as if Advance had not happened
			t.Fatal(err)
		}
		h.Starter.Full = false
		other := triggers.New(triggers.Options{Store: h.Store, Catalog: h.Catalog, Starter: h.Starter, Verifier: h.Verifier})
		stop, stopOther := serve(t, h.Manager), serve(t, other)
		pass(5 * time.Second)
		stop()
		stopOther()
		wantPlanned(t, h, "a")
		if missed, skipped := counts(t, h); missed != 0 || skipped != 1 {
			t.Errorf("missed %d, skipped %d; want 0 and 1", missed, skipped)
		}
	})
}

func TestServeOverlapWhenTheEngineIsAway(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		h := firingtest.Setup(t)
		h.Apply(t, "a", tick("cancel_previous"))
		h.Starter.Fail(fault.New(fault.Unavailable, "away"))
		stop := serve(t, h.Manager)
		pass(65 * time.Second)
		wantPlanned(t, h, "a")
		h.Starter.Fail(nil)
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
				h := firingtest.Setup(t)
				h.Apply(t, "a", `"tick": {"type": "cron", `+tt.trigger+`}`)
				pass(tt.down)
				stop := serve(t, h.Manager)
				pass(100 * time.Millisecond)
				stop()
				got := h.Starter.Planned("a")
				if len(got) != tt.runs || tt.runs > 0 && (got[0] != tt.first || got[len(got)-1] != tt.last) {
					t.Errorf("%d runs %v; want %d from %s to %s", len(got), got, tt.runs, tt.first, tt.last)
				}
				if missed, _ := counts(t, h); missed != tt.missed {
					t.Errorf("missed %d, want %d", missed, tt.missed)
				}
			})
		})
	}
}

func TestServeStaysWithinItsBounds(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		h := firingtest.Setup(t)
		h.Apply(t, "a", `"tick": {"type": "cron", "schedule": "*/20 * * * * *", "seconds": true, "from": "2000-01-01T00:01:10Z", "until": "2000-01-01T00:02:00Z"}`)
		stop := serve(t, h.Manager)
		pass(5 * time.Minute) // reconcile looks at it meanwhile
		stop()
		wantPlanned(t, h, "a", "00:01:20", "00:01:40", "00:02:00")
		plans, err := h.Store.Plans(t.Context(), "a")
		if err != nil || len(plans) != 1 || plans[0].Revision != 1 || !plans[0].NextAt.IsZero() {
			t.Errorf("plans %+v, %v; want the one that has ended", plans, err)
		}
		list, err := h.Manager.List(t.Context(), triggers.Filter{})
		if diff := cmp.Diff([]time.Time{}, list[0].Next); err != nil || diff != "" {
			t.Errorf("%v next: -want +got\n%s", err, diff)
		}
	})
}
