package workflows

import (
	"encoding/json"
	"fmt"
)

// Schema returns the JSON Schema (2020-12) of a workflow file, indented. It comes from the table
// that Parse uses, so both refuse the same structure. A schema cannot check references between
// nodes, expressions and node types.
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
