package expression

import (
	"encoding/json"
	"errors"
	"fmt"
	"maps"
	"slices"
	"sort"
	"strconv"

	"github.com/expr-lang/expr/vm/runtime"
)

// list is a list of either form: as data has it, or as a range makes it.
type list interface {
	len() int
	at(i int) any
}

type (
	anys []any
	ints []int
)

func (l anys) len() int     { return len(l) }
func (l anys) at(i int) any { return l[i] }
func (l ints) len() int     { return len(l) }
func (l ints) at(i int) any { return l[i] }

// elements returns v as a list, nil when it is none.
func elements(v any) list {
	switch v := v.(type) {
	case []any:
		return anys(v)
	case []int:
		return ints(v)
	}
	return nil
}

func listFunctions() []function {
	return []function{
		{"concat", "l", concat},
		{"reverse", "l", reverse},
		{"uniq", "l", uniq},
		{"flatten", "l", func(m *machine, a []any) (any, error) { return m.flat(a) }},
		{"sort", "lt", func(m *machine, a []any) (any, error) { return m.sorted(a[0], a[0], a[1:]) }},
		{"sortBy", "llt", func(m *machine, a []any) (any, error) { return m.sorted(a[0], a[1], a[2:]) }},
		{"lastIndex", "v", lastIndex},
		{"keys", "o", keys},
		{"values", "o", values},
		{"toPairs", "o", toPairs},
		{"fromPairs", "l", fromPairs},
	}
}

// copied returns a new list with the elements of all args.
func (m *machine) copied(args ...any) ([]any, error) {
	n := 0
	for _, arg := range args {
		n += elements(arg).len()
	}
	if err := m.buildList(n); err != nil {
		return nil, err
	}
	out := make([]any, 0, n)
	for _, arg := range args {
		switch l := arg.(type) {
		case []any:
			out = append(out, l...)
		case []int:
			for _, v := range l {
				out = append(out, v)
			}
		}
	}
	return out, nil
}

func concat(m *machine, args []any) (any, error) { return m.copied(args...) }

func reverse(m *machine, args []any) (any, error) {
	out, err := m.copied(args[0])
	slices.Reverse(out)
	return out, err
}

// lastIndex turns an index in the reversed list, or null, into one in the list.
func lastIndex(_ *machine, args []any) (any, error) {
	i, ok := args[1].(int)
	if !ok {
		return nil, nil
	}
	return elements(args[0]).len() - 1 - i, nil
}

// uniq keeps the first of equal elements. Scalars are looked up; only lists and objects
// are compared one by one.
func uniq(m *machine, args []any) (any, error) {
	l := elements(args[0])
	if err := m.build(l.len() * (elementBytes + entryBytes)); err != nil {
		return nil, err
	}
	seen, out, rest := map[any]bool{}, []any{}, []any{}
	for i := range l.len() {
		v := l.at(i)
		switch v.(type) {
		case []any, []int, map[string]any:
			found, err := contained(m, []any{v, rest})
			if err != nil {
				return nil, err
			}
			if found == false {
				rest, out = append(rest, v), append(out, v)
			}
			continue
		}
		if isNumber(v) {
			if d, err := m.exact(v); err == nil {
				v = d // equal for equal numbers
			} else if _, stop := errors.AsType[limitError](err); stop {
				return nil, err
			}
		}
		if text, ok := v.(string); ok {
			if err := m.read(len(text)); err != nil {
				return nil, err
			}
		}
		if !seen[v] {
			seen[v], out = true, append(out, l.at(i))
		}
	}
	return out, nil
}

// flat returns the elements of nested lists, in order.
func (m *machine) flat(v any) ([]any, error) {
	var s size
	if err := m.measure(v, 0, &s); err != nil {
		return nil, err
	}
	if err := m.buildList(s.elements); err != nil {
		return nil, err
	}
	var out []any
	var walk func(any)
	walk = func(v any) {
		l := elements(v)
		if l == nil {
			out = append(out, v)
			return
		}
		for i := range l.len() {
			walk(l.at(i))
		}
	}
	walk(v)
	if out == nil {
		out = []any{}
	}
	return out, nil
}

// sorter sorts values by keys. After an error it reports all pairs as equal, so that the
// rest of the sort costs nothing.
type sorter struct {
	m            *machine
	values, keys []any
	desc         bool
	count        int
	err          error
}

func (s *sorter) Len() int { return len(s.values) }

func (s *sorter) Swap(i, j int) {
	s.values[i], s.values[j] = s.values[j], s.values[i]
	s.keys[i], s.keys[j] = s.keys[j], s.keys[i]
}

func (s *sorter) Less(i, j int) bool {
	if s.err != nil {
		return false
	}
	a, b := s.keys[i], s.keys[j]
	if s.desc {
		a, b = b, a
	}
	text, _ := a.(string)
	if s.count++; s.count%elementsPerStep == 0 || len(text) >= textPerStep {
		if s.err = s.m.spend(1 + len(text)/textPerStep); s.err != nil {
			return false
		}
	}
	if kind(a) != kind(b) {
		s.err = fmt.Errorf("%s and %s cannot be put in order", kind(a), kind(b))
		return false
	}
	if !isNumber(a) {
		return runtime.Less(a, b)
	}
	c, _, err := s.m.order(a, b)
	s.err = err
	return c < 0
}

// sorted returns values in the order of keys; order is nothing, "asc" or "desc".
func (m *machine) sorted(values, keys any, order []any) (any, error) {
	desc := len(order) == 1 && order[0] == "desc"
	if len(order) == 1 && order[0] != "asc" && !desc {
		return nil, errors.New(`the order is "asc" or "desc"`)
	}
	vs, err := m.copied(values)
	if err != nil {
		return nil, err
	}
	ks, err := m.copied(keys)
	if err != nil {
		return nil, err
	}
	s := &sorter{m: m, values: vs, keys: ks, desc: desc}
	sort.Stable(s)
	return s.values, s.err
}

// keys, values and toPairs give the entries in the order of their keys, so that an
// evaluation gives the same result each time.
func keys(m *machine, args []any) (any, error) {
	return entries(m, args[0], func(k string, _ any) any { return k })
}

func values(m *machine, args []any) (any, error) {
	return entries(m, args[0], func(_ string, v any) any { return v })
}

func toPairs(m *machine, args []any) (any, error) {
	return entries(m, args[0], func(k string, v any) any { return []any{k, v} })
}

func entries(m *machine, v any, pick func(string, any) any) (any, error) {
	object := v.(map[string]any)
	if err := m.build(len(object) * (elementBytes + entryBytes)); err != nil {
		return nil, err
	}
	out := make([]any, 0, len(object))
	for _, k := range slices.Sorted(maps.Keys(object)) {
		out = append(out, pick(k, object[k]))
	}
	return out, m.visit(len(object) * 16)
}

func fromPairs(m *machine, args []any) (any, error) {
	l := elements(args[0])
	if err := m.build(l.len() * entryBytes); err != nil {
		return nil, err
	}
	out := make(map[string]any, l.len())
	for i := range l.len() {
		pair, ok := l.at(i).([]any)
		if !ok || len(pair) != 2 {
			return nil, fmt.Errorf("fromPairs needs lists of key and value, element %d is not", i)
		}
		key, err := m.keyText(pair[0])
		if err != nil {
			return nil, err
		}
		out[key] = pair[1]
	}
	return out, nil
}

// keyText returns v as the key of an object.
func (m *machine) keyText(v any) (string, error) {
	switch v := v.(type) {
	case string:
		return v, nil
	case int:
		return strconv.Itoa(v), nil
	case float64, json.Number, uint8:
		d, err := m.exact(v) // equal numbers are the same key
		return d.String(), err
	case bool:
		return strconv.FormatBool(v), nil
	}
	return "", fmt.Errorf("a key is a text, a number or a boolean, got %s", kind(v))
}
