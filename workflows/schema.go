package workflows

import (
	"encoding/json"
	"fmt"
)

// Schema returns the JSON Schema (2020-12) of a workflow file, indented. It is made from
// the table that Parse reads with, so whatever one refuses by structure the other does too;
// references between nodes, expressions and node types are beyond a schema.
func Schema() ([]byte, error) {
	s := new(Definition).fields().schema()
	s["$schema"] = "https://json-schema.org/draft/2020-12/schema"
	s["title"] = "Keyflow workflow"
	s["description"] = "A workflow file, format version 1 (docs/reference/workflow-format.md)."
	out, err := json.MarshalIndent(s, "", "  ")
	if err != nil {
		return nil, fmt.Errorf("write the workflow schema: %w", err)
	}
	return append(out, '\n'), nil
}
