package expression

import (
	"fmt"
	"strings"

	"github.com/expr-lang/expr/ast"
	"github.com/expr-lang/expr/builtin"
	"github.com/expr-lang/expr/conf"

	"keyflow/internal/decimal"
)

// Names that the rewriter adds hold a NUL, which no author can write as a name.
const (
	internal   = "\x00"
	machineVar = internal + "machine"
)

// operators are the binary operators whose cost depends on their operands, or which expr would
// round, by the name of the function that takes their place. All others work on booleans only.
var operators = map[string]string{
	"+": "add", "-": "-", "*": "*", "/": "/", "%": "%", "**": "**", "^": "**", "==": "equal", "!=": "equal", "in": "in", "..": "range",
	"<": "compare", ">": "compare", "<=": "compare", ">=": "compare",
	"contains": "contains", "startsWith": "startsWith", "endsWith": "endsWith", "matches": "matches",
}

// constantCost are the operators and builtins of expr that run as they are.
var constantCost = map[string]bool{
	"and": true, "&&": true, "or": true, "||": true, "??": true,
	"first": true, "last": true, "take": true,
}

// loops are the builtins that run a body for each element of a list, by the bytes that
// one pass keeps alive.
var loops = map[string]int{
	"all": 0, "none": 0, "any": 0, "one": 0, "count": 0, "reduce": 0,
	"find": 0, "findIndex": 0, "findLast": 0, "findLastIndex": 0,
	"sum": elementBytes, "filter": elementBytes, "map": elementBytes, "sortBy": 2 * elementBytes, "groupBy": 3 * elementBytes,
}

// loopBytes is what expr keeps for each start of a loop until the evaluation ends.
const loopBytes = 400

// pass is what one pass of a loop's body costs, without its inner loops and checked calls.
type pass struct{ steps, bytes int }

// weight is the cost of a part of the tree that no loop inside it accounts for.
type weight struct{ nodes, bytes int }

func (w *weight) add(o weight) {
	w.nodes += o.nodes
	w.bytes += o.bytes
}

// rewriter replaces what may be costly by calls that charge the evaluation's machine, and
// makes every pass of every loop tick.
type rewriter struct {
	text   string // the expression, in which numbers stand as they were written
	config *conf.Config
	done   map[ast.Node]ast.Node // shared operands are rewritten once
	temps  int
}

func (r *rewriter) rewrite(place *ast.Node) weight {
	node := *place
	if got, ok := r.done[node]; ok {
		*place = got
		return weight{nodes: 1}
	}
	w := weight{nodes: 1}
	loop, isLoop := node.(*ast.BuiltinNode)
	if _, known := loops[nameOf(loop)]; isLoop && known {
		w.add(r.loop(loop))
	} else {
		for _, c := range children(node) {
			w.add(r.rewrite(c))
		}
	}
	w.bytes += literalBytes(node)
	*place = r.replacement(node)
	(*place).SetLocation(node.Location())
	r.done[node] = *place
	return w
}

func nameOf(n *ast.BuiltinNode) string {
	if n == nil {
		return ""
	}
	return n.Name
}

// literalBytes is what building a list or an object literal costs.
func literalBytes(node ast.Node) int {
	switch n := node.(type) {
	case *ast.ArrayNode:
		return 32 + elementBytes*len(n.Nodes)
	case *ast.MapNode:
		return 320 + entryBytes*len(n.Pairs)
	}
	return 0
}

// replacement returns what stands for node, whose operands are rewritten already.
func (r *rewriter) replacement(node ast.Node) ast.Node {
	switch n := node.(type) {
	case *ast.IdentifierNode:
		if n.Value == nullName {
			return &ast.NilNode{}
		}
	case *ast.FloatNode:
		return &ast.ConstantNode{Value: r.literal(n)}
	case *ast.UnaryNode:
		if _, ok := n.Node.(*ast.IntegerNode); n.Operator == "-" && !ok {
			return r.call("negate", n.Node)
		}
	case *ast.BinaryNode:
		return r.binary(n)
	case *ast.MemberNode:
		if !isIndex(n.Property) {
			n.Property = r.call("key", n.Property)
		}
	case *ast.SliceNode:
		for _, bound := range present(&n.From, &n.To) {
			if !isInt(*bound) {
				*bound = r.located(r.call("slice", *bound), n)
			}
		}
	case *ast.CallNode:
		return r.call(n.Callee.(*ast.IdentifierNode).Value, n.Arguments...)
	case *ast.BuiltinNode:
		return r.builtin(n)
	}
	return node
}

func (r *rewriter) binary(n *ast.BinaryNode) ast.Node {
	name, costly := operators[n.Operator]
	switch {
	case !costly && constantCost[n.Operator]:
		return n
	case !costly:
		panic("unknown operator " + n.Operator)
	case name == "matches":
		return r.matches(n)
	case name == "compare":
		return r.call(name, &ast.StringNode{Value: n.Operator}, n.Left, n.Right)
	case name == "equal":
		if isNull(n.Left) || isNull(n.Right) {
			return n
		}
		call := r.call(name, n.Left, n.Right)
		if n.Operator == "!=" {
			call.SetLocation(n.Location())
			return &ast.UnaryNode{Operator: "!", Node: call}
		}
		return call
	}
	return r.call(name, n.Left, n.Right)
}

// matches compiles a constant pattern once.
func (r *rewriter) matches(n *ast.BinaryNode) ast.Node {
	if text, ok := n.Right.(*ast.StringNode); ok {
		if p, err := newPattern(text.Value); err == nil {
			return r.call("matches", n.Left, &ast.ConstantNode{Value: p})
		}
	}
	return r.call("matches", n.Left, n.Right)
}

func (r *rewriter) builtin(n *ast.BuiltinNode) ast.Node {
	switch {
	case n.Name == "sortBy":
		return r.sortBy(n)
	case n.Name == "groupBy":
		return r.call("object", n)
	case n.Name == "sum":
		n.Name = "map"
		return r.call("sum", r.located(n, n))
	case n.Name == "take":
		n.Arguments[1] = r.located(r.call("slice", n.Arguments[1]), n)
		return n
	case n.Name == "findLast":
		n.Name, n.Arguments[0] = "find", r.located(r.call("reverse", n.Arguments[0]), n)
		return n
	case n.Name == "findLastIndex":
		return r.findLastIndex(n)
	case constantCost[n.Name]:
		return n
	}
	if _, ok := loops[n.Name]; ok {
		return n
	}
	return r.call(n.Name, n.Arguments...)
}

// loop rewrites the operands of a loop and makes its body tick. The body's own weight is
// charged by the tick; the rest is the caller's.
func (r *rewriter) loop(n *ast.BuiltinNode) weight {
	w := weight{bytes: loopBytes}
	w.add(r.rewrite(&n.Arguments[0]))
	n.Arguments[0] = r.located(r.call("list", n.Arguments[0], &ast.StringNode{Value: n.Name}), n)
	if len(n.Arguments) == 1 { // count(list), sum(list)
		body := r.located(&ast.PointerNode{}, n)
		n.Arguments = append(n.Arguments, r.located(&ast.PredicateNode{Node: body}, n))
	}
	body, ok := n.Arguments[1].(*ast.PredicateNode)
	if !ok {
		panic(fmt.Sprintf("%s without a body", n.Name))
	}
	inner := r.rewrite(&body.Node)
	cost := &pass{steps: 1 + inner.nodes/nodesPerStep, bytes: loops[n.Name] + inner.bytes}
	if n.Name == "groupBy" {
		body.Node = r.located(r.call("groupKey", body.Node), body)
	}
	tick := r.located(r.call("tick", &ast.ConstantNode{Value: cost}), body)
	body.Node = r.located(&ast.SequenceNode{Nodes: []ast.Node{tick, body.Node}}, body)
	if len(n.Arguments) == 3 {
		w.add(r.rewrite(&n.Arguments[2]))
	}
	return w
}

// sortBy turns sortBy(list, key, order) into
// let t = list; sort(t, map(t, key), order), because expr's own sort cannot be stopped.
func (r *rewriter) sortBy(n *ast.BuiltinNode) ast.Node {
	return r.let(n, func(list func() ast.Node) ast.Node {
		keys := &ast.BuiltinNode{Name: "map", Arguments: []ast.Node{list(), n.Arguments[1]}}
		return r.call("sortBy", append([]ast.Node{list(), r.located(keys, n)}, n.Arguments[2:]...)...)
	})
}

// findLastIndex turns findLastIndex(list, test) into
// let t = list; lastIndex(t, findIndex(reverse(t), test)). The loops of expr that run
// backwards (v1.17.8) leave values on its stack that then turn up in other places.
func (r *rewriter) findLastIndex(n *ast.BuiltinNode) ast.Node {
	return r.let(n, func(list func() ast.Node) ast.Node {
		reversed := r.located(r.call("reverse", list()), n)
		index := &ast.BuiltinNode{Name: "findIndex", Arguments: []ast.Node{reversed, n.Arguments[1]}}
		return r.call("lastIndex", list(), r.located(index, n))
	})
}

// let gives the list that the loop n runs over a name for use in what body returns.
func (r *rewriter) let(n *ast.BuiltinNode, body func(list func() ast.Node) ast.Node) ast.Node {
	r.temps++
	name := fmt.Sprintf("%st%d", internal, r.temps)
	list := func() ast.Node { return r.located(&ast.IdentifierNode{Value: name}, n) }
	return &ast.VariableDeclaratorNode{Name: name, Value: n.Arguments[0], Expr: r.located(body(list), n)}
}

func (r *rewriter) located(node, like ast.Node) ast.Node {
	node.SetLocation(like.Location())
	return node
}

// call returns a call of one of this package's functions with the machine as its first
// argument, and makes the function known to the compiler.
func (r *rewriter) call(name string, args ...ast.Node) ast.Node {
	fn, ok := functions[name]
	if !ok {
		panic("unknown function " + name)
	}
	r.config.Functions[internal+name] = &builtin.Function{Name: internal + name, Func: fn.run}
	return &ast.CallNode{
		Callee:    &ast.IdentifierNode{Value: internal + name},
		Arguments: append([]ast.Node{&ast.IdentifierNode{Value: machineVar}}, args...),
	}
}

// literal is a decimal as its author wrote it, which expr has rounded.
func (r *rewriter) literal(n *ast.FloatNode) any {
	at := n.Location()
	written := r.text[byteOffset(r.text, at.From):byteOffset(r.text, at.To)]
	d, err := decimal.Parse(strings.ReplaceAll(written, "_", ""))
	if err != nil {
		panic("a literal that is no decimal")
	}
	return fromDecimal(d)
}

// isNull reports whether node is sure to be null, to which anything may be compared.
// Only the node's own form counts: the types that expr infers can be wrong.
func isNull(node ast.Node) bool {
	_, ok := node.(*ast.NilNode)
	return ok
}

// isIndex reports whether node is sure to be what expr reads a list or an object by.
func isIndex(node ast.Node) bool {
	_, text := node.(*ast.StringNode)
	return text || isInt(node)
}

// isInt reports whether node is sure to be an int.
func isInt(node ast.Node) bool {
	switch n := node.(type) {
	case *ast.IntegerNode:
		return true
	case *ast.PointerNode:
		return n.Name == "index"
	case *ast.UnaryNode:
		return n.Operator == "-" && isInt(n.Node)
	}
	return false
}
