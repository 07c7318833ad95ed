package rest

import (
	"bytes"
	"encoding/json"
	"errors"
	"fmt"
	"reflect"
	"slices"
	"strconv"
	"strings"
	"time"

	"keyflow/internal/fault"
	"keyflow/internal/jsonvalue"
	"keyflow/web/problem"
)

// JSONBody is the input of an operation with a JSON body. The bytes are huma's pooled buffer:
// take what must outlive the request with Copied. Like every struct that inputs and answers
// embed it is exported, because huma leaves out embedded structs that are not.
type JSONBody struct {
	RawBody []byte
}

// Copied returns bytes that outlive the request.
func (b JSONBody) Copied() []byte { return bytes.Clone(b.RawBody) }

// Decode reads a JSON body into T and reports everything of the wrong shape at once. It is
// strict: an unknown property is a problem. ignored lists properties of the top level that
// T does not have and that are ignored (read-only properties of an object that is sent back).
// Errors never repeat a submitted value.
func Decode[T any](raw []byte, ignored ...string) (T, error) {
	var into T
	v, err := jsonvalue.DecodeStrict(raw)
	if err != nil {
		return into, Malformed(raw, err)
	}
	var c shapeChecker
	c.ignored = ignored
	c.check(v, reflect.TypeFor[T](), "")
	if len(c.problems) > 0 {
		return into, fault.Problems("the body is not valid", c.problems)
	}
	if err := json.Unmarshal(raw, &into); err != nil {
		return into, fault.New(fault.Malformed, "the body is not valid JSON for this request").Because(err)
	}
	return into, nil
}

// shown is the part of a path, as a JSON pointer, that is plainly indexes and names.
func shown(path []string) string {
	var b strings.Builder
	for _, step := range path {
		if _, err := strconv.Atoi(step); err != nil && !problem.IsName(step) {
			break
		}
		b.WriteString("/" + step)
	}
	return b.String()
}

// Malformed says where JSON stops being the JSON that is wanted, without showing what is there.
func Malformed(raw []byte, err error) error {
	if repeated, ok := errors.AsType[*jsonvalue.RepeatedKeyError](err); ok {
		return fault.Problems("the body is not valid", []fault.Problem{{
			Path: shown(repeated.Path), Code: "duplicate_key", Message: "a property is given twice",
		}})
	}
	f := fault.New(fault.Malformed, "the body is not valid JSON").Because(err)
	switch syntax, ok := errors.AsType[*json.SyntaxError](err); {
	case ok:
		before := raw[:min(max(int(syntax.Offset)-1, 0), len(raw))]
		line := bytes.Count(before, []byte("\n")) + 1
		column := len(before) - bytes.LastIndexByte(before, '\n')
		f.Message = fmt.Sprintf("the body is not valid JSON: line %d, column %d", line, column)
	case len(bytes.TrimSpace(raw)) == 0:
		f.Message = "the body is empty: a JSON object is expected"
	case errors.Is(err, jsonvalue.ErrNotUTF8): // encoding/json lets it pass
		f.Message = "the body is " + jsonvalue.ErrNotUTF8.Error()
	case errors.Is(err, jsonvalue.ErrTooDeep):
		f.Message = "the body is " + jsonvalue.ErrTooDeep.Error()
	case errors.Is(err, jsonvalue.ErrTooMany):
		f.Message = "the body has " + jsonvalue.ErrTooMany.Error()
	}
	return f
}

// shapeChecker compares decoded JSON with the Go type that it is decoded into.
type shapeChecker struct {
	ignored  []string
	problems []fault.Problem
}

func (c *shapeChecker) check(v any, t reflect.Type, path string) {
	if v == nil || t == reflect.TypeFor[json.RawMessage]() {
		return
	}
	for t.Kind() == reflect.Pointer {
		t = t.Elem()
	}
	if t == reflect.TypeFor[time.Time]() {
		c.checkTime(v, path)
		return
	}
	switch t.Kind() {
	case reflect.Struct:
		c.checkStruct(v, t, path)
	case reflect.Map:
		if m, ok := c.object(v, path); ok {
			for _, k := range sortedKeys(m) {
				c.check(m[k], t.Elem(), path+"/"+escape(k))
			}
		}
	case reflect.Slice:
		list, ok := v.([]any)
		if !ok {
			c.add(path, "wrong_type", "a list is expected")
			return
		}
		for i, item := range list {
			c.check(item, t.Elem(), fmt.Sprintf("%s/%d", path, i))
		}
	default:
		c.checkScalar(v, t.Kind(), path)
	}
}

func (c *shapeChecker) checkScalar(v any, kind reflect.Kind, path string) {
	ok, want := true, ""
	switch kind {
	case reflect.String:
		_, ok = v.(string)
		want = "a text is expected"
	case reflect.Bool:
		_, ok = v.(bool)
		want = "true or false is expected"
	case reflect.Int, reflect.Int64:
		_, ok = v.(int)
		want = "a whole number is expected"
	default: // any value will do
	}
	if !ok {
		c.add(path, "wrong_type", want)
	}
}

func (c *shapeChecker) checkTime(v any, path string) {
	s, ok := v.(string)
	if ok {
		_, err := time.Parse(time.RFC3339, s)
		ok = err == nil
	}
	if !ok {
		c.add(path, "wrong_type", "a time in RFC 3339 is expected, such as 2026-03-01T09:00:00Z")
	}
}

func (c *shapeChecker) checkStruct(v any, t reflect.Type, path string) {
	m, ok := c.object(v, path)
	if !ok {
		return
	}
	fields := make(map[string]reflect.Type)
	for _, f := range reflect.VisibleFields(t) {
		if name, _, _ := strings.Cut(f.Tag.Get("json"), ","); name != "" && name != "-" {
			fields[name] = f.Type
		}
	}
	for _, k := range sortedKeys(m) {
		field, known := fields[k]
		switch {
		case known:
			c.check(m[k], field, path+"/"+k)
		case path == "" && slices.Contains(c.ignored, k):
		default:
			at := path
			if problem.IsName(k) {
				at += "/" + k
			}
			c.add(at, "unknown_property", "unknown property; known here: "+strings.Join(sortedKeys(fields), ", "))
		}
	}
}

func (c *shapeChecker) object(v any, path string) (map[string]any, bool) {
	m, ok := v.(map[string]any)
	if !ok {
		c.add(path, "wrong_type", "an object is expected")
	}
	return m, ok
}

func (c *shapeChecker) add(path, code, message string) {
	c.problems = append(c.problems, fault.Problem{Path: path, Code: code, Message: message})
}

func sortedKeys[V any](m map[string]V) []string {
	keys := make([]string, 0, len(m))
	for k := range m {
		keys = append(keys, k)
	}
	slices.Sort(keys)
	return keys
}

// escape turns a key into a token of a JSON pointer (RFC 6901 section 3).
func escape(key string) string {
	return strings.NewReplacer("~", "~0", "/", "~1").Replace(key)
}

// DecodeOptional is Decode for a body that may be missing.
func DecodeOptional[T any](raw []byte) (T, error) {
	if len(bytes.TrimSpace(raw)) == 0 {
		var none T
		return none, nil
	}
	return Decode[T](raw)
}
