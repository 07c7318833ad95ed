package triggers_test

import (
	"fmt"
	"testing"

	"github.com/google/go-cmp/cmp"

	"keyflow/triggers"
	"keyflow/triggers/internal/firingtest"
	"keyflow/workflows"
)

func TestChecker(t *testing.T) {
	t.Parallel()
	h := firingtest.Setup(t)
	h.Apply(t, "other", `"t": {"type": "webhook", "path": "taken"}, "p": {"type": "webhook", "path": "orders/{id}"}`)
	h.Apply(t, "off", `"t": {"type": "webhook", "path": "asleep"}`, `"enabled": false`)
	tests := []struct {
		name, triggers string
		want           []string
	}{
		{"right", `"c": {"type": "cron", "schedule": "0 2 * * *", "timezone": "Asia/Seoul", "input": {"a": "{{ trigger.scheduled_at + trigger.id }}"}}, "w": {"type": "webhook", "path": "free", "credential": "c"}`, nil},
		{"schedule", `"c": {"type": "cron", "schedule": "*/61 * * * *"}`, []string{`1:63 /triggers/c/schedule invalid_schedule the step in "*/61" is out of range: for the minute it must be between 1 and 59`}},
		{"zone", `"c": {"type": "cron", "schedule": "@daily", "timezone": "EST"}`, []string{`1:85 /triggers/c/timezone invalid_timezone "EST" is not an IANA time zone; write a name such as "Asia/Seoul", "Europe/Berlin" or "UTC"`}},
		{"schedule and zone", `"c": {"type": "cron", "schedule": "nope", "timezone": "KST"}`, []string{
			`1:83 /triggers/c/timezone invalid_timezone "KST" is not an IANA time zone; write a name such as "Asia/Seoul", "Europe/Berlin" or "UTC"`,
			`1:63 /triggers/c/schedule invalid_schedule a schedule has five fields (minute, hour, day of month, month, day of week), not 1`,
		}},
		{"bounds and zone", `"c": {"type": "cron", "schedule": "@daily", "timezone": "KST", "from": "2026-02-02T00:00:00Z", "until": "2026-02-01T00:00:00Z"}`, []string{
			`1:85 /triggers/c/timezone invalid_timezone "KST" is not an IANA time zone; write a name such as "Asia/Seoul", "Europe/Berlin" or "UTC"`,
			`1:133 /triggers/c/until invalid_schedule "until" is before "from"`,
		}},
		{"path of another workflow", `"w": {"type": "webhook", "path": "taken", "credential": "c"}`, []string{`1:62 /triggers/w/path path_taken the workflow "other" already has a webhook at this path; choose another path`}},
		{"path of a sleeping workflow", `"w": {"type": "webhook", "path": "asleep", "credential": "c"}`, []string{`1:62 /triggers/w/path path_taken the workflow "off" already has a webhook at this path; choose another path`}},
		{"same shape", `"w": {"type": "webhook", "path": "orders/{number}", "credential": "c"}`, []string{`1:62 /triggers/w/path path_taken the workflow "other" already has a webhook at this path; choose another path`}},
		{"literal beside a parameter", `"w": {"type": "webhook", "path": "orders/new", "credential": "c"}`, nil},
		{"twice in one workflow", `"w": {"type": "webhook", "path": "a/{x}", "credential": "c"}, "x": {"type": "webhook", "path": "a/{y}", "credential": "c"}`, []string{`1:124 /triggers/x/path path_taken the trigger "w" of this workflow has the same path`}},
		{"a parameter twice", `"w": {"type": "webhook", "path": "twice/{x}/{y}/{x}", "credential": "c"}`, []string{`1:62 /triggers/w/path duplicate the parameter {x} is in the path twice; give each its own name`}},
		{"a literal twice", `"w": {"type": "webhook", "path": "same/same/{x}", "credential": "c"}`, nil},
		{"templates", `"w": {"type": "webhook", "path": "b", "credential": "c", "input": {"a": ["{{ input.x }}"]}, "dedupe": "{{ trigger.("}`, []string{
			"/triggers/w/input/a/0 expression", "/triggers/w/dedupe expression",
		}},
		{"members that are not there", `"e": {"type": "event", "event": "x.y", "filter": "trigger.data == 1"}, "w": {"type": "webhook", "path": "b", "credential": "c", "input": {"a": "{{ vars.x }}", "b": "{{ trigger.bdy }}"}, "dedupe": "{{ trigger.request.id }}"}, "x": {"type": "webhook", "path": "x", "credential": "c", "input": "{{ callback_url('n') }}"}`, []string{
			"/triggers/e/filter expression", "/triggers/w/input/a expression", "/triggers/w/input/b expression", "/triggers/w/dedupe expression", "/triggers/x/input expression",
		}},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			t.Parallel()
			d, problems := workflows.Parse([]byte(`{"id": "mine", "triggers": {` + tt.triggers + `}, "nodes": {"n": {"type": "x"}}}`))
			if len(problems) > 0 {
				t.Fatal(problems)
			}
			found, warnings := triggers.NewChecker(h.Manager).Check(t.Context(), d)
			var got []string
			for _, p := range found {
				if p.Code == "expression" { // the text is package expression's
					got = append(got, p.Path+" "+p.Code)
					continue
				}
				got = append(got, fmt.Sprintf("%d:%d %s %s %s", p.Line, p.Column, p.Path, p.Code, p.Message))
			}
			if diff := cmp.Diff(tt.want, got); diff != "" {
				t.Errorf("-want +got\n%s", diff)
			}
			if len(warnings) != 0 {
				t.Errorf("warnings %v", warnings)
			}
		})
	}
}

func TestCheckerWarnsOfPublicWebhooks(t *testing.T) {
	t.Parallel()
	d, _ := workflows.Parse([]byte(`{"id": "a", "triggers": {"w": {"type": "webhook", "path": "a"}}, "nodes": {"n": {"type": "x"}}}`))
	problems, warnings := triggers.NewChecker(nil).Check(t.Context(), d)
	want := []workflows.Problem{{
		Path: "/triggers/w", Code: "public_webhook", Message: "this webhook has no credential: anyone who knows its URL can start runs", Line: 1, Column: 31,
	}}
	if diff := cmp.Diff(want, warnings); diff != "" || len(problems) != 0 {
		t.Errorf("problems %v, warnings -want +got\n%s", problems, diff)
	}
}

// A workflow may keep its own path, and may take one that has become free.
func TestCheckerLetsPathsMove(t *testing.T) {
	t.Parallel()
	h := firingtest.Setup(t)
	h.Apply(t, "a", `"w": {"type": "webhook", "path": "p"}`)
	h.Apply(t, "a", `"w": {"type": "webhook", "path": "p"}, "x": {"type": "webhook", "path": "q"}`)
	h.Apply(t, "a", `"x": {"type": "webhook", "path": "q"}`)
	h.Apply(t, "b", `"w": {"type": "webhook", "path": "p"}`)
	if got, ok := h.Manager.Taken("p", ""); !ok || got != "b" {
		t.Errorf("p is taken by %q", got)
	}
}
