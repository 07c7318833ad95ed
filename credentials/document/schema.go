package document

import (
	"encoding/json"

	"keyflow/credentials"
	"keyflow/credentials/authtype"
	"keyflow/credentials/internal/reach"
)

// Schema returns the JSON Schema (2020-12) of a credential as written at its creation, made of
// what the types declare. Rules that join several fields are checked by the vault alone.
func Schema() ([]byte, error) {
	kinds := authtype.All()
	names := make([]credentials.TypeName, len(kinds))
	variants := make([]map[string]any, len(kinds))
	for i, t := range kinds {
		names[i] = t.Name
		variants[i] = map[string]any{
			"if":   map[string]any{"properties": map[string]any{"type": map[string]any{"const": t.Name}}},
			"then": typeSchema(&t),
		}
	}
	return json.MarshalIndent(map[string]any{
		"$schema":              "https://json-schema.org/draft/2020-12/schema",
		"title":                "Keyflow credential",
		"type":                 "object",
		"required":             []string{"id", "type"},
		"additionalProperties": false,
		"properties":           inputSchema(names),
		"allOf":                variants,
	}, "", "  ")
}

func inputSchema(types []credentials.TypeName) map[string]any {
	text := map[string]any{"type": "string"}
	texts := map[string]any{"type": "array", "items": text, "maxItems": MaxEntries}
	return map[string]any{
		"$schema":           text,
		"id":                map[string]any{"type": "string", "pattern": reach.IDForm, "description": "Workflows name the credential by it; it never changes."},
		"name":              map[string]any{"type": "string", "maxLength": MaxName},
		"description":       map[string]any{"type": "string", "maxLength": MaxDescription},
		"labels":            map[string]any{"type": "object", "additionalProperties": text, "maxProperties": MaxEntries},
		"folder":            map[string]any{"type": "string", "pattern": "^/", "default": "/"},
		"type":              map[string]any{"enum": types},
		"fields":            map[string]any{"type": "object"},
		"allowed_hosts":     texts,
		"allowed_workflows": texts,
		"rotatable_by":      texts,
		"limits": map[string]any{
			"type": []string{"object", "null"}, "additionalProperties": false,
			"properties": map[string]any{
				"requests": map[string]any{"type": "integer", "minimum": 1}, "per": text, "concurrency": map[string]any{"type": "integer", "minimum": 1},
			},
		},
		"failure_rules": map[string]any{"type": "array", "maxItems": MaxEntries, "items": ruleSchema()},
		"test_url":      text,
		"expires_at":    map[string]any{"type": []string{"string", "null"}, "format": "date-time"},
		"rotate_every":  text,
		"grace":         text,
	}
}

func ruleSchema() map[string]any {
	text := map[string]any{"type": "string"}
	return map[string]any{
		"type": "object", "required": []string{"action"}, "additionalProperties": false,
		"properties": map[string]any{
			"status":       map[string]any{"type": "array", "items": map[string]any{"type": "integer", "minimum": 100, "maximum": 599}},
			"headers":      map[string]any{"type": "object", "additionalProperties": text},
			"body":         map[string]any{"type": "string", "description": "An expression over response {status, headers, body}."},
			"action":       map[string]any{"enum": []string{credentials.RuleRenew, credentials.RuleRefuse, credentials.RuleWait, credentials.RuleQuota}},
			"until":        text,
			"not_executed": map[string]any{"type": "boolean"},
		},
	}
}

// typeSchema is what a type says about a credential beyond what all have in common.
func typeSchema(t *authtype.Type) map[string]any {
	fields := make(map[string]any, len(t.Fields))
	required := []string{}
	for _, f := range t.Fields {
		fields[f.Name] = fieldSchema(&f)
		if f.Required && f.ShowIf == nil && f.Default == "" {
			required = append(required, f.Name)
		}
	}
	needed := []string{}
	if len(required) > 0 {
		needed = append(needed, "fields")
	}
	if !t.Anywhere {
		needed = append(needed, "allowed_hosts")
	}
	return map[string]any{
		"title": t.Label, "description": t.Summary, "required": needed,
		"properties": map[string]any{"fields": map[string]any{
			"type": "object", "additionalProperties": false, "properties": fields, "required": required,
		}},
	}
}

func fieldSchema(f *authtype.Field) map[string]any {
	s := valueSchema(f)
	if !f.Secret {
		return s
	}
	return map[string]any{"title": f.Label, "description": f.Help, "anyOf": []any{s, map[string]any{
		"title": "Reference", "type": "object", "required": []string{"ref"}, "additionalProperties": false,
		"properties": map[string]any{"ref": map[string]any{"type": "string", "pattern": "^(env|file|vault):"}},
	}}}
}

func valueSchema(f *authtype.Field) map[string]any {
	s := map[string]any{"title": f.Label, "description": f.Help}
	switch f.Kind {
	case authtype.KindBoolean:
		s["type"], s["default"] = []string{"boolean", "null"}, f.Default == "true"
	case authtype.KindChoice:
		s["enum"] = f.Choices
	case authtype.KindMap:
		s["type"], s["additionalProperties"] = []string{"object", "null"}, map[string]any{"type": "string"}
	default:
		s["type"], s["maxLength"] = []string{"string", "null"}, MaxText
		if f.Pattern != "" {
			s["pattern"] = "^(?:" + f.Pattern + ")$"
		}
	}
	if f.Default != "" && f.Kind != authtype.KindBoolean {
		s["default"] = f.Default
	}
	if f.Secret {
		s["writeOnly"] = true
	}
	return s
}
