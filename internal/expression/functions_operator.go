package expression

import (
	"errors"
	"fmt"
	"strings"

	"github.com/expr-lang/expr/vm/runtime"
)

func operatorFunctions() []function {
	return []function{
		{"tick", "*", tick},
		{"add", "*", add},
		{"equal", "*", func(m *machine, a []any) (any, error) { return m.equal(a[0], a[1], 0) }},
		{"compare", "*", compare},
		{"in", "v", contained},
		{"range", "n", intRange},
		{"contains", "v", texts("contains", strings.Contains)},
		{"startsWith", "v", texts("startsWith", strings.HasPrefix)},
		{"endsWith", "v", texts("endsWith", strings.HasSuffix)},
		{"matches", "v", matches},
		{"key", "v", key},
		{"slice", "n", func(_ *machine, a []any) (any, error) { return a[0], nil }},
		{"list", "*", listOf},
		{"groupKey", "*", func(m *machine, a []any) (any, error) { return m.keyText(a[0]) }},
		{"object", "*", groups},
	}
}

// tick charges one pass of a loop.
func tick(m *machine, args []any) (any, error) {
	cost := args[0].(*pass)
	if err := m.build(cost.bytes); err != nil {
		return nil, err
	}
	return nil, m.spend(cost.steps)
}

func add(m *machine, args []any) (any, error) {
	a, isText := args[0].(string)
	b, areTexts := args[1].(string)
	if !isText || !areTexts {
		return plus.apply(m, args[0], args[1])
	}
	if err := m.build(len(a) + len(b)); err != nil {
		return nil, err
	}
	return a + b, nil
}

// compare takes the operator as its first argument. Nothing is above or below NaN.
func compare(m *machine, args []any) (any, error) {
	a, b := args[1], args[2]
	if isNumber(a) && isNumber(b) {
		c, known, err := m.order(a, b)
		if err != nil {
			return nil, err
		}
		return known && holds(args[0], c), nil
	}
	if text, ok := a.(string); ok {
		if err := m.read(len(text)); err != nil {
			return nil, err
		}
	}
	switch args[0] {
	case "<":
		return runtime.Less(a, b), nil
	case "<=":
		return runtime.LessOrEqual(a, b), nil
	case ">":
		return runtime.More(a, b), nil
	default:
		return runtime.MoreOrEqual(a, b), nil
	}
}

// holds says whether an operator holds between values in order c.
func holds(operator any, c int) bool {
	switch operator {
	case "<":
		return c < 0
	case "<=":
		return c <= 0
	case ">":
		return c > 0
	default:
		return c >= 0
	}
}

// equal compares by value: 1 equals 1.0 at any depth, and lists equal lists.
func (m *machine) equal(a, b any, depth int) (bool, error) {
	if depth > maxDepth {
		return false, errDepth
	}
	switch a := a.(type) {
	case []any, []int:
		la, lb := elements(a), elements(b)
		if lb == nil || lb.len() != la.len() {
			return false, nil
		}
		return m.equalLists(la, lb, depth)
	case map[string]any:
		b, ok := b.(map[string]any)
		if !ok || len(a) != len(b) {
			return false, nil
		}
		return m.equalObjects(a, b, depth)
	case string:
		b, ok := b.(string)
		if !ok || len(a) != len(b) {
			return false, nil
		}
		return a == b, m.read(len(a))
	}
	switch b.(type) {
	case []any, []int, map[string]any:
		return false, nil
	}
	if isNumber(a) && isNumber(b) {
		c, known, err := m.order(a, b)
		return known && c == 0, err
	}
	if r := redactedIn([]any{a, b}); r != nil {
		return false, redactedError(r)
	}
	return runtime.Equal(a, b), nil
}

func (m *machine) equalLists(a, b list, depth int) (bool, error) {
	if err := m.visit(a.len() + elementsPerStep); err != nil {
		return false, err
	}
	for i := range a.len() {
		if same, err := m.equal(a.at(i), b.at(i), depth+1); !same || err != nil {
			return false, err
		}
	}
	return true, nil
}

func (m *machine) equalObjects(a, b map[string]any, depth int) (bool, error) {
	if err := m.visit(len(a) + elementsPerStep); err != nil {
		return false, err
	}
	for k, v := range a {
		w, ok := b[k]
		if !ok {
			return false, nil
		}
		if same, err := m.equal(v, w, depth+1); !same || err != nil {
			return false, err
		}
	}
	return true, nil
}

// contained is the operator in; nothing is in null.
func contained(m *machine, args []any) (any, error) {
	needle := args[0]
	switch in := args[1].(type) {
	case nil:
		return false, nil
	case map[string]any:
		key, ok := needle.(string)
		if !ok {
			return nil, fmt.Errorf("only a text can be in an object, got %s", kind(needle))
		}
		_, ok = in[key]
		return ok, nil
	case []any, []int:
		l := elements(in)
		for i := range l.len() {
			if same, err := m.equal(l.at(i), needle, 0); same || err != nil {
				return same, err
			}
		}
		return false, nil
	}
	return nil, fmt.Errorf("in needs a list or an object, got %s", kind(args[1]))
}

func intRange(m *machine, args []any) (any, error) {
	from, to := args[0].(int), args[1].(int)
	if to < from {
		return []int{}, nil
	}
	n := to - from + 1
	if n < 1 || n > maxBytes/8 {
		return nil, errBytes
	}
	if err := m.build(8 * n); err != nil {
		return nil, err
	}
	return runtime.MakeRange(from, to), m.visit(n)
}

// texts adapts a test of two texts; it does not hold when either is null.
func texts(name string, test func(a, b string) bool) func(*machine, []any) (any, error) {
	return func(_ *machine, args []any) (any, error) {
		if args[0] == nil || args[1] == nil {
			return false, nil
		}
		a, isText := args[0].(string)
		b, areTexts := args[1].(string)
		if !isText || !areTexts {
			return nil, fmt.Errorf("%s needs two texts, got %s and %s", name, kind(args[0]), kind(args[1]))
		}
		return test(a, b), nil
	}
}

// key admits what an element or a member can be read by. expr would print anything else
// into its error, whatever its size and depth.
func key(_ *machine, args []any) (any, error) {
	if _, ok := args[0].(string); ok {
		return args[0], nil
	}
	if n, ok := wholeNumber(args[0]); ok {
		return n, nil
	}
	if isNumber(args[0]) {
		return nil, errors.New("an index is a whole number, or the name of a member")
	}
	return nil, fmt.Errorf("an index is a text or a number, got %s", kind(args[0]))
}

// listOf takes what a loop is to run over and the loop's name.
func listOf(m *machine, args []any) (any, error) {
	l := elements(args[0])
	if l == nil {
		return nil, fmt.Errorf("%s needs a list, got %s", args[1], kind(args[0]))
	}
	return args[0], m.visit(l.len())
}

// groups turns what expr's groupBy gives into an object; groupKey has made texts of its keys.
func groups(m *machine, args []any) (any, error) {
	in := args[0].(map[any][]any)
	if err := m.build(len(in) * entryBytes); err != nil {
		return nil, err
	}
	out := make(map[string]any, len(in))
	for k, v := range in {
		out[k.(string)] = v
	}
	return out, nil
}
