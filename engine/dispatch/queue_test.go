package dispatch

import (
	"sync"
	"testing"

	"github.com/google/go-cmp/cmp"

	"keyflow/engine/runs"
	"keyflow/workflows"
)

// TestQueueIsFair fills the only slot, lets a flood of one workflow wait, then one run of
// another: they take turns, and each workflow is served oldest first.
func TestQueueIsFair(t *testing.T) {
	t.Parallel()
	q := NewQueue(1)
	hold := make(chan struct{})
	var mu sync.Mutex
	var served []string
	var all sync.WaitGroup
	submit := func(workflow workflows.ID, age byte, name string) {
		all.Add(1)
		q.Submit(&Task{Run: runs.ID{age}, Workflow: workflow, Do: func(func()) {
			defer all.Done()
			mu.Lock()
			served = append(served, name)
			mu.Unlock()
			<-hold
		}})
	}
	submit("flood", 1, "flood 1")
	submit("flood", 5, "flood 5")
	submit("flood", 3, "flood 3")
	submit("flood", 2, "flood 2")
	submit("calm", 4, "calm 4")
	if q.HasFreeSlot() {
		t.Error("a queue without a free slot is idle")
	}
	close(hold)
	all.Wait()
	want := []string{"flood 1", "calm 4", "flood 2", "flood 3", "flood 5"}
	if diff := cmp.Diff(want, served); diff != "" {
		t.Errorf("order (-want +got):\n%s", diff)
	}
}

// TestQueueSharesSlots gives a slot that comes free to the workflow that holds the fewest.
func TestQueueSharesSlots(t *testing.T) {
	t.Parallel()
	q := NewQueue(3)
	began := make(chan workflows.ID, 10)
	ends := make(chan struct{})
	for age := range 6 {
		q.Submit(&Task{Run: runs.ID{byte(age)}, Workflow: "flood", Do: func(func()) { began <- "flood"; <-ends }})
	}
	for range 3 {
		<-began
	}
	q.Submit(&Task{Run: runs.ID{9}, Workflow: "calm", Do: func(func()) { began <- "calm"; <-ends }})
	ends <- struct{}{}
	if got := <-began; got != "calm" {
		t.Errorf("the free slot went to %s, which holds two of three", got)
	}
	for range 3 {
		ends <- struct{}{}
		<-began
	}
	close(ends)
}

func TestQueueTakesAClaimOnce(t *testing.T) {
	t.Parallel()
	q := NewQueue(1)
	hold, done := make(chan struct{}), make(chan struct{}, 3)
	q.Submit(&Task{Workflow: "w", Do: func(func()) { <-hold }})
	for range 3 {
		q.Submit(&Task{Run: runs.ID{1}, Workflow: "w", Claim: true, Do: func(func()) { done <- struct{}{} }})
	}
	if got := q.Queued(); got != 1 {
		t.Errorf("%d runs are queued, want 1", got)
	}
	close(hold)
	<-done
	if len(done) != 0 {
		t.Error("the claim was carried out twice")
	}
}

func TestQueueCloses(t *testing.T) {
	t.Parallel()
	q := NewQueue(1)
	hold, dropped := make(chan struct{}), make(chan struct{}, 2)
	drop := func() { dropped <- struct{}{} }
	never := func(func()) { t.Error("a task ran in a closed queue") }
	released := make(chan struct{})
	q.Submit(&Task{Workflow: "w", Do: func(release func()) { release(); release(); close(released); <-hold }})
	<-released
	q.Submit(&Task{Workflow: "w", Do: func(func()) { <-hold }})
	q.Submit(&Task{Workflow: "w", Do: never, Drop: drop})
	q.Close()
	q.Submit(&Task{Workflow: "w", Do: never, Drop: drop})
	<-dropped
	<-dropped
	close(hold)
}

// TestQueueSharesSlotsAmongRuns lets a run with many steps wait for others of its workflow.
func TestQueueSharesSlotsAmongRuns(t *testing.T) {
	t.Parallel()
	q := NewQueue(2)
	var mu sync.Mutex
	var served []string
	var all sync.WaitGroup
	began, ends := make(chan struct{}, 10), make(chan struct{})
	submit := func(l *RunQueue, name string) {
		all.Add(1)
		q.Submit(&Task{Run: runs.ID{9}, Workflow: "w", Queue: l, Do: func(func()) {
			defer all.Done()
			mu.Lock()
			served = append(served, name)
			mu.Unlock()
			began <- struct{}{}
			<-ends
		}})
	}
	giant := &RunQueue{Run: runs.ID{1}}
	for range 4 {
		submit(giant, "giant")
	}
	<-began
	<-began
	submit(&RunQueue{Run: runs.ID{3}}, "small 3")
	submit(nil, "small 9")
	submit(&RunQueue{Run: runs.ID{2}}, "small 2")
	for range 5 {
		ends <- struct{}{}
		<-began
	}
	close(ends)
	all.Wait()
	if n := served[2]; n != "small 2" {
		t.Errorf("the free slot went to %s", n)
	}
}

// TestQueueTakesAShareOfEach refuses a flood, and not the others.
func TestQueueTakesAShareOfEach(t *testing.T) {
	t.Parallel()
	q := NewQueue(1)
	hold := make(chan struct{})
	var all sync.WaitGroup
	claim := func(workflow workflows.ID, n byte) bool {
		run := runs.ID{n, workflow[0]}
		if !q.Reserve(run, workflow, 8) {
			return false
		}
		all.Add(1)
		q.Submit(&Task{Run: run, Workflow: workflow, Claim: true, Do: func(release func()) { defer all.Done(); <-hold; release() }})
		return true
	}
	accepted := map[workflows.ID]int{}
	for _, workflow := range []workflows.ID{"flood", "other", "third"} {
		for n := range byte(20) {
			if claim(workflow, n) {
				accepted[workflow]++
			}
		}
	}
	if diff := cmp.Diff(map[workflows.ID]int{"flood": 8, "other": 4, "third": 3}, accepted); diff != "" {
		t.Errorf("accepted (-want +got):\n%s", diff)
	}
	close(hold)
	all.Wait()
	if q.claiming != 0 || !q.Reserve(runs.ID{1}, "flood", 1) || q.Reserve(runs.ID{2}, "flood", 1) {
		t.Errorf("an empty queue does not take exactly one; %d workflows have claims", q.claiming)
	}
	q.Unreserve(runs.ID{1})
	if q.Unreserve(runs.ID{9}); q.Queued() != 0 || q.claiming != 0 {
		t.Errorf("%d runs of %d workflows after the place is freed", q.Queued(), q.claiming)
	}
}
