package engine

import (
	"bytes"
	"container/heap"
	"sync"

	"keyflow/engine/runs"
	"keyflow/workflows"
)

// queue decides which step, or which queued run, gets one of the process's slots next. It is
// fair: of the workflows the one with the fewest slots is served, of several the one whose last
// turn is longest ago; within it the run with the fewest, of several the oldest. So neither a
// flood of runs nor a run with many elements delays others by more than its share. Only this
// process's memory is in it: the truth about runs is in the store.
type queue struct {
	mu      sync.Mutex
	free    int
	closed  bool
	turns   uint64 // given so far
	groups  map[workflows.ID]*group
	waiting line[*group] // groups with waiting tasks
	claims  map[runs.ID]bool
	claimed int // groups with claims
}

// task is work for one slot.
type task struct {
	run      runs.ID
	workflow workflows.ID
	claim    bool  // takes a queued run; at most one per run is in the queue
	lane     *lane // that of the run; nil: the task is the only one of its run
	// do runs in its own goroutine and holds the slot until it calls release or returns.
	do   func(release func())
	drop func() // instead of do, when the queue closes; may be nil

	alone lane
}

// group is a workflow's share of the queue.
type group struct {
	running int
	turn    uint64      // its last
	lanes   line[*lane] // with waiting tasks
	claims  int
	place   int // in queue.waiting
}

// lane is a run's share of its group.
type lane struct {
	run     runs.ID
	running int
	tasks   []*task // that wait, first come first
	place   int     // in group.lanes
}

// keepGroups is how many idle workflows the queue remembers, to spare their memory churn.
const keepGroups = 1024

func newQueue(slots int) *queue {
	return &queue{free: slots, groups: map[workflows.ID]*group{}, claims: map[runs.ID]bool{}}
}

// submit runs t now when a slot is free, else when its turn comes.
func (q *queue) submit(t *task) {
	q.mu.Lock()
	if q.closed {
		q.mu.Unlock()
		if t.drop != nil {
			t.drop()
		}
		return
	}
	if t.claim && q.claims[t.run] {
		q.mu.Unlock()
		return
	}
	if t.lane == nil {
		t.alone.run, t.lane = t.run, &t.alone
	}
	g := q.groups[t.workflow]
	if g == nil {
		g = &group{}
		q.groups[t.workflow] = g
	}
	if t.claim {
		q.claims[t.run] = true
		if g.claims++; g.claims == 1 {
			q.claimed++
		}
	}
	if q.free > 0 {
		q.free--
		q.begin(t, g)
		q.mu.Unlock()
		return
	}
	q.wait(t, g)
	q.mu.Unlock()
}

// begin carries a task out. q.mu is held.
func (q *queue) begin(t *task, g *group) {
	g.running++
	t.lane.running++
	q.turns++
	g.turn = q.turns
	go q.work(t, g)
}

// wait lets a task wait for its turn. q.mu is held.
func (q *queue) wait(t *task, g *group) {
	if t.lane.tasks = append(t.lane.tasks, t); len(t.lane.tasks) > 1 {
		return
	}
	if heap.Push(&g.lanes, t.lane); len(g.lanes) == 1 {
		heap.Push(&q.waiting, g)
	}
}

// work runs a task and gives its slot on.
func (q *queue) work(t *task, g *group) {
	released := false
	release := func() {
		if !released {
			released = true
			q.release(t, g)
		}
	}
	defer release()
	t.do(release)
}

// release gives the slot of a task of group g to whose turn it is.
func (q *queue) release(t *task, g *group) {
	q.mu.Lock()
	defer q.mu.Unlock()
	g.running--
	t.lane.running--
	if t.claim {
		delete(q.claims, t.run)
		if g.claims--; g.claims == 0 {
			q.claimed--
		}
	}
	if len(t.lane.tasks) > 0 {
		heap.Fix(&g.lanes, t.lane.place)
	}
	switch {
	case len(g.lanes) > 0:
		heap.Fix(&q.waiting, g.place)
	case g.running == 0 && len(q.groups) > keepGroups:
		delete(q.groups, t.workflow)
	}
	if len(q.waiting) == 0 {
		q.free++
		return
	}
	first := q.waiting[0]
	q.begin(first.lanes[0].tasks[0], first)
	if first.served(); len(first.lanes) == 0 {
		heap.Pop(&q.waiting)
	} else {
		heap.Fix(&q.waiting, 0)
	}
}

// served takes the task out that has just begun, the first of the first lane.
func (g *group) served() {
	l := g.lanes[0]
	l.tasks[0] = nil
	if l.tasks = l.tasks[1:]; len(l.tasks) == 0 {
		l.tasks = nil
		heap.Pop(&g.lanes)
		return
	}
	heap.Fix(&g.lanes, 0)
}

// idle reports whether a slot is free.
func (q *queue) idle() bool {
	q.mu.Lock()
	defer q.mu.Unlock()
	return q.free > 0 && !q.closed
}

// queued is the number of runs that wait to be claimed, or are being claimed.
func (q *queue) queued() int {
	q.mu.Lock()
	defer q.mu.Unlock()
	return len(q.claims)
}

// takes reports whether one more run of a workflow may wait to be claimed: while less than
// limit do, and then as long as the workflow's own are less than its share.
func (q *queue) takes(workflow workflows.ID, limit int) bool {
	q.mu.Lock()
	defer q.mu.Unlock()
	if len(q.claims) < limit {
		return true
	}
	g := q.groups[workflow]
	if g == nil || g.claims == 0 {
		return q.claimed < limit
	}
	return g.claims*q.claimed < limit
}

// close drops all waiting tasks, each in its own goroutine; those at work go on.
func (q *queue) close() {
	q.mu.Lock()
	q.closed = true
	var dropped []*task
	for _, g := range q.waiting {
		for _, l := range g.lanes {
			dropped = append(dropped, l.tasks...)
			l.tasks = nil
		}
		g.lanes = nil
	}
	q.waiting = nil
	q.mu.Unlock()
	for _, t := range dropped {
		if t.drop != nil {
			go t.drop()
		}
	}
}

// line is a heap of those that wait for a slot; whose turn it is comes first.
type line[T waiter[T]] []T

// waiter stands in a line and knows where.
type waiter[T any] interface {
	before(other T) bool
	moved(place int)
}

var (
	_ heap.Interface = (*line[*lane])(nil)
	_ heap.Interface = (*line[*group])(nil)
)

// before orders runs by the slots they hold, then by age; ids of runs sort by creation.
func (l *lane) before(other *lane) bool {
	if l.running != other.running {
		return l.running < other.running
	}
	return bytes.Compare(l.run[:], other.run[:]) < 0
}

func (l *lane) moved(place int) { l.place = place }

// before orders workflows by the slots they hold, then by their last turn.
func (g *group) before(other *group) bool {
	if g.running != other.running {
		return g.running < other.running
	}
	return g.turn < other.turn
}

func (g *group) moved(place int) { g.place = place }

func (h line[T]) Len() int           { return len(h) }
func (h line[T]) Less(i, j int) bool { return h[i].before(h[j]) }

func (h line[T]) Swap(i, j int) {
	h[i], h[j] = h[j], h[i]
	h[i].moved(i)
	h[j].moved(j)
}

func (h *line[T]) Push(x any) {
	w := x.(T)
	w.moved(len(*h))
	*h = append(*h, w)
}

func (h *line[T]) Pop() any {
	last := len(*h) - 1
	w := (*h)[last]
	clear((*h)[last:])
	*h = (*h)[:last]
	return w
}
