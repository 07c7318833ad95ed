package attempt

import (
	"encoding/json"
	"runtime"
	"strings"
	"testing"

	"keyflow/engine/plan"
	"keyflow/engine/runs"
	"keyflow/engine/state"
	"keyflow/engine/values"
)

// reads is a run whose attempts only read.
type reads struct {
	Host
	scope *values.Scope
}

func (r reads) Vars(of *plan.Reads) (values.Reading, error) { return r.scope.Vars(of) }

// A node that reads a large payload for every page decodes it once more, not with each page.
func TestVariablesAreReadAgainOnce(t *testing.T) {
	t.Parallel()
	run := runs.Run{Input: json.RawMessage(`{"pad": "` + strings.Repeat("p", values.LargePayload) + `"}`)}
	scope := values.New(&plan.Plan{}, &run, nil)
	node := &plan.Node{Reads: plan.Reads{Any: true, Input: true}}
	s, err := New(&Process{}, reads{scope: scope}, Input{Run: &run, Node: node, Key: state.StepKey{Index: runs.NoIndex}}, scope)
	if err != nil {
		t.Fatal(err)
	}
	read := func() map[string]any {
		t.Helper()
		vars, err := s.variables()
		if err != nil {
			t.Fatal(err)
		}
		return vars["input"].(map[string]any)
	}
	read()["decoded"] = 1
	s.rest()
	collect := func() {
		runtime.GC()
		runtime.GC() // what was let go of is gone
	}
	collect()
	if _, kept := read()["decoded"]; kept {
		t.Error("a large payload is kept while the node works")
	}
	read()["decoded"] = 2
	collect()
	if _, kept := read()["decoded"]; !kept {
		t.Error("it was decoded again for the next page")
	}
}
