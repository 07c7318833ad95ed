package plan

import (
	"keyflow/internal/expression"
	"keyflow/nodes"
	"keyflow/workflows"
)

// TriggerShape is what expressions find in "trigger".
func TriggerShape() expression.Shape {
	s := expression.Members("id", "type", "fired_at", "scheduled_at", "request", "event")
	s["request"] = expression.Members("method", "path", "params", "query", "headers", "body", "raw_body", "warning")
	return s
}

func runShape() expression.Shape {
	return expression.Members("id", "workflow", "version", "started_at")
}

func responseShape() expression.Shape { return expression.Members(nodes.ResponseMembers()...) }

func errorShape() expression.Shape {
	s := expression.Members("code", "message", "attempt", "response")
	s["response"] = responseShape()
	return s
}

// shapes are what a definition says about the names that its expressions may read.
func (c *compiler) shapes() map[string]expression.Shape {
	all, failure := make(expression.Shape, len(c.definition.Nodes)), errorShape()
	for id, def := range c.definition.Nodes {
		node := expression.Members("status", "output", "error")
		node["output"], node["error"] = c.outputShape(def), failure
		all[string(id)] = node
	}
	return map[string]expression.Shape{
		"run": runShape(), "trigger": TriggerShape(), "vars": expression.ShapeOf(c.plan.Vars), "nodes": all,
	}
}

// outputShape is what later nodes find in the output of a node.
func (c *compiler) outputShape(def *workflows.Node) expression.Shape {
	switch {
	case def.ForEach != "": // a list
		return nil
	case def.HasOutput:
		return expression.ShapeOf(def.Output)
	}
	kind, _ := c.types.Lookup(def.Type)
	return rawShape(kind)
}

// rawShape is what nodes of a type give before their output template.
func rawShape(kind nodes.Type) expression.Shape {
	if kind.Output == nil {
		return nil
	}
	return expression.Members(kind.Output...)
}
