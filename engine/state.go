package engine

import (
	"keyflow/engine/runs"
	"keyflow/workflows"
)

// shape is the part of a plan that decisions need: a DAG whose nodes are numbered.
type shape []shapeNode

type shapeNode struct {
	needs      int   // how many nodes must end first
	dependents []int // nodes that need this one
	runOn      workflows.RunOn
	goOn       bool // on_error: continue
	parallel   int  // for_each: elements at once
	itemsGoOn  bool // for_each: on_item_error: continue
}

// event is something that happened to a run. Events that do not fit the state (a second
// result of a step, a result of an ended run) change nothing.
type event struct {
	kind  eventKind
	node  int
	index int // element of a for_each, or NoIndex
	count int // of expanded: how many elements
}

type eventKind uint8

const (
	began     eventKind = iota // the run starts
	unwanted                   // the node's `if` was false
	expanded                   // the node's for_each gave count elements
	succeeded                  // the step has its output
	failed                     // the step has failed for good
	postponed                  // the step waits for its next attempt
	due                        // the waiting step may go on
	cut                        // the step was interrupted and gave no result
	canceled                   // somebody wants the run to stop
	timedOut                   // the run's time is over
)

// action is what apply asks for.
type action struct {
	kind   actionKind
	node   int
	index  int
	status runs.StepStatus // of end
	run    runs.Status     // of finish
}

type actionKind uint8

const (
	start     actionKind = iota // evaluate if and for_each, then the first attempt
	startItem                   // the first attempt of one element
	repeat                      // the next attempt of a step that waited
	end                         // the step ended without a result of its own: record it
	interrupt                   // interrupt every running step
	finish                      // the run is over
)

// state is where a run stands. The cost of an event depends on what it touches, never on
// the size of the DAG: each node counts its open needs.
type state struct {
	shape   shape
	nodes   []nodeState
	begun   bool
	left    int // nodes that have not ended
	running int // steps at work, those being evaluated included
	waiting int // steps between two attempts
	failing bool
	stopped stopReason
	out     []action // of the event being applied
	ready   []int    // nodes whose needs have all ended, to be decided
}

type stopReason uint8

const (
	goingOn stopReason = iota
	stopCanceled
	stopTimedOut
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

// newState returns the state of a run that has not begun.
func newState(g shape) *state {
	s := &state{shape: g, nodes: make([]nodeState, len(g)), left: len(g)}
	for i := range g {
		s.nodes[i] = nodeState{status: runs.StepPending, open: g[i].needs}
	}
	return s
}

// apply is the heart: it changes s by one event and returns what is to be done, in order.
// It is deterministic, so the same events give the same state and the same actions. The
// result is valid until the next call.
func apply(s *state, ev event) []action {
	s.out = s.out[:0]
	if s.left == 0 {
		return nil
	}
	switch ev.kind {
	case began:
		s.begun = true
		for n := range s.shape {
			if s.shape[n].needs == 0 {
				s.start(n)
			}
		}
	case canceled:
		s.stop(stopCanceled)
	case timedOut:
		s.stop(stopTimedOut)
	default:
		if ev.index == runs.NoIndex {
			s.node(ev)
		} else if s.nodes[ev.node].items != nil {
			s.item(ev)
		}
	}
	s.decide()
	if s.left == 0 {
		s.emit(action{kind: finish, run: s.verdict()})
	}
	return s.out
}

func (s *state) emit(a action) { s.out = append(s.out, a) }

// verdict is the status of a run whose nodes have all ended.
func (s *state) verdict() runs.Status {
	switch {
	case s.stopped == stopCanceled:
		return runs.Canceled
	case s.failing:
		return runs.Failed
	default:
		return runs.Succeeded
	}
}

// node applies an event of a step without an element.
func (s *state) node(ev event) {
	n := &s.nodes[ev.node]
	if ev.kind == due {
		if n.status == runs.StepWaiting {
			n.status = runs.StepRunning
			s.waiting--
			s.running++
			s.emit(action{kind: repeat, node: ev.node, index: runs.NoIndex})
		}
		return
	}
	if n.status != runs.StepRunning || n.items != nil {
		return
	}
	if ev.kind == postponed && s.stopped == goingOn {
		n.status = runs.StepWaiting
		s.running--
		s.waiting++
		return
	}
	s.running--
	switch ev.kind {
	case expanded:
		n.items = &itemStates{status: make([]itemStatus, ev.count)}
		s.startItems(ev.node)
	case unwanted:
		s.end(ev.node, runs.StepSkipped, runs.StepSkipped)
	case succeeded:
		s.end(ev.node, runs.StepSucceeded, runs.StepSucceeded)
	case failed:
		s.end(ev.node, runs.StepFailed, runs.StepFailed)
	default: // cut, or postponed in a stopped run
		s.endStopped(ev.node)
	}
}

// item applies an event of one element of a for_each.
func (s *state) item(ev event) {
	items := s.nodes[ev.node].items
	if ev.index < 0 || ev.index >= len(items.status) {
		return
	}
	status := &items.status[ev.index]
	if ev.kind == due {
		if *status == itemWaiting {
			*status = itemRunning
			s.waiting, items.waiting = s.waiting-1, items.waiting-1
			s.running, items.running = s.running+1, items.running+1
			s.emit(action{kind: repeat, node: ev.node, index: ev.index})
		}
		return
	}
	if *status != itemRunning {
		return
	}
	s.running, items.running = s.running-1, items.running-1
	if ev.kind == postponed && s.stopped == goingOn {
		*status = itemWaiting
		s.waiting, items.waiting = s.waiting+1, items.waiting+1
		return
	}
	*status = itemEnded
	items.done++
	switch ev.kind {
	case failed:
		items.stop = items.stop || !s.shape[ev.node].itemsGoOn
	case cut, postponed: // of a stopped run
		items.stop = true
	default: // it succeeded
	}
	s.startItems(ev.node)
}

// startItems starts as many elements as may run and ends the node when none is left.
func (s *state) startItems(node int) {
	n := &s.nodes[node]
	items := n.items
	for !items.stop && s.stopped == goingOn && items.next < len(items.status) &&
		items.running+items.waiting < s.shape[node].parallel {
		items.status[items.next] = itemRunning
		items.running++
		s.running++
		s.emit(action{kind: startItem, node: node, index: items.next})
		items.next++
	}
	if items.running+items.waiting > 0 {
		return
	}
	status := runs.StepSucceeded
	switch {
	case items.done == len(items.status) && !items.stop:
	case s.stopped == stopCanceled:
		status = runs.StepCanceled
	default:
		status = runs.StepFailed
	}
	s.emit(action{kind: end, node: node, index: runs.NoIndex, status: status})
	s.end(node, status, status)
}

// stop ends what has not started and what waits, and interrupts what runs.
func (s *state) stop(why stopReason) {
	if s.stopped != goingOn {
		return
	}
	s.stopped = why
	s.failing = s.failing || why == stopTimedOut
	for i := range s.nodes {
		switch n := &s.nodes[i]; {
		case n.status == runs.StepPending && why == stopCanceled:
			s.emit(action{kind: end, node: i, index: runs.NoIndex, status: runs.StepCanceled})
			s.end(i, runs.StepCanceled, runs.StepFailed)
		case n.status == runs.StepPending:
			s.emit(action{kind: end, node: i, index: runs.NoIndex, status: runs.StepSkipped})
			s.end(i, runs.StepSkipped, runs.StepFailed)
		case n.status == runs.StepWaiting:
			s.waiting--
			s.emit(action{kind: end, node: i, index: runs.NoIndex, status: s.stoppedStatus()})
			s.endStopped(i)
		case n.status == runs.StepRunning && n.items != nil:
			s.stopItems(i)
		}
	}
	if s.running > 0 {
		s.emit(action{kind: interrupt})
	}
}

func (s *state) stopItems(node int) {
	items := s.nodes[node].items
	for i := range items.status[:items.next] {
		if items.status[i] == itemWaiting {
			items.status[i] = itemEnded
			items.stop = true
			s.waiting, items.waiting, items.done = s.waiting-1, items.waiting-1, items.done+1
			s.emit(action{kind: end, node: node, index: i, status: s.stoppedStatus()})
		}
	}
	s.startItems(node) // starts nothing now, but ends a node that only waited
}

// stoppedStatus is how a started step ends that a stop left without a result.
func (s *state) stoppedStatus() runs.StepStatus {
	if s.stopped == stopTimedOut {
		return runs.StepFailed
	}
	return runs.StepCanceled
}

func (s *state) endStopped(node int) { s.end(node, s.stoppedStatus(), runs.StepFailed) }

// start begins a node.
func (s *state) start(node int) {
	s.nodes[node].status = runs.StepRunning
	s.running++
	s.emit(action{kind: start, node: node, index: runs.NoIndex})
}

// end gives a node its final status and tells its dependents.
func (s *state) end(node int, status, outcome runs.StepStatus) {
	n := &s.nodes[node]
	n.status, n.outcome, n.items = status, outcome, nil
	s.left--
	fatal := status == runs.StepFailed && !s.shape[node].goOn
	s.failing = s.failing || fatal
	for _, d := range s.shape[node].dependents {
		dep := &s.nodes[d]
		dep.open--
		dep.below = dep.below || n.below || fatal
		switch outcome {
		case runs.StepSucceeded:
			dep.good++
		case runs.StepFailed:
			dep.bad++
		default: // a skip is neither
		}
		if dep.open == 0 && dep.status == runs.StepPending {
			s.ready = append(s.ready, d)
		}
	}
}

// decide starts or skips every node whose needs have all ended.
func (s *state) decide() {
	for i := 0; i < len(s.ready); i++ { // it grows while nodes are skipped
		node := s.ready[i]
		n, rule := &s.nodes[node], s.shape[node].runOn
		if n.status != runs.StepPending {
			continue
		}
		outcome := runs.StepSkipped
		switch {
		case !holds(rule, n, s.shape[node].needs):
			if n.bad > 0 {
				outcome = runs.StepFailed // skipped because of a failure
			}
		case s.failing && !(n.below && (rule == workflows.RunOnFailure || rule == workflows.RunOnAlways)):
			outcome = runs.StepFailed
		default:
			s.start(node)
			continue
		}
		s.emit(action{kind: end, node: node, index: runs.NoIndex, status: runs.StepSkipped})
		s.end(node, runs.StepSkipped, outcome)
	}
	s.ready = s.ready[:0]
}

// holds is the table of run_on in docs/reference/workflow-format.md for a node whose needs have ended.
func holds(rule workflows.RunOn, n *nodeState, needs int) bool {
	switch rule {
	case workflows.RunOnAllSuccess:
		return n.good == needs
	case workflows.RunOnFailure:
		return n.bad > 0
	case workflows.RunOnAlways:
		return true
	default:
		return n.bad == 0 && n.good > 0
	}
}

// idle reports that nothing runs although the run is not over: every step that is left waits.
func (s *state) idle() bool { return s.begun && s.left > 0 && s.running == 0 }
