package workflows_test

import (
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"

	"keyflow/internal/fault"
	"keyflow/workflows"
)

// What Change.Triggers reads is what Parse reads, whatever the nodes say.
func TestChangeTriggers(t *testing.T) {
	t.Parallel()
	const triggers = `{
		"nightly": {"type": "cron", "schedule": "0 2 * * *", "from": "2026-01-01T00:00:00Z", "input": {"ids": [1, 2]}},
		"form": {"type": "webhook", "path": "forms/{id}", "credential": "key", "input": null, "dedupe": "{{ trigger.id }}"}}`
	tests := map[string]struct{ triggers, vars string }{
		"both kinds":  {triggers, `{"base": "https://example.com", "n": 1.5}`},
		"no vars":     {triggers, ""},
		"no triggers": {"", `{"a": 1}`},
	}
	for name, tt := range tests {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			source := `{"id": "w", "nodes": {"n": {"type": "transform", "with": {"value": {"triggers": 1}}}}`
			if tt.vars != "" {
				source += `, "vars": ` + tt.vars
			}
			if tt.triggers != "" {
				source += `, "triggers": ` + tt.triggers
			}
			whole, problems := workflows.Parse([]byte(source + "}"))
			if len(problems) > 0 {
				t.Fatal(problems)
			}
			change := workflows.Change{Summary: workflows.Summary{ID: "w"}, Source: whole.Source}
			part, err := change.Triggers()
			if err != nil {
				t.Fatal(err)
			}
			want := &workflows.Definition{ID: "w", Triggers: whole.Triggers, Vars: whole.Vars}
			if tt.triggers == "" {
				want.Vars = nil // nobody reads them
			}
			if diff := cmp.Diff(want, part); diff != "" {
				t.Errorf("-want +got\n%s", diff)
			}
		})
	}
}

func TestChangeTriggersOfAnotherRelease(t *testing.T) {
	t.Parallel()
	tests := map[string]struct{ source, want string }{
		"an unknown type": {`{"triggers": {"a": {"type": "smoke-signal"}}, "nodes": {}}`, "w: the triggers of the stored definition are not valid in this release"},
		"no JSON":         {`{"triggers": `, "w: the stored definition is not JSON"},
	}
	for name, tt := range tests {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			d, err := workflows.Change{Summary: workflows.Summary{ID: "w"}, Source: []byte(tt.source)}.Triggers()
			if d != nil || !fault.Is(err, fault.Invalid) || !strings.Contains(fault.Message(err), tt.want) {
				t.Errorf("%v, %v", d, err)
			}
		})
	}
}
