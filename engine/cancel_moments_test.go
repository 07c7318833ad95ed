package engine_test

import (
	"context"
	"fmt"
	"math/rand/v2"
	"testing"

	"keyflow/engine/runs"
	"keyflow/internal/fault"
	"keyflow/nodes"
)

// TestCancelAtEveryCommit cancels runs with retries, elements and children at their first commit,
// their second, and so on until one gets through: each ends, canceled or as it would have, with
// all its steps and children ended, and calls nothing after its end.
func TestCancelAtEveryCommit(t *testing.T) {
	t.Parallel()
	for seed := range uint64(4) {
		t.Run(fmt.Sprint("seed ", seed), func(t *testing.T) {
			t.Parallel()
			w := setup(t)
			w.do = (&crashes{}).call
			w.apply(leaf)
			definition := drawWorkflow(rand.New(rand.NewPCG(seed, 2)))
			id := w.apply(definition)
			for n := 1; ; n++ {
				reached := make(chan struct{})
				commits := 0
				around := aroundCommit(func(_ []runs.Entry, commit func() ([]runs.Outcome, error)) ([]runs.Outcome, error) {
					if commits++; commits == n+1 { // the first stores the run, which nobody knows before
						close(reached)
					}
					return commit()
				})
				w.store.around.Store(&around)
				run := w.start(id, fmt.Sprintf(`{"life": "%d"}`, n))
				canceled := w.cancelAt(run, reached)
				ended, steps := w.wait(run)
				w.store.around.Store(nil)
				if ended.Status == runs.Canceled && canceled != nil {
					t.Errorf("commit %d: canceled, and Cancel gave %v", n, canceled)
				}
				for name, status := range statuses(steps) {
					if !status.Final() {
						t.Errorf("commit %d: the run is %s, step %s is %s", n, ended.Status, name, status)
					}
				}
				w.childrenEnd()
				if canceled != nil {
					break
				}
			}
		})
	}
}

// cancelAt cancels the run at the moment, or finds that it has ended before.
func (w *world) cancelAt(run runs.ID, moment <-chan struct{}) error {
	ended := make(chan struct{})
	ctx, stop := context.WithCancel(w.Context())
	defer stop()
	go func() {
		if _, err := w.engine.Wait(ctx, run); err == nil {
			close(ended)
		}
	}()
	select {
	case <-moment:
	case <-ended:
	}
	err := w.engine.Cancel(w.Context(), run)
	if err != nil && !fault.Is(err, fault.Conflict) {
		w.Error(err)
	}
	return err
}

// childrenEnd waits until no child is left at work, and nobody has ended one twice.
func (w *world) childrenEnd() {
	w.Helper()
	w.eventually("the children end", func() bool {
		list, err := w.engine.Runs(w.Context(), runs.Filter{Workflow: "leaf", Limit: 500})
		if err != nil {
			return false
		}
		for _, run := range list {
			if !run.Status.Final() {
				return false
			}
		}
		return true
	})
}

// TestCancelIsQuick cancels runs that wait in every way there is: each ends, and so do its
// children.
func TestCancelIsQuick(t *testing.T) {
	t.Parallel()
	w := setup(t)
	w.do = func(ctx context.Context, _ nodes.Env, c call) (any, error) {
		switch c.arg {
		case "held":
			return nil, w.persons.use("crm")
		case "retried":
			return nil, &nodes.Error{Code: nodes.CodeNetwork, Message: "refused"}
		default:
			<-ctx.Done()
			return nil, ctx.Err()
		}
	}
	w.persons.leave("crm")
	w.apply(`{"id": "stuck", "nodes": {"a": {"type": "call", "with": {"name": "a", "arg": "works"}}}}`)
	for name, node := range map[string]string{
		"time":     `"type": "wait", "with": {"for": "3d"}`,
		"callback": `"type": "wait", "with": {"callback": true}`,
		"approval": `"type": "approval", "with": {"message": "go?"}`,
		"child":    `"type": "workflow", "with": {"workflow": "stuck"}`,
		"children": `"type": "workflow", "for_each": "1..5", "max_parallel": 3, "with": {"workflow": "stuck"}`,
		"retry":    `"type": "call", "retry": {"max_attempts": 3, "initial": "1h", "max": "1h"}, "with": {"name": "r", "arg": "retried"}`,
		"held":     `"type": "call", "with": {"name": "h", "arg": "held"}`,
		"works":    `"type": "call", "with": {"name": "w", "arg": "works"}`,
	} {
		run := w.start(w.apply(fmt.Sprintf(`{"id": %q, "nodes": {"n": {%s}, "after": {"type": "call", "needs": ["n"], "run_on": "always", "with": {"name": "after"}}}}`, name, node)), "")
		w.eventually(name+": the step has begun", func() bool { s := w.steps(run); return len(s) > 0 })
		if err := w.engine.Cancel(t.Context(), run); err != nil {
			t.Fatal(err)
		}
		if ended, steps := w.wait(run); ended.Status != runs.Canceled || steps["n"].Status != runs.StepCanceled || steps["after"].Status != runs.StepCanceled {
			t.Errorf("%s: run %s, steps %v", name, ended.Status, statuses(steps))
		}
	}
	w.eventually("the children end", func() bool {
		list, err := w.engine.Runs(t.Context(), runs.Filter{Workflow: "stuck", Limit: 50})
		for _, run := range list {
			if run.Status != runs.Canceled {
				return false
			}
		}
		return err == nil
	})
	if w.count("after") != 0 {
		t.Errorf("%d calls after a cancel", w.count("after"))
	}
}
