package engine_test

import (
	"context"
	"fmt"
	"strings"
	"testing"
	"time"

	"github.com/google/uuid"

	"keyflow/engine/runs"
	"keyflow/nodes"
)

func TestConcurrencyOfChildren(t *testing.T) {
	t.Parallel()
	parent := func(id, concurrency, child, wait string) string {
		return fmt.Sprintf(`{"id": %q%s, "nodes": {"c": {"type": "workflow", "with": {"workflow": %q, "wait": %s}}}}`, id, concurrency, child, wait)
	}
	tests := map[string]struct {
		child, parent string
		code, text    string // of the step's error; "" succeeds
	}{
		"queued":             {`{"limit": 1}`, parent("p", "", "child", "true"), "", ""},
		"skipped":            {`{"limit": 1, "on_limit": "skip"}`, parent("p", "", "child", "true"), nodes.CodeConcurrencyLimit, "its limit of runs at once (1)"},
		"skipped, no wait":   {`{"limit": 1, "on_limit": "skip"}`, parent("p", "", "child", "false"), nodes.CodeConcurrencyLimit, "its limit of runs at once (1)"},
		"queued, no wait":    {`{"limit": 1}`, parent("p", "", "child", "false"), "", ""},
		"of its own":         {`{"limit": 1}`, parent("p", `, "concurrency": {"limit": 1}`, "p", "true"), nodes.CodeInvalidParam, "waits for its end"},
		"of its own, oldest": {`{"limit": 1}`, parent("p", `, "concurrency": {"limit": 2, "on_limit": "cancel_oldest"}`, "p", "true"), nodes.CodeInvalidParam, "waits for its end"},
		"of its own, other":  {`{"limit": 1}`, parent("p", `, "concurrency": {"limit": 1, "key": "{{ input.x ?? uuid() }}"}`, "child", "true"), "", ""},
	}
	for name, tt := range tests {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			w := setup(t)
			g := w.through(true)
			child := w.limited("child", tt.child)
			first := w.start(child, "")
			w.eventually("the first child is at work", func() bool { return g.inside("a") == 1 })
			id := w.apply(tt.parent)
			run := w.start(id, "")
			if tt.code != "" {
				got, steps := w.wait(run)
				if err := steps["c"].Error; got.Status != runs.Failed || err == nil || err.Code != tt.code || !strings.Contains(err.Message, tt.text) {
					t.Errorf("run %s, step %+v", got.Status, err)
				}
			}
			g.hold <- struct{}{}
			g.hold <- struct{}{}
			w.ends(runs.Succeeded, first)
			if tt.code == "" {
				w.ends(runs.Succeeded, run)
			}
			w.eventually("all slots are free", func() bool { return w.slotRows() == 0 })
			if g.max["a"] > 1 {
				t.Errorf("%d children at once", g.max["a"])
			}
		})
	}
}

// A child that was started gives the step its end, although its workflow could have refused it.
func TestConcurrencySkipStartsAChild(t *testing.T) {
	t.Parallel()
	w := setup(t)
	w.limited("child", `{"limit": 1, "on_limit": "skip"}`)
	id := w.apply(`{"id": "p", "nodes": {
		"c": {"type": "workflow", "with": {"workflow": "child", "input": {"n": 1}}},
		"d": {"type": "workflow", "needs": ["c"], "with": {"workflow": "child", "wait": false}}}}`)
	run, steps := w.wait(w.start(id, ""))
	if run.Status != runs.Succeeded || !strings.Contains(string(steps["d"].Output), "run_id") {
		t.Errorf("run %s, steps %+v", run.Status, steps)
	}
	w.eventually("all slots are free", func() bool { return w.slotRows() == 0 })
	if w.count("a") != 2 {
		t.Errorf("%d children ran, want 2", w.count("a"))
	}
}

// A run that is canceled while the child of its step is being stored takes the child with it.
func TestConcurrencyChildOfACanceledRun(t *testing.T) {
	t.Parallel()
	w := setup(t)
	atWork, interrupted := make(chan struct{}), make(chan struct{})
	w.do = func(ctx context.Context, _ nodes.Env, c call) (any, error) {
		if c.name == "side" {
			close(atWork)
			defer close(interrupted)
		}
		<-ctx.Done()
		return nil, ctx.Err()
	}
	child := w.limited("child", `{"limit": 5, "on_limit": "skip"}`)
	id := w.apply(`{"id": "p", "nodes": {
		"side": {"type": "call", "with": {"name": "side"}},
		"c": {"type": "workflow", "with": {"workflow": "child"}}}}`)
	around := aroundCommit(func(entries []runs.Entry, commit func() ([]runs.Outcome, error)) ([]runs.Outcome, error) {
		out, err := commit()
		for i := range entries {
			n := entries[i].Create
			if n == nil || n.Run.Parent == nil {
				continue
			}
			<-atWork
			cancel := runs.Entry{Signal: &runs.Signal{Run: n.Run.Parent.Run, Kind: runs.SignalCancel, ID: uuid.New()}}
			if _, err := w.store.Store.Commit(w.Context(), []runs.Entry{cancel}, time.Now()); err != nil {
				w.Error(err)
			}
			<-interrupted
		}
		return out, err
	})
	w.store.around.Store(&around)
	w.ends(runs.Canceled, w.start(id, ""))
	children, err := w.engine.Runs(t.Context(), runs.Filter{Workflow: child, Limit: 2})
	if err != nil || len(children) != 1 {
		t.Fatalf("children: %v, %v", children, err)
	}
	w.ends(runs.Canceled, children[0].ID)
	w.eventually("all slots are free", func() bool { return w.slotRows() == 0 })
}
