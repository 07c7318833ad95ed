package expression_test

import (
	"strings"
	"testing"

	"keyflow/internal/expression"
)

func TestUnknownMembers(t *testing.T) {
	t.Parallel()
	known := expression.Scope{
		Names: []string{"run", "vars", "nodes", "input"},
		Shapes: map[string]expression.Shape{
			"run":   expression.Members("id", "workflow"),
			"vars":  expression.ShapeOf(map[string]any{"deep": map[string]any{"list": []any{1}, "none": map[string]any{}}}),
			"nodes": {"a": expression.Members("status", "output")},
		},
	}
	for source, want := range map[string]string{
		"run.id":                         "",
		"run":                            "",
		"run.id.x":                       "",
		"input.idd":                      "",
		"run.idd":                        `run has no member "idd" (did you mean run.id?)`,
		"run?.idd ?? 1":                  `run has no member "idd" (did you mean run.id?)`,
		`run["idd"]`:                     `run has no member "idd" (did you mean run.id?)`,
		"map([1], run.idd)":              `run has no member "idd" (did you mean run.id?)`,
		"run.previous.id":                `run has no member "previous" (it has id, workflow)`,
		"run[input.x]":                   "",
		"let run = input; run.idd":       "",
		"let r = run.id; run.idd":        `run has no member "idd" (did you mean run.id?)`,
		"vars.deep.list[0].x":            "",
		"vars.deep.lst":                  `vars.deep has no member "lst" (did you mean vars.deep.list?)`,
		"vars.deep.none.x":               `vars.deep.none has no member "x"`,
		"nodes.a.outptu":                 `nodes.a has no member "outptu" (did you mean nodes.a.output?)`,
		"nodes.a.output.x + nodes.b.x.y": "",
		`"idd" in run`:                   "",
	} {
		t.Run(source, func(t *testing.T) {
			t.Parallel()
			got := ""
			if _, err := expression.Compile(source, known); err != nil {
				got, _, _ = strings.Cut(err.Error(), "\n")
			}
			if got != want {
				t.Errorf("got %q, want %q", got, want)
			}
		})
	}
}
