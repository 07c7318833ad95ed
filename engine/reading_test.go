package engine

import (
	"encoding/json"
	"runtime"
	"strings"
	"testing"

	"keyflow/engine/plan"
	"keyflow/engine/runs"
	"keyflow/engine/values"
)

// A node that reads a large payload for every page decodes it once more, not with each page.
func TestVariablesAreReadAgainOnce(t *testing.T) {
	t.Parallel()
	run := runs.Run{Input: json.RawMessage(`{"pad": "` + strings.Repeat("p", values.LargePayload) + `"}`)}
	r := &runner{values: values.New(&plan.Plan{}, &run, nil)}
	s := &stepRun{runner: r, plan: &plan.Node{Reads: plan.Reads{Any: true, Input: true}}, key: stepKey{index: runs.NoIndex}}
	var err error
	if s.reading, err = r.values.Vars(&s.plan.Reads); err != nil {
		t.Fatal(err)
	}
	input := func() map[string]any {
		t.Helper()
		vars, err := s.variables()
		if err != nil {
			t.Fatal(err)
		}
		return vars["input"].(map[string]any)
	}
	input()["decoded"] = 1
	s.rest()
	collect := func() {
		runtime.GC()
		runtime.GC() // what was let go of is gone
	}
	collect()
	if _, kept := input()["decoded"]; kept {
		t.Error("a large payload is kept while the node works")
	}
	input()["decoded"] = 2
	collect()
	if _, kept := input()["decoded"]; !kept {
		t.Error("it was decoded again for the next page")
	}
}
