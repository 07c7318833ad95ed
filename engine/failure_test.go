package engine_test

import (
	"context"
	"encoding/json"
	"testing"

	"github.com/google/go-cmp/cmp"

	"keyflow/engine"
	"keyflow/nodes"
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
	w.apply(`{"id": "oncall", "on_failure": "oncall", "nodes": {"tell": {"type": "call", "with": {"name": "tell", "arg": "{{ input }}"}},
		"broken": {"type": "call", "needs": ["tell"], "with": {"name": "bad"}}}}`)
	id := w.apply(`{"id": "work", "on_failure": "oncall", "nodes": {"good": {"type": "call", "with": {"name": "good"}}, "a": {"type": "call", "with": {"name": "bad"}}}}`)
	run := w.start(id, `{"n": 1}`)
	if ended, _ := w.wait(run); ended.Status != engine.RunFailed {
		t.Fatalf("run %s", ended.Status)
	}
	var told []engine.Run
	w.eventually("the workflow for failures ends", func() bool {
		var err error
		told, err = w.engine.Runs(t.Context(), engine.RunFilter{Workflow: "oncall", Limit: 10})
		return err == nil && len(told) == 1 && told[0].Status == engine.RunFailed
	})
	_, steps := w.wait(told[0].ID)
	var got any
	if err := json.Unmarshal(steps["tell"].Output, &got); err != nil {
		t.Fatal(err)
	}
	want := map[string]any{
		"run_id": run.String(), "workflow": "work", "failed_nodes": []any{"a"}, "input": map[string]any{"n": 1.0},
		"error": map[string]any{"node": "a", "code": "fail_if", "message": "no"},
	}
	if diff := cmp.Diff(want, got); diff != "" {
		t.Errorf("input (-want +got):\n%s", diff)
	}
	if told[0].Trigger.Type != "on_failure" || w.count("tell") != 1 {
		t.Errorf("trigger %+v, told %d times", told[0].Trigger, w.count("tell"))
	}
	if runs, err := w.engine.Runs(t.Context(), engine.RunFilter{Workflow: "oncall", Limit: 10}); err != nil || len(runs) != 1 {
		t.Errorf("%d runs for one failure (%v)", len(runs), err)
	}
}
