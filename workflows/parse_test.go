package workflows_test

import (
	"encoding/json"
	"flag"
	"fmt"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"
	"github.com/google/go-cmp/cmp/cmpopts"

	"keyflow/workflows"
)

var update = flag.Bool("update", false, "write the golden problem lists anew")

// TestParseProblems pins the messages: one golden list per file of testdata.
func TestParseProblems(t *testing.T) {
	t.Parallel()
	files, err := filepath.Glob("testdata/*.json")
	if err != nil || len(files) == 0 {
		t.Fatalf("testdata: %v, %v", files, err)
	}
	for _, file := range files {
		t.Run(filepath.Base(file), func(t *testing.T) {
			t.Parallel()
			source, err := os.ReadFile(file)
			if err != nil {
				t.Fatal(err)
			}
			_, problems := workflows.Parse(source)
			golden(t, strings.TrimSuffix(file, ".json")+".golden", lines(problems))
		})
	}
}

func lines(problems []workflows.Problem) string {
	var b strings.Builder
	for _, p := range problems {
		fmt.Fprintf(&b, "%d:%d: %s: [%s] %s\n", p.Line, p.Column, p.Path, p.Code, p.Message)
	}
	return b.String()
}

func golden(t *testing.T, file, got string) {
	t.Helper()
	if *update {
		if err := os.WriteFile(file, []byte(got), 0o600); err != nil {
			t.Fatal(err)
		}
	}
	want, err := os.ReadFile(file)
	if err != nil {
		t.Fatal(err)
	}
	if diff := cmp.Diff(string(want), got); diff != "" {
		t.Errorf("-%s +got\n%s", file, diff)
	}
}

// full states every field that this release supports.
const full = `{
  "$schema": "../workflow.schema.json",
  "id": "sync-leads",
  "name": "Sync Marketo leads to the CRM",
  "folder": "/marketing",
  "description": "Nightly.",
  "labels": {"owner": "it-ops"},
  "enabled": false,
  "input": {"type": "object", "properties": {"ids": {"type": "array", "items": {"type": "integer"}}}},
  "vars": {"base": "https://123-abc-456.mktorest.com", "big": 9007199254740993, "f": 1.50},
  "triggers": {
    "nightly": {"type": "cron", "schedule": "0 2 * * *", "timezone": "Asia/Seoul", "overlap": "skip", "catch_up": "0s",
                "from": "2026-01-01T09:00:00+09:00", "until": "2027-01-01T00:00:00.0000009Z", "seconds": false, "input": {"ids": [1, 2]}},
    "form": {"type": "webhook", "path": "forms/{kind}", "methods": ["POST", "PUT"], "credential": "form-signing", "respond": "on_finish",
             "respond_timeout": "5s", "input": null, "dedupe": "{{ trigger.request.headers['x-delivery-id'] }}"}
  },
  "nodes": {
    "push": {"type": "web_request", "needs": ["leads"], "run_on": "always", "if": "true", "for_each": "nodes.leads.output", "max_parallel": 8,
             "on_item_error": "continue", "credential": "partner-{{ item.partner }}", "with": {"url": "https://crm.example.com"},
             "output": null, "timeout": "1d12h", "sensitive": false, "on_error": "continue", "name": "Push", "description": "d",
             "retry": {"max_attempts": 4, "initial": "1s", "factor": 2, "max": "30s", "jitter": true, "if": "error.code == 'timeout'"}},
    "leads": {"type": "web_request", "credential": "marketo", "at_most_once": true}
  },
  "output": {"count": "{{ len(nodes.leads.output) }}"},
  "timeout": "1h",
  "on_needs_connect": "wait",
  "needs_connect_timeout": "3d"
}`

func TestParseFull(t *testing.T) {
	t.Parallel()
	got := parse(t, full)
	from, until := time.Date(2026, 1, 1, 0, 0, 0, 0, time.UTC), time.Date(2027, 1, 1, 0, 0, 0, 0, time.UTC)
	want := &workflows.Definition{
		ID: "sync-leads", Name: "Sync Marketo leads to the CRM", Folder: "/marketing", Description: "Nightly.",
		Labels: map[string]string{"owner": "it-ops"}, Enabled: new(false),
		Input: json.RawMessage(`{"type": "object", "properties": {"ids": {"type": "array", "items": {"type": "integer"}}}}`),
		Vars:  map[string]any{"base": "https://123-abc-456.mktorest.com", "big": 9007199254740993, "f": json.Number("1.50")},
		Triggers: map[string]workflows.Trigger{
			"nightly": {
				Type: "cron", Schedule: "0 2 * * *", Timezone: "Asia/Seoul", Overlap: "skip", CatchUp: new(workflows.Duration(0)), From: &from, Until: &until,
				Input: map[string]any{"ids": []any{1, 2}}, HasInput: true,
			},
			"form": {
				Type: "webhook", Path: "forms/{kind}", Methods: []string{"POST", "PUT"}, Credential: "form-signing", Respond: "on_finish",
				RespondTimeout: workflows.Duration(5 * time.Second), HasInput: true, Dedupe: "{{ trigger.request.headers['x-delivery-id'] }}",
			},
		},
		Nodes: map[workflows.NodeID]*workflows.Node{
			"push": {
				Type: "web_request", Name: "Push", Description: "d", Needs: []workflows.NodeID{"leads"}, RunOn: workflows.RunOnAlways,
				If: "true", ForEach: "nodes.leads.output", MaxParallel: 8, OnItemError: "continue", Credential: "partner-{{ item.partner }}",
				With: map[string]any{"url": "https://crm.example.com"}, HasOutput: true, Timeout: workflows.Duration(36 * time.Hour), OnError: "continue",
				Retry: &workflows.Retry{
					MaxAttempts: 4, Initial: workflows.Duration(time.Second), Factor: 2, Max: workflows.Duration(30 * time.Second),
					Jitter: true, If: "error.code == 'timeout'",
				},
			},
			"leads": {
				Type: "web_request", Name: "leads", RunOn: workflows.RunOnSuccess, MaxParallel: 1, OnItemError: "fail",
				OnError: "fail", Credential: "marketo", AtMostOnce: true,
			},
		},
		Output: map[string]any{"count": "{{ len(nodes.leads.output) }}"}, Timeout: workflows.Duration(time.Hour),
		OnNeedsConnect: "wait", NeedsConnectTimeout: workflows.Duration(72 * time.Hour),
		Source: json.RawMessage(full), NodeOrder: []workflows.NodeID{"push", "leads"},
	}
	if diff := cmp.Diff(want, got, cmpopts.IgnoreFields(workflows.Definition{}, "Positions", "Digest", "InputSchema")); diff != "" {
		t.Errorf("-want +got\n%s", diff)
	}
	if got.InputSchema == nil {
		t.Error("the input schema was not compiled")
	}
	for pointer, want := range map[string]workflows.Position{
		"": {1, 1}, "/id": {3, 9}, "/triggers/nightly/input/ids/1": {13, 134}, "/nodes/leads/at_most_once": {22, 79},
	} {
		if got.Positions[pointer] != want {
			t.Errorf("position of %q is %v, want %v", pointer, got.Positions[pointer], want)
		}
	}
}

func TestParseDefaults(t *testing.T) {
	t.Parallel()
	got := parse(t, `{"id": "a", "triggers": {"c": {"type": "cron", "schedule": "@daily"}, "w": {"type": "webhook", "path": "p"}}, "nodes": {"n": {"type": "x"}}}`)
	minute := workflows.Duration(time.Minute)
	want := &workflows.Definition{
		ID: "a", Name: "a", Folder: "/", Timeout: workflows.Duration(24 * time.Hour),
		OnNeedsConnect: "wait", NeedsConnectTimeout: workflows.Duration(24 * time.Hour),
		Triggers: map[string]workflows.Trigger{
			"c": {Type: "cron", Schedule: "@daily", Timezone: "UTC", Overlap: "allow", CatchUp: &minute},
			"w": {Type: "webhook", Path: "p", Methods: []string{"POST"}, Respond: "on_accept", RespondTimeout: workflows.Duration(30 * time.Second)},
		},
		Nodes:     map[workflows.NodeID]*workflows.Node{"n": {Type: "x", Name: "n", RunOn: "success", MaxParallel: 1, OnItemError: "fail", OnError: "fail"}},
		NodeOrder: []workflows.NodeID{"n"},
	}
	if diff := cmp.Diff(want, got, cmpopts.IgnoreFields(workflows.Definition{}, "Positions", "Digest", "Source")); diff != "" {
		t.Errorf("-want +got\n%s", diff)
	}
}

func TestParseLimits(t *testing.T) {
	t.Parallel()
	nodes := func(n int) string {
		var b strings.Builder
		for i := range n {
			fmt.Fprintf(&b, `,"n%d":{"type":"x"}`, i)
		}
		return `{"id":"a","nodes":{` + b.String()[1:] + `}}`
	}
	tests := []struct {
		name, source, want string
	}{
		{"1,000 nodes", nodes(1000), ""},
		{"1,001 nodes", nodes(1001), "1:19: /nodes: [out_of_range] 1001 node ids are given; 1 to 1000 are allowed\n"},
		{"no nodes", `{"id":"a","nodes":{}}`, "1:19: /nodes: [out_of_range] 0 node ids are given; 1 to 1000 are allowed\n"},
		{"1 MiB", `{"id":"a","nodes":{"a":{"type":"x"}}}` + strings.Repeat(" ", 1<<20-37), ""},
		{"over 1 MiB", strings.Repeat(" ", 1<<20+1), "1:1: : [too_large] the definition has 1048577 bytes; at most 1048576 (1 MiB) are allowed\n"},
		{"100,000 deep", strings.Repeat("[", 100_000), "1:10001: : [too_deep] nested deeper than 100 levels\n"},
		{"huge number", `{"id":"a","nodes":{"a":{"type":"x","with":{"n":1e999}}}}`, ""},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			t.Parallel()
			_, problems := workflows.Parse([]byte(tt.source))
			if diff := cmp.Diff(tt.want, lines(problems)); diff != "" {
				t.Errorf("-want +got\n%s", diff)
			}
		})
	}
}

func TestParseBoundsItsReport(t *testing.T) {
	t.Parallel()
	_, problems := workflows.Parse([]byte(`{"id":"a","nodes":{"a":{"type":"x"}}` + strings.Repeat(`,"x":1`, 10_000) + `}`))
	last := problems[len(problems)-1]
	if len(problems) != 201 || last.Code != "too_many_problems" || last.Message != "9800 more problems are not shown" {
		t.Errorf("got %d problems, the last %+v", len(problems), last)
	}
}

// A definition with problems is still whole enough for checkers: edges that dangle or close a
// cycle are out, a misspelt need stands for what was probably meant.
func TestParseMendsEdgesForCheckers(t *testing.T) {
	t.Parallel()
	source, err := os.ReadFile("testdata/six_mistakes.json")
	if err != nil {
		t.Fatal(err)
	}
	d, _ := workflows.Parse(source)
	got := map[workflows.NodeID][]workflows.NodeID{}
	for id, n := range d.Nodes {
		got[id] = n.Needs
	}
	want := map[workflows.NodeID][]workflows.NodeID{"leads": {"push"}, "push": {"tell"}, "tell": nil}
	if diff := cmp.Diff(want, got); diff != "" {
		t.Errorf("-want +got\n%s", diff)
	}
}

func TestDigest(t *testing.T) {
	t.Parallel()
	base := parse(t, `{"id":"a","nodes":{"a":{"type":"x","with":{"s":"A","n":1.0}}}}`)
	tests := []struct {
		name, source string
		same         bool
	}{
		{"spacing, escapes, switch and $schema", `{"$schema": "s", "enabled": false, "id": "a", "nodes": {"a": {"type": "x", "with": {"s": "\u0041", "n": 1.0}}}}`, true},
		{"a value", `{"id":"a","nodes":{"a":{"type":"x","with":{"s":"B","n":1.0}}}}`, false},
		{"text for a number", `{"id":"a","nodes":{"a":{"type":"x","with":{"s":"A","n":"1.0"}}}}`, false},
		{"enabled deeper down", `{"id":"a","nodes":{"a":{"type":"x","with":{"s":"A","n":1.0,"enabled":true}}}}`, false},
		{"null for absent", `{"id":"a","nodes":{"a":{"type":"x","with":{"s":"A","n":1.0}}},"output":null}`, false},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			t.Parallel()
			if got := parse(t, tt.source).Digest == base.Digest; got != tt.same {
				t.Errorf("same digest: %t, want %t", got, tt.same)
			}
		})
	}
}

func TestProblemf(t *testing.T) {
	t.Parallel()
	d := parse(t, "{\"id\": \"a\",\n \"nodes\": {\"a\": {\"type\": \"x\",\n  \"with\": {}}}}")
	got := d.Problemf("/nodes/a/with/body/x", "expression", "does not compile: %d", 7)
	want := workflows.Problem{Path: "/nodes/a/with/body/x", Code: "expression", Message: "does not compile: 7", Line: 3, Column: 11}
	if diff := cmp.Diff(want, got); diff != "" {
		t.Errorf("-want +got\n%s", diff)
	}
}

func parse(t *testing.T, source string) *workflows.Definition {
	t.Helper()
	d, problems := workflows.Parse([]byte(source))
	if len(problems) > 0 {
		t.Fatalf("Parse: %s", lines(problems))
	}
	return d
}

func FuzzParse(f *testing.F) {
	files, err := filepath.Glob("testdata/*.json")
	if err != nil {
		f.Fatal(err)
	}
	for _, file := range files {
		source, err := os.ReadFile(file)
		if err != nil {
			f.Fatal(err)
		}
		f.Add(source)
	}
	f.Add([]byte(full))
	f.Fuzz(func(t *testing.T, source []byte) {
		d, problems := workflows.Parse(source)
		if d == nil && len(problems) == 0 {
			t.Fatal("neither a definition nor a problem")
		}
		for _, p := range problems {
			if p.Code == "" || p.Message == "" || p.Line < 1 && p.Code != "too_many_problems" {
				t.Errorf("incomplete problem %+v", p)
			}
		}
		if len(problems) > 0 {
			return
		}
		again, problems := workflows.Parse(d.Source)
		if diff := cmp.Diff(d, again, cmpopts.IgnoreFields(workflows.Definition{}, "InputSchema"), cmpopts.EquateNaNs()); diff != "" || len(problems) > 0 {
			t.Errorf("not stable: %v\n%s", problems, diff)
		}
	})
}

// What looks like YAML is called so; JSON that is merely broken is not.
func TestParseRecognizesYAML(t *testing.T) {
	t.Parallel()
	const yaml = "this looks like YAML, and a workflow is a JSON object: convert it, for example with yq -o=json FILE"
	for name, tt := range map[string]struct{ source, want string }{
		"keys":           {"id: orders\nnodes:\n  a:\n    type: transform\n", "1:1: : [malformed] " + yaml + "\n"},
		"a marker":       {"---\nid: a\n", "1:1: : [malformed] " + yaml + "\n"},
		"comments first": {"# orders\n\n$schema: x\n", "3:1: : [malformed] " + yaml + "\n"},
		"a list":         {"- id: a\n", "1:1: : [malformed] " + yaml + "\n"},
		"single quotes":  {"{'id': 1}", "1:2: : [malformed] not valid JSON: invalid character '\\'' looking for beginning of object key string (strings take double quotes)\n"},
		"a comment":      {"# x\n{}", "1:1: : [malformed] not valid JSON: invalid character '#' looking for beginning of value (JSON has no comments)\n"},
	} {
		_, problems := workflows.Parse([]byte(tt.source))
		if diff := cmp.Diff(tt.want, lines(problems)); diff != "" {
			t.Errorf("%s: -want +got\n%s", name, diff)
		}
	}
}
