package state

import ()

// StepKey names a step within a run: a node by its number, and the element of a for_each.
type StepKey struct{ Node, Index int }
