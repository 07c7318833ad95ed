package engine

import (
	"cmp"
	"errors"
	"maps"
	"slices"
	"strconv"
	"strings"
	"time"

	"keyflow/internal/expression"
	"keyflow/internal/suggest"
	"keyflow/nodes"
	"keyflow/workflows"
)

// Plan is a compiled definition: every template and expression parsed, every reference
// checked, every number of a node fixed. It is immutable and shared by all its runs.
type Plan struct {
	definition *workflows.Definition
	nodes      []planNode
	index      map[workflows.NodeID]int
	shape      shape
	vars       map[string]any
	output     *expression.Value // nil: the run's result is null
	outputRead reads
	timeout    time.Duration // of running time
}

type planNode struct {
	id         workflows.NodeID
	kind       nodes.Type
	node       nodes.Node
	needs      []int
	condition  *expression.Expression // nil: true
	forEach    *expression.Expression // nil: one step
	credential *expression.Value      // nil: none
	params     []param                // ordered by name
	output     *expression.Value      // nil: the raw output
	retry      retryPolicy
	timeout    time.Duration // of one attempt; 0 is none
	atMostOnce bool
	goOn       bool // on_error: continue
	itemsGoOn  bool // on_item_error: continue
	reads      reads
	isRead     bool // an expression reads this node's output
}

// reads is what the expressions of a node look at; nothing else is decoded for them.
type reads struct {
	run     bool // any of runNames
	trigger bool
	input   bool
	item    bool // any of itemNames
	nodes   []int
}

// defaultTimeout bounds the running time of a run that states no timeout.
const defaultTimeout = 24 * time.Hour

// Names that expressions may read, by place.
const (
	nameThis  = "this"
	nameError = "error"
)

func runNames() []string  { return []string{"input", "vars", "trigger", "nodes", "run"} }
func itemNames() []string { return []string{"item", "index", "key"} }

// Codes of problems that only compilation finds; the others are those of package workflows.
const (
	codeUnknownType  = "unknown_type"
	codeUnknownParam = "unknown_param"
	codeRequired     = "required"
	codeWrongType    = "wrong_type"
	codeInvalid      = "invalid_value"
	codeExpression   = "expression"
	codeUnknownNode  = "unknown_node"
	codeNotAncestor  = "not_ancestor"
	codeNotSupported = "not_supported"
	codeNoCredential = "no_credential"
	codeCycle        = "cycle"
)

// Compile turns a definition into a plan, or reports everything wrong with it: node types,
// parameters, templates, expressions and what they read. The structure is taken as checked
// by workflows.Parse; edges to unknown nodes are ignored.
func Compile(d *workflows.Definition, types *nodes.Registry) (*Plan, []workflows.Problem) {
	c := newCompiler(d, types)
	order := c.order()
	for _, n := range order {
		c.ancestors[n] = c.ancestorsOf(n)
	}
	for n := range c.plan.nodes {
		c.compileNode(n)
	}
	if d.Output != nil {
		c.plan.output = c.template("/output", d.Output, everyNode, runNames(), &c.plan.outputRead)
	}
	if len(c.problems) > 0 {
		return nil, c.problems
	}
	return c.plan, nil
}

// everyNode stands for the place behind all nodes, where each may be read.
const everyNode = -1

type compiler struct {
	definition *workflows.Definition
	types      *nodes.Registry
	plan       *Plan
	ancestors  []nodeSet
	problems   []workflows.Problem
}

func newCompiler(d *workflows.Definition, types *nodes.Registry) *compiler {
	ids := slices.Clone(d.NodeOrder)
	if len(ids) != len(d.Nodes) {
		ids = slices.Sorted(maps.Keys(d.Nodes))
	}
	c := &compiler{
		definition: d, types: types,
		plan: &Plan{
			definition: d, nodes: make([]planNode, len(ids)), index: make(map[workflows.NodeID]int, len(ids)),
			shape: make(shape, len(ids)), vars: d.Vars, timeout: cmp.Or(time.Duration(d.Timeout), defaultTimeout),
		},
		ancestors: make([]nodeSet, len(ids)),
	}
	if c.plan.vars == nil {
		c.plan.vars = map[string]any{}
	}
	for i, id := range ids {
		c.plan.index[id] = i
		c.plan.nodes[i].id = id
	}
	for i, id := range ids {
		for _, need := range d.Nodes[id].Needs {
			if from, ok := c.plan.index[need]; ok && from != i {
				c.plan.nodes[i].needs = append(c.plan.nodes[i].needs, from)
				c.plan.shape[i].needs++
				c.plan.shape[from].dependents = append(c.plan.shape[from].dependents, i)
			}
		}
	}
	return c
}

// order returns the nodes with each behind its needs.
func (c *compiler) order() []int {
	open := make([]int, len(c.plan.nodes))
	var order []int
	for i := range open {
		if open[i] = c.plan.shape[i].needs; open[i] == 0 {
			order = append(order, i)
		}
	}
	for i := 0; i < len(order); i++ {
		for _, d := range c.plan.shape[order[i]].dependents {
			if open[d]--; open[d] == 0 {
				order = append(order, d)
			}
		}
	}
	if len(order) < len(open) { // workflows.Parse reports each cycle with its nodes
		c.problem("/nodes", codeCycle, "the needs form a cycle")
	}
	return order
}

// nodeSet is a set of node numbers.
type nodeSet []uint64

func (s nodeSet) has(n int) bool { return n/64 < len(s) && s[n/64]&(1<<(n%64)) != 0 }

func (c *compiler) ancestorsOf(n int) nodeSet {
	set := make(nodeSet, (len(c.plan.nodes)+63)/64)
	for _, need := range c.plan.nodes[n].needs {
		for i, word := range c.ancestors[need] {
			set[i] |= word
		}
		set[need/64] |= 1 << (need % 64)
	}
	return set
}

func (c *compiler) problem(path, code, format string, args ...any) {
	c.problems = append(c.problems, c.definition.Problemf(path, code, format, args...))
}

func (c *compiler) compileNode(n int) {
	p, s := &c.plan.nodes[n], &c.plan.shape[n]
	def := c.definition.Nodes[p.id]
	path := "/nodes/" + string(p.id)
	p.goOn = def.OnError == workflows.Continue
	p.itemsGoOn = def.OnItemError == workflows.Continue
	p.atMostOnce = def.AtMostOnce
	*s = shapeNode{
		needs: s.needs, dependents: s.dependents,
		runOn: cmp.Or(def.RunOn, workflows.RunOnSuccess), parallel: max(def.MaxParallel, 1),
		goOn: p.goOn, itemsGoOn: p.itemsGoOn,
	}

	names := runNames()
	if def.If != "" {
		p.condition = c.expression(path+"/if", def.If, n, names, &p.reads)
	}
	if def.ForEach != "" {
		p.forEach = c.expression(path+"/for_each", def.ForEach, n, names, &p.reads)
		names = append(names, itemNames()...)
	}
	if !c.findType(path, def, p) {
		return
	}
	if def.Credential != "" {
		if !p.kind.Credential {
			c.problem(path+"/credential", codeNoCredential, "a node of type %s uses no credential", p.kind.Name)
		}
		p.credential = c.template(path+"/credential", def.Credential, n, names, &p.reads)
	}
	c.params(path+"/with", def.With, n, names)
	if def.HasOutput {
		p.output = c.template(path+"/output", def.Output, n, append(slices.Clone(names), nameThis), &p.reads)
	}
	p.timeout = cmp.Or(time.Duration(def.Timeout), p.kind.Timeout)
	p.retry = policyOf(def, p.kind.Retry)
	if def.Retry != nil && def.Retry.If != "" {
		p.retry.condition = c.expression(path+"/retry/if", def.Retry.If, n, append(slices.Clone(names), nameError), &p.reads)
	}
}

// findType looks the node's type up and makes its node.
func (c *compiler) findType(path string, def *workflows.Node, p *planNode) bool {
	kind, ok := c.types.Lookup(def.Type)
	if !ok {
		switch {
		case def.Type == "": // reported by workflows.Parse
		case slices.Contains(laterTypes(), def.Type):
			c.problem(path+"/type", codeNotSupported, "nodes of type %q are not supported by this release", def.Type)
		default:
			c.problem(path+"/type", codeUnknownType, "unknown node type %.80q%s", def.Type, suggest.DidYouMean(def.Type, c.typeNames()))
		}
		return false
	}
	p.kind, p.node = kind, kind.New()
	return true
}

// laterTypes are types of the format that this release does not have.
func laterTypes() []string {
	return []string{"wait", "approval", "workflow", "respond", "emit", "credential"}
}

func (c *compiler) typeNames() []string {
	var names []string
	for _, t := range c.types.Types() {
		names = append(names, t.Name)
	}
	return names
}

// expression compiles a bare expression that stands at path.
func (c *compiler) expression(path, source string, n int, names []string, r *reads) *expression.Expression {
	e, err := expression.Compile(source, expression.Scope{Names: names})
	if err != nil {
		c.problem(path, codeExpression, "%s", err)
		return nil
	}
	c.note(path, source, n, r, e)
	return e
}

// template compiles a value whose strings may be templates; v stands at path.
func (c *compiler) template(path string, v any, n int, names []string, r *reads) *expression.Value {
	value, errs := expression.CompileValue(v, expression.Scope{Names: names})
	for _, err := range errs {
		c.problem(path+err.Path, codeExpression, "%s", err)
	}
	if len(errs) > 0 {
		return nil
	}
	c.note(path, v, n, r, value)
	return value
}

// reader is a compiled expression or template.
type reader interface {
	Roots() []string
	Nodes() []string
}

// note checks and records what the expressions in v, which stands at path, read.
func (c *compiler) note(path string, v any, n int, r *reads, compiled reader) {
	for _, root := range compiled.Roots() {
		r.run = r.run || slices.Contains(runNames(), root)
		r.trigger = r.trigger || root == "trigger"
		r.input = r.input || root == "input"
		r.item = r.item || slices.Contains(itemNames(), root)
	}
	for _, id := range compiled.Nodes() {
		from, ok := c.plan.index[workflows.NodeID(id)]
		switch at := path + pointerOf(v, id); {
		case !ok:
			c.problem(at, codeUnknownNode, "nodes.%.80s: unknown node %.80q%s", id, id, suggest.DidYouMean(id, c.nodeNames()))
		case from == n:
			c.problem(at, codeNotAncestor, "nodes.%s: a node cannot read itself", id)
		case n != everyNode && !c.ancestors[n].has(from):
			c.problem(at, codeNotAncestor, "nodes.%s is read, but %q is not sure to have ended by then: add it to the needs", id, id)
		case !slices.Contains(r.nodes, from):
			r.nodes = append(r.nodes, from)
			c.plan.nodes[from].isRead = true
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

func (c *compiler) nodeNames() []string {
	names := make([]string, len(c.plan.nodes))
	for i := range c.plan.nodes {
		names[i] = string(c.plan.nodes[i].id)
	}
	return names
}

// params compiles `with` by the declaration of the type.
func (c *compiler) params(path string, with map[string]any, n int, names []string) {
	p := &c.plan.nodes[n]
	known := make([]string, 0, len(p.kind.Params))
	for _, decl := range p.kind.Params {
		known = append(known, decl.Name)
		if _, given := with[decl.Name]; decl.Required && !given {
			c.problem(path, codeRequired, "%s needs the parameter %q", p.kind.Name, decl.Name)
		}
	}
	for _, name := range slices.Sorted(maps.Keys(with)) {
		at := path + "/" + escapePointer(name)
		i := slices.Index(known, name)
		switch {
		case i >= 0:
			c.param(at, p.kind.Params[i], with[name], n, names)
		case p.kind.Name == "web_request" && name == "paginate":
			c.problem(at, codeNotSupported, "%q is not supported by this release", name)
		default:
			c.problem(at, codeUnknownParam, "%s has no parameter %.80q%s", p.kind.Name, name, suggest.DidYouMean(name, known))
		}
	}
}

func (c *compiler) param(path string, decl nodes.Param, v any, n int, names []string) {
	p := &c.plan.nodes[n]
	if v == nil && decl.Kind != nodes.Any {
		if decl.Required {
			c.problem(path, codeWrongType, "must be %s, not null", kindName(decl.Kind))
		}
		return // null stands for not given
	}
	if decl.Kind == nodes.Expression {
		source, ok := v.(string)
		if !ok {
			c.problem(path, codeWrongType, "must be an expression (text), not %s", typeName(v))
			return
		}
		e := c.expression(path, source, n, append(slices.Clone(names), decl.Scope...), &p.reads)
		p.params = append(p.params, param{decl: decl, expression: e})
		return
	}
	value := c.template(path, v, n, names, &p.reads)
	if value == nil {
		return
	}
	compiled := param{decl: decl, value: value}
	if literal, ok := value.Literal(); ok {
		fixed, err := convert(decl, literal)
		if wrong, bad := errors.AsType[*paramError](err); bad {
			c.problem(path, wrong.code, "%s", wrong.message)
		}
		compiled.literal, compiled.fixed = true, fixed
	} else if _, text := v.(string); !text && !fits(decl.Kind, v) {
		c.problem(path, codeWrongType, "must be %s, not %s", kindName(decl.Kind), typeName(v))
	}
	p.params = append(p.params, compiled)
}

// escapePointer escapes a member name for a JSON pointer (RFC 6901 section 3).
func escapePointer(name string) string {
	return strings.NewReplacer("~", "~0", "/", "~1").Replace(name)
}
