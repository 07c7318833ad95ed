package state

import (
	"slices"
	"testing"

	"github.com/google/go-cmp/cmp"
	"pgregory.net/rapid"

	"keyflow/engine/runs"
	"keyflow/workflows"
)

// model is docs/reference/workflow-format.md and docs/explanation/run-states.md a second time: no
// counters, no queue. After each event it scans everything until nothing changes. The properties
// run with more cases by `go test ./engine -run TestApply -rapid.checks=10000` (seconds).
type model struct {
	shape   Shape
	needs   [][]int
	nodes   []modelNode
	stopped EventKind // canceled or timedOut; began while the run goes on
	started [][2]int  // every step that was started
}

type modelNode struct {
	status   runs.StepStatus
	dueTo    bool // skipped, and counts as failed for dependents
	elements []runs.StepStatus
	expanded bool
	cut      bool // an element was left without a result by a stop
}

func newModel(g Shape, needs [][]int) *model {
	m := &model{shape: g, needs: needs, nodes: make([]modelNode, len(g)), stopped: Began}
	for i := range m.nodes {
		m.nodes[i].status = runs.StepPending
	}
	return m
}

func (m *model) apply(ev Event) {
	switch ev.Kind {
	case Began:
	case Canceled, TimedOut:
		if m.stopped == Began {
			m.stopped = ev.Kind
			m.endWhatWaits()
		}
	default:
		m.step(ev)
	}
	for m.startMore() {
	}
}

// stoppedStatus is how a step ends that a stop left without a result.
func (m *model) stoppedStatus() runs.StepStatus {
	if m.stopped == TimedOut {
		return runs.StepFailed
	}
	return runs.StepCanceled
}

// step gives a step that runs or waits what happened to it.
func (m *model) step(ev Event) {
	status := &m.nodes[ev.Node].status
	if ev.Index != runs.NoIndex {
		status = &m.nodes[ev.Node].elements[ev.Index]
	}
	switch ev.Kind {
	case Expanded:
		m.nodes[ev.Node].expanded = true
		m.nodes[ev.Node].elements = slices.Repeat([]runs.StepStatus{runs.StepPending}, ev.Count)
	case Succeeded:
		*status = runs.StepSucceeded
	case Failed:
		*status = runs.StepFailed
	case Unwanted:
		*status = runs.StepSkipped
	case Postponed:
		*status = runs.StepWaiting
	case Due:
		*status = runs.StepRunning
	default: // cut
		*status = m.stoppedStatus()
		m.nodes[ev.Node].cut = true
	}
}

// endWhatWaits is what a stop does at once.
func (m *model) endWhatWaits() {
	for i := range m.nodes {
		n := &m.nodes[i]
		switch {
		case n.status == runs.StepWaiting:
			n.status = m.stoppedStatus()
		case n.status == runs.StepPending && m.stopped == Canceled:
			n.status = runs.StepCanceled
		case n.status == runs.StepPending:
			n.status = runs.StepSkipped
		}
		for j, element := range n.elements {
			if element == runs.StepWaiting {
				n.elements[j], n.cut = m.stoppedStatus(), true
			}
		}
	}
}

// startMore starts, skips or ends one thing, if there is one.
func (m *model) startMore() bool {
	for i := range m.nodes {
		switch n := &m.nodes[i]; {
		case n.status == runs.StepRunning && n.expanded && m.element(i):
			return true
		case n.status == runs.StepPending && m.ended(m.needs[i]):
			m.decide(i)
			return true
		}
	}
	return false
}

// element starts the next element of a for_each or ends the node; false when neither is due.
func (m *model) element(node int) bool {
	n, rule := &m.nodes[node], m.shape[node]
	count := map[runs.StepStatus]int{}
	for _, element := range n.elements {
		count[element]++
	}
	atWork := count[runs.StepRunning] + count[runs.StepWaiting]
	next := slices.Index(n.elements, runs.StepPending)
	good := count[runs.StepFailed] == 0 || rule.ContinueOnItemError
	switch {
	case next >= 0 && good && m.stopped == Began && atWork < rule.Parallel:
		n.elements[next] = runs.StepRunning
		m.started = append(m.started, [2]int{node, next})
	case atWork > 0:
		return false
	case next < 0 && good && !n.cut:
		n.status = runs.StepSucceeded
	case m.stopped == Canceled:
		n.status = runs.StepCanceled
	default:
		n.status = runs.StepFailed
	}
	return true
}

func (m *model) ended(nodes []int) bool {
	return !slices.ContainsFunc(nodes, func(n int) bool { return !m.nodes[n].status.Final() })
}

// counts is how a dependent sees a node that has ended.
func (m *model) counts(node int) runs.StepStatus {
	n := m.nodes[node]
	if n.status == runs.StepSkipped && !n.dueTo {
		return runs.StepSkipped
	}
	if n.status == runs.StepSucceeded {
		return runs.StepSucceeded
	}
	return runs.StepFailed
}

// fatal reports whether the failure of a node fails the run.
func (m *model) fatal(node int) bool {
	return m.nodes[node].status == runs.StepFailed && !m.shape[node].ContinueOnError
}

func (m *model) below(node int) bool {
	return slices.ContainsFunc(m.needs[node], func(need int) bool { return m.fatal(need) || m.below(need) })
}

func (m *model) failing() bool {
	for i := range m.nodes {
		if m.fatal(i) {
			return true
		}
	}
	return m.stopped == TimedOut
}

// decide starts or skips a node whose needs have all ended.
func (m *model) decide(node int) {
	n, rule := &m.nodes[node], m.shape[node].RunOn
	good, bad := 0, 0
	for _, need := range m.needs[node] {
		switch m.counts(need) {
		case runs.StepSucceeded:
			good++
		case runs.StepFailed:
			bad++
		}
	}
	holds := map[workflows.RunOn]bool{
		workflows.RunOnSuccess:    bad == 0 && good > 0,
		workflows.RunOnAllSuccess: good == len(m.needs[node]),
		workflows.RunOnFailure:    bad > 0,
		workflows.RunOnAlways:     true,
	}[rule] || len(m.needs[node]) == 0
	handles := m.below(node) && (rule == workflows.RunOnFailure || rule == workflows.RunOnAlways)
	if holds && (!m.failing() || handles) {
		n.status = runs.StepRunning
		m.started = append(m.started, [2]int{node, runs.NoIndex})
		return
	}
	n.status, n.dueTo = runs.StepSkipped, holds || bad > 0
}

// verdict is how the run ended; "" while it has not.
func (m *model) verdict() runs.Status {
	for i := range m.nodes {
		if !m.nodes[i].status.Final() {
			return ""
		}
	}
	switch {
	case m.stopped == Canceled:
		return runs.Canceled
	case m.failing():
		return runs.Failed
	default:
		return runs.Succeeded
	}
}

// agree compares the model with the state after an event.
func (m *model) agree(t *rapid.T, s *State, started map[[2]int]bool, end runs.Status) {
	if len(m.started) != len(started) || slices.ContainsFunc(m.started, func(key [2]int) bool { return !started[key] }) {
		t.Fatalf("started %v, the table says %v", started, m.started)
	}
	for i, n := range m.nodes {
		if s.nodes[i].status != n.status {
			t.Fatalf("node %d is %s, the table says %s", i, s.nodes[i].status, n.status)
		}
		if s.nodes[i].items == nil {
			continue
		}
		var elements []runs.StepStatus
		for _, status := range s.nodes[i].items.status {
			elements = append(elements, []runs.StepStatus{runs.StepPending, runs.StepRunning, runs.StepWaiting, runs.StepSucceeded}[status])
		}
		want := slices.Clone(n.elements)
		for j := range want {
			if want[j].Final() {
				want[j] = runs.StepSucceeded // the state keeps only that it has ended
			}
		}
		if diff := cmp.Diff(want, elements); diff != "" {
			t.Fatalf("elements of node %d (-table +state):\n%s", i, diff)
		}
	}
	if want := m.verdict(); end != want {
		t.Fatalf("the run ended %q, the table says %q", end, want)
	}
}

// TestApplyLooksAtNothingElse lures apply: for each event, every node that the event does not
// concern is made to look as if it could start at once, or as if its time had come. Whoever
// scans the DAG falls for it; counting needs never scans.
func TestApplyLooksAtNothingElse(t *testing.T) {
	t.Parallel()
	rapid.Check(t, func(t *rapid.T) {
		m := simulate(t, false)
		s, lured := New(m.s.shape), New(m.s.shape)
		for _, ev := range m.events {
			if ev.Kind == Began {
				Apply(s, ev)
				Apply(lured, ev)
				continue
			}
			concerned := downstream(m.s.shape, ev.Node)
			lures := map[int]nodeState{}
			for i := range lured.nodes {
				if !concerned[i] {
					lures[i] = lured.nodes[i]
					lured.nodes[i] = nodeState{status: runs.StepPending, good: m.s.shape[i].Needs, below: true}
				}
			}
			want, got := slices.Clone(Apply(s, ev)), slices.Clone(Apply(lured, ev))
			if diff := cmp.Diff(want, got, cmp.AllowUnexported(Action{})); diff != "" {
				t.Fatalf("%+v reads nodes that it does not concern (-want +got):\n%s", ev, diff)
			}
			for i, n := range lures {
				lured.nodes[i] = n
			}
		}
	})
}

// downstream is a node with all that depend on it.
func downstream(g Shape, node int) map[int]bool {
	all := map[int]bool{node: true}
	for _, d := range g[node].Dependents {
		for n := range downstream(g, d) {
			all[n] = true
		}
	}
	return all
}
