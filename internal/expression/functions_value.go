package expression

import (
	"fmt"
	"strings"

	"github.com/expr-lang/expr/vm/runtime"

	"keyflow/internal/jsonvalue"
)

func valueFunctions() []function {
	return []function{
		{"len", "c", native("len")},
		{"get", "v", get},
		{"int", "v", toInt},
		{"float", "v", native("float")},
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
		l, i := elements(from), runtime.ToInt(args[1])
		if i < 0 {
			i += l.len()
		}
		if i >= 0 && i < l.len() {
			return l.at(i), nil
		}
	}
	return nil, nil
}

// toInt refuses numbers that an int cannot hold; a fraction is cut off.
func toInt(_ *machine, args []any) (any, error) {
	const limit = 1 << 63
	if f, ok := args[0].(float64); ok {
		if !(f >= -limit && f < limit) {
			return nil, fmt.Errorf("int: %v is out of range", f)
		}
		return int(f), nil
	}
	return native("int")(nil, args)
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
