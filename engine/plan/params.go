package plan

import (
	"encoding/json"
	"fmt"
	"math"
	"slices"
	"strings"
	"time"

	"keyflow/internal/decimal"
	"keyflow/internal/jsonvalue"
	"keyflow/nodes"
	"keyflow/workflows"
)

// ParamError says what is wrong with a parameter's value; the message repeats no value.
type ParamError struct{ code, message string }

// Error implements error.
func (e *ParamError) Error() string { return e.message }

// Convert converts plain data to the declared kind. The error is a *paramError.
func Convert(decl nodes.Param, v any) (any, error) {
	if !fits(decl.Kind, v) {
		return nil, &ParamError{codeWrongType, "must be " + KindName(decl.Kind) + ", not " + TypeName(v)}
	}
	switch decl.Kind {
	case nodes.String:
		if len(decl.Enum) > 0 && !slices.Contains(decl.Enum, v.(string)) {
			return nil, &ParamError{codeInvalid, "must be one of " + strings.Join(decl.Enum, ", ")}
		}
		if decl.Check != nil {
			if wrong := decl.Check(v.(string)); wrong != "" {
				return nil, &ParamError{codeInvalid, wrong}
			}
		}
	case nodes.List:
		return v, checkElements(decl, v.([]any))
	case nodes.Integer:
		return integer(decl, v)
	case nodes.Duration:
		d, err := workflows.ParseDuration(v.(string))
		if err != nil {
			return nil, &ParamError{codeInvalid, err.Error()}
		}
		return time.Duration(d), nil
	default: // nothing more to ask
	}
	return v, nil
}

// checkElements checks what a list with an Enum holds. The error is a *paramError.
func checkElements(decl nodes.Param, list []any) error {
	if len(decl.Enum) == 0 {
		return nil
	}
	if len(list) == 0 {
		return &ParamError{codeInvalid, "must not be empty"}
	}
	for _, v := range list {
		if text, ok := v.(string); !ok || !slices.Contains(decl.Enum, text) {
			return &ParamError{codeInvalid, "each element must be one of " + strings.Join(decl.Enum, ", ")}
		}
	}
	return nil
}

func integer(decl nodes.Param, v any) (any, error) {
	n, ok := whole(v)
	switch {
	case !ok:
	case decl.Minimum != nil && n < *decl.Minimum:
		return nil, &ParamError{codeInvalid, fmt.Sprintf("must be at least %d", *decl.Minimum)}
	case decl.Maximum != nil && n > *decl.Maximum:
		return nil, &ParamError{codeInvalid, fmt.Sprintf("must be at most %d", *decl.Maximum)}
	}
	return n, nil
}

// whole returns a number that an int holds exactly.
func whole(v any) (int, bool) {
	switch v := v.(type) {
	case int:
		return v, true
	case float64:
		return int(v), v == math.Trunc(v) && math.Abs(v) < 1<<53
	case json.Number:
		d, err := decimal.Parse(string(v))
		if err != nil {
			return 0, false
		}
		return d.Int()
	}
	return 0, false
}

// fits reports whether plain data is of a kind.
func fits(kind nodes.Kind, v any) bool {
	switch v := v.(type) {
	case string:
		return kind == nodes.String || kind == nodes.Duration || kind == nodes.Any
	case int:
		return kind == nodes.Integer || kind == nodes.Any
	case float64, json.Number:
		_, ok := whole(v)
		return kind == nodes.Any || kind == nodes.Integer && ok
	case bool:
		return kind == nodes.Boolean || kind == nodes.Any
	case map[string]any:
		return kind == nodes.Object || kind == nodes.Any
	case []any:
		return kind == nodes.List || kind == nodes.Any
	default:
		return kind == nodes.Any
	}
}

// KindName is a kind with its article.
func KindName(k nodes.Kind) string {
	switch k {
	case nodes.String:
		return "text"
	case nodes.Duration:
		return "a duration such as \"30s\""
	case nodes.Integer, nodes.Object:
		return "an " + string(k)
	case nodes.Any:
		return "any value"
	default:
		return "a " + string(k)
	}
}

// TypeName is the JSON type of plain data with its article.
func TypeName(v any) string {
	switch v := v.(type) {
	case nil:
		return "null"
	case *jsonvalue.Redacted:
		return "a redacted value (" + jsonvalue.SourceOf(v) + ")"
	case bool:
		return "a boolean"
	case string:
		return "text"
	case int, float64, json.Number:
		return "a number"
	case []any:
		return "a list"
	default:
		return "an object"
	}
}
