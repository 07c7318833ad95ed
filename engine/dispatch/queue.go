// Package dispatch decides which step, or which queued run, gets one of the process's slots next.
//
// It must not know what a task does, and keeps nothing that is not in memory.
package dispatch

import (
	"bytes"
	"container/heap"
	"sync"

	"keyflow/engine/runs"
	"keyflow/workflows"
)

// Queue decides which step, or which queued run, gets one of the process's slots next. It is
// fair: of the workflows the one with the fewest slots is served, of several the one that was
// served longest ago; within it the run with the fewest, of several the oldest. So neither a
// flood of runs nor a run with many elements delays others by more than its share. Only this
// process's memory is in it: the truth about runs is in the store.
type Queue struct {
	mu        sync.Mutex
	free      int
	closed    bool
	served    uint64 // slots given so far
	workflows map[workflows.ID]*workflowQueue
	waiting   heapOf[*workflowQueue] // those with waiting tasks
	claims    map[runs.ID]*claim
	claiming  int // workflows with claims
}

// Task is work for one slot.
type Task struct {
	Run      runs.ID
	Workflow workflows.ID
	Claim    bool      // takes a queued run; at most one per run is in the queue
	Queue    *RunQueue // that of the run; nil: the task is the only one of its run
	// Do runs in its own goroutine and holds the slot until it calls release or returns.
	Do   func(release func())
	Drop func() // instead of Do, when the queue closes; may be nil

	single RunQueue
}

// claim is a run that waits to be claimed.
type claim struct {
	of *workflowQueue
	// reserved: the run is being stored, and has no task yet.
	reserved bool
}

// workflowQueue is a workflow's share of the queue.
type workflowQueue struct {
	running    int
	lastServed uint64            // Queue.served, when it last got a slot
	waiting    heapOf[*RunQueue] // those with waiting tasks
	claims     int
	position   int // in Queue.waiting
}

// RunQueue is a run's share of its workflow's.
type RunQueue struct {
	Run      runs.ID
	running  int
	waiting  []*Task // that wait, first come first
	position int     // in workflowQueue.waiting
}

// keepIdle is how many idle workflows the queue remembers, to spare their memory churn.
const keepIdle = 1024

// NewQueue returns a queue for so many slots.
func NewQueue(slots int) *Queue {
	return &Queue{free: slots, workflows: map[workflows.ID]*workflowQueue{}, claims: map[runs.ID]*claim{}}
}

// Submit runs t now when a slot is free, else when the queue serves it.
func (q *Queue) Submit(t *Task) {
	q.mu.Lock()
	if q.closed {
		q.mu.Unlock()
		if t.Drop != nil {
			t.Drop()
		}
		return
	}
	if c := q.claims[t.Run]; t.Claim && c != nil && !c.reserved {
		q.mu.Unlock()
		return
	}
	if t.Queue == nil {
		t.single.Run, t.Queue = t.Run, &t.single
	}
	g := q.of(t.Workflow)
	if t.Claim {
		q.addClaim(t.Run, g).reserved = false
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

// of returns the share of a workflow. q.mu is held.
func (q *Queue) of(workflow workflows.ID) *workflowQueue {
	g := q.workflows[workflow]
	if g == nil {
		g = &workflowQueue{}
		q.workflows[workflow] = g
	}
	return g
}

// addClaim counts a run that waits to be claimed, once. q.mu is held.
func (q *Queue) addClaim(run runs.ID, g *workflowQueue) *claim {
	c := q.claims[run]
	if c == nil {
		c = &claim{of: g}
		q.claims[run] = c
		if g.claims++; g.claims == 1 {
			q.claiming++
		}
	}
	return c
}

// dropClaim takes a run out of the count. q.mu is held.
func (q *Queue) dropClaim(run runs.ID) {
	c := q.claims[run]
	if c == nil {
		return
	}
	delete(q.claims, run)
	if c.of.claims--; c.of.claims == 0 {
		q.claiming--
	}
}

// begin carries a task out. q.mu is held.
func (q *Queue) begin(t *Task, g *workflowQueue) {
	g.running++
	t.Queue.running++
	q.served++
	g.lastServed = q.served
	go q.work(t, g)
}

// wait lets a task wait for a slot. q.mu is held.
func (q *Queue) wait(t *Task, g *workflowQueue) {
	if t.Queue.waiting = append(t.Queue.waiting, t); len(t.Queue.waiting) > 1 {
		return
	}
	if heap.Push(&g.waiting, t.Queue); len(g.waiting) == 1 {
		heap.Push(&q.waiting, g)
	}
}

// work runs a task and hands its slot on.
func (q *Queue) work(t *Task, g *workflowQueue) {
	released := false
	release := func() {
		if !released {
			released = true
			q.release(t, g)
		}
	}
	defer release()
	t.Do(release)
}

// release gives the slot of a task of g to the next task.
func (q *Queue) release(t *Task, g *workflowQueue) {
	q.mu.Lock()
	defer q.mu.Unlock()
	g.running--
	t.Queue.running--
	if t.Claim {
		q.dropClaim(t.Run)
	}
	if len(t.Queue.waiting) > 0 {
		heap.Fix(&g.waiting, t.Queue.position)
	}
	switch {
	case len(g.waiting) > 0:
		heap.Fix(&q.waiting, g.position)
	case g.running == 0 && g.claims == 0 && len(q.workflows) > keepIdle:
		delete(q.workflows, t.Workflow)
	}
	if len(q.waiting) == 0 {
		q.free++
		return
	}
	first := q.waiting[0]
	q.begin(first.waiting[0].waiting[0], first)
	if first.popFirst(); len(first.waiting) == 0 {
		heap.Pop(&q.waiting)
	} else {
		heap.Fix(&q.waiting, 0)
	}
}

// popFirst takes the task out that has just begun, the first of the first run.
func (g *workflowQueue) popFirst() {
	l := g.waiting[0]
	l.waiting[0] = nil
	if l.waiting = l.waiting[1:]; len(l.waiting) == 0 {
		l.waiting = nil
		heap.Pop(&g.waiting)
		return
	}
	heap.Fix(&g.waiting, 0)
}

// HasFreeSlot reports whether a slot is free.
func (q *Queue) HasFreeSlot() bool {
	q.mu.Lock()
	defer q.mu.Unlock()
	return q.free > 0 && !q.closed
}

// Queued is the number of runs that are being stored, wait to be claimed, or are being claimed.
func (q *Queue) Queued() int {
	q.mu.Lock()
	defer q.mu.Unlock()
	return len(q.claims)
}

// Reserve keeps a place for a run of a workflow that is about to be stored, so that not more than
// limit runs wait to be claimed. It is false when as many wait, and the workflow's own are not less
// than its share. The task that claims the run takes the place; when there is none, call Unreserve.
func (q *Queue) Reserve(run runs.ID, workflow workflows.ID, limit int) bool {
	q.mu.Lock()
	defer q.mu.Unlock()
	if !q.accepts(workflow, limit) {
		return false
	}
	q.addClaim(run, q.of(workflow)).reserved = true
	return true
}

// Unreserve frees the place of a run that was not stored, or is not to be claimed. It does nothing
// when a task has taken the place.
func (q *Queue) Unreserve(run runs.ID) {
	q.mu.Lock()
	defer q.mu.Unlock()
	if c := q.claims[run]; c != nil && c.reserved {
		q.dropClaim(run)
	}
}

// accepts reports whether one more run of a workflow may wait to be claimed. q.mu is held.
func (q *Queue) accepts(workflow workflows.ID, limit int) bool {
	if len(q.claims) < limit {
		return true
	}
	g := q.workflows[workflow]
	if g == nil || g.claims == 0 {
		return q.claiming < limit
	}
	return g.claims*q.claiming < limit
}

// Close drops all waiting tasks, each in its own goroutine; those at work go on.
func (q *Queue) Close() {
	q.mu.Lock()
	q.closed = true
	var dropped []*Task
	for _, g := range q.waiting {
		for _, l := range g.waiting {
			dropped = append(dropped, l.waiting...)
			l.waiting = nil
		}
		g.waiting = nil
	}
	q.waiting = nil
	q.mu.Unlock()
	for _, t := range dropped {
		if t.Drop != nil {
			go t.Drop()
		}
	}
}

// heapOf is a heap of those that wait for a slot; the one to be served next comes first.
type heapOf[T ordered[T]] []T

// ordered is an item of a heap that knows its position.
type ordered[T any] interface {
	before(other T) bool
	movedTo(place int)
}

var (
	_ heap.Interface = (*heapOf[*RunQueue])(nil)
	_ heap.Interface = (*heapOf[*workflowQueue])(nil)
)

// before orders runs by the slots they hold, then by age; ids of runs sort by creation.
func (l *RunQueue) before(other *RunQueue) bool {
	if l.running != other.running {
		return l.running < other.running
	}
	return bytes.Compare(l.Run[:], other.Run[:]) < 0
}

func (l *RunQueue) movedTo(place int) { l.position = place }

// before orders workflows by the slots they hold, then by when they were last served.
func (g *workflowQueue) before(other *workflowQueue) bool {
	if g.running != other.running {
		return g.running < other.running
	}
	return g.lastServed < other.lastServed
}

func (g *workflowQueue) movedTo(place int) { g.position = place }

func (h heapOf[T]) Len() int { return len(h) }

func (h heapOf[T]) Less(i, j int) bool { return h[i].before(h[j]) }

func (h heapOf[T]) Swap(i, j int) {
	h[i], h[j] = h[j], h[i]
	h[i].movedTo(i)
	h[j].movedTo(j)
}

func (h *heapOf[T]) Push(x any) {
	w := x.(T)
	w.movedTo(len(*h))
	*h = append(*h, w)
}

func (h *heapOf[T]) Pop() any {
	last := len(*h) - 1
	w := (*h)[last]
	clear((*h)[last:])
	*h = (*h)[:last]
	return w
}
