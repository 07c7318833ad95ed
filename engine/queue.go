package engine

import (
	"bytes"
	"container/heap"
	"sync"

	"keyflow/workflows"
)

// queue decides which step, or which queued run, gets one of the process's slots next. It
// is fair between workflows: the one with the fewest slots is served first, so a flood of
// one delays others by no more than its share; within a workflow the oldest run is first.
// Only this process's memory is in it: the truth about runs is in the store.
type queue struct {
	mu      sync.Mutex
	free    int
	closed  bool
	groups  map[workflows.ID]*group
	waiting groupHeap // groups with waiting tasks
	tasks   int       // that wait
	claims  map[RunID]bool
}

// task is work for one slot.
type task struct {
	run      RunID
	workflow workflows.ID
	claim    bool // takes a queued run; at most one per run is in the queue
	// do runs in its own goroutine and holds the slot until it calls release or returns.
	do   func(release func())
	drop func() // instead of do, when the queue closes; may be nil
}

// group is a workflow's share of the queue.
type group struct {
	running int
	tasks   taskHeap
	place   int // in queue.waiting
}

// keepGroups is how many idle workflows the queue remembers, to spare their memory churn.
const keepGroups = 1024

func newQueue(slots int) *queue {
	return &queue{free: slots, groups: map[workflows.ID]*group{}, claims: map[RunID]bool{}}
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
	if t.claim {
		if q.claims[t.run] {
			q.mu.Unlock()
			return
		}
		q.claims[t.run] = true
	}
	g := q.groups[t.workflow]
	if g == nil {
		g = &group{}
		q.groups[t.workflow] = g
	}
	if q.free > 0 {
		q.free--
		g.running++
		q.mu.Unlock()
		go q.work(t, g)
		return
	}
	q.tasks++
	heap.Push(&g.tasks, t)
	if len(g.tasks) == 1 {
		heap.Push(&q.waiting, g)
	} else {
		heap.Fix(&q.waiting, g.place)
	}
	q.mu.Unlock()
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
	if t.claim {
		delete(q.claims, t.run)
	}
	switch {
	case len(g.tasks) > 0:
		heap.Fix(&q.waiting, g.place)
	case g.running == 0 && len(q.groups) > keepGroups:
		delete(q.groups, t.workflow)
	}
	if len(q.waiting) == 0 {
		q.free++
		return
	}
	first := q.waiting[0]
	next := heap.Pop(&first.tasks).(*task)
	q.tasks--
	first.running++
	if len(first.tasks) == 0 {
		heap.Pop(&q.waiting)
	} else {
		heap.Fix(&q.waiting, 0)
	}
	go q.work(next, first)
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

// close drops all waiting tasks, each in its own goroutine; those at work go on.
func (q *queue) close() {
	q.mu.Lock()
	q.closed = true
	var dropped []*task
	for _, g := range q.waiting {
		dropped = append(dropped, g.tasks...)
		g.tasks = nil
	}
	q.waiting, q.tasks = nil, 0
	q.mu.Unlock()
	for _, t := range dropped {
		if t.drop != nil {
			go t.drop()
		}
	}
}

// taskHeap orders tasks by the age of their runs; ids of runs sort by creation.
type taskHeap []*task

var _ heap.Interface = (*taskHeap)(nil)

func (h taskHeap) Len() int           { return len(h) }
func (h taskHeap) Less(i, j int) bool { return older(h[i], h[j]) }
func (h taskHeap) Swap(i, j int)      { h[i], h[j] = h[j], h[i] }
func (h *taskHeap) Push(x any)        { *h = append(*h, x.(*task)) }
func (h *taskHeap) Pop() any {
	last := len(*h) - 1
	t := (*h)[last]
	(*h)[last], *h = nil, (*h)[:last]
	return t
}

func older(a, b *task) bool { return bytes.Compare(a.run[:], b.run[:]) < 0 }

// groupHeap orders groups by the slots they hold, then by the age of their oldest task.
type groupHeap []*group

var _ heap.Interface = (*groupHeap)(nil)

func (h groupHeap) Len() int { return len(h) }
func (h groupHeap) Less(i, j int) bool {
	if h[i].running != h[j].running {
		return h[i].running < h[j].running
	}
	return older(h[i].tasks[0], h[j].tasks[0])
}

func (h groupHeap) Swap(i, j int) {
	h[i], h[j] = h[j], h[i]
	h[i].place, h[j].place = i, j
}

func (h *groupHeap) Push(x any) {
	g := x.(*group)
	g.place = len(*h)
	*h = append(*h, g)
}

func (h *groupHeap) Pop() any {
	last := len(*h) - 1
	g := (*h)[last]
	(*h)[last], *h = nil, (*h)[:last]
	return g
}
