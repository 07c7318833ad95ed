package engine_test

import (
	"context"
	"fmt"
	"runtime"
	"strings"
	"testing"

	"keyflow/engine"
	"keyflow/engine/runs"
	"keyflow/nodes"
)

// What a step reads is let go of while its node works, when it is large, and read again for
// what is evaluated after that: a retry, the output, the next element.
func TestLargePayloads(t *testing.T) {
	t.Parallel()
	w := setup(t)
	w.do = func(_ context.Context, _ nodes.Env, c call) (any, error) {
		runtime.GC()
		runtime.GC() // what was let go of is gone
		if c.name == "big" {
			return strings.Repeat("b", 100_000), nil
		}
		if c.n == 1 {
			return nil, &nodes.Error{Code: nodes.CodeNetwork, Message: "no answer"}
		}
		return c.arg, nil
	}
	id := w.apply(`{"id": "large", "nodes": {
	  "big": {"type": "call", "with": {"name": "big"}},
	  "each": {"type": "call", "needs": ["big"], "for_each": "input.list", "retry": {"max_attempts": 2, "initial": "1ms"},
	    "with": {"name": "each", "arg": "{{ item + len(input.pad) }}"},
	    "output": "{{ [this, index, len(nodes.big.output), len(input.pad), len(trigger.request.body)] }}"}},
	  "output": "{{ [nodes.each.output, len(nodes.big.output), len(input.pad)] }}"}`)
	started, err := w.engine.Start(t.Context(), engine.Start{
		Workflow: id, Input: fmt.Appendf(nil, `{"list": [1, 2], "pad": "%s"}`, strings.Repeat("p", 70_000)),
		Trigger: runs.TriggerRef{ID: "form", Type: "webhook", Request: fmt.Appendf(nil, `{"body": "%s"}`, strings.Repeat("r", 80_000))},
	})
	if err != nil {
		t.Fatal(err)
	}
	run, err := w.engine.Wait(t.Context(), started.Run)
	const want = `[[[70001,0,100000,70000,80000],[70002,1,100000,70000,80000]],100000,70000]`
	if err != nil || string(run.Output) != want {
		t.Errorf("%s %s %+v, %v; want %s", run.Status, run.Output, run.Error, err, want)
	}
}
