package plan

import (
	"maps"
	"slices"
	"strconv"
	"strings"

	"keyflow/internal/expression"
	"keyflow/internal/jsonvalue"
	"keyflow/internal/suggest"
	"keyflow/workflows"
)

// site is where an expression stands: in which node, which names it may read there, and
// where to note what it reads.
type site struct {
	*compiler
	node  int // or everyNode
	names []string
	// shapes are what is known of the names; nil when what they lack is not looked for.
	shapes map[string]expression.Shape
	// callbacks are the nodes that callback_url takes; nil when that is not checked.
	callbacks []string
	reads     *Reads
	// sealed: outputs of sensitive nodes are seen as they are.
	sealed bool
}

// everyNode stands for the place behind all nodes, where each may be read.
const everyNode = -1

// also is the same place with further names.
func (p site) also(names ...string) site {
	p.names = slices.Concat(p.names, names)
	return p
}

// shaped is the same place, where the shape of a name is known.
func (p site) shaped(name string, shape expression.Shape) site {
	if p.shapes != nil {
		p.shapes = maps.Clone(p.shapes)
		p.shapes[name] = shape
	}
	return p
}

func (p site) scope() expression.Scope {
	return expression.Scope{Names: p.names, Shapes: p.shapes, Callbacks: p.callbacks}
}

// expression compiles a bare expression that stands at path.
func (p site) expression(path, source string) *expression.Expression {
	e, err := expression.Compile(source, p.scope())
	if err != nil {
		p.problem(path, CodeExpression, "%s", err)
		return nil
	}
	p.note(path, source, e)
	return e
}

// template compiles a value whose strings may be templates; v stands at path.
func (p site) template(path string, v any) *expression.Value {
	value, errs := expression.CompileValue(v, p.scope())
	for _, err := range errs {
		p.problem(path+err.Path, CodeExpression, "%s", err)
	}
	if len(errs) > 0 {
		return nil
	}
	p.note(path, v, value)
	return value
}

// reader is a compiled expression or template.
type reader interface {
	Roots() []string
	Nodes() []string
}

// note checks and records what the expressions in v, which stands at path, read.
func (p site) note(path string, v any, compiled reader) {
	r := p.reads
	for _, root := range compiled.Roots() {
		r.Any = r.Any || slices.Contains(runNames(), root)
		r.Run = r.Run || root == "run"
		r.Trigger = r.Trigger || root == "trigger"
		r.Input = r.Input || root == "input"
		r.Item = r.Item || slices.Contains(itemNames(), root)
	}
	for _, id := range compiled.Nodes() {
		p.noteSensitive(path, v, id)
		from, ok := p.plan.Index[workflows.NodeID(id)]
		switch at := path + pointerOf(v, id); {
		case !ok:
			p.problem(at, codeUnknownNode, "nodes.%.80s: unknown node %.80q%s", id, id, suggest.DidYouMean(id, p.nodeNames()))
		case from == p.node:
			p.problem(at, codeNotAncestor, "nodes.%s: a node cannot read itself", id)
		case p.node != everyNode && !p.ancestors[p.node].has(from):
			p.problem(at, codeNotAncestor, "nodes.%s is read, but %q may not have ended by then: add it to the needs", id, id)
		case !slices.Contains(r.Nodes, from):
			r.Nodes = append(r.Nodes, from)
			p.plan.Nodes[from].IsRead = true
		}
	}
}

// pointerOf is the place of the first text within v that mentions a node.
func pointerOf(v any, id string) string {
	switch v := v.(type) {
	case map[string]any:
		for _, k := range slices.Sorted(maps.Keys(v)) {
			if mentions(v[k], id) {
				return "/" + escapePointer(k) + pointerOf(v[k], id)
			}
		}
	case []any:
		for i := range v {
			if mentions(v[i], id) {
				return "/" + strconv.Itoa(i) + pointerOf(v[i], id)
			}
		}
	}
	return ""
}

func mentions(v any, id string) bool {
	switch v := v.(type) {
	case string:
		return strings.Contains(v, "nodes") && strings.Contains(v, id)
	case map[string]any:
		return slices.ContainsFunc(slices.Collect(maps.Values(v)), func(x any) bool { return mentions(x, id) })
	case []any:
		return slices.ContainsFunc(v, func(x any) bool { return mentions(x, id) })
	default:
		return false
	}
}

// noteSensitive notes that an expression in v, which stands at path, reads a node, if that is
// a sensitive one: either it sees the output as it is, or there is a warning.
func (p site) noteSensitive(path string, v any, id string) {
	n, ok := p.plan.Index[workflows.NodeID(id)]
	switch {
	case !ok || !p.plan.Nodes[n].Sensitive:
	case p.sealed:
		if !slices.Contains(p.reads.Sealed, n) {
			p.reads.Sealed = append(p.reads.Sealed, n)
		}
	case readsOutput(v, id):
		p.warnings = append(p.warnings, p.definition.Problemf(path+pointerOf(v, id), codeSensitive,
			"node %q is sensitive: its output is %q here; only with.fields of a credential node sees it", id, jsonvalue.Mask))
	}
}
