package engine

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
func drawShape(t *rapid.T) (shape, [][]int) {
	n := rapid.IntRange(1, 12).Draw(t, "nodes")
	g, needs := make(shape, n), make([][]int, n)
	for i := range g {
		g[i] = shapeNode{
			runOn:     rapid.SampledFrom(rules).Draw(t, "run_on"),
			goOn:      rapid.Bool().Draw(t, "on_error_continue"),
			parallel:  rapid.IntRange(1, 3).Draw(t, "max_parallel"),
			itemsGoOn: rapid.Bool().Draw(t, "on_item_error_continue"),
		}
		for j := range i {
			if rapid.IntRange(0, 2).Draw(t, "edge") == 0 {
				needs[i] = append(needs[i], j)
				g[j].dependents = append(g[j].dependents, i)
			}
		}
		g[i].needs = len(needs[i])
	}
	return g, needs
}

// simulation carries out actions in random order with random results and checks, at each
// step, what must always hold.
type simulation struct {
	*rapid.T
	s       *state
	needs   [][]int
	events  []event
	open    []event // node and index of steps at work
	waiting []event
	started map[[2]int]bool
	end     runs.Status
	model   *model
}

func (m *simulation) apply(ev event) {
	if m.end != "" {
		m.Fatalf("event %+v after the end", ev)
	}
	m.events = append(m.events, ev)
	for _, a := range apply(m.s, ev) {
		switch a.kind {
		case start, startItem:
			m.mayStart(a)
			m.open = append(m.open, event{node: a.node, index: a.index})
		case repeat:
			m.open = append(m.open, event{node: a.node, index: a.index})
		case finish:
			m.end = a.run
		case end:
			m.waiting = slices.DeleteFunc(m.waiting, func(w event) bool { return w.node == a.node && w.index == a.index })
		}
	}
	if m.s.running != len(m.open) || m.s.waiting != len(m.waiting) {
		m.Fatalf("after %+v: running %d, waiting %d; want %d, %d", ev, m.s.running, m.s.waiting, len(m.open), len(m.waiting))
	}
	m.model.apply(ev)
	m.model.agree(m.T, m.s, m.started, m.end)
}

func (m *simulation) mayStart(a action) {
	key := [2]int{a.node, a.index}
	if m.started[key] {
		m.Fatalf("step %v started twice", key)
	}
	m.started[key] = true
	if m.s.stopped != goingOn {
		m.Fatalf("step %v started in a stopped run", key)
	}
	for _, need := range m.needs[a.node] {
		if !m.s.nodes[need].status.Final() {
			m.Fatalf("step %v started before its need %d ended", key, need)
		}
	}
	if a.kind == startItem {
		if got := m.s.nodes[a.node].items; got.running+got.waiting > m.s.shape[a.node].parallel {
			m.Fatalf("node %d: %d elements at once", a.node, got.running+got.waiting)
		}
	}
}

// step lets one thing happen, chosen at random.
func (m *simulation) step(stoppable bool) {
	choices := len(m.open) + len(m.waiting)
	if choices == 0 {
		m.Fatalf("nothing runs, nothing waits, and the run is not over: %+v", m.s.nodes)
	}
	if stoppable && rapid.IntRange(0, 20).Draw(m.T, "stop") == 0 {
		m.apply(event{kind: rapid.SampledFrom([]eventKind{canceled, timedOut}).Draw(m.T, "how")})
		return
	}
	pick := rapid.IntRange(0, choices-1).Draw(m.T, "pick")
	if pick >= len(m.open) {
		w := m.waiting[pick-len(m.open)]
		m.waiting = slices.Delete(m.waiting, pick-len(m.open), pick-len(m.open)+1)
		m.apply(event{kind: due, node: w.node, index: w.index})
		return
	}
	ev := m.open[pick]
	m.open = slices.Delete(m.open, pick, pick+1)
	kinds := []eventKind{succeeded, failed, postponed}
	if ev.index == runs.NoIndex {
		kinds = append(kinds, unwanted, expanded)
	}
	if m.s.stopped != goingOn {
		kinds = []eventKind{succeeded, failed, cut}
	}
	ev.kind = rapid.SampledFrom(kinds).Draw(m.T, "result")
	if ev.kind == expanded {
		ev.count = rapid.IntRange(0, 5).Draw(m.T, "count")
	}
	if ev.kind == postponed {
		m.waiting = append(m.waiting, event{node: ev.node, index: ev.index})
	}
	m.apply(ev)
}

func simulate(t *rapid.T, stoppable bool) *simulation {
	g, needs := drawShape(t)
	m := &simulation{T: t, s: newState(g), needs: needs, started: map[[2]int]bool{}, model: newModel(g, needs)}
	m.apply(event{kind: began})
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
		again := newState(m.s.shape)
		var last runs.Status
		for _, ev := range m.events {
			for _, a := range apply(again, ev) {
				last = a.run
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
		again := newState(m.s.shape)
		for _, ev := range m.events {
			apply(again, ev)
			switch ev.kind {
			case succeeded, failed, cut, canceled, timedOut, unwanted:
				if got := apply(again, ev); len(got) != 0 {
					t.Fatalf("second %+v asks for %+v", ev, got)
				}
			}
		}
	})
}

// script is a small DAG by hand: what each node needs, in order of numbers.
type script struct {
	nodes  []shapeNode
	needs  [][]int
	events []event
	want   []runs.StepStatus
	run    runs.Status
}

func TestApply(t *testing.T) {
	t.Parallel()
	at := func(kind eventKind, node int) event { return event{kind: kind, node: node, index: runs.NoIndex} }
	el := func(kind eventKind, node, index int) event { return event{kind: kind, node: node, index: index} }
	on := func(r workflows.RunOn) shapeNode { return shapeNode{runOn: r, parallel: 1} }
	ok, always, failure := on(workflows.RunOnSuccess), on(workflows.RunOnAlways), on(workflows.RunOnFailure)
	goOn := shapeNode{runOn: workflows.RunOnSuccess, goOn: true, parallel: 1}
	tests := map[string]script{
		"chain": {
			nodes: []shapeNode{ok, ok}, needs: [][]int{nil, {0}},
			events: []event{at(succeeded, 0), at(succeeded, 1)},
			want:   []runs.StepStatus{runs.StepSucceeded, runs.StepSucceeded}, run: runs.Succeeded,
		},
		"started independent nodes go on, unstarted ones do not": {
			nodes: []shapeNode{ok, ok, ok, always}, needs: [][]int{nil, nil, {1}, {2}},
			events: []event{at(failed, 0), at(succeeded, 1)},
			want:   []runs.StepStatus{runs.StepFailed, runs.StepSucceeded, runs.StepSkipped, runs.StepSkipped}, run: runs.Failed,
		},
		"handlers below the failure run, what follows them does not": {
			nodes: []shapeNode{ok, failure, ok, always}, needs: [][]int{nil, {0}, {1}, {2}},
			events: []event{at(failed, 0), at(succeeded, 1), at(succeeded, 3)},
			want:   []runs.StepStatus{runs.StepFailed, runs.StepSucceeded, runs.StepSkipped, runs.StepSucceeded}, run: runs.Failed,
		},
		"a handler waits for its independent need": {
			nodes: []shapeNode{ok, ok, always}, needs: [][]int{nil, nil, {0, 1}},
			events: []event{at(failed, 0), at(succeeded, 1), at(succeeded, 2)},
			want:   []runs.StepStatus{runs.StepFailed, runs.StepSucceeded, runs.StepSucceeded}, run: runs.Failed,
		},
		"on_error continue: the run can still succeed": {
			nodes: []shapeNode{goOn, failure, ok, ok}, needs: [][]int{nil, {0}, {0}, nil},
			events: []event{at(failed, 0), at(succeeded, 1), at(succeeded, 3)},
			want:   []runs.StepStatus{runs.StepFailed, runs.StepSucceeded, runs.StepSkipped, runs.StepSucceeded}, run: runs.Succeeded,
		},
		"skipped because of a failure counts as failed": {
			nodes: []shapeNode{goOn, ok, failure}, needs: [][]int{nil, {0}, {1}},
			events: []event{at(failed, 0), at(succeeded, 2)},
			want:   []runs.StepStatus{runs.StepFailed, runs.StepSkipped, runs.StepSucceeded}, run: runs.Succeeded,
		},
		"skipped by if counts as skipped, and so do those after it": {
			nodes: []shapeNode{ok, ok, failure, always}, needs: [][]int{nil, {0}, {1}, {1}},
			events: []event{at(unwanted, 0), at(succeeded, 3)},
			want:   []runs.StepStatus{runs.StepSkipped, runs.StepSkipped, runs.StepSkipped, runs.StepSucceeded}, run: runs.Succeeded,
		},
		"success needs one success, not all": {
			nodes: []shapeNode{ok, ok, ok, on(workflows.RunOnAllSuccess)}, needs: [][]int{nil, nil, {0, 1}, {0, 1}},
			events: []event{at(unwanted, 0), at(succeeded, 1), at(succeeded, 2)},
			want:   []runs.StepStatus{runs.StepSkipped, runs.StepSucceeded, runs.StepSucceeded, runs.StepSkipped}, run: runs.Succeeded,
		},
		"cancel starts nothing": {
			nodes: []shapeNode{ok, ok, always}, needs: [][]int{nil, nil, {0}},
			events: []event{at(canceled, 0), at(cut, 0), at(succeeded, 1)},
			want:   []runs.StepStatus{runs.StepCanceled, runs.StepSucceeded, runs.StepCanceled}, run: runs.Canceled,
		},
		"cancel ends a waiting step": {
			nodes: []shapeNode{ok, ok}, needs: [][]int{nil, {0}},
			events: []event{at(postponed, 0), at(canceled, 0)},
			want:   []runs.StepStatus{runs.StepCanceled, runs.StepCanceled}, run: runs.Canceled,
		},
		"time over": {
			nodes: []shapeNode{ok, ok, ok}, needs: [][]int{nil, nil, {0}},
			events: []event{at(postponed, 1), at(timedOut, 0), at(cut, 0)},
			want:   []runs.StepStatus{runs.StepFailed, runs.StepFailed, runs.StepSkipped}, run: runs.Failed,
		},
		"an empty for_each has succeeded": {
			nodes: []shapeNode{ok, ok}, needs: [][]int{nil, {0}},
			events: []event{{kind: expanded, node: 0, index: runs.NoIndex}, at(succeeded, 1)},
			want:   []runs.StepStatus{runs.StepSucceeded, runs.StepSucceeded}, run: runs.Succeeded,
		},
		"a failed element stops a for_each": {
			nodes: []shapeNode{{runOn: workflows.RunOnSuccess, parallel: 2}}, needs: [][]int{nil},
			events: []event{{kind: expanded, node: 0, index: runs.NoIndex, count: 5}, el(failed, 0, 1), el(succeeded, 0, 0)},
			want:   []runs.StepStatus{runs.StepFailed}, run: runs.Failed,
		},
		"on_item_error continue works through all": {
			nodes: []shapeNode{{runOn: workflows.RunOnSuccess, parallel: 2, itemsGoOn: true}}, needs: [][]int{nil},
			events: []event{
				{kind: expanded, node: 0, index: runs.NoIndex, count: 3},
				el(failed, 0, 1), el(succeeded, 0, 0), el(postponed, 0, 2), el(due, 0, 2), el(failed, 0, 2),
			},
			want: []runs.StepStatus{runs.StepSucceeded}, run: runs.Succeeded,
		},
		"cancel of a for_each that only waits": {
			nodes: []shapeNode{{runOn: workflows.RunOnSuccess, parallel: 2}}, needs: [][]int{nil},
			events: []event{
				{kind: expanded, node: 0, index: runs.NoIndex, count: 3},
				el(postponed, 0, 0), el(succeeded, 0, 1), el(postponed, 0, 2), at(canceled, 0),
			},
			want: []runs.StepStatus{runs.StepCanceled}, run: runs.Canceled,
		},
	}
	for name, tt := range tests {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			s := newState(tt.shape())
			apply(s, event{kind: began})
			var run runs.Status
			for _, ev := range tt.events {
				for _, a := range apply(s, ev) {
					if a.kind == finish {
						run = a.run
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

func (sc script) shape() shape {
	g := make(shape, len(sc.nodes))
	copy(g, sc.nodes)
	for i, needs := range sc.needs {
		g[i].needs = len(needs)
		for _, n := range needs {
			g[n].dependents = append(g[n].dependents, i)
		}
	}
	return g
}

// BenchmarkApply shows that the cost of a step does not grow with the DAG: a chain of n
// nodes is worked off, ns/op is per node.
func BenchmarkApply(b *testing.B) {
	for _, n := range []int{1, 10, 100, 1000} {
		g := make(shape, n)
		for i := range g {
			g[i].runOn = workflows.RunOnSuccess
			if i > 0 {
				g[i].needs = 1
				g[i-1].dependents = []int{i}
			}
		}
		b.Run(strconv.Itoa(n)+"nodes", func(b *testing.B) {
			b.ReportAllocs()
			var s *state
			for i := 0; b.Loop(); i++ {
				if i%n == 0 {
					b.StopTimer()
					s = newState(g)
					apply(s, event{kind: began})
					b.StartTimer()
				}
				apply(s, event{kind: succeeded, node: i % n, index: runs.NoIndex})
			}
		})
	}
}
