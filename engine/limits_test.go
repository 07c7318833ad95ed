package engine_test

import (
	"context"
	"fmt"
	"strings"
	"testing"

	"keyflow/engine"
	"keyflow/engine/runs"
	"keyflow/engine/starts"
	"keyflow/internal/fault"
	"keyflow/nodes"
)

// TestLimits: what is too large is a clear error of that step or run; whatever an author
// computes, the run can be stored.
func TestLimits(t *testing.T) {
	t.Parallel()
	const big = `{"type": "call", "for_each": "1..65", "max_parallel": 8, "with": {"name": "mebibyte"}}`
	const together = "the outputs of its elements have more than 64 MiB together"
	tests := map[string]struct{ definition, code, message string }{
		"elements":           {`"nodes": {"a": {"type": "call", "for_each": "1..100001"}}`, nodes.CodeTooLarge, "for_each gave 100001 elements; at most 100000 are allowed"},
		"a million elements": {`"nodes": {"a": {"type": "call", "for_each": "1..1000000"}}`, "", ""},
		"one output":         {`"nodes": {"a": {"type": "call", "with": {"name": "more"}}}`, nodes.CodeTooLarge, "the output has 1048577 bytes; at most 1048576 are allowed"},
		"one element":        {`"nodes": {"a": {"type": "call", "for_each": "1..2", "with": {"name": "more"}}}`, nodes.CodeTooLarge, "element 0: the output has 1048577 bytes"},
		"read as a list":     {`"nodes": {"a": ` + big + `, "b": {"type": "call", "needs": ["a"], "on_error": "continue", "with": {"arg": "{{ len(nodes.a.output) }}"}}}, "output": "{{ len(nodes.a.output) }}"`, nodes.CodeTooLarge, "output: output of a: too_large: " + together},
		"chosen":             {`"nodes": {"a": {"type": "call", "for_each": "1..65", "with": {"name": "mebibyte"}, "output": "{{ len(this) }}"}}, "output": "{{ sum(nodes.a.output) }}"`, "none", ""},
		"run output":         {`"nodes": {"a": {"type": "call", "with": {"name": "mebibyte"}}}, "output": "{{ nodes.a.output + '1' }}"`, nodes.CodeTooLarge, "the output has 1048577 bytes"},
		"message":            {`"nodes": {"a": {"type": "fail", "with": {"message": "{{ repeat('한', 70000) }}"}}}`, nodes.CodeFailed, "한한 …"},
		"input of a child":   {`"nodes": {"a": {"type": "workflow", "with": {"workflow": "child", "input": {"x": "{{ repeat('x', 11000000) }}"}}}}`, nodes.CodeTooLarge, "with.input: the input has 11000008 bytes; at most 10485760 are allowed"},
	}
	w := setup(t)
	mebibyte := strings.Repeat("x", 1<<20-2)
	w.do = func(_ context.Context, _ nodes.Env, c call) (any, error) {
		switch c.name {
		case "mebibyte":
			return mebibyte, nil
		case "more":
			return mebibyte + "x", nil
		default:
			return c.arg, nil
		}
	}
	w.apply(`{"id": "child", "nodes": {"x": {"type": "call"}}}`)
	for name, tt := range tests {
		t.Run(name, func(t *testing.T) {
			id := w.apply(fmt.Sprintf(`{"id": "l%d", %s}`, len(name)*100+int(name[0]), tt.definition))
			run, steps := w.wait(w.start(id, ""))
			if b, ok := steps["b"]; ok && (b.Error == nil || b.Error.Code != nodes.CodeTooLarge || b.Error.Message != "output of a: too_large: "+together+`: choose what is needed with "output"`) {
				t.Errorf("b: %+v", b.Error)
			}
			switch {
			case tt.code == "none":
				if run.Status != runs.Succeeded {
					t.Errorf("%s: %+v", run.Status, run.Error)
				}
			case run.Error == nil || tt.code != "" && run.Error.Code != tt.code || !strings.Contains(run.Error.Message, tt.message) || len(run.Error.Message) > 9<<10:
				t.Errorf("%s: %.300v", run.Status, run.Error)
			}
		})
	}
}

func TestLimitOfInput(t *testing.T) {
	t.Parallel()
	w := setup(t)
	id := w.apply(`{"id": "in", "nodes": {"x": {"type": "call"}}}`)
	start := func(input string) error {
		_, err := w.engine.Start(t.Context(), engine.Start{Workflow: id, Input: []byte(input)})
		return err
	}
	if err := start(`"` + strings.Repeat("x", starts.MaxInput-2) + `"`); err != nil {
		t.Errorf("the largest: %v", err)
	}
	if err := start(`"` + strings.Repeat("x", starts.MaxInput-1) + `"`); !fault.Is(err, fault.TooLarge) || fault.Message(err) != "the input has 10485761 bytes; at most 10485760 are allowed" {
		t.Errorf("one more: %v", err)
	}
	if err := start(strings.Repeat("[", 1_000_000) + strings.Repeat("]", 1_000_000)); !fault.Is(err, fault.Malformed) {
		t.Errorf("deep: %v", err)
	}
}
