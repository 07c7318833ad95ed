package state

import (
	"keyflow/engine/runs"
	"keyflow/workflows"
)

// Apply changes s by one event and returns what is to be done, in order.
// It is deterministic, so the same events give the same state and the same actions. The
// result is valid until the next call.
func Apply(s *State, ev Event) []Action {
	s.out = s.out[:0]
	if s.left == 0 {
		return nil
	}
	switch ev.Kind {
	case Began:
		s.begun = true
		for n := range s.shape {
			if s.shape[n].Needs == 0 {
				s.start(n)
			}
		}
	case Canceled:
		s.stop(stopCanceled)
	case TimedOut:
		s.stop(StopTimedOut)
	default:
		if ev.Index == runs.NoIndex {
			s.node(ev)
		} else if s.nodes[ev.Node].items != nil {
			s.item(ev)
		}
	}
	s.decide()
	if s.left == 0 {
		s.emit(Action{Kind: Finish, Run: s.verdict()})
	}
	return s.out
}

func (s *State) emit(a Action) { s.out = append(s.out, a) }

// verdict is the status of a run whose nodes have all ended.
func (s *State) verdict() runs.Status {
	switch {
	case s.Stopped == stopCanceled:
		return runs.Canceled
	case s.failing:
		return runs.Failed
	default:
		return runs.Succeeded
	}
}

// node applies an event of a step without an element.
func (s *State) node(ev Event) {
	n := &s.nodes[ev.Node]
	if ev.Kind == Due {
		if n.status == runs.StepWaiting {
			n.status = runs.StepRunning
			s.waiting--
			s.running++
			s.emit(Action{Kind: Repeat, Node: ev.Node, Index: runs.NoIndex})
		}
		return
	}
	if n.status != runs.StepRunning || n.items != nil {
		return
	}
	if ev.Kind == Postponed && s.Stopped == NotStopped {
		n.status = runs.StepWaiting
		s.running--
		s.waiting++
		return
	}
	s.running--
	switch ev.Kind {
	case Expanded:
		n.items = &itemStates{status: make([]itemStatus, ev.Count)}
		s.startItems(ev.Node)
	case Unwanted:
		s.end(ev.Node, runs.StepSkipped, runs.StepSkipped)
	case Succeeded:
		s.end(ev.Node, runs.StepSucceeded, runs.StepSucceeded)
	case Failed:
		s.end(ev.Node, runs.StepFailed, runs.StepFailed)
	default: // cut, or postponed in a stopped run
		s.endStopped(ev.Node)
	}
}

// item applies an event of one element of a for_each.
func (s *State) item(ev Event) {
	items := s.nodes[ev.Node].items
	if ev.Index < 0 || ev.Index >= len(items.status) {
		return
	}
	status := &items.status[ev.Index]
	if ev.Kind == Due {
		if *status == itemWaiting {
			*status = itemRunning
			s.waiting, items.waiting = s.waiting-1, items.waiting-1
			s.running, items.running = s.running+1, items.running+1
			s.emit(Action{Kind: Repeat, Node: ev.Node, Index: ev.Index})
		}
		return
	}
	if *status != itemRunning {
		return
	}
	s.running, items.running = s.running-1, items.running-1
	if ev.Kind == Postponed && s.Stopped == NotStopped {
		*status = itemWaiting
		s.waiting, items.waiting = s.waiting+1, items.waiting+1
		return
	}
	*status = itemEnded
	items.done++
	switch ev.Kind {
	case Failed:
		items.stop = items.stop || !s.shape[ev.Node].ContinueOnItemError
	case Cut, Postponed: // of a stopped run
		items.stop = true
	default: // it succeeded
	}
	s.startItems(ev.Node)
}

// startItems starts as many elements as may run and ends the node when none is left.
func (s *State) startItems(node int) {
	n := &s.nodes[node]
	items := n.items
	for !items.stop && s.Stopped == NotStopped && items.next < len(items.status) &&
		items.running+items.waiting < s.shape[node].Parallel {
		items.status[items.next] = itemRunning
		items.running++
		s.running++
		s.emit(Action{Kind: StartItem, Node: node, Index: items.next})
		items.next++
	}
	if items.running+items.waiting > 0 {
		return
	}
	status := runs.StepSucceeded
	switch {
	case items.done == len(items.status) && !items.stop:
	case s.Stopped == stopCanceled:
		status = runs.StepCanceled
	default:
		status = runs.StepFailed
	}
	s.emit(Action{Kind: End, Node: node, Index: runs.NoIndex, Status: status})
	s.end(node, status, status)
}

// stop ends what has not started and what waits, and interrupts what runs.
func (s *State) stop(why stopReason) {
	if s.Stopped != NotStopped {
		return
	}
	s.Stopped = why
	s.failing = s.failing || why == StopTimedOut
	for i := range s.nodes {
		switch n := &s.nodes[i]; {
		case n.status == runs.StepPending && why == stopCanceled:
			s.emit(Action{Kind: End, Node: i, Index: runs.NoIndex, Status: runs.StepCanceled})
			s.end(i, runs.StepCanceled, runs.StepFailed)
		case n.status == runs.StepPending:
			s.emit(Action{Kind: End, Node: i, Index: runs.NoIndex, Status: runs.StepSkipped})
			s.end(i, runs.StepSkipped, runs.StepFailed)
		case n.status == runs.StepWaiting:
			s.waiting--
			s.emit(Action{Kind: End, Node: i, Index: runs.NoIndex, Status: s.StoppedStatus()})
			s.endStopped(i)
		case n.status == runs.StepRunning && n.items != nil:
			s.stopItems(i)
		}
	}
	if s.running > 0 {
		s.emit(Action{Kind: Interrupt})
	}
}

func (s *State) stopItems(node int) {
	items := s.nodes[node].items
	for i := range items.status[:items.next] {
		if items.status[i] == itemWaiting {
			items.status[i] = itemEnded
			items.stop = true
			s.waiting, items.waiting, items.done = s.waiting-1, items.waiting-1, items.done+1
			s.emit(Action{Kind: End, Node: node, Index: i, Status: s.StoppedStatus()})
		}
	}
	s.startItems(node) // starts nothing now, but ends a node that only waited
}

// StoppedStatus is how a started step ends that a stop left without a result.
func (s *State) StoppedStatus() runs.StepStatus {
	if s.Stopped == StopTimedOut {
		return runs.StepFailed
	}
	return runs.StepCanceled
}

func (s *State) endStopped(node int) { s.end(node, s.StoppedStatus(), runs.StepFailed) }

// start begins a node.
func (s *State) start(node int) {
	s.nodes[node].status = runs.StepRunning
	s.running++
	s.emit(Action{Kind: Start, Node: node, Index: runs.NoIndex})
}

// end gives a node its final status and counts it for its dependents.
func (s *State) end(node int, status, outcome runs.StepStatus) {
	n := &s.nodes[node]
	n.status, n.outcome, n.items = status, outcome, nil
	s.left--
	fatal := status == runs.StepFailed && !s.shape[node].ContinueOnError
	s.failing = s.failing || fatal
	for _, d := range s.shape[node].Dependents {
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
func (s *State) decide() {
	for i := 0; i < len(s.ready); i++ { // it grows while nodes are skipped
		node := s.ready[i]
		n, rule := &s.nodes[node], s.shape[node].RunOn
		if n.status != runs.StepPending {
			continue
		}
		outcome := runs.StepSkipped
		switch {
		case !holds(rule, n, s.shape[node].Needs):
			if n.bad > 0 {
				outcome = runs.StepFailed // skipped because of a failure
			}
		case s.failing && !(n.below && (rule == workflows.RunOnFailure || rule == workflows.RunOnAlways)):
			outcome = runs.StepFailed
		default:
			s.start(node)
			continue
		}
		s.emit(Action{Kind: End, Node: node, Index: runs.NoIndex, Status: runs.StepSkipped})
		s.end(node, runs.StepSkipped, outcome)
	}
	s.ready = s.ready[:0]
}

// holds is the table of run_on in docs/reference/workflow-format.md for a node whose needs have
// ended.
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

// Idle reports that nothing runs although the run is not over: every step that is left waits.
func (s *State) Idle() bool { return s.begun && s.left > 0 && s.running == 0 }

// Ended reports whether a step has its final status.
func (s *State) Ended(node, index int) bool {
	n := &s.nodes[node]
	if index == runs.NoIndex || n.status.Final() {
		return n.status.Final()
	}
	return n.items != nil && (index < 0 || index >= len(n.items.status) || n.items.status[index] == itemEnded)
}
