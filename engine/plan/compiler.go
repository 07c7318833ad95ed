package plan

import (
	"cmp"
	"maps"
	"slices"
	"strings"
	"time"

	"keyflow/engine/state"
	"keyflow/internal/expression"
	"keyflow/nodes"
	"keyflow/workflows"
)

type compiler struct {
	definition *workflows.Definition
	types      *nodes.Registry
	strict     bool                        // refuse also what can only fail or give null when it runs
	known      map[string]expression.Shape // of runNames; nil unless strict
	callbacks  []string                    // nodes that wait for a callback; nil unless strict
	plan       *Plan
	ancestors  []nodeSet
	problems   []workflows.Problem
	warnings   []workflows.Problem
}

func newCompiler(d *workflows.Definition, types *nodes.Registry, strict bool) *compiler {
	ids := slices.Clone(d.NodeOrder)
	if len(ids) != len(d.Nodes) {
		ids = slices.Sorted(maps.Keys(d.Nodes))
	}
	c := &compiler{
		definition: d, types: types, strict: strict,
		plan: &Plan{
			Definition: d, Nodes: make([]Node, len(ids)), Index: make(map[workflows.NodeID]int, len(ids)),
			Shape: make(state.Shape, len(ids)), Vars: d.Vars, Timeout: cmp.Or(time.Duration(d.Timeout), defaultTimeout),
		},
		ancestors: make([]nodeSet, len(ids)),
	}
	if c.plan.Vars == nil {
		c.plan.Vars = map[string]any{}
	}
	for i, id := range ids {
		c.plan.Index[id] = i
		c.plan.Nodes[i].ID, c.plan.Nodes[i].Sensitive = id, d.Nodes[id].Sensitive
	}
	for i, id := range ids {
		for _, need := range d.Nodes[id].Needs {
			if from, ok := c.plan.Index[need]; ok && from != i {
				c.plan.Nodes[i].Needs = append(c.plan.Nodes[i].Needs, from)
				c.plan.Shape[i].Needs++
				c.plan.Shape[from].Dependents = append(c.plan.Shape[from].Dependents, i)
			}
		}
	}
	return c
}

// order returns the nodes with each behind its needs.
func (c *compiler) order() []int {
	open := make([]int, len(c.plan.Nodes))
	var order []int
	for i := range open {
		if open[i] = c.plan.Shape[i].Needs; open[i] == 0 {
			order = append(order, i)
		}
	}
	for i := 0; i < len(order); i++ {
		for _, d := range c.plan.Shape[order[i]].Dependents {
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
	set := make(nodeSet, (len(c.plan.Nodes)+63)/64)
	for _, need := range c.plan.Nodes[n].Needs {
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

// escapePointer escapes a member name for a JSON pointer (RFC 6901 section 3).
func escapePointer(name string) string {
	return strings.NewReplacer("~", "~0", "/", "~1").Replace(name)
}

func (c *compiler) nodeNames() []string {
	names := make([]string, len(c.plan.Nodes))
	for i := range c.plan.Nodes {
		names[i] = string(c.plan.Nodes[i].ID)
	}
	return names
}
