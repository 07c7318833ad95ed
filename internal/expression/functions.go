package expression

import (
	"encoding/json"
	"errors"
	"fmt"
	"reflect"
	"strings"

	"github.com/expr-lang/expr/builtin"

	"keyflow/internal/decimal"
)

// errNotRewritten would mean that an author's call reached expr unchecked.
var errNotRewritten = errors.New("function was not rewritten")

// additions are the functions that expr does not have or has otherwise, with their types.
var additions = map[string][]reflect.Type{
	"now":          {reflect.TypeFor[func() string]()},
	"uuid":         {reflect.TypeFor[func() string]()},
	"callback_url": {reflect.TypeFor[func(string) string]()},
	"sha256":       {reflect.TypeFor[func(string) string]()},
	"hex":          {reflect.TypeFor[func(string) string]()},
	"base64":       {reflect.TypeFor[func(string) string]()},
	"unbase64":     {reflect.TypeFor[func(string) string]()},
	"urlencode":    {reflect.TypeFor[func(string) string]()},
}

// function is a checked function: it charges the machine for what it reads and, before
// allocating, for what it builds. Its params say what each argument must be, one letter
// each; the last letter stands for all further arguments:
//
//	t text, n whole number, l list, o object, c list, object or text, v anything
//
// Reading texts and walking lists is charged before call, except with the params "*",
// which admit anything and leave all charging to call.
type function struct {
	name   string
	params string
	call   func(m *machine, args []any) (any, error)
}

// functions are all functions that the rewriter may put into code, by name: the operators,
// the builtins of expr and the additions.
var functions = byName(operatorFunctions(), numberFunctions(), textFunctions(), listFunctions(), valueFunctions())

func byName(tables ...[]function) map[string]function {
	out := map[string]function{}
	for _, table := range tables {
		for _, f := range table {
			out[f.name] = f
		}
	}
	return out
}

// run is the function as expr calls it: the machine comes first.
func (f function) run(args ...any) (any, error) {
	m, args := args[0].(*machine), args[1:]
	if r := redactedIn(args); r != nil {
		return f.onRedacted(m, args, r)
	}
	if f.params == "*" {
		return f.call(m, args)
	}
	for i, arg := range args {
		v, err := f.admit(m, i, arg)
		if err != nil {
			return nil, err
		}
		args[i] = v
	}
	return f.call(m, args)
}

// admit checks and charges argument i.
func (f function) admit(m *machine, i int, arg any) (any, error) {
	if f.params == "" {
		return nil, fmt.Errorf("%s takes no arguments", f.name)
	}
	letter := f.params[min(i, len(f.params)-1)]
	if n, ok := wholeNumber(arg); ok && letter == 'n' {
		return n, nil
	}
	if strings.IndexByte(lettersOf(arg), letter) < 0 {
		return nil, fmt.Errorf("%s needs %s, got %s", f.name, wanted(letter), kind(arg))
	}
	switch v := arg.(type) {
	case string:
		return v, m.read(len(v))
	case []any, []int:
		return v, m.visit(elements(v).len())
	case map[string]any:
		return v, m.visit(len(v))
	}
	return arg, nil
}

func wholeNumber(v any) (int, bool) {
	switch v := v.(type) {
	case int:
		return v, true
	case float64:
		n := int(v)
		return n, float64(n) == v
	case json.Number:
		d, err := decimal.Parse(string(v))
		if err != nil {
			return 0, false
		}
		return d.Int()
	}
	return 0, false
}

// lettersOf returns the letters of params that admit v.
func lettersOf(v any) string {
	switch v.(type) {
	case string:
		return "tcv"
	case []any, []int:
		return "lcv"
	case map[string]any:
		return "ocv"
	}
	return "v"
}

func wanted(letter byte) string {
	switch letter {
	case 't':
		return "a text"
	case 'n':
		return "a whole number"
	case 'l':
		return "a list"
	case 'o':
		return "an object"
	}
	return "a list, an object or a text"
}

// native returns expr's own implementation of a builtin, for functions whose cost is
// covered by reading their arguments.
func native(name string) func(*machine, []any) (any, error) {
	f := builtin.Builtins[builtin.Index[name]]
	return func(_ *machine, args []any) (any, error) {
		switch {
		case f.Fast != nil:
			return f.Fast(args[0]), nil
		case f.Safe != nil:
			v, _, err := f.Safe(args...)
			return v, err
		default:
			return f.Func(args...)
		}
	}
}
