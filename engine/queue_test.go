package engine

import (
	"sync"
	"testing"

	"github.com/google/go-cmp/cmp"

	"keyflow/workflows"
)

// TestQueueIsFair fills the only slot, lets a flood of one workflow wait, then one run of
// another: the other is next, and each workflow is served oldest first.
func TestQueueIsFair(t *testing.T) {
	t.Parallel()
	q := newQueue(1)
	hold := make(chan struct{})
	var mu sync.Mutex
	var served []string
	var all sync.WaitGroup
	submit := func(workflow workflows.ID, age byte, name string) {
		all.Add(1)
		q.submit(&task{run: RunID{age}, workflow: workflow, do: func(func()) {
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
	if q.idle() {
		t.Error("a queue without a free slot is idle")
	}
	close(hold)
	all.Wait()
	// With one slot no workflow holds any when it comes free, so age decides; see the next test.
	want := []string{"flood 1", "flood 2", "flood 3", "calm 4", "flood 5"}
	if diff := cmp.Diff(want, served); diff != "" {
		t.Errorf("order (-want +got):\n%s", diff)
	}
}

// TestQueueSharesSlots gives a slot that comes free to the workflow that holds the fewest.
func TestQueueSharesSlots(t *testing.T) {
	t.Parallel()
	q := newQueue(3)
	began := make(chan workflows.ID, 10)
	ends := make(chan struct{})
	for age := range 6 {
		q.submit(&task{run: RunID{byte(age)}, workflow: "flood", do: func(func()) { began <- "flood"; <-ends }})
	}
	for range 3 {
		<-began
	}
	q.submit(&task{run: RunID{9}, workflow: "calm", do: func(func()) { began <- "calm"; <-ends }})
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
	q := newQueue(1)
	hold, done := make(chan struct{}), make(chan struct{}, 3)
	q.submit(&task{workflow: "w", do: func(func()) { <-hold }})
	for range 3 {
		q.submit(&task{run: RunID{1}, workflow: "w", claim: true, do: func(func()) { done <- struct{}{} }})
	}
	if got := q.queued(); got != 1 {
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
	q := newQueue(1)
	hold, dropped := make(chan struct{}), make(chan struct{}, 2)
	drop := func() { dropped <- struct{}{} }
	never := func(func()) { t.Error("a task ran in a closed queue") }
	released := make(chan struct{})
	q.submit(&task{workflow: "w", do: func(release func()) { release(); release(); close(released); <-hold }})
	<-released
	q.submit(&task{workflow: "w", do: func(func()) { <-hold }})
	q.submit(&task{workflow: "w", do: never, drop: drop})
	q.close()
	q.submit(&task{workflow: "w", do: never, drop: drop})
	<-dropped
	<-dropped
	close(hold)
}
