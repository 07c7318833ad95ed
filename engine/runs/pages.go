package runs

import (
	"context"
	"strings"

	"keyflow/workflows"
)

// StepFilter selects a page of the steps of a run: first those of nodes, then the elements of
// for_each, each by node and then by index.
type StepFilter struct {
	Run    ID
	Node   workflows.NodeID // "" is all
	Status StepStatus       // "" is all
	After  StepPlace        // exclusive cursor; zero is from the first
	Limit  int              // 1..500
}

// StepPlace is the place of a step within its run.
type StepPlace struct {
	Node  workflows.NodeID
	Index int // NoIndex: of the node itself
}

// Compare orders places as pages do.
func (p StepPlace) Compare(other StepPlace) int {
	if (p.Index == NoIndex) != (other.Index == NoIndex) {
		return other.Index - p.Index // NoIndex is the only negative one: its place is first
	}
	if c := strings.Compare(string(p.Node), string(other.Node)); c != 0 {
		return c
	}
	return p.Index - other.Index
}

// Place returns where the step stands in pages.
func (s *Step) Place() StepPlace { return StepPlace{s.Node, s.Index} }

// StepPages reads runs of many steps piece by piece.
type StepPages interface {
	// StepPage costs what the page holds, however many steps the run has. A damaged step has the
	// error DamagedStep.
	StepPage(ctx context.Context, f StepFilter) ([]Step, error)
	StepCounts(ctx context.Context, id ID) (map[StepStatus]int, error)
}
