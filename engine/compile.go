package engine

import (
	"keyflow/nodes"
	"keyflow/workflows"
)

// Plan is a compiled definition.
type Plan struct{}

// Compile turns a definition into a plan, or reports everything wrong with it.
func Compile(d *workflows.Definition, types *nodes.Registry) (*Plan, []workflows.Problem) {
	panic("engine: unfinished")
}
