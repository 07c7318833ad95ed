// Package expression compiles and evaluates the expressions and templates of workflow
// definitions (docs/reference/expressions.md). It is the only importer of github.com/expr-lang/expr.
//
// Plain data enters and leaves (package jsonvalue says what that is); no Go value, method
// or function is reachable from an expression. expr itself can neither be interrupted nor
// kept from taking all memory, so nothing of an author's text runs as written:
//
//	source -> size, nesting -> parse -> survey (names, node count) -> check
//	       -> rewrite (loops tick, costly operations become checked calls) -> check -> code
//
// Whatever the rewriter does not know is refused, so a newer expr cannot open a hole.
// Each evaluation has its own budget of steps, built bytes, data depth and time, and ends
// early when its context does. The package knows no workflow, node or credential.
package expression

import (
	"context"
	"fmt"
	"maps"
	"slices"
	"strings"
	"time"

	"github.com/expr-lang/expr/ast"
	"github.com/expr-lang/expr/builtin"
	"github.com/expr-lang/expr/checker"
	"github.com/expr-lang/expr/compiler"
	"github.com/expr-lang/expr/conf"
	"github.com/expr-lang/expr/parser"
	"github.com/expr-lang/expr/vm"
)

// Scope says what an expression may read.
type Scope struct {
	Names []string // root names, for example "input", "vars", "nodes"
	// Shapes are the known shapes of roots. Reading a member that a shape does not have is an
	// error; below "nodes" only of nodes that the shape has.
	Shapes map[string]Shape
	// Callbacks are the nodes that callback_url takes; nil: any, empty: it is not available.
	Callbacks []string
}

// Env is what one evaluation reads. Vars is not copied and must not change meanwhile;
// results may share parts with it.
type Env struct {
	Vars map[string]any   // plain data by root name; an absent root is null
	Now  func() time.Time // what now() gives; nil: now() is an error
	UUID func() string    // what uuid() gives; nil: uuid() is an error
	// CallbackURL is what callback_url(node) gives; nil: it is an error. Its errors are shown.
	CallbackURL func(node string) (string, error)
}

// Expression is a compiled bare expression. It is immutable and safe for concurrent use.
type Expression struct {
	source string // what errors show: the expression or the template it stands in
	text   string // the expression's own text
	offset int    // of text in source, in bytes
	code   *vm.Program
	roots  []string
	nodes  []string
	path   bool // only reads members of a root, so that its result needs no check
	pool   *pool
}

// Compile parses a bare expression. The error is a *Error.
func Compile(source string, scope Scope) (*Expression, error) {
	e := &Expression{source: source, text: source}
	if err := e.compile(scope); err != nil {
		if strings.HasPrefix(strings.TrimSpace(source), "{{") {
			err.Message = "this is an expression already: write it without {{ and }}"
		}
		return nil, err
	}
	e.pool = newPool(e.roots)
	return e, nil
}

// Eval evaluates the expression within the budgets. The result is plain data; whole
// numbers are int. The error is a *Error, which wraps the context's error if that ended it.
func (e *Expression) Eval(ctx context.Context, env Env) (any, error) {
	m := e.pool.get(ctx, env)
	defer e.pool.put(m)
	v, err := m.eval(e)
	if err != nil {
		return nil, err
	}
	return v, nil
}

// Roots returns the root names that are read, sorted: others need not be in an Env.
func (e *Expression) Roots() []string { return slices.Clone(e.roots) }

// Nodes returns the ids read through nodes.<id> or nodes["id"], sorted.
func (e *Expression) Nodes() []string { return slices.Clone(e.nodes) }

// compile turns e.text into code.
func (e *Expression) compile(scope Scope) (failed *Error) {
	defer func() {
		// The parser and checker of expr are not ours and meet any text there is.
		if r := recover(); r != nil {
			failed = e.fail(&compileError{message: "the expression cannot be compiled"})
			failed.Err = fmt.Errorf("expr: %v", r)
		}
	}()
	if err := checkText(e.text); err != nil {
		return e.fail(err)
	}
	config := newConfig()
	tree, err := parser.ParseWithConfig(e.text, config)
	if err != nil {
		return e.fail(err)
	}
	s := newSurvey(scope)
	if err := s.run(tree.Node); err != nil {
		return e.fail(err)
	}
	if _, err := checker.Check(tree, config); err != nil {
		return e.fail(err)
	}
	r := &rewriter{text: e.text, config: config, done: map[ast.Node]ast.Node{}}
	r.rewrite(&tree.Node)
	if _, err := checker.Check(tree, config); err != nil {
		return e.fail(err)
	}
	if e.code, err = compiler.Compile(tree, config); err != nil {
		return e.fail(&compileError{message: "the expression cannot be compiled", cause: err})
	}
	e.roots = slices.Sorted(maps.Keys(s.roots))
	e.nodes = slices.Sorted(maps.Keys(s.nodes))
	e.path = isPath(tree.Node)
	return nil
}

// newConfig returns expr's settings for one compilation: unknown names are the survey's
// business, and the optimizer is off because it would work around the rewriter.
func newConfig() *conf.Config {
	c := conf.CreateNew()
	c.WithEnv(map[string]any{})
	c.Strict = false
	c.Optimize = false
	c.MaxNodes = maxNodes
	for name := range unavailable {
		c.Disabled[name] = true
		delete(c.Builtins, name)
	}
	for name, signature := range additions {
		c.Disabled[name] = true
		delete(c.Builtins, name)
		c.Functions[name] = &builtin.Function{
			Name:  name,
			Func:  func(...any) (any, error) { return nil, errNotRewritten },
			Types: signature,
		}
	}
	return c
}
