package workflows_test

import (
	"strings"
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
			_, problems := workflows.FillInput(d, []byte(tt.input))
			if diff := cmp.Diff(tt.want, problems); diff != "" {
				t.Errorf("-want +got\n%s", diff)
			}
		})
	}
}

// Keywords on numbers hold for every digit; nothing that a short text can ask for takes long.
func TestNumbersOfInputAreExact(t *testing.T) {
	t.Parallel()
	d := parse(t, `{"id": "a", "nodes": {"a": {"type": "x"}}, "input": {"properties": {
	  "id": {"type": "integer", "maximum": 12345678901234567890}, "price": {"multipleOf": 0.01}, "const": {"const": 0.1}}}}`)
	tests := []struct{ name, input, path string }{
		{"largest", `{"id": 12345678901234567890}`, ""},
		{"one more", `{"id": 12345678901234567891}`, "/id"},
		{"whole as written", `{"id": 1.50e1}`, ""},
		{"not whole", `{"id": 12345678901234567.5}`, "/id"},
		{"multiple", `{"price": 1234567890123456.78}`, ""},
		{"no multiple", `{"price": 1234567890123456.789}`, "/price"},
		{"const", `{"const": 0.10}`, ""},
		{"nearly const", `{"const": 0.10000000000000000001}`, "/const"},
		{"too long to check", `{"other": [0, 1e99999]}`, "/other/1"},
		{"much too long to check", `{"id": 1e-99999999999}`, "/id"},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			t.Parallel()
			input, problems := workflows.FillInput(d, []byte(tt.input))
			if tt.path == "" && (len(problems) > 0 || string(input) != tt.input) || tt.path != "" && (len(problems) != 1 || problems[0].Path != tt.path) {
				t.Errorf("%s, %+v; want a problem at %q", input, problems, tt.path)
			}
		})
	}
	if _, problems := workflows.Parse([]byte(`{"id": "a", "nodes": {"a": {"type": "x"}}, "input": {"maximum": 1e99999}}`)); len(problems) != 1 || problems[0].Path != "/input/maximum" {
		t.Errorf("schema: %+v", problems)
	}
}

func TestCheckInputWithoutSchema(t *testing.T) {
	t.Parallel()
	d := parse(t, `{"id": "a", "nodes": {"a": {"type": "x"}}}`)
	if _, problems := workflows.FillInput(d, []byte(`[null]`)); problems != nil {
		t.Errorf("got %v", problems)
	}
}

func TestDefaultsOfInput(t *testing.T) {
	t.Parallel()
	tests := map[string]struct{ schema, input, want string }{
		"a member": {
			`{"properties": {"n": {"type": "integer", "default": 3}}}`, `{"a": 1}`, `{"a":1,"n":3}`,
		},
		"what is given stays": {
			`{"properties": {"n": {"default": 3}}}`, `{ "n": 12345678901234567 }`, `{ "n": 12345678901234567 }`,
		},
		"null is given": {
			`{"properties": {"n": {"type": ["integer", "null"], "default": 3}}}`, `{"n": null}`, `{"n": null}`,
		},
		"a default of null": {
			`{"properties": {"n": {"default": null}}}`, `{}`, `{"n":null}`,
		},
		"before the check": {
			`{"required": ["n"], "properties": {"n": {"type": "integer", "default": 3}}}`, `{}`, `{"n":3}`,
		},
		"a nested object": {
			`{"properties": {"o": {"properties": {"n": {"default": 3}}}}}`, `{"o": {"a": 1}}`, `{"o":{"a":1,"n":3}}`,
		},
		"a missing object without a default stays missing": {
			`{"properties": {"o": {"properties": {"n": {"default": 3}}}}}`, `{}`, `{}`,
		},
		"a default is filled itself": {
			`{"properties": {"o": {"default": {}, "properties": {"n": {"default": 3}}}}}`, `{}`, `{"o":{"n":3}}`,
		},
		"items": {
			`{"properties": {"l": {"items": {"properties": {"n": {"default": 3}}}}}}`, `{"l": [{}, {"n": 1}, null]}`, `{"l":[{"n":3},{"n":1},null]}`,
		},
		"prefixItems": {
			`{"prefixItems": [true, {"properties": {"n": {"default": 3}}}], "items": {"properties": {"m": {"default": 4}}}}`,
			`[{}, {}, {}]`, `[{},{"n":3},{"m":4}]`,
		},
		"items of an older draft": {
			`{"$schema": "http://json-schema.org/draft-07/schema#", "items": [{"properties": {"n": {"default": 3}}}], "additionalItems": {"properties": {"m": {"default": 4}}}}`,
			`[{}, {}]`, `[{"n":3},{"m":4}]`,
		},
		"additionalProperties": {
			`{"properties": {"o": {}}, "additionalProperties": {"properties": {"n": {"default": 3}}}}`, `{"o": {}, "x": {}}`, `{"o":{},"x":{"n":3}}`,
		},
		"patternProperties": {
			`{"patternProperties": {"^x": {"properties": {"n": {"default": 3}}}}}`, `{"o": {}, "x": {}}`, `{"o":{},"x":{"n":3}}`,
		},
		"through a reference": {
			`{"properties": {"a": {"$ref": "#/$defs/n"}, "o": {"$ref": "#/$defs/o"}}, "$defs": {"n": {"default": 3}, "o": {"properties": {"a": {"$ref": "#/$defs/n"}}}}}`,
			`{"o": {}}`, `{"a":3,"o":{"a":3}}`,
		},
		"allOf, the schema's own first": {
			`{"properties": {"n": {"default": 3}}, "allOf": [{"properties": {"n": {"default": 4}, "m": {"default": 5}}}]}`, `{}`, `{"m":5,"n":3}`,
		},
		"a condition fills nothing": {
			`{"anyOf": [{"properties": {"n": {"default": 3}}}], "if": {"properties": {"m": {"default": 4}}}}`, `{}`, `{}`,
		},
		"no input":                              {`{"properties": {"n": {"default": 3}}}`, ``, `{"n":3}`},
		"no input, a default of the whole":      {`{"default": {"m": 1}, "properties": {"n": {"default": 3}}}`, ``, `{"m":1,"n":3}`},
		"an input, a default of the whole":      {`{"default": {"m": 1}}`, `{}`, `{}`},
		"a recursive schema ends with its data": {`{"properties": {"n": {"default": 3}, "next": {"$ref": "#"}}}`, `{"next": {}}`, `{"n":3,"next":{"n":3}}`},
	}
	for name, tt := range tests {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			d := parse(t, `{"id": "a", "nodes": {"a": {"type": "x"}}, "input": `+tt.schema+`}`)
			for range 2 { // a run does not change the default of the next
				got, problems := workflows.FillInput(d, []byte(tt.input))
				if string(got) != tt.want || problems != nil {
					t.Errorf("got %s, problems %v, want %s", got, problems, tt.want)
				}
			}
		})
	}
}

func TestEndlessDefaults(t *testing.T) {
	t.Parallel()
	for name, schema := range map[string]string{
		"one member":    `{"properties": {"next": {"$ref": "#", "default": {}}}}`,
		"many members":  `{"properties": {"a": {"$ref": "#", "default": {}}, "b": {"$ref": "#", "default": {}}, "c": {"$ref": "#", "default": {}}}}`,
		"a large value": `{"items": {"properties": {"n": {"default": "` + strings.Repeat("x", 100_000) + `"}}}}`,
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			d := parse(t, `{"id": "a", "nodes": {"a": {"type": "x"}}, "input": `+schema+`}`)
			input := "{}"
			if name == "a large value" {
				input = "[" + strings.Repeat("{},", 200) + "{}]"
			}
			if _, problems := workflows.FillInput(d, []byte(input)); len(problems) != 1 || problems[0].Code != "invalid_value" {
				t.Errorf("got %v", problems)
			}
		})
	}
}
