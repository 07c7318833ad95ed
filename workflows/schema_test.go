package workflows_test

import (
	"bytes"
	"os"
	"path/filepath"
	"slices"
	"testing"

	"github.com/santhosh-tekuri/jsonschema/v6"

	"keyflow/workflows"
)

func compileSchema(t *testing.T) *jsonschema.Schema {
	t.Helper()
	source, err := workflows.Schema()
	if err != nil {
		t.Fatal(err)
	}
	doc, err := jsonschema.UnmarshalJSON(bytes.NewReader(source))
	if err != nil {
		t.Fatal(err)
	}
	c := jsonschema.NewCompiler()
	if err := c.AddResource("workflow.json", doc); err != nil {
		t.Fatal(err)
	}
	s, err := c.Compile("workflow.json")
	if err != nil {
		t.Fatal(err)
	}
	return s
}

// Problems that a schema cannot express: what the text does not show or what spans fields.
func beyondSchema(p workflows.Problem) bool {
	return slices.Contains([]string{"unknown_node", "cycle", "conflict", "invalid_schema"}, p.Code)
}

// TestSchemaAgreesWithParse holds both against the same corpus: what one refuses by
// structure, the other refuses too.
func TestSchemaAgreesWithParse(t *testing.T) {
	t.Parallel()
	schema := compileSchema(t)
	corpus := map[string]string{
		"full":                  full,
		"minimal":               `{"id": "a", "nodes": {"a": {"type": "x"}}}`,
		"unknown top field":     `{"id": "a", "nodes": {"a": {"type": "x"}}, "node": {}}`,
		"unknown node field":    `{"id": "a", "nodes": {"a": {"type": "x", "wth": {}}}}`,
		"unknown retry field":   `{"id": "a", "nodes": {"a": {"type": "x", "retry": {"tries": 1}}}}`,
		"no id":                 `{"nodes": {"a": {"type": "x"}}}`,
		"no nodes":              `{"id": "a"}`,
		"empty nodes":           `{"id": "a", "nodes": {}}`,
		"no type":               `{"id": "a", "nodes": {"a": {}}}`,
		"bad id":                `{"id": "A", "nodes": {"a": {"type": "x"}}}`,
		"id with line end":      `{"id": "a\n", "nodes": {"a": {"type": "x"}}}`,
		"bad node id":           `{"id": "a", "nodes": {"a-b": {"type": "x"}}}`,
		"bad folder":            `{"id": "a", "folder": "a", "nodes": {"a": {"type": "x"}}}`,
		"good folder":           `{"id": "a", "folder": "/a/b-c", "nodes": {"a": {"type": "x"}}}`,
		"null name":             `{"id": "a", "name": null, "nodes": {"a": {"type": "x"}}}`,
		"name with tab":         `{"id": "a", "name": "a\tb", "nodes": {"a": {"type": "x"}}}`,
		"Korean name":           `{"id": "a", "name": "야간 동기화", "nodes": {"a": {"type": "x"}}}`,
		"run_on":                `{"id": "a", "nodes": {"a": {"type": "x", "run_on": "maybe"}}}`,
		"repeated need":         `{"id": "a", "nodes": {"b": {"type": "x"}, "a": {"type": "x", "needs": ["b", "b"]}}}`,
		"sensitive":             `{"id": "a", "nodes": {"a": {"type": "x", "sensitive": true}}}`,
		"max_parallel 0":        `{"id": "a", "nodes": {"a": {"type": "x", "max_parallel": 0}}}`,
		"max_parallel 2.0":      `{"id": "a", "nodes": {"a": {"type": "x", "max_parallel": 2.0}}}`,
		"max_parallel 2.5":      `{"id": "a", "nodes": {"a": {"type": "x", "max_parallel": 2.5}}}`,
		"duration unit":         `{"id": "a", "nodes": {"a": {"type": "x", "timeout": "5 minutes"}}}`,
		"duration number":       `{"id": "a", "nodes": {"a": {"type": "x", "timeout": 5}}}`,
		"duration with days":    `{"id": "a", "nodes": {"a": {"type": "x", "timeout": "1d2h"}}}`,
		"credential template":   `{"id": "a", "nodes": {"a": {"type": "x", "credential": "p-{{ item.id }}"}}}`,
		"credential with dot":   `{"id": "a", "nodes": {"a": {"type": "x", "credential": "a.b"}}}`,
		"event":                 `{"id": "a", "triggers": {"t": {"type": "event", "event": "x"}}, "nodes": {"a": {"type": "x"}}}`,
		"cron without when":     `{"id": "a", "triggers": {"t": {"type": "cron"}}, "nodes": {"a": {"type": "x"}}}`,
		"cron with a path":      `{"id": "a", "triggers": {"t": {"type": "cron", "schedule": "@daily", "path": "x"}}, "nodes": {"a": {"type": "x"}}}`,
		"cron with overlap":     `{"id": "a", "triggers": {"t": {"type": "cron", "schedule": "@daily", "overlap": "skip"}}, "nodes": {"a": {"type": "x"}}}`,
		"catch_up":              `{"id": "a", "triggers": {"t": {"type": "cron", "schedule": "@daily", "catch_up": "5m"}}, "nodes": {"a": {"type": "x"}}}`,
		"cron with seconds":     `{"id": "a", "triggers": {"t": {"type": "cron", "schedule": "0 0 * * * *", "seconds": true}}, "nodes": {"a": {"type": "x"}}}`,
		"overlap":               `{"id": "a", "triggers": {"t": {"type": "cron", "schedule": "@daily", "overlap": "cancel_oldest"}}, "nodes": {"a": {"type": "x"}}}`,
		"catch_up null":         `{"id": "a", "triggers": {"t": {"type": "cron", "schedule": "@daily", "catch_up": null}}, "nodes": {"a": {"type": "x"}}}`,
		"from":                  `{"id": "a", "triggers": {"t": {"type": "cron", "schedule": "@daily", "from": "2026-01-01T00:00:00+09:00", "until": "2027-01-01T00:00:00.5Z"}}, "nodes": {"a": {"type": "x"}}}`,
		"from without offset":   `{"id": "a", "triggers": {"t": {"type": "cron", "schedule": "@daily", "from": "2026-01-01T00:00:00"}}, "nodes": {"a": {"type": "x"}}}`,
		"until is a date":       `{"id": "a", "triggers": {"t": {"type": "cron", "schedule": "@daily", "until": "2026-01-01"}}, "nodes": {"a": {"type": "x"}}}`,
		"until null":            `{"id": "a", "triggers": {"t": {"type": "cron", "schedule": "@daily", "until": null}}, "nodes": {"a": {"type": "x"}}}`,
		"webhook":               `{"id": "a", "triggers": {"t": {"type": "webhook", "path": "a/{b}/c.json"}}, "nodes": {"a": {"type": "x"}}}`,
		"webhook outer slash":   `{"id": "a", "triggers": {"t": {"type": "webhook", "path": "/a"}}, "nodes": {"a": {"type": "x"}}}`,
		"webhook dots":          `{"id": "a", "triggers": {"t": {"type": "webhook", "path": "a/../b"}}, "nodes": {"a": {"type": "x"}}}`,
		"webhook method":        `{"id": "a", "triggers": {"t": {"type": "webhook", "path": "a", "methods": ["HEAD"]}}, "nodes": {"a": {"type": "x"}}}`,
		"webhook no method":     `{"id": "a", "triggers": {"t": {"type": "webhook", "path": "a", "methods": []}}, "nodes": {"a": {"type": "x"}}}`,
		"concurrency":           `{"id": "a", "concurrency": {"limit": 1}, "nodes": {"a": {"type": "x"}}}`,
		"needs_connect wait":    `{"id": "a", "on_needs_connect": "wait", "nodes": {"a": {"type": "x"}}}`,
		"needs_connect timeout": `{"id": "a", "needs_connect_timeout": "10", "nodes": {"a": {"type": "x"}}}`,
		"a list":                `[]`,
		"input is not a schema": `{"id": "a", "input": true, "nodes": {"a": {"type": "x"}}}`,
	}
	files, err := filepath.Glob("testdata/*.json")
	if err != nil {
		t.Fatal(err)
	}
	for _, file := range files {
		source, err := os.ReadFile(file)
		if err != nil {
			t.Fatal(err)
		}
		d, problems := workflows.Parse(source)
		unreadable := slices.ContainsFunc(problems, func(p workflows.Problem) bool {
			return slices.Contains([]string{"encoding", "malformed", "duplicate_key"}, p.Code)
		})
		if d != nil && !unreadable { // a schema sees values, not text
			corpus[file] = string(source)
		}
	}
	refused := 0
	for name, source := range corpus {
		_, problems := workflows.Parse([]byte(source))
		structural := slices.DeleteFunc(slices.Clone(problems), beyondSchema)
		doc, err := jsonschema.UnmarshalJSON(bytes.NewReader([]byte(source)))
		if err != nil {
			t.Fatalf("%s: %v", name, err)
		}
		invalid := schema.Validate(doc)
		if (invalid != nil) != (len(structural) > 0) {
			t.Errorf("%s: Parse says %v, the schema says %v", name, structural, invalid)
		}
		if invalid != nil {
			refused++
		}
	}
	if refused < 20 || refused == len(corpus) {
		t.Errorf("the corpus is lopsided: %d of %d refused", refused, len(corpus))
	}
}
