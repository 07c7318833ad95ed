// Package plan compiles a definition: every template and expression parsed, every reference and
// parameter checked, every default filled in. A plan is immutable and shared by all its runs.
//
// It must not know how a run goes on, stores or clocks.
package plan

import (
	"cmp"
	"errors"
	"maps"
	"slices"
	"time"

	"keyflow/engine/state"
	"keyflow/internal/suggest"
	"keyflow/nodes"
	"keyflow/workflows"
)

// Compile turns a definition into a plan, or reports everything wrong with it: node types,
// parameters, templates, expressions and what they read. The structure is taken as checked
// by workflows.Parse; edges to unknown nodes are ignored.
func Compile(d *workflows.Definition, types *nodes.Registry) (*Plan, []workflows.Problem) {
	plan, problems, _ := newCompiler(d, types, true).compile()
	return plan, problems
}

// CompileStored is Compile for a version that was accepted before: an earlier release may have
// accepted what fails or gives null when it runs, and the version still runs as it did.
func CompileStored(d *workflows.Definition, types *nodes.Registry) (*Plan, []workflows.Problem) {
	plan, problems, _ := newCompiler(d, types, false).compile()
	return plan, problems
}

// compile also returns warnings about a definition that is valid.
func (c *compiler) compile() (plan *Plan, problems, warnings []workflows.Problem) {
	d := c.definition
	if c.strict {
		c.known, c.callbacks = c.shapes(), c.callbackNodes()
	}
	order := c.order()
	for _, n := range order {
		c.ancestors[n] = c.ancestorsOf(n)
	}
	for n := range c.plan.Nodes {
		c.compileNode(n)
	}
	if d.Output != nil {
		end := site{compiler: c, node: everyNode, names: runNames(), shapes: c.known, callbacks: c.noCallbacks(), reads: &c.plan.OutputRead}
		c.plan.Output = end.template("/output", d.Output)
	}
	c.compileConcurrency(d.Concurrency)
	if d.OnNeedsConnect == workflows.Wait {
		c.plan.ConnectTimeout = time.Duration(d.NeedsConnectTimeout)
	}
	if len(c.problems) > 0 {
		return nil, c.problems, c.warnings
	}
	return c.plan, nil, c.warnings
}

func (c *compiler) compileNode(n int) {
	p, s := &c.plan.Nodes[n], &c.plan.Shape[n]
	def := c.definition.Nodes[p.ID]
	path := "/nodes/" + string(p.ID)
	p.ContinueOnError = def.OnError == workflows.Continue
	p.ContinueOnItemError = def.OnItemError == workflows.Continue
	p.AtMostOnce = def.AtMostOnce
	if waitsForCallback(def) {
		p.Methods = callbackMethods(def)
	}
	*s = state.Node{
		Needs: s.Needs, Dependents: s.Dependents,
		RunOn: cmp.Or(def.RunOn, workflows.RunOnSuccess), Parallel: max(def.MaxParallel, 1),
		ContinueOnError: p.ContinueOnError, ContinueOnItemError: p.ContinueOnItemError,
	}

	at := site{compiler: c, node: n, names: runNames(), shapes: c.known, callbacks: c.callbacks, reads: &p.Reads}
	if def.If != "" {
		p.Condition = at.expression(path+"/if", def.If)
	}
	if def.ForEach != "" {
		p.ForEach = at.expression(path+"/for_each", def.ForEach)
		at = at.also(itemNames()...)
	}
	if !c.findType(path, def, p) {
		return
	}
	if def.Credential != "" {
		if !p.Type.Credential {
			c.problem(path+"/credential", codeNoCredential, "a node of type %s uses no credential", p.Type.Name)
		}
		p.Credential = at.template(path+"/credential", def.Credential)
	} else if p.Type.Acts {
		c.problem(path, codeRequired, "a node of type %s needs \"credential\": the id of the one to work on", p.Type.Name)
	}
	p.Params = at.params(path+"/with", p.Type, def.With)
	c.checkType(path, def, p)
	if def.HasOutput {
		p.Output = at.also(NameThis).shaped(NameThis, rawShape(p.Type)).template(path+"/output", def.Output)
	}
	p.Timeout = cmp.Or(time.Duration(def.Timeout), p.Type.Timeout)
	p.Retry = PolicyOf(def, p.Type.Retry)
	if def.Retry != nil && def.Retry.If != "" {
		p.Retry.Condition = at.also(NameError).shaped(NameError, errorShape()).expression(path+"/retry/if", def.Retry.If)
	}
}

// findType looks the node's type up and makes its node.
func (c *compiler) findType(path string, def *workflows.Node, p *Node) bool {
	kind, ok := c.types.Lookup(def.Type)
	if !ok {
		switch {
		case def.Type == "": // reported by workflows.Parse
		default:
			c.problem(path+"/type", codeUnknownType, "unknown node type %.80q%s", def.Type, c.types.DidYouMean(def.Type))
		}
		return false
	}
	p.Type, p.Runner = kind, kind.New()
	c.plan.responds = c.plan.responds || kind.Name == nodes.TypeRespond
	return true
}

// checkType asks the type whether the parameters fit together.
func (c *compiler) checkType(path string, def *workflows.Node, p *Node) {
	given := func(name string) bool {
		return def.With[name] != nil && (!c.strict || def.With[name] != false)
	}
	if p.Type.Check != nil {
		if wrong := p.Type.Check(given); wrong != "" {
			c.problem(path+"/with", codeInvalid, "%s", wrong)
		}
	}
	if p.ForEach != nil && (p.Type.Name == "approval" || waitsForCallback(def)) {
		c.problem(path+"/for_each", codeInvalid, "a node that waits for somebody is named by its id alone, so it cannot stand for many; let for_each start a workflow that waits")
	}
}

// params compiles `with` by the declaration of the type.
func (p site) params(path string, kind nodes.Type, with map[string]any) []Param {
	return p.declared(path, declaration{what: kind.Name, of: "parameter", params: kind.Params}, with)
}

// declaration is what an object may hold: the parameters of a type, or the fields of one.
type declaration struct {
	what   string // for messages: the type, or "paginate"
	of     string // for messages: "parameter" or "field"
	prefix string // of the names under which the node finds the values
	params []nodes.Param
}

// declared compiles the members of an object. Those of a parameter with fields become
// parameters of their own.
func (p site) declared(path string, d declaration, with map[string]any) []Param {
	known := make([]string, 0, len(d.params))
	for _, decl := range d.params {
		known = append(known, decl.Name)
		if _, given := with[decl.Name]; decl.Required && !given {
			p.problem(path, codeRequired, "%s needs the %s %q", d.what, d.of, decl.Name)
		}
	}
	params := make([]Param, 0, len(with))
	for _, name := range slices.Sorted(maps.Keys(with)) {
		at := path + "/" + escapePointer(name)
		i := slices.Index(known, name)
		if i < 0 {
			p.problem(at, codeUnknownParam, "%s has no %s %.80q%s", d.what, d.of, name, suggest.DidYouMean(name, known))
			continue
		}
		decl := d.params[i]
		decl.Name = d.prefix + decl.Name
		fields, isObject := with[name].(map[string]any)
		if len(decl.Fields) > 0 && with[name] != nil && (isObject || decl.Kind == nodes.Object) {
			if !isObject {
				p.problem(at, codeWrongType, "must be an object, not %s", TypeName(with[name]))
				continue
			}
			inner := declaration{what: decl.Name, of: "field", prefix: decl.Name + ".", params: decl.Fields}
			params = append(params, p.declared(at, inner, fields)...)
		} else if compiled, ok := p.param(at, decl, with[name]); ok {
			params = append(params, compiled)
		}
	}
	return params
}

// param compiles one parameter; false when there is nothing to evaluate.
func (p site) param(path string, decl nodes.Param, v any) (Param, bool) {
	compiled := Param{Decl: decl}
	switch {
	case v == nil && decl.Kind != nodes.Any: // null stands for not given
		if decl.Required {
			p.problem(path, codeWrongType, "must be %s, not null", KindName(decl.Kind))
		}
		return compiled, false
	case decl.Kind == nodes.Expression:
		source, ok := v.(string)
		if !ok {
			p.problem(path, codeWrongType, "must be an expression (text), not %s", TypeName(v))
			return compiled, false
		}
		compiled.Expression = p.also(decl.Scope...).shaped(nameResponse, responseShape()).expression(path, source)
		return compiled, true
	}
	p.sealed = decl.Sealed
	if compiled.Value = p.template(path, v); compiled.Value == nil {
		return compiled, false
	}
	if decl.Sealed {
		compiled.Sealed = sealedMembers(p.definition, v)
	}
	if literal, ok := compiled.Value.Literal(); ok {
		fixed, err := Convert(decl, literal)
		if wrong, bad := errors.AsType[*ParamError](err); bad {
			p.problem(path, wrong.code, "%s", wrong.message)
		}
		compiled.Literal, compiled.Fixed = true, fixed
	} else if decl.Literal {
		p.problem(path, codeInvalid, "must be known when the workflow is applied: write it without a template")
	} else if _, text := v.(string); !text && !fits(decl.Kind, v) {
		p.problem(path, codeWrongType, "must be %s, not %s", KindName(decl.Kind), TypeName(v))
	}
	return compiled, true
}
