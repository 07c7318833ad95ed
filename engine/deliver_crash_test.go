package engine_test

import (
	"context"
	"fmt"
	"testing"

	"keyflow/engine"
	"keyflow/engine/runs"
	"keyflow/internal/database/databasetest"
	"keyflow/internal/fault"
	"keyflow/nodes"
	"keyflow/workflows"
)

// TestBringAroundEveryCrash lets the process die at every commit of a run that is called from
// outside, before and after the commit, while the call comes early or while the step waits. The
// caller that got no answer calls again: a call that was acknowledged counts and is refused the
// second time, of one that was not, either may count, and the run goes on once.
func TestBringAroundEveryCrash(t *testing.T) {
	t.Parallel()
	for _, early := range []bool{true, false} {
		for _, stored := range []bool{true, false} {
			t.Run(fmt.Sprintf("early %v, stored %v", early, stored), func(t *testing.T) {
				t.Parallel()
				open := databasetest.SQLite
				if early && stored { // once is enough: TestCrashAtEveryCommit is about the stores
					open = databasetest.Postgres
				}
				w := setupOn(t, open(t))
				id := w.apply(calledWorkflow)
				for n := 1; w.bringLife(id, n, early, stored); n++ {
				}
			})
		}
	}
}

const calledWorkflow = `{"id": "called", "nodes": {
	"before": {"type": "call", "with": {"name": "before-{{ input.n }}"}},
	"w": {"type": "wait", "needs": ["before"], "with": {"callback": true}},
	"after": {"type": "call", "needs": ["w"], "with": {"name": "after-{{ input.n }}"}}}, "output": "{{ nodes.w.output.body.n }}"}`

// bringLife is one run with a death at its n-th commit after it was stored; false when it ended
// before that.
func (w *world) bringLife(id workflows.ID, n int, early, stored bool) bool {
	w.Helper()
	atWork, goOn := make(chan struct{}, 2), make(chan struct{})
	w.mu.Lock()
	w.do = func(ctx context.Context, env nodes.Env, c call) (any, error) {
		if c.name == fmt.Sprint("before-", n) {
			return hold(atWork, goOn)(ctx, env, c)
		}
		return c.arg, nil
	}
	w.mu.Unlock()
	run := w.start(id, fmt.Sprintf(`{"n": %d}`, n))
	<-atWork
	store := w.store
	w.dieAt(n, stored)
	if !early {
		close(goOn)
		w.eventually("the step waits, or the process dies", func() bool {
			return store.dead.Load() || w.steps(run)["w"].Status == runs.StepWaiting
		})
	}
	first := w.engine.Deliver(w.Context(), run, "w", nodes.CodeWaitsForCallback, body(1))
	if early {
		close(goOn)
	}
	w.eventually("the run or the process ends", func() bool {
		now, _, err := w.engine.Run(w.Context(), run)
		return store.dead.Load() || err == nil && now.Status.Final()
	})
	store.around.Store(nil)
	died := store.dead.Load()
	if died {
		w.stop()
		w.boot(engine.Options{Exclusive: true})
	}
	second := w.engine.Deliver(w.Context(), run, "w", nodes.CodeWaitsForCallback, body(2))
	ended, _ := w.wait(run)
	counts := map[bool]string{true: "1", false: "2"}[fault.Is(second, fault.Conflict)]
	switch {
	case first == nil && counts != "1", second != nil && counts != "1":
		w.Errorf("death at commit %d: the calls gave %v and %v", n, first, second)
	case ended.Status != runs.Succeeded || string(ended.Output) != counts || w.count(fmt.Sprint("after-", n)) > 2:
		w.Errorf("death at commit %d: run %s gave %s after the calls gave %v and %v", n, ended.Status, ended.Output, first, second)
	}
	return died
}

// dieAt lets the process die at its n-th commit from now on, after or before it is stored.
func (w *world) dieAt(n int, stored bool) {
	store, commits := w.store, 0
	around := aroundCommit(func(_ []runs.Entry, commit func() ([]runs.Outcome, error)) ([]runs.Outcome, error) {
		if commits++; commits != n {
			return commit()
		}
		if stored {
			if _, err := commit(); err != nil {
				w.Error(err)
			}
		}
		store.dead.Store(true)
		return nil, runs.ErrSync
	})
	store.around.Store(&around)
}
