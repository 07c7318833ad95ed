package authtype

import (
	"encoding/json"
	"strconv"

	"keyflow/internal/jsonvalue"
	"keyflow/internal/secret"
)

// Values are the texts of a credential's fields, as an authentication needs them.
type Values struct {
	Plain  map[string]string // of the fields that are not secret, defaults included
	Secret map[string]secret.Text
	Refs   map[string]string // references of secret fields, until they are resolved
}

// Text returns a field, secret or not, as text; "" when absent.
func (v *Values) Text(field string) string {
	if s, ok := v.Secret[field]; ok {
		return s.Reveal()
	}
	return v.Plain[field]
}

// Flag reports whether a boolean field is true.
func (v *Values) Flag(field string) bool { return v.Text(field) == "true" }

// Map returns a field of kind map; nil when absent.
func (v *Values) Map(field string) map[string]string {
	text := v.Text(field)
	if text == "" {
		return nil
	}
	var m map[string]string
	if err := json.Unmarshal([]byte(text), &m); err != nil {
		return nil
	}
	return m
}

// SetReference makes field a reference.
func (v *Values) SetReference(field, ref string) {
	if v.Refs == nil {
		v.Refs = make(map[string]string)
	}
	v.Refs[field] = ref
}

// HoldsSecret reports whether any secret field has a value that is not empty.
func (v *Values) HoldsSecret() bool {
	for _, text := range v.Secret {
		if text.Reveal() != "" {
			return true
		}
	}
	return len(v.Refs) > 0 // an empty one is refused when it is read
}

// Texts gives the plain fields as text, with the defaults of the type.
func Texts(t *Type, fields map[string]any) map[string]string {
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
