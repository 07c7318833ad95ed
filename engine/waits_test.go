package engine_test

import (
	"context"
	"testing"
	"time"

	"keyflow/engine"
	"keyflow/engine/runs"
	"keyflow/nodes"
)

// An attempt that did nothing waits: the run is given up to the store, survives a crash, and
// no attempt is counted, at_most_once included.
func TestWaitsThatAreNotAttempts(t *testing.T) {
	t.Parallel()
	for name, more := range map[string]string{"plain": ``, "at most once": `, "at_most_once": true`, "for each": `, "for_each": "[1]"`} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			w := setup(t)
			w.do = func(_ context.Context, env nodes.Env, c call) (any, error) {
				if env.Attempt() != 1 {
					t.Errorf("attempt %d", env.Attempt())
				}
				if c.n <= 2 {
					return nil, &nodes.Error{Code: nodes.CodeCredentialLimit, Message: "later", Until: time.Now().Add(3 * time.Second)}
				}
				return c.n, nil
			}
			id := w.start(w.apply(`{"id": "waits", "nodes": {"a": {"type": "call", "with": {"name": "a"}`+more+`}}}`), "")
			step := "a"
			if name == "for each" {
				step = "a/0"
			}
			w.eventually("the run waits", func() bool {
				run, _, err := w.engine.Run(t.Context(), id)
				return err == nil && run.Status == runs.Waiting && run.WakeAt != nil
			})
			waiting := w.steps(id)[step]
			if waiting.Status != runs.StepWaiting || waiting.Error == nil || waiting.Error.Code != nodes.CodeCredentialLimit || waiting.DueAt == nil || len(waiting.Attempts) != 0 {
				t.Errorf("waiting step %+v", waiting)
			}
			w.kill()
			w.boot(engine.Options{})
			run, steps := w.wait(id)
			if run.Status != runs.Succeeded || len(steps[step].Attempts) != 1 || w.count("a") != 3 || steps[step].Error != nil {
				t.Errorf("run %s after %d calls, step %+v", run.Status, w.count("a"), steps[step])
			}
			if began := steps[step].StartedAt; waiting.StartedAt == nil || began == nil || !began.Equal(*waiting.StartedAt) {
				t.Errorf("began %v, and %v when it waited", began, waiting.StartedAt)
			}
		})
	}
}
