package expression

import (
	"encoding/json"
	"fmt"
	"maps"
	"math"
	"slices"
	"strconv"
	"unicode/utf8"

	"keyflow/internal/jsonvalue"
)

// maxExact is the largest whole number that a float64 holds without doubt.
const maxExact = 1 << 53

// scalar returns v with its number type settled; lists and objects are taken as they are.
// A float64 without a fraction becomes an int, as it would by being stored and read back.
func scalar(v any) (any, error) {
	switch v := v.(type) {
	case nil, bool, string, int, json.Number, *jsonvalue.Redacted, []any, map[string]any:
		return v, nil
	case float64:
		switch {
		case math.IsNaN(v) || math.IsInf(v, 0):
			return nil, fmt.Errorf("the result is not a number that JSON can hold (%v)", v)
		case v == math.Trunc(v) && math.Abs(v) <= maxExact:
			return int(v), nil
		}
		return v, nil
	case uint8: // what indexing a text gives
		return int(v), nil
	case []int:
		out := make([]any, len(v))
		for i, n := range v {
			out[i] = n
		}
		return out, nil
	default:
		return nil, fmt.Errorf("the result is not data but %T", v)
	}
}

// plain returns v as plain data throughout and whether it differs from v. Parts that are
// plain already are not copied.
func (m *machine) plain(v any, depth int) (out any, changed bool, err error) {
	if depth > maxDepth {
		return nil, false, errDepth
	}
	switch v := v.(type) {
	case nil, bool, string, int, json.Number, *jsonvalue.Redacted:
		return v, false, nil
	case []any:
		return m.plainList(v, depth)
	case map[string]any:
		return m.plainObject(v, depth)
	case []int:
		if err := m.buildList(len(v)); err != nil {
			return nil, false, err
		}
	}
	out, err = scalar(v)
	_, was := v.(float64)
	_, is := out.(float64)
	return out, !was || !is, err
}

func (m *machine) plainList(list []any, depth int) (any, bool, error) {
	if err := m.visit(len(list)); err != nil {
		return nil, false, err
	}
	var replaced []any
	for i, v := range list {
		p, changed, err := m.plain(v, depth+1)
		if err != nil {
			return nil, false, err
		}
		if changed && replaced == nil {
			if err := m.buildList(len(list)); err != nil {
				return nil, false, err
			}
			replaced = slices.Clone(list)
		}
		if changed {
			replaced[i] = p
		}
	}
	if replaced == nil {
		return list, false, nil
	}
	return replaced, true, nil
}

func (m *machine) plainObject(object map[string]any, depth int) (any, bool, error) {
	if err := m.visit(len(object)); err != nil {
		return nil, false, err
	}
	var replaced map[string]any
	for k, v := range object {
		p, changed, err := m.plain(v, depth+1)
		if err != nil {
			return nil, false, err
		}
		if changed && replaced == nil {
			if err := m.build(len(object) * entryBytes); err != nil {
				return nil, false, err
			}
			replaced = maps.Clone(object)
		}
		if changed {
			replaced[k] = p
		}
	}
	if replaced == nil {
		return object, false, nil
	}
	return replaced, true, nil
}

// size is the extent of a value.
type size struct {
	elements int // of all lists and objects, and all values
	text     int // bytes, at most, as JSON
}

// measure adds up v before anything recursive touches it: it bounds depth and charges the walk.
func (m *machine) measure(v any, depth int, s *size) error {
	if depth > maxDepth {
		return errDepth
	}
	s.elements++
	if s.elements%elementsPerStep == 0 {
		if err := m.spend(1); err != nil {
			return err
		}
	}
	switch v := v.(type) {
	case string:
		s.text += 2 + quotedLen(v)
		return m.read(len(v))
	case []int:
		s.elements += len(v)
		s.text += 2 + 21*len(v)
		return m.visit(len(v))
	case []any:
		s.text += 2 + len(v)
		for _, e := range v {
			if err := m.measure(e, depth+1, s); err != nil {
				return err
			}
		}
	case map[string]any:
		s.text += 2
		for k, e := range v {
			s.text += 4 + quotedLen(k)
			if err := m.measure(e, depth+1, s); err != nil {
				return err
			}
		}
	case *jsonvalue.Redacted:
		return redactedError(v)
	case json.Number:
		s.text += len(v)
		return m.read(len(v))
	default:
		s.text += 25 // the longest int or float64
	}
	return nil
}

// quotedLen is an upper bound of the length of s inside JSON quotes (encoding/json escapes
// control characters, U+2028, U+2029 and bytes that are not UTF-8 with six bytes).
func quotedLen(s string) int {
	n, valid := len(s), utf8.ValidString(s)
	for i := range len(s) {
		switch c := s[i]; {
		case c < ' ' || c == '"' || c == '\\' || c >= utf8.RuneSelf && !valid:
			n += 5
		case c == 0xE2:
			n += 3
		}
	}
	return n
}

// text returns v as it stands in a text: scalars as they are, lists and objects as JSON.
func (m *machine) text(v any) (string, error) {
	switch v := v.(type) {
	case string:
		return v, nil
	case int:
		return strconv.Itoa(v), nil
	case json.Number:
		return string(v), m.read(len(v))
	}
	return m.json(v)
}

func (m *machine) json(v any) (string, error) {
	var s size
	if err := m.measure(v, 0, &s); err != nil {
		return "", err
	}
	if err := m.build(2 * s.text); err != nil { // the buffer and the text
		return "", err
	}
	data, err := jsonvalue.Encode(v)
	if err != nil {
		return "", fmt.Errorf("cannot be written as JSON: %w", err)
	}
	return string(data), nil
}

// kind names the kind of v in the words of JSON.
func kind(v any) string {
	switch v.(type) {
	case nil:
		return "null"
	case bool:
		return "a boolean"
	case string:
		return "a text"
	case int, float64, json.Number, uint8:
		return "a number"
	case []any, []int:
		return "a list"
	case map[string]any:
		return "an object"
	case *jsonvalue.Redacted:
		return "a redacted value"
	}
	return "something that is not data"
}
