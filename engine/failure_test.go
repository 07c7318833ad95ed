package engine_test

import (
	"context"
	"encoding/json"
	"sync/atomic"
	"testing"

	"github.com/google/go-cmp/cmp"

	"keyflow/engine"
	"keyflow/engine/plan"
	"keyflow/engine/runs"
	"keyflow/internal/fault"
	"keyflow/nodes"
	"keyflow/workflows"
)

// A failed run starts the workflow for failures, once; that one's failure starts none.
func TestOnFailure(t *testing.T) {
	t.Parallel()
	w := setup(t)
	w.do = func(_ context.Context, _ nodes.Env, c call) (any, error) {
		if c.name == "bad" {
			return nil, &nodes.Error{Code: "fail_if", Message: "no", Permanent: true}
		}
		return c.arg, nil
	}
	w.apply(`{"id": "oncall", "on_failure": "oncall", "nodes": {"notify": {"type": "call", "with": {"name": "notify", "arg": "{{ input }}"}},
		"broken": {"type": "call", "needs": ["notify"], "with": {"name": "bad"}}}}`)
	id := w.apply(`{"id": "work", "on_failure": "oncall", "nodes": {"good": {"type": "call", "with": {"name": "good"}}, "a": {"type": "call", "with": {"name": "bad"}}}}`)
	run := w.start(id, `{"n": 1}`)
	if ended, _ := w.wait(run); ended.Status != runs.Failed {
		t.Fatalf("run %s", ended.Status)
	}
	var started []runs.Run
	w.eventually("the workflow for failures ends", func() bool {
		var err error
		started, err = w.engine.Runs(t.Context(), runs.Filter{Workflow: "oncall", Limit: 10})
		return err == nil && len(started) == 1 && started[0].Status == runs.Failed
	})
	_, steps := w.wait(started[0].ID)
	var got any
	if err := json.Unmarshal(steps["notify"].Output, &got); err != nil {
		t.Fatal(err)
	}
	want := map[string]any{
		"run_id": run.String(), "workflow": "work", "failed_nodes": []any{"a"}, "input": map[string]any{"n": 1.0},
		"error": map[string]any{"node": "a", "code": "fail_if", "message": "no"},
	}
	if diff := cmp.Diff(want, got); diff != "" {
		t.Errorf("input (-want +got):\n%s", diff)
	}
	if started[0].Trigger.Type != "on_failure" || w.count("notify") != 1 {
		t.Errorf("trigger %+v, started %d times", started[0].Trigger, w.count("notify"))
	}
	if list, err := w.engine.Runs(t.Context(), runs.Filter{Workflow: "oncall", Limit: 10}); err != nil || len(list) != 1 {
		t.Errorf("%d runs for one failure (%v)", len(list), err)
	}
}

// awayCatalog cannot be read so many times.
type awayCatalog struct {
	plan.Catalog
	left atomic.Int64
}

func (c *awayCatalog) Summary(ctx context.Context, id workflows.ID) (workflows.Summary, error) {
	if c.left.Add(-1) >= 0 {
		return workflows.Summary{}, fault.New(fault.Unavailable, "the database cannot be written or read now: try again")
	}
	return c.Catalog.Summary(ctx, id)
}

// A database that is away for a moment costs neither the workflow for failures its start nor a
// run its child.
func TestStartsOfRunsWaitForTheDatabase(t *testing.T) {
	t.Parallel()
	w := setup(t)
	w.stop()
	away := &awayCatalog{Catalog: w.catalog}
	w.boot(engine.Options{Exclusive: true, Catalog: away})
	w.do = func(_ context.Context, _ nodes.Env, c call) (any, error) {
		away.left.Store(3)
		if c.name == "bad" {
			return nil, &nodes.Error{Code: "fail_if", Message: "no", Permanent: true}
		}
		return c.arg, nil
	}
	w.apply(`{"id": "other", "nodes": {"a": {"type": "wait", "with": {"for": "0s"}}}}`)
	failing := w.start(w.apply(`{"id": "failing", "on_failure": "other", "nodes": {"a": {"type": "call", "with": {"name": "bad"}}}}`), "")
	if run, _ := w.wait(failing); run.Status != runs.Failed || run.Error.Code != "fail_if" {
		t.Errorf("the failing run is %s, %v", run.Status, run.Error)
	}
	parent := w.start(w.apply(`{"id": "parent", "nodes": {"a": {"type": "call", "with": {"name": "good"}}, "b": {"type": "workflow", "needs": ["a"], "with": {"workflow": "other"}}}}`), "")
	if run, _ := w.wait(parent); run.Status != runs.Succeeded {
		t.Errorf("the parent is %s, %v", run.Status, run.Error)
	}
	if list, err := w.engine.Runs(t.Context(), runs.Filter{Workflow: "other", Limit: 10}); err != nil || len(list) != 2 {
		t.Errorf("%d runs were started (%v)", len(list), err)
	}
}
