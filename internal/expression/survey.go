package expression

import (
	"fmt"
	"slices"
	"strings"

	"github.com/expr-lang/expr/ast"
	"github.com/expr-lang/expr/builtin"

	"keyflow/internal/suggest"
)

const (
	nodesRoot        = "nodes"
	callbackFunction = "callback_url"
	nullName         = "null" // JSON's word for expr's nil
)

// unavailable are the functions of expr that are left out: their results are Go values
// and they read the clock and the zone files of the machine.
var unavailable = map[string]bool{"date": true, "duration": true, "timezone": true}

// survey walks a parsed tree before anything else does: it checks names, counts nodes
// (expr shares operands of chained comparisons, so a short text can be a huge tree) and
// notes what the expression reads.
type survey struct {
	names  []string
	shapes map[string]Shape
	urls   []string // see Scope.Callbacks
	lets   []string // variables in sight, innermost last
	roots  map[string]bool
	nodes  map[string]bool
	count  int
	size   int // of constant regular expressions
	err    *compileError
}

func newSurvey(scope Scope) *survey {
	return &survey{names: scope.Names, shapes: scope.Shapes, urls: scope.Callbacks, roots: map[string]bool{}, nodes: map[string]bool{}}
}

func (s *survey) run(node ast.Node) error {
	if s.visit(node, 0); s.err != nil {
		return s.err
	}
	return nil
}

func (s *survey) fail(node ast.Node, format string, args ...any) {
	if s.err == nil {
		s.err = &compileError{message: fmt.Sprintf(format, args...), at: node.Location().From, known: true}
	}
}

func (s *survey) visit(node ast.Node, depth int) {
	if s.count++; s.err != nil {
		return
	}
	if s.count > maxNodes || depth > maxTree {
		s.fail(node, "the expression is too complex: at most %d parts, %d deep", maxNodes, maxTree)
		s.err.limit = true
		return
	}
	switch n := node.(type) {
	case *ast.IdentifierNode:
		s.identifier(n)
		return
	case *ast.MemberNode:
		s.member(n)
		if s.readsNode(n) {
			return
		}
	case *ast.CallNode:
		s.call(n, depth)
		return
	case *ast.BinaryNode:
		s.pattern(n)
	case *ast.BytesNode:
		s.fail(n, "byte literals are not supported")
	case *ast.VariableDeclaratorNode:
		if n.Name == nullName {
			s.fail(n, "null cannot be the name of a variable")
		}
		s.visit(n.Value, depth+1)
		s.lets = append(s.lets, n.Name)
		s.visit(n.Expr, depth+1)
		s.lets = s.lets[:len(s.lets)-1]
		return
	}
	for _, c := range children(node) {
		s.visit(*c, depth+1)
	}
}

func (s *survey) identifier(n *ast.IdentifierNode) {
	switch {
	case slices.Contains(s.lets, n.Value), n.Value == nullName:
	case !slices.Contains(s.names, n.Value) && slices.Contains(functionNames(), n.Value):
		s.fail(n, "%s is a function: write %s(...)", n.Value, n.Value)
	case !slices.Contains(s.names, n.Value):
		s.fail(n, "unknown name %q%s", n.Value, hint(n.Value, append(slices.Clone(s.names), s.lets...)))
	case n.Value == nodesRoot:
		s.fail(n, "nodes is read as nodes.<id>, with the id written out")
	default:
		s.roots[n.Value] = true
	}
}

// readsNode notes the id of nodes.<id> and nodes["id"].
func (s *survey) readsNode(n *ast.MemberNode) bool {
	root, ok := n.Node.(*ast.IdentifierNode)
	if !ok || root.Value != nodesRoot || slices.Contains(s.lets, nodesRoot) || !slices.Contains(s.names, nodesRoot) {
		return false
	}
	id, ok := n.Property.(*ast.StringNode)
	if !ok {
		return false
	}
	s.roots[nodesRoot], s.nodes[id.Value] = true, true
	return true
}

func (s *survey) call(n *ast.CallNode, depth int) {
	callee, ok := n.Callee.(*ast.IdentifierNode)
	switch {
	case !ok:
		s.fail(n, "values have no functions to call")
	case unavailable[callee.Value]:
		s.fail(n, "the function %s is not available: times are RFC 3339 texts such as now() gives", callee.Value)
	case additions[callee.Value] == nil:
		s.fail(n, "unknown function %q%s", callee.Value, hint(callee.Value, functionNames()))
	case callee.Value == callbackFunction && s.urls != nil:
		s.callback(n)
	}
	for _, arg := range n.Arguments {
		s.visit(arg, depth+1)
	}
}

// callback checks a call of callback_url.
func (s *survey) callback(n *ast.CallNode) {
	if len(s.urls) == 0 {
		s.fail(n, `callback_url is not available here: only nodes can call it, when a wait node of the workflow has "callback": true`)
		return
	}
	if len(n.Arguments) != 1 {
		return // the checker's business
	}
	if id, ok := n.Arguments[0].(*ast.StringNode); ok && !slices.Contains(s.urls, id.Value) {
		s.fail(n, "callback_url: the workflow has no node %q that waits for a callback%s", id.Value, hint(id.Value, s.urls))
	}
}

// pattern checks a constant regular expression before expr compiles it.
func (s *survey) pattern(n *ast.BinaryNode) {
	text, ok := n.Right.(*ast.StringNode)
	if n.Operator != "matches" || !ok {
		return
	}
	p, err := newPattern(text.Value)
	if err != nil {
		s.fail(text, "%s", err)
		return
	}
	if s.size += p.size; s.size > maxProgram {
		s.fail(text, "the regular expressions of this expression are too large together")
	}
}

func functionNames() []string {
	names := slices.Clone(builtin.Names)
	for name := range additions {
		names = append(names, name)
	}
	slices.Sort(names)
	return slices.DeleteFunc(slices.Compact(names), func(n string) bool { return unavailable[n] })
}

// listed is how many names are worth listing when none is close.
const listed = 12

// hint proposes the candidate closest to name, or lists all when they are few.
func hint(name string, candidates []string) string {
	if guess := suggest.DidYouMean(name, candidates); guess != "" {
		return guess
	}
	switch {
	case len(candidates) == 0:
		return ": no names are available here"
	case len(candidates) <= listed:
		return " (available here: " + strings.Join(candidates, ", ") + ")"
	}
	return ""
}

// isPath reports whether node reads members of a root and does nothing else.
func isPath(node ast.Node) bool {
	switch n := node.(type) {
	case *ast.IdentifierNode:
		return true
	case *ast.ChainNode:
		return isPath(n.Node)
	case *ast.MemberNode:
		switch n.Property.(type) {
		case *ast.StringNode, *ast.IntegerNode:
			return isPath(n.Node)
		}
	}
	return false
}

// children returns the places of a node's operands, in order of evaluation.
func children(node ast.Node) []*ast.Node {
	switch n := node.(type) {
	case *ast.UnaryNode:
		return []*ast.Node{&n.Node}
	case *ast.BinaryNode:
		return []*ast.Node{&n.Left, &n.Right}
	case *ast.ChainNode:
		return []*ast.Node{&n.Node}
	case *ast.MemberNode:
		return []*ast.Node{&n.Node, &n.Property}
	case *ast.SliceNode:
		return present(&n.Node, &n.From, &n.To)
	case *ast.CallNode:
		return places(n.Arguments)
	case *ast.BuiltinNode:
		return places(n.Arguments)
	case *ast.PredicateNode:
		return []*ast.Node{&n.Node}
	case *ast.VariableDeclaratorNode:
		return []*ast.Node{&n.Value, &n.Expr}
	case *ast.SequenceNode:
		return places(n.Nodes)
	case *ast.ConditionalNode:
		return []*ast.Node{&n.Cond, &n.Exp1, &n.Exp2}
	case *ast.ArrayNode:
		return places(n.Nodes)
	case *ast.MapNode:
		return places(n.Pairs)
	case *ast.PairNode:
		return []*ast.Node{&n.Key, &n.Value}
	}
	return nil
}

func places(nodes []ast.Node) []*ast.Node {
	out := make([]*ast.Node, len(nodes))
	for i := range nodes {
		out[i] = &nodes[i]
	}
	return out
}

func present(nodes ...*ast.Node) []*ast.Node {
	return slices.DeleteFunc(nodes, func(n *ast.Node) bool { return *n == nil })
}
