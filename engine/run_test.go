package engine_test

import (
	"context"
	"fmt"
	"strconv"
	"testing"

	"github.com/google/go-cmp/cmp"

	"keyflow/engine/runs"
	"keyflow/internal/database"
	"keyflow/internal/database/databasetest"
	"keyflow/nodes"
)

func stepName(s runs.Step) string {
	if s.Index == runs.NoIndex {
		return string(s.Node)
	}
	return string(s.Node) + "/" + strconv.Itoa(s.Index)
}

// statuses is all that matters of steps to a test about order and decisions.
func statuses(steps map[string]runs.Step) map[string]runs.StepStatus {
	out := map[string]runs.StepStatus{}
	for name, s := range steps {
		out[name] = s.Status
	}
	return out
}

// tenNodes is a diamond, an if, a for_each, a failing node with retry and one that may fail.
const tenNodes = `{
  "id": "ten", "vars": {"big": 10},
  "nodes": {
    "begin":  {"type": "call", "with": {"name": "begin", "arg": "{{ input.n }}"}},
    "left":   {"type": "call", "needs": ["begin"], "with": {"name": "left", "arg": "{{ nodes.begin.output + 1 }}"}},
    "right":  {"type": "call", "needs": ["begin"], "with": {"name": "right", "arg": "{{ nodes.begin.output * 2 }}"}},
    "join":   {"type": "call", "needs": ["left", "right"], "with": {"name": "join", "arg": ["{{ nodes.left.output }}", "{{ nodes.right.output }}"]}},
    "never":  {"type": "call", "needs": ["join"], "if": "nodes.begin.output > vars.big", "with": {"name": "never"}},
    "after":  {"type": "call", "needs": ["never"], "with": {"name": "after"}},
    "each":   {"type": "call", "needs": ["join"], "for_each": "nodes.join.output", "max_parallel": 2, "with": {"name": "each", "arg": "{{ item + index }}"}},
    "flaky":  {"type": "call", "needs": ["join"], "with": {"name": "flaky"}, "retry": {"max_attempts": 3, "initial": "5ms"}},
    "maybe":  {"type": "call", "needs": ["join"], "with": {"name": "maybe"}, "on_error": "continue"},
    "fix":   {"type": "call", "needs": ["maybe"], "run_on": "failure", "with": {"name": "fix", "arg": "{{ nodes.maybe.error.code }}"}}
  },
  "output": {"sum": "{{ sum(nodes.each.output) }}", "fix": "{{ nodes.fix.output }}", "after": "{{ nodes.after.output }}", "never": "{{ nodes.never.status }}"}
}`

func TestTenNodes(t *testing.T) {
	t.Parallel()
	databasetest.Each(t, func(t *testing.T, open func() *database.DB) { testTenNodes(t, setupOn(t, open())) })
}

func testTenNodes(t *testing.T, w *world) {
	t.Helper()
	w.do = func(_ context.Context, _ nodes.Env, c call) (any, error) {
		switch {
		case c.name == "flaky" && c.n < 3:
			return nil, &nodes.Error{Code: nodes.CodeNetwork, Message: "connection refused"}
		case c.name == "maybe":
			return nil, &nodes.Error{Code: nodes.CodeHTTPStatus, Status: 404, Message: "answered 404", Response: map[string]any{"status": 404}}
		}
		return c.arg, nil
	}
	run, steps := w.wait(w.start(w.apply(tenNodes), `{"n": 3}`))
	want := map[string]runs.StepStatus{
		"begin": "succeeded", "left": "succeeded", "right": "succeeded", "join": "succeeded", "never": "skipped", "after": "skipped",
		"each": "succeeded", "each/0": "succeeded", "each/1": "succeeded", "flaky": "succeeded", "maybe": "failed", "fix": "succeeded",
	}
	if diff := cmp.Diff(want, statuses(steps)); diff != "" {
		t.Errorf("steps (-want +got):\n%s", diff)
	}
	if run.Status != runs.Succeeded || string(run.Output) != `{"after":null,"fix":"http_status","never":"skipped","sum":11}` {
		t.Errorf("run %s, output %s, error %+v", run.Status, run.Output, run.Error)
	}
	if got := len(steps["flaky"].Attempts); got != 3 {
		t.Errorf("flaky has %d attempts, want 3", got)
	}
	if got := string(steps["each"].Output); got != `[4,7]` {
		t.Errorf("collected output %s", got)
	}
	if got := fmt.Sprint(steps["maybe"].Error.Code, string(steps["maybe"].Error.Response)); got != `http_status{"status":404}` {
		t.Errorf("error of maybe: %s", got)
	}
}
