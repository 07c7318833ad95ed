package workflows_test

import (
	"testing"

	"github.com/google/go-cmp/cmp"

	"keyflow/workflows"
)

func TestCheckInput(t *testing.T) {
	t.Parallel()
	const schema = `{
	  "type": "object", "required": ["id", "mail"], "additionalProperties": false,
	  "properties": {
	    "id": {"type": "integer", "minimum": 1}, "mail": {"type": "string", "pattern": "@"}, "kind": {"enum": ["a", "b"]},
	    "list": {"type": "array", "items": {"$ref": "#/$defs/n"}, "maxItems": 2}, "p~/q": {"type": "boolean"}
	  },
	  "$defs": {"n": {"type": "number"}}
	}`
	d := parse(t, `{"id": "a", "nodes": {"a": {"type": "x"}}, "input": `+schema+`}`)
	tests := []struct {
		name, input string
		want        []workflows.Problem
	}{
		{"right", `{"id": 9007199254740993, "mail": "a@b", "kind": "a", "list": [1, 2.5], "p~/q": true}`, nil},
		{"not JSON", `{"id": `, []workflows.Problem{{Code: "malformed", Message: "the input is not valid JSON: unexpected EOF"}}},
		{"missing and unknown", `{"x1": 1}`, []workflows.Problem{
			{Code: "invalid_value", Message: `missing "id", "mail"`}, {Code: "invalid_value", Message: `unknown "x1"`},
		}},
		{"values are not repeated", `{"id": 1, "mail": "s3cret"}`, []workflows.Problem{{Path: "/mail", Code: "invalid_value", Message: "does not match the pattern @"}}},
		{"range", `{"id": -7, "mail": "@"}`, []workflows.Problem{{Path: "/id", Code: "invalid_value", Message: "the number or text is not in the allowed range: minimum"}}},
		{"type", `{"id": "7", "mail": "@"}`, []workflows.Problem{{Path: "/id", Code: "invalid_value", Message: "must be integer, not string"}}},
		{"enum", `{"id": 1, "mail": "@", "kind": "s3cret"}`, []workflows.Problem{{Path: "/kind", Code: "invalid_value", Message: "value must be one of 'a', 'b'"}}},
		{"through a reference", `{"id": 1, "mail": "@", "list": [1, "x"]}`, []workflows.Problem{{Path: "/list/1", Code: "invalid_value", Message: "must be number, not string"}}},
		{"pointer escapes", `{"id": 1, "mail": "@", "p~/q": 1}`, []workflows.Problem{{Path: "/p~0~1q", Code: "invalid_value", Message: "must be boolean, not number"}}},
		{"not an object", `[]`, []workflows.Problem{{Code: "invalid_value", Message: "must be object, not array"}}},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			t.Parallel()
			if diff := cmp.Diff(tt.want, workflows.CheckInput(d, []byte(tt.input))); diff != "" {
				t.Errorf("-want +got\n%s", diff)
			}
		})
	}
}

func TestCheckInputWithoutSchema(t *testing.T) {
	t.Parallel()
	d := parse(t, `{"id": "a", "nodes": {"a": {"type": "x"}}}`)
	if problems := workflows.CheckInput(d, []byte(`[null]`)); problems != nil {
		t.Errorf("got %v", problems)
	}
}
