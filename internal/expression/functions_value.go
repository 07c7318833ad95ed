package expression

import (
	"encoding/json"
	"fmt"
	"strings"

	"keyflow/internal/jsonvalue"
)

func valueFunctions() []function {
	return []function{
		{"len", "c", native("len")},
		{"get", "v", get},
		{"type", "v", typeOf},
		{"string", "v", func(m *machine, a []any) (any, error) { return m.text(a[0]) }},
		{"toJSON", "v", func(m *machine, a []any) (any, error) { return m.json(a[0]) }},
		{"fromJSON", "t", fromJSON},
	}
}

// get reads an element or a member; what is not there is null.
func get(_ *machine, args []any) (any, error) {
	switch from := args[0].(type) {
	case map[string]any:
		if key, ok := args[1].(string); ok {
			return from[key], nil
		}
	case []any, []int:
		l := elements(from)
		i, ok := wholeNumber(args[1])
		if !ok {
			return nil, fmt.Errorf("get needs a whole number to read a list, got %s", kind(args[1]))
		}
		if i < 0 {
			i += l.len()
		}
		if i >= 0 && i < l.len() {
			return l.at(i), nil
		}
	}
	return nil, nil
}

// typeOf names the type of a value as expr does.
func typeOf(m *machine, args []any) (any, error) {
	if n, ok := args[0].(json.Number); ok {
		if strings.ContainsAny(string(n), ".eE") {
			return "float", nil
		}
		return "int", nil
	}
	return native("type")(m, args)
}

// fromJSON decodes by the rules of package jsonvalue.
func fromJSON(m *machine, args []any) (any, error) {
	s := args[0].(string)
	structure := strings.Count(s, ",") + strings.Count(s, ":") + strings.Count(s, "[")
	objects := strings.Count(s, "{")
	if err := m.build(len(s) + structure*64 + objects*400); err != nil {
		return nil, err
	}
	if err := m.spend(len(s) / jsonPerStep); err != nil {
		return nil, err
	}
	v, err := jsonvalue.Decode([]byte(s))
	if err != nil {
		return nil, fmt.Errorf("fromJSON: %w", err)
	}
	return v, nil
}
