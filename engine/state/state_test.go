package state

import (
	"slices"
	"strconv"
	"testing"

	"github.com/google/go-cmp/cmp"
	"pgregory.net/rapid"

	"keyflow/engine/runs"
	"keyflow/workflows"
)

var rules = []workflows.RunOn{
	workflows.RunOnSuccess, workflows.RunOnAllSuccess, workflows.RunOnFailure, workflows.RunOnAlways,
}

// drawShape draws a DAG whose edges go from lower to higher numbers.
func drawShape(t *rapid.T) (Shape, [][]int) {
	n := rapid.IntRange(1, 12).Draw(t, "nodes")
	g, needs := make(Shape, n), make([][]int, n)
	for i := range g {
		g[i] = Node{
			RunOn:               rapid.SampledFrom(rules).Draw(t, "run_on"),
			ContinueOnError:     rapid.Bool().Draw(t, "on_error_continue"),
			Parallel:            rapid.IntRange(1, 3).Draw(t, "max_parallel"),
			ContinueOnItemError: rapid.Bool().Draw(t, "on_item_error_continue"),
		}
		for j := range i {
			if rapid.IntRange(0, 2).Draw(t, "edge") == 0 {
				needs[i] = append(needs[i], j)
				g[j].Dependents = append(g[j].Dependents, i)
			}
		}
		g[i].Needs = len(needs[i])
	}
	return g, needs
}

// simulation carries out actions in random order with random results and checks, at each
// step, what must always hold.
type simulation struct {
	*rapid.T
	s       *State
	needs   [][]int
	events  []Event
	open    []Event // node and index of steps at work
	waiting []Event
	started map[[2]int]bool
	end     runs.Status
	model   *model
}

func (m *simulation) apply(ev Event) {
	if m.end != "" {
		m.Fatalf("event %+v after the end", ev)
	}
	m.events = append(m.events, ev)
	for _, a := range Apply(m.s, ev) {
		switch a.Kind {
		case Start, StartItem:
			m.mayStart(a)
			m.open = append(m.open, Event{Node: a.Node, Index: a.Index})
		case Repeat:
			m.open = append(m.open, Event{Node: a.Node, Index: a.Index})
		case Finish:
			m.end = a.Run
		case End:
			m.waiting = slices.DeleteFunc(m.waiting, func(w Event) bool { return w.Node == a.Node && w.Index == a.Index })
		}
	}
	if m.s.running != len(m.open) || m.s.waiting != len(m.waiting) {
		m.Fatalf("after %+v: running %d, waiting %d; want %d, %d", ev, m.s.running, m.s.waiting, len(m.open), len(m.waiting))
	}
	m.model.apply(ev)
	m.model.agree(m.T, m.s, m.started, m.end)
}

func (m *simulation) mayStart(a Action) {
	key := [2]int{a.Node, a.Index}
	if m.started[key] {
		m.Fatalf("step %v started twice", key)
	}
	m.started[key] = true
	if m.s.Stopped != NotStopped {
		m.Fatalf("step %v started in a stopped run", key)
	}
	for _, need := range m.needs[a.Node] {
		if !m.s.nodes[need].status.Final() {
			m.Fatalf("step %v started before its need %d ended", key, need)
		}
	}
	if a.Kind == StartItem {
		if got := m.s.nodes[a.Node].items; got.running+got.waiting > m.s.shape[a.Node].Parallel {
			m.Fatalf("node %d: %d elements at once", a.Node, got.running+got.waiting)
		}
	}
}

// step applies one event, chosen at random.
func (m *simulation) step(stoppable bool) {
	choices := len(m.open) + len(m.waiting)
	if choices == 0 {
		m.Fatalf("nothing runs, nothing waits, and the run is not over: %+v", m.s.nodes)
	}
	if stoppable && rapid.IntRange(0, 20).Draw(m.T, "stop") == 0 {
		m.apply(Event{Kind: rapid.SampledFrom([]EventKind{Canceled, TimedOut}).Draw(m.T, "how")})
		return
	}
	pick := rapid.IntRange(0, choices-1).Draw(m.T, "pick")
	if pick >= len(m.open) {
		w := m.waiting[pick-len(m.open)]
		m.waiting = slices.Delete(m.waiting, pick-len(m.open), pick-len(m.open)+1)
		m.apply(Event{Kind: Due, Node: w.Node, Index: w.Index})
		return
	}
	ev := m.open[pick]
	m.open = slices.Delete(m.open, pick, pick+1)
	kinds := []EventKind{Succeeded, Failed, Postponed}
	if ev.Index == runs.NoIndex {
		kinds = append(kinds, Unwanted, Expanded)
	}
	if m.s.Stopped != NotStopped {
		kinds = []EventKind{Succeeded, Failed, Cut}
	}
	ev.Kind = rapid.SampledFrom(kinds).Draw(m.T, "result")
	if ev.Kind == Expanded {
		ev.Count = rapid.IntRange(0, 5).Draw(m.T, "count")
	}
	if ev.Kind == Postponed {
		m.waiting = append(m.waiting, Event{Node: ev.Node, Index: ev.Index})
	}
	m.apply(ev)
}

func simulate(t *rapid.T, stoppable bool) *simulation {
	g, needs := drawShape(t)
	m := &simulation{T: t, s: New(g), needs: needs, started: map[[2]int]bool{}, model: newModel(g, needs)}
	m.apply(Event{Kind: Began})
	for i := 0; m.end == ""; i++ {
		if i > 2000 {
			t.Fatalf("the run does not end")
		}
		m.step(stoppable && i < 500)
	}
	return m
}

func TestApplyKeepsItsPromises(t *testing.T) {
	t.Parallel()
	rapid.Check(t, func(t *rapid.T) {
		m := simulate(t, true)
		for i := range m.s.nodes {
			if !m.s.nodes[i].status.Final() {
				t.Fatalf("the run is over, node %d is %s", i, m.s.nodes[i].status)
			}
		}
		again := New(m.s.shape)
		var last runs.Status
		for _, ev := range m.events {
			for _, a := range Apply(again, ev) {
				last = a.Run
			}
		}
		if last != m.end {
			t.Fatalf("replay ends %q, the run ended %q", last, m.end)
		}
		if diff := cmp.Diff(m.s.nodes, again.nodes, cmp.AllowUnexported(nodeState{}, itemStates{})); diff != "" {
			t.Fatalf("replay gives another state: %s", diff)
		}
	})
}

// TestApplyIgnoresWhatDoesNotFit sends every event a second time.
func TestApplyIgnoresWhatDoesNotFit(t *testing.T) {
	t.Parallel()
	rapid.Check(t, func(t *rapid.T) {
		m := simulate(t, true)
		again := New(m.s.shape)
		for _, ev := range m.events {
			Apply(again, ev)
			switch ev.Kind {
			case Succeeded, Failed, Cut, Canceled, TimedOut, Unwanted:
				if got := Apply(again, ev); len(got) != 0 {
					t.Fatalf("second %+v asks for %+v", ev, got)
				}
			}
		}
	})
}

// script is a small DAG by hand: what each node needs, in order of numbers.
type script struct {
	nodes  []Node
	needs  [][]int
	events []Event
	want   []runs.StepStatus
	run    runs.Status
}

func TestApply(t *testing.T) {
	t.Parallel()
	at := func(kind EventKind, node int) Event { return Event{Kind: kind, Node: node, Index: runs.NoIndex} }
	el := func(kind EventKind, node, index int) Event { return Event{Kind: kind, Node: node, Index: index} }
	on := func(r workflows.RunOn) Node { return Node{RunOn: r, Parallel: 1} }
	ok, always, failure := on(workflows.RunOnSuccess), on(workflows.RunOnAlways), on(workflows.RunOnFailure)
	goOn := Node{RunOn: workflows.RunOnSuccess, ContinueOnError: true, Parallel: 1}
	tests := map[string]script{
		"chain": {
			nodes: []Node{ok, ok}, needs: [][]int{nil, {0}},
			events: []Event{at(Succeeded, 0), at(Succeeded, 1)},
			want:   []runs.StepStatus{runs.StepSucceeded, runs.StepSucceeded}, run: runs.Succeeded,
		},
		"started independent nodes go on, unstarted ones do not": {
			nodes: []Node{ok, ok, ok, always}, needs: [][]int{nil, nil, {1}, {2}},
			events: []Event{at(Failed, 0), at(Succeeded, 1)},
			want:   []runs.StepStatus{runs.StepFailed, runs.StepSucceeded, runs.StepSkipped, runs.StepSkipped}, run: runs.Failed,
		},
		"handlers below the failure run, what follows them does not": {
			nodes: []Node{ok, failure, ok, always}, needs: [][]int{nil, {0}, {1}, {2}},
			events: []Event{at(Failed, 0), at(Succeeded, 1), at(Succeeded, 3)},
			want:   []runs.StepStatus{runs.StepFailed, runs.StepSucceeded, runs.StepSkipped, runs.StepSucceeded}, run: runs.Failed,
		},
		"a handler waits for its independent need": {
			nodes: []Node{ok, ok, always}, needs: [][]int{nil, nil, {0, 1}},
			events: []Event{at(Failed, 0), at(Succeeded, 1), at(Succeeded, 2)},
			want:   []runs.StepStatus{runs.StepFailed, runs.StepSucceeded, runs.StepSucceeded}, run: runs.Failed,
		},
		"on_error continue: the run can still succeed": {
			nodes: []Node{goOn, failure, ok, ok}, needs: [][]int{nil, {0}, {0}, nil},
			events: []Event{at(Failed, 0), at(Succeeded, 1), at(Succeeded, 3)},
			want:   []runs.StepStatus{runs.StepFailed, runs.StepSucceeded, runs.StepSkipped, runs.StepSucceeded}, run: runs.Succeeded,
		},
		"skipped because of a failure counts as failed": {
			nodes: []Node{goOn, ok, failure}, needs: [][]int{nil, {0}, {1}},
			events: []Event{at(Failed, 0), at(Succeeded, 2)},
			want:   []runs.StepStatus{runs.StepFailed, runs.StepSkipped, runs.StepSucceeded}, run: runs.Succeeded,
		},
		"skipped by if counts as skipped, and so do those after it": {
			nodes: []Node{ok, ok, failure, always}, needs: [][]int{nil, {0}, {1}, {1}},
			events: []Event{at(Unwanted, 0), at(Succeeded, 3)},
			want:   []runs.StepStatus{runs.StepSkipped, runs.StepSkipped, runs.StepSkipped, runs.StepSucceeded}, run: runs.Succeeded,
		},
		"success needs one success, not all": {
			nodes: []Node{ok, ok, ok, on(workflows.RunOnAllSuccess)}, needs: [][]int{nil, nil, {0, 1}, {0, 1}},
			events: []Event{at(Unwanted, 0), at(Succeeded, 1), at(Succeeded, 2)},
			want:   []runs.StepStatus{runs.StepSkipped, runs.StepSucceeded, runs.StepSucceeded, runs.StepSkipped}, run: runs.Succeeded,
		},
		"cancel starts nothing": {
			nodes: []Node{ok, ok, always}, needs: [][]int{nil, nil, {0}},
			events: []Event{at(Canceled, 0), at(Cut, 0), at(Succeeded, 1)},
			want:   []runs.StepStatus{runs.StepCanceled, runs.StepSucceeded, runs.StepCanceled}, run: runs.Canceled,
		},
		"cancel ends a waiting step": {
			nodes: []Node{ok, ok}, needs: [][]int{nil, {0}},
			events: []Event{at(Postponed, 0), at(Canceled, 0)},
			want:   []runs.StepStatus{runs.StepCanceled, runs.StepCanceled}, run: runs.Canceled,
		},
		"time over": {
			nodes: []Node{ok, ok, ok}, needs: [][]int{nil, nil, {0}},
			events: []Event{at(Postponed, 1), at(TimedOut, 0), at(Cut, 0)},
			want:   []runs.StepStatus{runs.StepFailed, runs.StepFailed, runs.StepSkipped}, run: runs.Failed,
		},
		"an empty for_each has succeeded": {
			nodes: []Node{ok, ok}, needs: [][]int{nil, {0}},
			events: []Event{{Kind: Expanded, Node: 0, Index: runs.NoIndex}, at(Succeeded, 1)},
			want:   []runs.StepStatus{runs.StepSucceeded, runs.StepSucceeded}, run: runs.Succeeded,
		},
		"a failed element stops a for_each": {
			nodes: []Node{{RunOn: workflows.RunOnSuccess, Parallel: 2}}, needs: [][]int{nil},
			events: []Event{{Kind: Expanded, Node: 0, Index: runs.NoIndex, Count: 5}, el(Failed, 0, 1), el(Succeeded, 0, 0)},
			want:   []runs.StepStatus{runs.StepFailed}, run: runs.Failed,
		},
		"on_item_error continue works through all": {
			nodes: []Node{{RunOn: workflows.RunOnSuccess, Parallel: 2, ContinueOnItemError: true}}, needs: [][]int{nil},
			events: []Event{
				{Kind: Expanded, Node: 0, Index: runs.NoIndex, Count: 3},
				el(Failed, 0, 1), el(Succeeded, 0, 0), el(Postponed, 0, 2), el(Due, 0, 2), el(Failed, 0, 2),
			},
			want: []runs.StepStatus{runs.StepSucceeded}, run: runs.Succeeded,
		},
		"cancel of a for_each that only waits": {
			nodes: []Node{{RunOn: workflows.RunOnSuccess, Parallel: 2}}, needs: [][]int{nil},
			events: []Event{
				{Kind: Expanded, Node: 0, Index: runs.NoIndex, Count: 3},
				el(Postponed, 0, 0), el(Succeeded, 0, 1), el(Postponed, 0, 2), at(Canceled, 0),
			},
			want: []runs.StepStatus{runs.StepCanceled}, run: runs.Canceled,
		},
	}
	for name, tt := range tests {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			s := New(tt.shape())
			Apply(s, Event{Kind: Began})
			var run runs.Status
			for _, ev := range tt.events {
				for _, a := range Apply(s, ev) {
					if a.Kind == Finish {
						run = a.Run
					}
				}
			}
			var got []runs.StepStatus
			for i := range s.nodes {
				got = append(got, s.nodes[i].status)
			}
			if diff := cmp.Diff(tt.want, got); diff != "" || run != tt.run {
				t.Errorf("run %q, want %q; steps (-want +got):\n%s", run, tt.run, diff)
			}
		})
	}
}

func (sc script) shape() Shape {
	g := make(Shape, len(sc.nodes))
	copy(g, sc.nodes)
	for i, needs := range sc.needs {
		g[i].Needs = len(needs)
		for _, n := range needs {
			g[n].Dependents = append(g[n].Dependents, i)
		}
	}
	return g
}

// BenchmarkApply shows that the cost of a step does not grow with the DAG: a chain of n
// nodes is worked off, ns/op is per node.
func BenchmarkApply(b *testing.B) {
	for _, n := range []int{1, 10, 100, 1000} {
		g := make(Shape, n)
		for i := range g {
			g[i].RunOn = workflows.RunOnSuccess
			if i > 0 {
				g[i].Needs = 1
				g[i-1].Dependents = []int{i}
			}
		}
		b.Run(strconv.Itoa(n)+"nodes", func(b *testing.B) {
			b.ReportAllocs()
			var s *State
			for i := 0; b.Loop(); i++ {
				if i%n == 0 {
					b.StopTimer()
					s = New(g)
					Apply(s, Event{Kind: Began})
					b.StartTimer()
				}
				Apply(s, Event{Kind: Succeeded, Node: i % n, Index: runs.NoIndex})
			}
		})
	}
}
