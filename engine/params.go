package engine

import (
	"context"
	"encoding/json"
	"fmt"
	"math"
	"slices"
	"strings"
	"time"

	"keyflow/internal/decimal"
	"keyflow/internal/expression"
	"keyflow/internal/jsonvalue"
	"keyflow/nodes"
	"keyflow/workflows"
)

// param is one compiled parameter of a node: an expression that the node evaluates, a
// literal that was checked once, or a template.
type param struct {
	decl       nodes.Param
	expression *expression.Expression
	value      *expression.Value
	literal    bool
	// sealed are the members of a Sealed object that come from outputs of sensitive nodes alone;
	// everyMember stands for all.
	sealed []string
	fixed  any // of a literal, in its declared kind
}

// paramError says what is wrong with a parameter's value; the message repeats no value.
type paramError struct{ code, message string }

func (e *paramError) Error() string { return e.message }

// evaluate returns the parameters as the node gets them; what they hold is shared. use checks
// each for redacted values.
func (p *planNode) evaluate(ctx context.Context, env func(decl *nodes.Param) (expression.Env, error), use func(decl *nodes.Param, v any) (any, *nodes.Error)) (map[string]any, *nodes.Error) {
	with := make(map[string]any, len(p.params))
	for i := range p.params {
		q := &p.params[i]
		switch {
		case q.expression != nil:
			continue
		case q.literal:
			with[q.decl.Name] = q.fixed
			continue
		}
		vars, err := env(&q.decl)
		if err != nil {
			return nil, &nodes.Error{Code: nodes.CodeInternal, Message: "with." + q.decl.Name + ": a sealed output cannot be opened", Err: err}
		}
		v, err := q.value.Eval(ctx, vars)
		if err != nil {
			wrong := expressionError(ctx, "with."+q.decl.Name, err)
			if q.decl.Sealed {
				wrong = withoutDetails(wrong, "with."+q.decl.Name)
			}
			return nil, wrong
		}
		v, wrong := use(&q.decl, v)
		if wrong != nil {
			return nil, wrong
		}
		if v == nil && q.decl.Kind != nodes.Any {
			if q.decl.Required {
				return nil, &nodes.Error{Code: nodes.CodeInvalidParam, Message: "with." + q.decl.Name + " is null; it must be " + kindName(q.decl.Kind)}
			}
			continue
		}
		fixed, err := convert(q.decl, v)
		if err != nil {
			return nil, &nodes.Error{Code: nodes.CodeInvalidParam, Message: "with." + q.decl.Name + ": " + err.Error()}
		}
		with[q.decl.Name] = fixed
	}
	return with, nil
}

// convert brings plain data into the declared kind. The error is a *paramError.
func convert(decl nodes.Param, v any) (any, error) {
	if !fits(decl.Kind, v) {
		return nil, &paramError{codeWrongType, "must be " + kindName(decl.Kind) + ", not " + typeName(v)}
	}
	switch decl.Kind {
	case nodes.String:
		if len(decl.Enum) > 0 && !slices.Contains(decl.Enum, v.(string)) {
			return nil, &paramError{codeInvalid, "must be one of " + strings.Join(decl.Enum, ", ")}
		}
		if decl.Check != nil {
			if wrong := decl.Check(v.(string)); wrong != "" {
				return nil, &paramError{codeInvalid, wrong}
			}
		}
	case nodes.List:
		return v, checkElements(decl, v.([]any))
	case nodes.Integer:
		return integer(decl, v)
	case nodes.Duration:
		d, err := workflows.ParseDuration(v.(string))
		if err != nil {
			return nil, &paramError{codeInvalid, err.Error()}
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
		return &paramError{codeInvalid, "must not be empty"}
	}
	for _, v := range list {
		if text, ok := v.(string); !ok || !slices.Contains(decl.Enum, text) {
			return &paramError{codeInvalid, "each element must be one of " + strings.Join(decl.Enum, ", ")}
		}
	}
	return nil
}

func integer(decl nodes.Param, v any) (any, error) {
	n, ok := whole(v)
	switch {
	case !ok:
	case decl.Minimum != nil && n < *decl.Minimum:
		return nil, &paramError{codeInvalid, fmt.Sprintf("must be at least %d", *decl.Minimum)}
	case decl.Maximum != nil && n > *decl.Maximum:
		return nil, &paramError{codeInvalid, fmt.Sprintf("must be at most %d", *decl.Maximum)}
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

// kindName is a kind with its article.
func kindName(k nodes.Kind) string {
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

// typeName is the JSON type of plain data with its article.
func typeName(v any) string {
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
