package engine_test

import (
	"context"
	"log/slog"
	"strings"
	"sync/atomic"
	"testing"

	"keyflow/engine"
	"keyflow/engine/runs"
	"keyflow/nodes"
)

// A takeover that waits in the queue is not carried out once the owner is back: the second
// process lists the first as silent while all its slots are busy, and gets one too late.
func TestTakeoverComesTooLate(t *testing.T) {
	t.Parallel()
	w := setup(t)
	w.stop()
	w.boot(engine.Options{})
	first, firstOwners := w.engine, w.owners
	gates := map[string]chan struct{}{"a": make(chan struct{}), "b": make(chan struct{}), "busy": make(chan struct{})}
	w.do = func(_ context.Context, _ nodes.Env, c call) (any, error) {
		<-gates[c.name]
		return c.name, nil
	}
	id := w.start(w.apply(`{"id": "x", "nodes": {"a": {"type": "call", "with": {"name": "a"}}, "b": {"type": "call", "needs": ["a"], "with": {"name": "b"}}}}`), "")
	w.eventually("the first is at work", func() bool { return w.count("a") == 1 })

	w.boot(engine.Options{Concurrency: 1})
	w.start(w.apply(`{"id": "y", "nodes": {"a": {"type": "call", "with": {"name": "busy"}}}}`), "")
	w.eventually("the second is busy", func() bool { return w.count("busy") == 1 })
	var tried atomic.Int64
	around := aroundCommit(func(entries []runs.Entry, commit func() ([]runs.Outcome, error)) ([]runs.Outcome, error) {
		out, err := commit()
		for i := range entries {
			if c := entries[i].Claim; c != nil && c.TakeoverFrom != nil {
				tried.Add(1)
			}
		}
		return out, err
	})
	w.store.around.Store(&around)
	firstOwners.dead.Store(true)
	w.eventually("the second wants to take over", func() bool { return w.owners.orphaned.Load() > 1 }) // the first time has been dealt with
	firstOwners.dead.Store(false)
	w.eventually("the first is back", func() bool { return first.Ready() == nil })
	close(gates["a"])
	w.eventually("the first has gone on", func() bool { return w.count("b") == 1 })

	beats := firstOwners.beats.Load()
	w.eventually("the first has just beaten", func() bool { return firstOwners.beats.Load() > beats })
	close(gates["busy"])
	w.eventually("the takeover was tried", func() bool { return tried.Load() > 0 })
	close(gates["b"])
	if run, _ := w.wait(id); run.Status != runs.Succeeded || run.Fence != 1 || w.count("b") != 1 {
		t.Errorf("run %s with fence %d, %d calls of b; want it to end where it began", run.Status, run.Fence, w.count("b"))
	}
}

// A creator that learns late that its run is stored, and was given up meanwhile, does not begin
// what another process has carried out.
func TestCreatorIsToldLate(t *testing.T) {
	t.Parallel()
	tests := map[string]struct {
		answer error // of the first COMMIT
		status runs.Status
		log    string
	}{
		"the answer comes late": {nil, runs.Running, "lost a run to another process"},
		"the answer is lost":    {runs.ErrUnknown, runs.Queued, ""},
	}
	for name, test := range tests {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			w := setup(t)
			w.stop()
			var log logText
			w.boot(engine.Options{Logger: slog.New(slog.NewTextHandler(&log, nil))})
			first, owners := w.engine, w.owners
			workflow := w.apply(`{"id": "x", "nodes": {"a": {"type": "call", "with": {"name": "a"}}}}`)
			stored, goOn := make(chan runs.ID, 1), make(chan struct{})
			var once atomic.Bool
			around := aroundCommit(func(entries []runs.Entry, commit func() ([]runs.Outcome, error)) ([]runs.Outcome, error) {
				out, err := commit()
				if err != nil || len(entries) == 0 || entries[0].Create == nil || once.Swap(true) {
					return out, err
				}
				owners.dead.Store(true)
				stored <- entries[0].Create.Run.ID
				<-goOn
				return out, test.answer
			})
			w.store.around.Store(&around)
			started := make(chan engine.Started, 1)
			go func() {
				s, err := first.Start(context.Background(), engine.Start{Workflow: workflow})
				if err != nil {
					t.Errorf("start: %v", err)
				}
				started <- s
			}()
			id := <-stored
			w.boot(engine.Options{}) // the second process
			if run, _ := w.wait(id); run.Status != runs.Succeeded || run.Fence != 2 {
				t.Errorf("in the second process: %s with fence %d", run.Status, run.Fence)
			}
			owners.dead.Store(false)
			w.eventually("the first is back", func() bool { return first.Ready() == nil })
			close(goOn)
			if s := <-started; s.Run != id || s.Status != test.status {
				t.Errorf("started %+v, want run %s, %s", s, id, test.status)
			}
			w.eventually("the first leaves it alone", func() bool { return strings.Contains(log.String(), test.log) })
			if w.count("a") != 1 {
				t.Errorf("%d calls of a, want 1", w.count("a"))
			}
		})
	}
}
