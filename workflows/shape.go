package workflows

import (
	"encoding/json"
	"fmt"
	"math"
	"regexp"
	"slices"
	"strconv"
	"strings"
	"unicode"
	"unicode/utf8"

	"keyflow/internal/suggest"
)

// A shape reads one JSON value into its target and describes itself as JSON Schema, so that parser
// and schema always agree.
type shape interface {
	read(r *report, v *value)
	schema() map[string]any
}

// A field is one member of an object of the format.
type field struct {
	name string
	help string // one sentence, for the editor
	shape
	required bool
}

// fields is the shape of an object with known members.
type fields []field

func (f fields) names() []string {
	var out []string
	for _, x := range f {
		out = append(out, x.name)
	}
	return out
}

func (f fields) read(r *report, v *value) {
	if !expect(r, v, objectKind) {
		return
	}
	for _, m := range v.members {
		i := slices.IndexFunc(f, func(x field) bool { return x.name == m.name })
		switch {
		case i < 0:
			r.addAt(m.start, m.value.pointer, codeUnknownField, "unknown field %q%s", clip(m.name, 80), suggest.DidYouMean(m.name, f.names()))
		default:
			f[i].read(r, m.value)
		}
	}
	for _, x := range f {
		if x.required && v.member(x.name) == nil {
			r.addAt(v.start, pointerTo(v.pointer, x.name), codeRequired, "the field %q is required", x.name)
		}
	}
}

func (f fields) schema() map[string]any {
	properties, required := map[string]any{}, []any{}
	for _, x := range f {
		s := x.schema()
		s["description"] = x.help
		properties[x.name] = s
		if x.required {
			required = append(required, x.name)
		}
	}
	s := map[string]any{"type": "object", "properties": properties, "additionalProperties": false}
	if len(required) > 0 {
		s["required"] = required
	}
	return s
}

// expect reports a value of another type.
func expect(r *report, v *value, want jsonType) bool {
	if v.kind == want {
		return true
	}
	r.add(v, codeType, "this must be %s, not %s", want, v.kind)
	return false
}

// grammar is a rule for texts. The zero value allows every text.
type grammar struct {
	pattern *regexp.Regexp // anchored; nil is any
	hint    string         // completes "... must be": the form of a valid value
	max     int            // characters; 0 is any number
}

func (g grammar) check(r *report, v *value, s string) bool {
	switch {
	case g.pattern != nil && !g.pattern.MatchString(s):
		r.add(v, codeValue, "%q is not valid: it must be %s", clip(s, 80), g.hint)
	case g.max > 0 && utf8.RuneCountInString(s) > g.max:
		r.add(v, codeRange, "this has %d characters; at most %d are allowed", utf8.RuneCountInString(s), g.max)
	default:
		return true
	}
	return false
}

func (g grammar) schema() map[string]any {
	s := map[string]any{"type": "string"}
	if g.pattern != nil {
		s["pattern"] = g.pattern.String()
	}
	if g.max > 0 {
		s["maxLength"] = g.max
	}
	return s
}

// text is a string under a grammar.
type text[T ~string] struct {
	into *T
	grammar
}

func (t text[T]) read(r *report, v *value) {
	if expect(r, v, textKind) {
		t.check(r, v, v.text)
		*t.into = T(v.text) // kept although it is wrong, for later checks
	}
}

// choice is one of a few words; later lists words that are not supported yet.
type choice[T ~string] struct {
	into    *T
	options []T
	later   []T
}

func (c choice[T]) read(r *report, v *value) {
	if !expect(r, v, textKind) {
		return
	}
	switch word := T(v.text); {
	case slices.Contains(c.options, word):
		*c.into = word
	case slices.Contains(c.later, word):
		r.add(v, codeNotSupported, "%q is not supported by this release; use %s", v.text, oneOf(c.options))
	default:
		r.add(v, codeValue, "%q is not valid: it must be %s%s", clip(v.text, 80), oneOf(c.options), suggest.DidYouMean(v.text, words(c.options)))
	}
}

func (c choice[T]) schema() map[string]any {
	options := make([]any, len(c.options))
	for i, o := range c.options {
		options[i] = string(o)
	}
	return map[string]any{"type": "string", "enum": options}
}

func words[T ~string](list []T) []string {
	out := make([]string, len(list))
	for i, w := range list {
		out[i] = string(w)
	}
	return out
}

func oneOf[T ~string](options []T) string {
	quoted := make([]string, len(options))
	for i, o := range options {
		quoted[i] = strconv.Quote(string(o))
	}
	if len(quoted) < 3 {
		return strings.Join(quoted, " or ")
	}
	return "one of " + strings.Join(quoted, ", ")
}

// truth is a boolean. When only is not nil, the other value is not supported yet.
type truth struct {
	into *bool
	only *bool
}

func (t truth) read(r *report, v *value) {
	if !expect(r, v, booleanKind) {
		return
	}
	if t.only != nil && v.truth != *t.only {
		r.add(v, codeNotSupported, "%t is not supported by this release", v.truth)
		return
	}
	*t.into = v.truth
}

func (t truth) schema() map[string]any {
	s := map[string]any{"type": "boolean"}
	if t.only != nil {
		s["const"] = *t.only
	}
	return s
}

// maybe is an optional boolean.
type maybe struct{ into **bool }

func (m maybe) read(r *report, v *value) {
	if expect(r, v, booleanKind) {
		b := v.truth // not a pointer into v, which would keep the whole tree
		*m.into = &b
	}
}

func (m maybe) schema() map[string]any { return map[string]any{"type": "boolean"} }

// number is a number in a range, whole when into is an *int.
type number[T int | float64] struct {
	into     *T
	min, max T
}

func (n number[T]) read(r *report, v *value) {
	if !expect(r, v, numberKind) {
		return
	}
	f, err := strconv.ParseFloat(v.text, 64)
	if err != nil {
		f = math.Inf(1)
	}
	if n.whole() && f != math.Trunc(f) {
		r.add(v, codeType, "this must be a whole number")
		return
	}
	if f < float64(n.min) || f > float64(n.max) {
		r.add(v, codeRange, "%s is out of range: it must be between %v and %v", clip(v.text, 40), n.min, n.max)
		return
	}
	*n.into = T(f)
}

func (n number[T]) whole() bool {
	_, ok := any(n.min).(int)
	return ok
}

func (n number[T]) schema() map[string]any {
	s := map[string]any{"type": "number", "minimum": n.min, "maximum": n.max}
	if n.whole() {
		s["type"] = "integer"
	}
	return s
}

// duration is a text like "30s" in a range.
type duration struct {
	into     *Duration
	min, max Duration
}

// durationPattern is ParseDuration's syntax as a regular expression, for the schema.
const durationPattern = `^([0-9]+(\.[0-9]*)?d)?(([0-9]+(\.[0-9]*)?|\.[0-9]+)(ns|us|µs|μs|ms|s|m|h))*$`

func (d duration) read(r *report, v *value) {
	if v.kind == numberKind {
		r.add(v, codeType, "a duration is a string with a unit, for example \"%ss\"", clip(v.text, 20))
		return
	}
	if !expect(r, v, textKind) {
		return
	}
	parsed, err := ParseDuration(v.text)
	switch {
	case err != nil:
		r.add(v, codeValue, "%v", err)
	case parsed < d.min || parsed > d.max:
		r.add(v, codeRange, "%q is out of range: it must be between %v and %v", clip(v.text, 40), d.min, d.max)
	default:
		*d.into = parsed
	}
}

func (d duration) schema() map[string]any {
	return map[string]any{"type": "string", "pattern": durationPattern, "minLength": 2}
}

// listOf is a list of items, each with its own target.
type listOf[T any] struct {
	into *[]T
	item func(*T) shape
	min  int
	// unique holds the word for an item in the problem of a repeated one; "" allows repeats.
	unique string
}

func (l listOf[T]) read(r *report, v *value) {
	if !expect(r, v, listKind) {
		return
	}
	if len(v.items) < l.min {
		r.add(v, codeRange, "at least %d is required", l.min)
	}
	out, seen := make([]T, 0, len(v.items)), map[string]bool{}
	for _, item := range v.items {
		if l.unique != "" && item.kind == textKind {
			if seen[item.text] {
				r.add(item, codeDuplicate, "the %s %q is given twice", l.unique, clip(item.text, 80))
				continue
			}
			seen[item.text] = true
		}
		var x T
		before := len(r.problems) + r.more
		if l.item(&x).read(r, item); len(r.problems)+r.more == before {
			out = append(out, x)
		}
	}
	*l.into = out
}

func (l listOf[T]) schema() map[string]any {
	s := map[string]any{"type": "array", "items": l.item(new(T)).schema()}
	if l.min > 0 {
		s["minItems"] = l.min
	}
	if l.unique != "" {
		s["uniqueItems"] = true
	}
	return s
}

// entries is an object with free names.
type entries[K ~string, V any] struct {
	into     *map[K]V
	key      grammar
	what     string // the word for a name: "node id"
	value    func(*V) shape
	min, max int
	order    *[]K // when not nil: the names in file order
}

func (e entries[K, V]) read(r *report, v *value) {
	if !expect(r, v, objectKind) {
		return
	}
	if len(v.members) < e.min || len(v.members) > e.max {
		r.add(v, codeRange, "%d %ss are given; %d to %d are allowed", len(v.members), e.what, e.min, e.max)
		return
	}
	out := make(map[K]V, len(v.members))
	for _, m := range v.members {
		e.checkKey(r, m)
		var x V
		e.value(&x).read(r, m.value)
		out[K(m.name)] = x
		if e.order != nil {
			*e.order = append(*e.order, K(m.name))
		}
	}
	*e.into = out
}

func (e entries[K, V]) checkKey(r *report, m member) {
	if !e.key.pattern.MatchString(m.name) {
		r.addAt(m.start, m.value.pointer, codeValue, "%q is not a valid %s: it must be %s", clip(m.name, 80), e.what, e.key.hint)
	}
}

func (e entries[K, V]) schema() map[string]any {
	s := map[string]any{
		"type":                 "object",
		"propertyNames":        map[string]any{"pattern": e.key.pattern.String()},
		"additionalProperties": e.value(new(V)).schema(),
		"maxProperties":        e.max,
	}
	if e.min > 0 {
		s["minProperties"] = e.min
	}
	return s
}

// anything is any JSON value as plain data; given, when not nil, is set when there is a value.
type anything struct {
	into  *any
	given *bool
}

func (a anything) read(r *report, v *value) {
	*a.into = v.plain(r)
	if a.given != nil {
		*a.given = true
	}
}

func (a anything) schema() map[string]any { return map[string]any{} }

// freeObject is an object of any content as plain data.
type freeObject struct{ into *map[string]any }

func (o freeObject) read(r *report, v *value) {
	if expect(r, v, objectKind) {
		*o.into = v.plain(r).(map[string]any)
	}
}

func (o freeObject) schema() map[string]any { return map[string]any{"type": "object"} }

// raw is an object kept as JSON text.
type raw struct {
	into   *json.RawMessage
	source []byte
}

func (x raw) read(r *report, v *value) {
	if expect(r, v, objectKind) {
		*x.into = x.source[v.start:v.end]
	}
}

func (x raw) schema() map[string]any { return map[string]any{"type": "object"} }

// label is a short text for people: one line, no control characters.
type label struct {
	into *string
	max  int
}

func (l label) read(r *report, v *value) {
	if !expect(r, v, textKind) {
		return
	}
	if i := strings.IndexFunc(v.text, unicode.IsControl); i >= 0 {
		r.add(v, codeValue, "this contains the control character %s; write one line of text", fmt.Sprintf("%U", []rune(v.text[i:])[0]))
		return
	}
	if (grammar{max: l.max}).check(r, v, v.text) {
		*l.into = v.text
	}
}

func (l label) schema() map[string]any {
	return map[string]any{"type": "string", "maxLength": l.max, "pattern": `^[^\x00-\x1f\x7f-\x9f]*$`}
}
