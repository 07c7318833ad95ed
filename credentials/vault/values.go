package vault

import (
	"encoding/json"
	"strconv"

	"keyflow/internal/jsonvalue"
	"keyflow/internal/secret"
)

// values are the texts of a credential's fields, as an authentication needs them.
type values struct {
	plain   map[string]string // of the fields that are not secret, defaults included
	secrets map[string]secret.Text
	refs    map[string]string // references of secret fields, until they are resolved
}

// text returns a field, secret or not, as text; "" when absent.
func (v *values) text(field string) string {
	if s, ok := v.secrets[field]; ok {
		return s.Reveal()
	}
	return v.plain[field]
}

// flag reports whether a boolean field is true.
func (v *values) flag(field string) bool { return v.text(field) == "true" }

// stringMap returns a field of kind map; nil when absent.
func (v *values) stringMap(field string) map[string]string {
	text := v.text(field)
	if text == "" {
		return nil
	}
	var m map[string]string
	if err := json.Unmarshal([]byte(text), &m); err != nil {
		return nil
	}
	return m
}

// setReference makes field a reference.
func (v *values) setReference(field, ref string) {
	if v.refs == nil {
		v.refs = make(map[string]string)
	}
	v.refs[field] = ref
}

// holdsSecret reports whether any secret field has a value that is not empty.
func (v *values) holdsSecret() bool {
	for _, text := range v.secrets {
		if text.Reveal() != "" {
			return true
		}
	}
	return len(v.refs) > 0 // an empty one is refused when it is read
}

// fieldTexts gives the plain fields as text, with the defaults of the type.
func fieldTexts(t *Type, fields map[string]any) map[string]string {
	texts := make(map[string]string, len(t.Fields))
	for _, f := range t.Fields {
		if f.Default != "" {
			texts[f.Name] = f.Default
		}
	}
	for name, value := range fields {
		switch value := value.(type) {
		case string:
			texts[name] = value
		case bool:
			texts[name] = strconv.FormatBool(value)
		default:
			if text, err := jsonvalue.Encode(value); err == nil {
				texts[name] = string(text)
			}
		}
	}
	return texts
}
