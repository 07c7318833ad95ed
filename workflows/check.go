package workflows

import (
	"slices"
	"strings"

	"keyflow/internal/suggest"
)

// checker checks what spans several fields: references between nodes, and fields that exclude
// each other. It removes wrong edges from the definition.
type checker struct {
	definition *Definition
	*report
	root    *value
	guesses []guess
}

// guess is the probable meaning of a misspelt need. Checkers see the definition with it, so that
// one misspelling does not cause problems in every node that depends on it.
type guess struct{ node, need NodeID }

func (c *checker) check() {
	for _, id := range c.definition.NodeOrder {
		c.needs(id)
		c.node(id)
	}
	c.cycles()
	for _, g := range c.guesses {
		if n := c.definition.Nodes[g.node]; !slices.Contains(n.Needs, g.need) && !c.dependsOn(g.need, g.node) {
			n.Needs = append(n.Needs, g.need)
		}
	}
	c.input()
	c.needsConnect()
}

// needsConnect reports a timeout of a wait that is switched off.
func (c *checker) needsConnect() {
	if v := c.at("needs_connect_timeout"); v != nil && c.definition.OnNeedsConnect == Fail {
		c.add(v, codeConflict, "with on_needs_connect \"fail\" steps do not wait; remove needs_connect_timeout or on_needs_connect")
	}
}

// at returns the value at a path of member names, nil when there is none.
func (c *checker) at(path ...string) *value {
	v := c.root
	for _, name := range path {
		if v = v.member(name); v == nil {
			return nil
		}
	}
	return v
}

// needs reports unknown nodes in a node's needs.
func (c *checker) needs(id NodeID) {
	n := c.definition.Nodes[id]
	if len(n.Needs) == 0 {
		return
	}
	known := make([]NodeID, 0, len(n.Needs))
	for _, item := range c.at("nodes", string(id), "needs").items {
		need := NodeID(item.text)
		switch {
		case item.kind != textKind || slices.Contains(known, need): // reported where it was read
		case c.definition.Nodes[need] == nil:
			if best, ok := suggest.Closest(item.text, words(c.definition.NodeOrder)); ok {
				c.guesses = append(c.guesses, guess{id, NodeID(best)})
			}
			c.add(item, codeUnknownNode, "unknown node %q%s", clip(item.text, 80), suggest.DidYouMean(item.text, words(c.definition.NodeOrder)))
		default:
			known = append(known, need)
		}
	}
	n.Needs = known
}

// node reports fields of a node that exclude each other.
func (c *checker) node(id NodeID) {
	n := c.definition.Nodes[id]
	if n.AtMostOnce && n.Retry != nil {
		c.add(c.at("nodes", string(id), "retry"), codeConflict, "a node with at_most_once has one attempt ever; remove retry or at_most_once")
	}
	if n.Retry != nil && n.Retry.Max != 0 && n.Retry.Initial > n.Retry.Max {
		c.add(c.at("nodes", string(id), "retry", "initial"), codeRange, "initial (%v) is longer than max (%v)", n.Retry.Initial, n.Retry.Max)
	}
	if n.Type == "" && c.at("nodes", string(id), "type") != nil && c.at("nodes", string(id), "type").kind == textKind {
		c.add(c.at("nodes", string(id), "type"), codeValue, "a node type is required")
	}
}

// cycles reports every edge that closes a cycle, printed from the node that is first in the file,
// and removes it. Nodes are visited in file order, so that the report is stable.
func (c *checker) cycles() {
	const unseen, open, done = 0, 1, 2
	state := make(map[NodeID]int, len(c.definition.Nodes))
	var path []NodeID
	var visit func(NodeID)
	visit = func(id NodeID) {
		state[id] = open
		path = append(path, id)
		n := c.definition.Nodes[id]
		n.Needs = slices.DeleteFunc(n.Needs, func(need NodeID) bool {
			switch state[need] {
			case unseen:
				visit(need)
			case open:
				c.cycle(path[slices.Index(path, need):])
				return true
			}
			return false
		})
		path = path[:len(path)-1]
		state[id] = done
	}
	for _, id := range c.definition.NodeOrder {
		if state[id] == unseen {
			visit(id)
		}
	}
}

// dependsOn reports whether a node needs another, directly or not, or is it.
func (c *checker) dependsOn(node, other NodeID) bool {
	seen := map[NodeID]bool{node: true}
	for queue := []NodeID{node}; len(queue) > 0; queue = queue[1:] {
		if queue[0] == other {
			return true
		}
		for _, need := range c.definition.Nodes[queue[0]].Needs {
			if !seen[need] {
				seen[need] = true
				queue = append(queue, need)
			}
		}
	}
	return false
}

// cycle reports a cycle; each node of it needs the next, the last needs the first.
func (c *checker) cycle(nodes []NodeID) {
	last := nodes[len(nodes)-1]
	where := c.at("nodes", string(last), "needs")
	for _, item := range where.items {
		if item.text == string(nodes[0]) {
			where = item
		}
	}
	steps := append(words(nodes), string(nodes[0]))
	if len(steps) > 12 {
		steps = slices.Concat(steps[:6], []string{"..."}, steps[len(steps)-5:])
	}
	c.add(where, codeCycle, "the needs form a cycle: %s", strings.Join(steps, " → "))
}

// input compiles the schema of the run's input.
func (c *checker) input() {
	if c.definition.Input == nil {
		return
	}
	v := c.at("input")
	if c.references(v) {
		return
	}
	compiled, path, err := compileInput(v.plain(newReport(nil)))
	if err == nil {
		c.definition.InputSchema = compiled
		return
	}
	for _, name := range path {
		next := v.child(name)
		if next == nil {
			break
		}
		v = next
	}
	c.add(v, codeSchema, "not a valid JSON Schema: %s", err)
}

// references reports every $ref to another document in a schema: a definition must not make the
// server read files or call addresses, and its meaning must not change.
func (c *checker) references(v *value) (found bool) {
	for _, item := range v.items {
		found = c.references(item) || found
	}
	for _, m := range v.members {
		switch m.name {
		case "$ref", "$dynamicRef":
			if m.value.kind == textKind && !strings.HasPrefix(m.value.text, "#") {
				c.add(m.value, codeSchema, "%q is another document, which is not allowed; put the schema under $defs and refer to it as \"#/$defs/...\"", clip(m.value.text, 80))
				found = true
			}
		case "const", "enum", "default", "examples": // data, not schemas
		default:
			found = c.references(m.value) || found
		}
	}
	return found
}

// child returns a member or, of a list, the item with that index.
func (v *value) child(name string) *value {
	for i, item := range v.items {
		if item.pointer == pointerTo(v.pointer, name) {
			return v.items[i]
		}
	}
	return v.member(name)
}
