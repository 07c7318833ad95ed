package engine_test

import (
	"context"
	"fmt"
	"math/rand/v2"
	"testing"

	"keyflow/engine"
	"keyflow/engine/runs"
	"keyflow/internal/database/databasetest"
	"keyflow/internal/fault"
)

// The runs of one key never exceed the limit and all end, whenever the process dies: as the owner
// of those at work and with others waiting. Some are canceled in whatever state they are.
func TestConcurrencySurvivesCrashes(t *testing.T) {
	t.Parallel()
	const limit, crashes, perLife = 2, 6, 12
	w := setup(t)
	random := rand.New(rand.NewPCG(11, 22))
	g := w.through(false)
	id := w.apply(fmt.Sprintf(`{"id": "crashes", "concurrency": {"limit": %d, "key": "{{ input.k }}"}, "nodes": {
		"a": {"type": "call", "with": {"name": "{{ input.k }}", "arg": 1}},
		"b": {"type": "wait", "needs": ["a"], "with": {"for": "1ms"}},
		"c": {"type": "call", "needs": ["b"], "for_each": "1..3", "with": {"name": "{{ input.k }} c", "arg": 1}}}}`, limit))
	var list []runs.ID
	canceled := map[runs.ID]bool{}
	for range crashes {
		life := w.store.commits.Load()
		for n := range perLife {
			list = append(list, w.start(id, fmt.Sprintf(`{"k": "k%d"}`, n%2)))
			if random.IntN(4) == 0 {
				run := list[random.IntN(len(list))]
				switch err := w.engine.Cancel(context.Background(), run); {
				case err == nil:
					canceled[run] = true
				case !fault.Is(err, fault.Conflict):
					t.Errorf("cancel: %v", err)
				}
			}
		}
		dies := life + perLife + random.Int64N(40)
		w.eventually("so many commits", func() bool { return w.store.commits.Load() >= dies || w.slotRows() == 0 })
		w.kill()
		w.boot(engine.Options{Exclusive: true})
	}
	for _, run := range list {
		got, _ := w.wait(run)
		if got.Status != runs.Succeeded && !(got.Status == runs.Canceled && canceled[run]) {
			t.Errorf("run %s is %s: %+v", run, got.Status, got.Error)
		}
	}
	for name, n := range g.max {
		if n > limit {
			t.Errorf("%d calls of %s at once", n, name)
		}
	}
	w.noSlots()
}

// Two processes on one database start and end runs of one group; the second one takes the runs of
// the first over, which keep their slots.
func TestConcurrencyOfTwoProcesses(t *testing.T) {
	t.Parallel()
	const limit = 3
	w := setupOn(t, databasetest.Postgres(t))
	w.stop()
	w.boot(engine.Options{})
	first, firstStore, firstOwners, stopFirst := w.engine, w.store, w.owners, w.stop
	w.boot(engine.Options{})
	g := w.through(true)
	id := w.limited("shared", fmt.Sprintf(`{"limit": %d}`, limit))
	var list []runs.ID
	canceled := map[runs.ID]bool{}
	for n := range 40 {
		e := []*engine.Engine{first, w.engine}[n%2]
		started, err := e.Start(context.Background(), engine.Start{Workflow: id})
		if err != nil {
			t.Fatal(err)
		}
		list = append(list, started.Run)
		if n%5 == 4 {
			if err := w.engine.Cancel(context.Background(), started.Run); err != nil {
				t.Fatal(err)
			}
			canceled[started.Run] = true
		}
	}
	w.eventually("the limit is reached", func() bool { return g.inside("a") == limit })
	for range 10 {
		g.hold <- struct{}{}
	}
	w.eventually("the limit is reached again", func() bool { return g.inside("a") == limit })
	firstOwners.dead.Store(true)
	firstStore.dead.Store(true)
	_ = first.Cancel(context.Background(), runs.ID{}) // meets the dead store
	stopFirst()
	for range 100 {
		g.hold <- struct{}{}
	}
	for _, run := range list {
		want := runs.Succeeded
		if canceled[run] {
			want = runs.Canceled
		}
		w.ends(want, run)
	}
	if g.max["a"] != limit {
		t.Errorf("%d calls at once", g.max["a"])
	}
	w.noSlots()
}

// Whoever ends first hands the slot on once: ends, cancels of who holds it and of who waits come
// together, again and again.
func TestConcurrencyRaces(t *testing.T) {
	t.Parallel()
	w := setup(t)
	g := w.through(true)
	id := w.limited("raced", `{"limit": 1}`)
	for range 15 {
		list := []runs.ID{w.start(id, ""), w.start(id, ""), w.start(id, "")}
		w.eventually("the first is at work", func() bool { return g.inside("a") == 1 })
		done := make(chan error, 2)
		for _, run := range list[:2] {
			go func() { done <- w.engine.Cancel(context.Background(), run) }()
		}
		g.hold <- struct{}{} // the end of the first, of the second, or of the third
		for range 2 {
			if err := <-done; err != nil && !fault.Is(err, fault.Conflict) {
				t.Errorf("cancel: %v", err)
			}
		}
		for range 2 {
			g.hold <- struct{}{}
		}
		for _, run := range list {
			w.wait(run)
		}
		w.ends(runs.Succeeded, list[2])
		w.noSlots()
		for len(g.hold) > 0 {
			<-g.hold
		}
	}
	if g.max["a"] != 1 {
		t.Errorf("%d at once", g.max["a"])
	}
}
