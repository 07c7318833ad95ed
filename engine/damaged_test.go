package engine_test

import (
	"fmt"
	"strings"
	"sync/atomic"
	"testing"

	"github.com/google/go-cmp/cmp"

	"keyflow/engine/runs"
	"keyflow/internal/database"
	"keyflow/internal/database/databasetest"
	"keyflow/internal/fault"
	"keyflow/nodes"
	"keyflow/workflows"
)

// TestDamagedRun: a due run of which something stored cannot be read ends, its parent hears of
// it, and nobody else does.
func TestDamagedRun(t *testing.T) {
	t.Parallel()
	for name, damage := range map[string]func(db *database.DB, run runs.ID) error{
		"a value is missing": func(db *database.DB, run runs.ID) error {
			return db.Write().Exec("DELETE FROM blobs WHERE run = ?", run[:]).Error
		},
		"a detail of a newer release": func(db *database.DB, run runs.ID) error {
			return db.Write().Exec("UPDATE steps SET detail = ? WHERE run = ?", []byte(`{"a": 1}`), run[:]).Error
		},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			databasetest.Each(t, func(t *testing.T, open func() *database.DB) {
				w := setupOn(t, open())
				w.apply(`{"id": "child", "nodes": {"first": {"type": "call", "with": {"name": "first"}},
				  "a": {"type": "wait", "needs": ["first"], "with": {"for": "1h"}}}}`)
				parent := w.start(w.apply(`{"id": "parent", "nodes": {"c": {"type": "workflow", "with": {"workflow": "child", "input": "{{ input }}"}}}}`),
					fmt.Sprintf(`{"x": %q}`, strings.Repeat("ab", 20<<10)))
				child := w.parked("child")
				if err := damage(w.db, child.ID); err != nil {
					t.Fatal(err)
				}
				w.signal(child.ID, runs.SignalConnected)
				run, steps := w.wait(parent)
				const message = "internal error: what is stored of the run cannot be read"
				if diff := cmp.Diff(&runs.RunError{Node: "c", Code: nodes.CodeInternal, Message: "child: " + message}, run.Error); run.Status != runs.Failed || diff != "" {
					t.Errorf("the parent is %s, its step %s: -want +got\n%s", run.Status, steps["c"].Status, diff)
				}
				if got := w.only("child"); got.Status != runs.Failed || cmp.Diff(&runs.RunError{Code: nodes.CodeInternal, Message: message}, got.Error) != "" {
					t.Errorf("the child is %s, %+v", got.Status, got.Error)
				}
				if run, _ := w.wait(w.start(w.apply(`{"id": "other", "nodes": {"a": {"type": "call", "with": {"name": "a"}}}}`), "")); run.Status != runs.Succeeded {
					t.Errorf("another run is %s, %+v", run.Status, run.Error)
				}
			})
		})
	}
}

// parked waits until the only run of a workflow is given up to the store.
func (w *world) parked(of string) (run runs.Run) {
	w.Helper()
	w.eventually("parked", func() bool {
		run = w.only(of)
		return run.Status == runs.Waiting && run.Owner == runs.OwnerID{}
	})
	return run
}

// only returns the run of a workflow that has one at most, as lists show it.
func (w *world) only(of string) runs.Run {
	w.Helper()
	list, err := w.engine.Runs(w.Context(), runs.Filter{Workflow: workflows.ID(of)})
	if err != nil {
		w.Fatal(err)
	}
	if len(list) == 0 {
		return runs.Run{}
	}
	return list[0]
}

// TestRefusedEnd: the store refuses what a step gave, and then the end of the run with the rest
// of it. The run ends all the same: its owner is alive, so that no other process would take it.
func TestRefusedEnd(t *testing.T) {
	t.Parallel()
	w := setup(t)
	var refused atomic.Int64
	around := aroundCommit(func(entries []runs.Entry, commit func() ([]runs.Outcome, error)) ([]runs.Outcome, error) {
		if len(entries) == 1 && entries[0].Progress != nil && refused.Load() < 2 {
			refused.Add(1)
			return nil, fault.New(fault.Invalid, "this cannot be stored")
		}
		return commit()
	})
	w.store.around.Store(&around)
	run, _ := w.wait(w.start(w.apply(`{"id": "x", "nodes": {"a": {"type": "call", "with": {"name": "a"}}}}`), ""))
	want := &runs.RunError{Code: nodes.CodeInternal, Message: "internal error: a result could not be stored"}
	if diff := cmp.Diff(want, run.Error); run.Status != runs.Failed || diff != "" || refused.Load() != 2 {
		t.Errorf("%s, refused %d times: -want +got\n%s", run.Status, refused.Load(), diff)
	}
}
