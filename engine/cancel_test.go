package engine_test

import (
	"context"
	"testing"

	"github.com/google/go-cmp/cmp"

	"keyflow/engine"
	"keyflow/engine/runs"
	"keyflow/internal/fault"
	"keyflow/nodes"
)

const chain = `{"id": "chain", "nodes": {
  "a": {"type": "call", "with": {"name": "a"}},
  "side": {"type": "call", "with": {"name": "side"}},
  "b": {"type": "call", "needs": ["a"], "run_on": "always", "with": {"name": "b"}}}}`

func TestCancelRunning(t *testing.T) {
	t.Parallel()
	w := setup(t)
	atWork := make(chan struct{})
	w.do = func(ctx context.Context, _ nodes.Env, c call) (any, error) {
		if c.name == "a" {
			close(atWork)
			<-ctx.Done()
			return nil, ctx.Err()
		}
		return nil, nil
	}
	id := w.start(w.apply(chain), "")
	<-atWork
	w.eventually("side ended", func() bool { return w.steps(id)["side"].Status == runs.StepSucceeded })
	if got := w.steps(id)["a"]; got.Status != runs.StepRunning || got.StartedAt == nil || len(got.Attempts) != 1 {
		t.Errorf("the step at work is shown as %+v", got)
	}
	if err := w.engine.Cancel(context.Background(), id); err != nil {
		t.Fatal(err)
	}
	run, steps := w.wait(id)
	want := map[string]runs.StepStatus{"a": "canceled", "side": "succeeded", "b": "canceled"}
	if diff := cmp.Diff(want, statuses(steps)); diff != "" || run.Status != runs.Canceled || run.Error != nil {
		t.Errorf("run %s, error %+v; steps (-want +got):\n%s", run.Status, run.Error, diff)
	}
	if got := steps["a"].Error; got == nil || got.Code != nodes.CodeCanceled {
		t.Errorf("error of the canceled step: %+v", got)
	}
	if err := w.engine.Cancel(context.Background(), id); !fault.Is(err, fault.Conflict) {
		t.Errorf("second cancel: %v, want a conflict", err)
	}
}

func TestCancelQueued(t *testing.T) {
	t.Parallel()
	w := setup(t)
	w.stop()
	w.boot(engine.Options{Exclusive: true, Concurrency: 1})
	atWork, goOn := make(chan struct{}, 1), make(chan struct{})
	w.do = func(context.Context, nodes.Env, call) (any, error) {
		atWork <- struct{}{}
		<-goOn
		return nil, nil
	}
	one := w.apply(`{"id": "one", "nodes": {"a": {"type": "call", "with": {"name": "a"}}}}`)
	first := w.start(one, "")
	<-atWork
	second := w.start(one, "")
	if run, _, _ := w.engine.Run(context.Background(), second); run.Status != runs.Queued {
		t.Fatalf("the second run is %s, want queued: the only slot is taken", run.Status)
	}
	if err := w.engine.Cancel(context.Background(), second); err != nil {
		t.Fatal(err)
	}
	run, steps := w.wait(second)
	if diff := cmp.Diff(map[string]runs.StepStatus{"a": "canceled"}, statuses(steps)); diff != "" || run.Status != runs.Canceled {
		t.Errorf("run %s; steps (-want +got):\n%s", run.Status, diff)
	}
	close(goOn)
	if run, _ := w.wait(first); run.Status != runs.Succeeded || w.count("a") != 1 {
		t.Errorf("first run %s, %d calls", run.Status, w.count("a"))
	}
}

func TestCancelWaiting(t *testing.T) {
	t.Parallel()
	for name, initial := range map[string]string{"in memory": "900ms", "parked": "1h"} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			w := setup(t)
			w.do = func(context.Context, nodes.Env, call) (any, error) {
				return nil, &nodes.Error{Code: nodes.CodeNetwork, Message: "refused"}
			}
			id := w.start(w.apply(`{"id": "wait", "nodes": {
			  "a": {"type": "call", "with": {"name": "a"}, "retry": {"max_attempts": 5, "initial": "`+initial+`", "max": "2h"}},
			  "b": {"type": "call", "needs": ["a"], "with": {"name": "b"}}}}`), "")
			w.eventually("waiting", func() bool { return w.steps(id)["a"].Status == runs.StepWaiting })
			if err := w.engine.Cancel(context.Background(), id); err != nil {
				t.Fatal(err)
			}
			run, steps := w.wait(id)
			want := map[string]runs.StepStatus{"a": "canceled", "b": "canceled"}
			if diff := cmp.Diff(want, statuses(steps)); diff != "" || run.Status != runs.Canceled {
				t.Errorf("run %s; steps (-want +got):\n%s", run.Status, diff)
			}
		})
	}
}

// TestCancelSurvivesACrash dies between the cancel and the end of the run.
func TestCancelSurvivesACrash(t *testing.T) {
	t.Parallel()
	w := setup(t)
	atWork, goOn := make(chan struct{}, 1), make(chan struct{})
	w.do = func(context.Context, nodes.Env, call) (any, error) {
		atWork <- struct{}{}
		<-goOn // deaf to the interruption
		return nil, nil
	}
	id := w.start(w.apply(`{"id": "deaf", "nodes": {"a": {"type": "call", "with": {"name": "a"}}, "b": {"type": "call", "needs": ["a"], "with": {"name": "b"}}}}`), "")
	<-atWork
	if err := w.engine.Cancel(context.Background(), id); err != nil {
		t.Fatal(err)
	}
	w.eventually("noticed", func() bool { return w.steps(id)["b"].Status == runs.StepCanceled })
	w.kill()
	close(goOn)
	w.boot(engine.Options{Exclusive: true})
	run, steps := w.wait(id)
	want := map[string]runs.StepStatus{"a": "canceled", "b": "canceled"}
	if diff := cmp.Diff(want, statuses(steps)); diff != "" || run.Status != runs.Canceled || w.count("a") != 1 {
		t.Errorf("run %s, %d calls; steps (-want +got):\n%s", run.Status, w.count("a"), diff)
	}
}

func TestRunTimeout(t *testing.T) {
	t.Parallel()
	w := setup(t)
	w.do = func(ctx context.Context, _ nodes.Env, _ call) (any, error) {
		<-ctx.Done()
		return nil, ctx.Err()
	}
	id := w.start(w.apply(`{"id": "long", "timeout": "50ms", "nodes": {
	  "a": {"type": "call", "with": {"name": "a"}, "retry": {"max_attempts": 3}},
	  "b": {"type": "call", "needs": ["a"], "run_on": "always", "with": {"name": "b"}}}}`), "")
	run, steps := w.wait(id)
	want := map[string]runs.StepStatus{"a": "failed", "b": "skipped"}
	wantErr := &runs.RunError{Code: "timeout", Message: "the run took longer than its timeout of 50ms"}
	if diff := cmp.Diff(want, statuses(steps)) + cmp.Diff(wantErr, run.Error); diff != "" || run.Status != runs.Failed {
		t.Errorf("run %s; steps and error (-want +got):\n%s", run.Status, diff)
	}
}

func TestAttemptTimeout(t *testing.T) {
	t.Parallel()
	w := setup(t)
	w.do = func(ctx context.Context, _ nodes.Env, _ call) (any, error) {
		<-ctx.Done()
		return nil, ctx.Err()
	}
	run, steps := w.wait(w.start(w.apply(`{"id": "slow", "nodes": {
	  "a": {"type": "call", "timeout": "10ms", "with": {"name": "a"}, "retry": {"max_attempts": 2, "initial": "1ms"}}}}`), ""))
	if run.Status != runs.Failed || len(steps["a"].Attempts) != 2 || steps["a"].Error.Code != nodes.CodeTimeout {
		t.Errorf("run %s, error %+v, attempts %+v", run.Status, run.Error, steps["a"].Attempts)
	}
}
