package engine_test

import (
	"fmt"
	"strings"
	"sync"
	"sync/atomic"
	"testing"

	"keyflow/engine"
	"keyflow/engine/runs"
	"keyflow/internal/database"
	"keyflow/internal/database/databasetest"
	"keyflow/nodes"
)

// A step whose workflow finds the queue full waits without holding anything, also over a crash,
// and starts exactly one run when there is room.
func TestChildWaitsForTheQueue(t *testing.T) {
	t.Parallel()
	for name, test := range map[string]struct{ with, child string }{
		"it waits for the end":     {``, ``},
		"it does not wait":         {`, "wait": false`, ``},
		"its workflow may skip it": {``, `, "concurrency": {"limit": 1, "on_limit": "skip"}`},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			w := setup(t)
			w.stop()
			w.boot(engine.Options{Exclusive: true, QueueLimit: 3})
			w.apply(`{"id": "child"` + test.child + `, "nodes": {"a": {"type": "call", "with": {"name": "child"}}}}`)
			parent := w.apply(`{"id": "parent", "nodes": {"sub": {"type": "workflow", "with": {"workflow": "child"` + test.with + `}}}}`)
			w.engine.FillQueue()
			id := w.start(parent, "")
			waits := func() bool {
				run, _, err := w.engine.Run(t.Context(), id)
				return err == nil && run.Status == runs.Waiting && run.WakeAt != nil
			}
			w.eventually("the run is parked", waits)
			step := w.steps(id)["sub"]
			if step.Status != runs.StepWaiting || step.DueAt == nil || step.Error == nil || step.Error.Code != nodes.CodeWaitsForTime ||
				!strings.Contains(step.Error.Message, "the queue is full") || len(step.Attempts) != 0 {
				t.Errorf("waiting step %+v, error %+v", step, step.Error)
			}
			w.kill()
			w.boot(engine.Options{Exclusive: true, QueueLimit: 3})
			free := w.engine.FillQueue()
			w.eventually("it has tried again", func() bool {
				now := w.steps(id)["sub"]
				return waits() && now.DueAt.After(*step.DueAt)
			})
			if w.count("child") != 0 {
				t.Error("the child was started although the queue is full")
			}
			free()
			run, steps := w.wait(id)
			w.eventually("the child has run", func() bool { return w.count("child") == 1 })
			if run.Status != runs.Succeeded || len(steps["sub"].Attempts) != 1 {
				t.Errorf("run %s %+v, step %+v", run.Status, run.Error, steps["sub"])
			}
			w.stop()
			var stored int
			if err := w.db.Read().Raw("SELECT count(*) FROM runs").Scan(&stored).Error; err != nil || stored != 2 {
				t.Errorf("%d runs are stored, %v; want the parent and one child", stored, err)
			}
		})
	}
}

// The step's timeout ends the waiting for the queue; a canceled run does not wait on.
func TestChildStartTimesOut(t *testing.T) {
	t.Parallel()
	w := setup(t)
	w.stop()
	w.boot(engine.Options{Exclusive: true, QueueLimit: 3})
	w.apply(`{"id": "child", "nodes": {"a": {"type": "call", "with": {"name": "child"}}}}`)
	w.engine.FillQueue()
	id := w.start(w.apply(`{"id": "late", "nodes": {"sub": {"type": "workflow", "timeout": "1200ms", "with": {"workflow": "child"}}}}`), "")
	canceled := w.start(w.apply(`{"id": "canceled", "nodes": {"sub": {"type": "workflow", "with": {"workflow": "child"}}}}`), "")
	w.eventually("the other run waits", func() bool { return w.steps(canceled)["sub"].Status == runs.StepWaiting })
	if err := w.engine.Cancel(t.Context(), canceled); err != nil {
		t.Fatal(err)
	}
	if run, _ := w.wait(canceled); run.Status != runs.Canceled {
		t.Errorf("canceled: %s", run.Status)
	}
	run, _ := w.wait(id)
	const want = "the workflow could not be started within the step's timeout of 1.2s: the queue is full"
	if run.Status != runs.Failed || run.Error == nil || run.Error.Code != nodes.CodeTimeout || run.Error.Message != want {
		t.Errorf("run %s, error %+v", run.Status, run.Error)
	}
	if w.count("child") != 0 {
		t.Error("the child was started")
	}
}

// Workflows that start themselves never have more than the limit of queued runs, and none is lost.
func TestFanOutKeepsTheQueueLimit(t *testing.T) {
	t.Parallel()
	const limit, fan, depth = 6, 4, 3
	want := 0
	for level, n := 0, 1; level <= depth; level, n = level+1, n*fan {
		want += n
	}
	for name, with := range map[string]string{
		"they wait":        ``,
		"they do not wait": `, "wait": false`,
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			databasetest.Each(t, func(t *testing.T, open func() *database.DB) {
				w := setupOn(t, open())
				w.stop()
				w.boot(engine.Options{Exclusive: true, QueueLimit: limit, Concurrency: 4})
				most := w.watchQueued()
				id := w.apply(fmt.Sprintf(`{"id": "self", "nodes": {"sub": {"type": "workflow", "if": "input.level < %d", "for_each": "1..%d", "max_parallel": %d,
					"with": {"workflow": "self", "input": {"level": "{{ input.level + 1 }}"}%s}}}}`, depth, fan, fan, with))
				first := w.start(id, `{"level": 0}`)
				w.eventually("all runs have ended", func() bool {
					var ended int
					err := w.db.Read().Raw("SELECT count(*) FROM runs WHERE finished_at IS NOT NULL").Scan(&ended).Error
					return err == nil && ended == want
				})
				if run, _ := w.wait(first); run.Status != runs.Succeeded {
					t.Errorf("the first run %s: %+v", run.Status, run.Error)
				}
				if got := most.Load(); got > limit {
					t.Errorf("%d runs were queued at once, want at most %d", got, limit)
				}
				var kinds int
				if err := w.db.Read().Raw("SELECT count(DISTINCT status) FROM runs").Scan(&kinds).Error; err != nil || kinds != 1 {
					t.Errorf("the runs ended in %d ways, %v", kinds, err)
				}
			})
		})
	}
}

// watchQueued notes how many runs are queued in the store after each commit; the most counts.
func (w *world) watchQueued() *atomic.Int64 {
	var most atomic.Int64
	var mu sync.Mutex
	state := map[runs.ID]bool{}
	around := aroundCommit(func(entries []runs.Entry, commit func() ([]runs.Outcome, error)) ([]runs.Outcome, error) {
		out, err := commit()
		mu.Lock()
		defer mu.Unlock()
		for i := range entries {
			if err == nil {
				noteQueued(state, &entries[i], &out[i])
			}
		}
		most.Store(max(most.Load(), int64(len(state))))
		return out, err
	})
	w.store.around.Store(&around)
	return &most
}

// noteQueued keeps the set of queued runs by what was stored.
func noteQueued(queued map[runs.ID]bool, e *runs.Entry, out *runs.Outcome) {
	switch {
	case out.Err != nil:
	case e.Create != nil && !out.Duplicate && (e.Create.Run.Status == runs.Queued || out.Waits):
		queued[out.Run] = true
	case e.Claim != nil:
		delete(queued, e.Claim.Run)
	case e.Progress != nil:
		for i := range e.Progress.Starts {
			if e.Progress.Starts[i].Dedupe == nil {
				queued[e.Progress.Starts[i].Run.ID] = true
			}
		}
	}
}
