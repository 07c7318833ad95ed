package plan

import (
	"context"

	"keyflow/nodes"
	"keyflow/workflows"
)

// NewChecker returns the checker that gives definitions their meaning: node types,
// parameters, templates and expressions.
func NewChecker(types *nodes.Registry) workflows.Checker { return checker{types} }

type checker struct{ types *nodes.Registry }

var _ workflows.Checker = checker{}

// Check implements workflows.Checker.
func (c checker) Check(_ context.Context, d *workflows.Definition) (problems, warnings []workflows.Problem) {
	_, problems, warnings = newCompiler(d, c.types, true).compile()
	return problems, warnings
}
