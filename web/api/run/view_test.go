package run

import (
	"encoding/json"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"

	"keyflow/engine/runs"
	"keyflow/workflows"
)

func TestWaitingStepNamesItsCredential(t *testing.T) {
	t.Parallel()
	waiting := ViewStep(runs.Step{Node: "call", Index: runs.NoIndex, Status: runs.StepWaiting, NeedsConnect: "portal"})
	if waiting.WaitsFor != "portal" {
		t.Errorf("waits_for is %q, want portal", waiting.WaitsFor)
	}
	text, err := json.Marshal(ViewStep(runs.Step{Node: "call", Index: runs.NoIndex, Status: runs.StepWaiting}))
	if err != nil || strings.Contains(string(text), "waits_for") {
		t.Errorf("a step that waits for time only: %s, %v", text, err)
	}
}

func TestStepsAreInOrder(t *testing.T) {
	t.Parallel()
	step := func(node workflows.NodeID, index int) runs.Step { return runs.Step{Node: node, Index: index} }
	got := ordered([]runs.Step{step("b", runs.NoIndex), step("a", 2), step("a", 0), step("c", runs.NoIndex), step("a", runs.NoIndex), step("a", 1)})
	want := []runs.Step{step("b", runs.NoIndex), step("a", runs.NoIndex), step("a", 0), step("a", 1), step("a", 2), step("c", runs.NoIndex)}
	if diff := cmp.Diff(want, got); diff != "" {
		t.Errorf("-want +got\n%s", diff)
	}
}
