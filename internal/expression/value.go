package expression

import (
	"context"
	"fmt"
	"maps"
	"slices"
	"strconv"
	"strings"

	"keyflow/internal/jsonvalue"
)

// Value is a compiled JSON value whose strings may be templates. It is immutable and safe
// for concurrent use.
type Value struct {
	root  part
	roots []string
	nodes []string
	pool  *pool // nil when there is no template
}

// part is one compiled piece of a value. Literal parts return what they were made from,
// so results share them.
type part interface {
	eval(m *machine) (any, *Error)
}

type (
	literal struct {
		value     any
		unescaped bool // differs from its source
	}
	listPart   []part
	objectPart []member // in key order: uuid() and errors must not depend on chance
	member     struct {
		key  string
		part part
	}
	template struct { // one string
		path   string
		source string
		pieces []piece
		whole  bool // exactly one expression, which keeps its type
	}
	piece struct {
		text string
		expr *Expression // nil for text
	}
)

// CompileValue compiles v, plain data. All errors are reported, each with its Path. Keys
// of objects are no templates.
func CompileValue(v any, scope Scope) (*Value, []*Error) {
	c := &valueCompiler{scope: scope, roots: map[string]bool{}, nodes: map[string]bool{}}
	root := c.compile(v, "")
	if len(c.errs) > 0 {
		return nil, c.errs
	}
	out := &Value{root: root, roots: slices.Sorted(maps.Keys(c.roots)), nodes: slices.Sorted(maps.Keys(c.nodes))}
	if _, ok := root.(literal); !ok {
		out.pool = newPool(out.roots)
	}
	return out, nil
}

// Eval evaluates all templates of the value with one budget for all. The error is a *Error
// with the Path of the template.
func (v *Value) Eval(ctx context.Context, env Env) (any, error) {
	if l, ok := v.root.(literal); ok {
		return l.value, nil
	}
	m := v.pool.get(ctx, env)
	defer v.pool.put(m)
	out, err := v.root.eval(m)
	if err != nil {
		return nil, err
	}
	return out, nil
}

// Roots returns the root names that are read, sorted: others need not be in an Env.
func (v *Value) Roots() []string { return slices.Clone(v.roots) }

// Nodes returns the ids read through nodes.<id> or nodes["id"], sorted.
func (v *Value) Nodes() []string { return slices.Clone(v.nodes) }

// Literal returns the value itself when it holds no template.
func (v *Value) Literal() (any, bool) {
	l, ok := v.root.(literal)
	return l.value, ok
}

type valueCompiler struct {
	scope        Scope
	roots, nodes map[string]bool
	errs         []*Error
}

func (c *valueCompiler) compile(v any, path string) part {
	switch v := v.(type) {
	case string:
		return c.compileString(v, path)
	case []any:
		parts, as := make(listPart, len(v)), kept
		for i, e := range v {
			parts[i] = c.compile(e, path+"/"+strconv.Itoa(i))
			as = max(as, formOf(parts[i]))
		}
		return settle(v, parts, as)
	case map[string]any:
		parts, as := make(objectPart, 0, len(v)), kept
		for _, k := range slices.Sorted(maps.Keys(v)) {
			parts = append(parts, member{k, c.compile(v[k], path+"/"+escapePointer(k))})
			as = max(as, formOf(parts[len(parts)-1].part))
		}
		return settle(v, parts, as)
	}
	return literal{value: v}
}

// form says what a compiled part is to the list or object it is in.
type form int

const (
	kept    form = iota // its source, which can be shared
	altered             // constant, but with \{{ unescaped
	dynamic
)

func formOf(p part) form {
	switch l, ok := p.(literal); {
	case !ok:
		return dynamic
	case l.unescaped:
		return altered
	}
	return kept
}

// settle returns the part for a list or object.
func settle(source any, parts part, as form) part {
	switch as {
	case kept:
		return literal{value: source}
	case altered:
		v, _ := parts.eval(nil) // literals need no machine and cannot fail
		return literal{value: v, unescaped: true}
	default:
		return parts
	}
}

// escapePointer writes a key as a reference token of RFC 6901.
func escapePointer(key string) string {
	return strings.NewReplacer("~", "~0", "/", "~1").Replace(key)
}

func (c *valueCompiler) compileString(s, path string) part {
	if !isTemplate(s) {
		return literal{value: s}
	}
	segments, at, problem := split(s)
	if problem != "" {
		c.errs = append(c.errs, &Error{Path: path, Source: s, Message: problem, Offset: at})
		return literal{value: s}
	}
	t := &template{path: path, source: s}
	for _, seg := range segments {
		if seg.end == 0 {
			t.pieces = append(t.pieces, piece{text: seg.text})
			continue
		}
		e := &Expression{source: s, text: s[seg.start:seg.end], offset: seg.start}
		if err := e.compile(c.scope); err != nil {
			err.Path = path
			c.errs = append(c.errs, err)
			continue
		}
		for _, name := range e.roots {
			c.roots[name] = true
		}
		for _, id := range e.nodes {
			c.nodes[id] = true
		}
		t.pieces = append(t.pieces, piece{expr: e})
	}
	if len(t.pieces) == 1 && t.pieces[0].expr == nil {
		return literal{value: t.pieces[0].text, unescaped: true}
	}
	t.whole = len(t.pieces) == 1
	return t
}

func (l literal) eval(*machine) (any, *Error) { return l.value, nil }

func (l listPart) eval(m *machine) (any, *Error) {
	out := make([]any, len(l))
	for i, p := range l {
		v, err := p.eval(m)
		if err != nil {
			return nil, err
		}
		out[i] = v
	}
	return out, nil
}

func (o objectPart) eval(m *machine) (any, *Error) {
	out := make(map[string]any, len(o))
	for _, p := range o {
		v, err := p.part.eval(m)
		if err != nil {
			return nil, err
		}
		out[p.key] = v
	}
	return out, nil
}

func (t *template) eval(m *machine) (any, *Error) {
	if t.whole {
		v, err := m.eval(t.pieces[0].expr)
		if err != nil {
			err.Path = t.path
		}
		return v, err
	}
	texts, total := make([]string, len(t.pieces)), 0
	var secret *jsonvalue.Redacted
	for i, p := range t.pieces {
		texts[i] = p.text
		if p.expr != nil {
			s, hidden, err := m.evalText(p.expr)
			if hidden != nil {
				secret = hidden
			}
			if err != nil {
				err.Path = t.path
				return nil, err
			}
			texts[i] = s
		}
		if total += len(texts[i]); total > maxBytes {
			break
		}
	}
	if err := m.build(total); err != nil {
		failed := (&Expression{source: t.source}).fail(err)
		failed.Path = t.path
		return nil, failed
	}
	if secret != nil {
		return jsonvalue.Keep(jsonvalue.SourceOf(secret), strings.Join(texts, "")), nil
	}
	return strings.Join(texts, ""), nil
}

// evalText evaluates an expression that stands among text. It returns the redacted value whose
// text it is.
func (m *machine) evalText(e *Expression) (string, *jsonvalue.Redacted, *Error) {
	v, failed := m.eval(e)
	if failed != nil {
		return "", nil, failed
	}
	if r, ok := v.(*jsonvalue.Redacted); ok {
		text, usable := jsonvalue.TextOf(r)
		if !usable {
			return "", nil, e.failResult(redactedError(r))
		}
		return text, r, nil
	}
	if v == nil {
		return "", nil, e.failResult(fmt.Errorf(
			"%s is null, which cannot be part of a text (give a default with ??)", strings.TrimSpace(e.text)))
	}
	s, err := m.text(v)
	if err != nil {
		return "", nil, e.failResult(err)
	}
	return s, nil, nil
}
