package examples_test

import (
	"encoding/json"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"github.com/santhosh-tekuri/jsonschema/v6"

	"keyflow/engine/plan"
	"keyflow/nodes"
	"keyflow/nodes/standard"
	"keyflow/triggers"
	"keyflow/workflows"
)

// files returns the examples; there is one per story and the one for Marketo.
func files(t *testing.T) []string {
	t.Helper()
	list, err := filepath.Glob("*.json")
	if err != nil || len(list) < 4 {
		t.Fatalf("examples: %v, %v", list, err)
	}
	return list
}

func read(t *testing.T, file string) []byte {
	t.Helper()
	source, err := os.ReadFile(file)
	if err != nil {
		t.Fatal(err)
	}
	return source
}

func TestExamplesAreValid(t *testing.T) {
	t.Parallel()
	catalog := workflows.NewCatalog(nil, workflows.CatalogOptions{Checkers: []workflows.Checker{
		plan.NewChecker(nodes.NewRegistry(standard.Types()...)), triggers.NewChecker(nil),
	}})
	for _, file := range files(t) {
		t.Run(file, func(t *testing.T) {
			t.Parallel()
			problems, warnings := catalog.Validate(t.Context(), read(t, file))
			for _, p := range append(problems, warnings...) {
				t.Errorf("%s:%d:%d: %s: %s", file, p.Line, p.Column, p.Path, p.Message)
			}
		})
	}
}

func TestExamplesMatchTheSchema(t *testing.T) {
	t.Parallel()
	text, err := workflows.Schema()
	if err != nil {
		t.Fatal(err)
	}
	doc, err := jsonschema.UnmarshalJSON(strings.NewReader(string(text)))
	if err != nil {
		t.Fatal(err)
	}
	compiler := jsonschema.NewCompiler()
	if err := compiler.AddResource("workflow.json", doc); err != nil {
		t.Fatal(err)
	}
	schema, err := compiler.Compile("workflow.json")
	if err != nil {
		t.Fatal(err)
	}
	for _, file := range files(t) {
		var value any
		if err := json.Unmarshal(read(t, file), &value); err != nil {
			t.Fatal(err)
		}
		if err := schema.Validate(value); err != nil {
			t.Errorf("%s: %v", file, err)
		}
	}
}

// Examples are copied: their ids, webhook paths and stories must not be taken twice.
func TestExamplesDoNotClash(t *testing.T) {
	t.Parallel()
	seen := map[string]string{}
	take := func(what, file string) {
		if other, taken := seen[what]; taken {
			t.Errorf("%s: %s is in %s too", file, what, other)
		}
		seen[what] = file
	}
	for _, file := range files(t) {
		d, _ := workflows.Parse(read(t, file))
		take("id "+string(d.ID), file)
		take("story "+d.Labels["story"], file)
		for _, trigger := range d.Triggers {
			if trigger.Path != "" {
				take("path "+trigger.Path, file)
			}
		}
	}
}
