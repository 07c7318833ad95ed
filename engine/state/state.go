// Package state is where a run stands, and the rules by which events change it: which steps start,
// which are skipped, when the run ends. [Apply] is deterministic: no clock, no lock, no I/O.
//
// It knows the graph of a run as numbers; it must not know expressions, nodes or stores.
// The states of a run are drawn in docs/explanation/run-states.md.
package state

import (
	"keyflow/engine/runs"
	"keyflow/workflows"
)

// Shape is the part of a plan that decisions need: a DAG whose nodes are numbered.
type Shape []Node

// Node is a node of the graph, as decisions see it.
type Node struct {
	Needs               int   // how many nodes must end first
	Dependents          []int // nodes that need this one
	RunOn               workflows.RunOn
	ContinueOnError     bool // on_error: continue
	Parallel            int  // for_each: elements at once
	ContinueOnItemError bool // for_each: on_item_error: continue
}

// Event is something that happened to a run. Events that do not fit the state (a second
// result of a step, a result of an ended run) change nothing.
type Event struct {
	Kind  EventKind
	Node  int
	Index int // element of a for_each, or NoIndex
	Count int // of Expanded: how many elements
}

// EventKind says what happened.
type EventKind uint8

// The kinds of events.
const (
	Began     EventKind = iota // the run starts
	Unwanted                   // the node's `if` was false
	Expanded                   // the node's for_each gave count elements
	Succeeded                  // the step has its output
	Failed                     // the step has failed for good
	Postponed                  // the step waits for its next attempt
	Due                        // the waiting step may go on
	Cut                        // the step was interrupted and gave no result
	Canceled                   // somebody wants the run to stop
	TimedOut                   // the run's time is over
)

// Action is what Apply asks for.
type Action struct {
	Kind   ActionKind
	Node   int
	Index  int
	Status runs.StepStatus // of End
	Run    runs.Status     // of Finish
}

// ActionKind says what is to be done.
type ActionKind uint8

// The kinds of actions.
const (
	Start     ActionKind = iota // evaluate if and for_each, then the first attempt
	StartItem                   // the first attempt of one element
	Repeat                      // the next attempt of a step that waited
	End                         // the step ended without a result of its own: record it
	Interrupt                   // interrupt every running step
	Finish                      // the run is over
)

// State is where a run stands. The cost of an event depends on what it touches, never on
// the size of the DAG: each node counts its open needs.
type State struct {
	shape   Shape
	nodes   []nodeState
	begun   bool
	left    int // nodes that have not ended
	running int // steps at work, those being evaluated included
	waiting int // steps between two attempts
	failing bool
	Stopped stopReason
	out     []Action // of the event being applied
	ready   []int    // nodes whose needs have all ended, to be decided
}

type stopReason uint8

const (
	NotStopped stopReason = iota
	stopCanceled
	StopTimedOut
)

type nodeState struct {
	status  runs.StepStatus
	outcome runs.StepStatus // what dependents count: succeeded, failed or skipped
	open    int             // needs that have not ended
	good    int             // needs that succeeded
	bad     int             // needs that failed or were skipped because of a failure
	below   bool            // downstream of a node whose failure fails the run
	items   *itemStates
}

// itemStates are the elements of a for_each at work.
type itemStates struct {
	status  []itemStatus
	next    int // elements before it were started
	running int
	waiting int
	done    int
	stop    bool // an element failed: start no more
}

type itemStatus uint8

const (
	itemPending itemStatus = iota
	itemRunning
	itemWaiting
	itemEnded
)

// New returns the state of a run that has not begun.
func New(g Shape) *State {
	s := &State{shape: g, nodes: make([]nodeState, len(g)), left: len(g)}
	for i := range g {
		s.nodes[i] = nodeState{status: runs.StepPending, open: g[i].Needs}
	}
	return s
}
