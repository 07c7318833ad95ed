package expression

import (
	"maps"
	"slices"
	"strings"

	"github.com/expr-lang/expr/ast"

	"keyflow/internal/suggest"
)

// Shape is what is known of a value: the members of a closed object, each with its own shape.
// Nil knows nothing, so that any member may be read.
type Shape map[string]Shape

// Members returns the shape of an object with these members, of whose values nothing is known.
func Members(names ...string) Shape {
	s := make(Shape, len(names))
	for _, name := range names {
		s[name] = nil
	}
	return s
}

// ShapeOf returns the shape of constant data.
func ShapeOf(v any) Shape {
	object, ok := v.(map[string]any)
	if !ok {
		return nil
	}
	s := make(Shape, len(object))
	for name, member := range object {
		s[name] = ShapeOf(member)
	}
	return s
}

// member refuses a member that its object is known not to have: reading it would give null.
func (s *survey) member(n *ast.MemberNode) {
	root, names := pathOf(n)
	if root == "" || slices.Contains(s.lets, root) {
		return
	}
	shape := s.shapes[root]
	for i, name := range names {
		next, known := shape[name]
		switch {
		case shape == nil, root == nodesRoot && i == 0 && !known: // unknown nodes are the caller's to report
			return
		case !known:
			of := strings.Join(append([]string{root}, names[:i]...), ".")
			s.fail(n, "%s has no member %q%s", of, name, memberHint(of, name, shape))
			return
		}
		shape = next
	}
}

// memberHint proposes the member closest to name, or lists all when they are few.
func memberHint(of, name string, shape Shape) string {
	members := slices.Sorted(maps.Keys(shape))
	best, close := suggest.Closest(name, members)
	switch {
	case close:
		return " (did you mean " + of + "." + best + "?)"
	case len(members) > 0 && len(members) <= listed:
		return " (it has " + strings.Join(members, ", ") + ")"
	}
	return ""
}

// pathOf returns the root and the constant members that node reads one below the other; "" when
// it reads something else.
func pathOf(node ast.Node) (root string, names []string) {
	switch n := node.(type) {
	case *ast.IdentifierNode:
		return n.Value, nil
	case *ast.ChainNode:
		return pathOf(n.Node)
	case *ast.MemberNode:
		name, ok := n.Property.(*ast.StringNode)
		if !ok {
			return "", nil
		}
		if root, names = pathOf(n.Node); root == "" {
			return "", nil
		}
		return root, append(names, name.Value)
	}
	return "", nil
}
