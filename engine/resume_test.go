package engine_test

import (
	"context"
	"fmt"
	"slices"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"

	"keyflow/engine"
	"keyflow/engine/runs"
	"keyflow/internal/database"
	"keyflow/internal/database/databasetest"
	"keyflow/internal/fault"
	"keyflow/nodes"
)

// TestResumeAfterCrash lets the process die with runs at different points; the next one
// ends them all and calls nothing again that was recorded.
func TestResumeAfterCrash(t *testing.T) {
	t.Parallel()
	databasetest.Each(t, func(t *testing.T, open func() *database.DB) { testResumeAfterCrash(t, setupOn(t, open())) })
}

func testResumeAfterCrash(t *testing.T, w *world) {
	t.Helper()
	const count = 20
	var stuck = make(chan struct{}, count)
	block := true
	w.do = func(ctx context.Context, _ nodes.Env, c call) (any, error) {
		w.mu.Lock()
		hold := block && c.arg == "hold"
		w.mu.Unlock()
		if hold {
			stuck <- struct{}{}
			<-ctx.Done()
			return nil, ctx.Err()
		}
		return c.arg, nil
	}
	id := w.apply(`{"id": "crash", "nodes": {
	  "a": {"type": "call", "with": {"name": "a-{{ input.n }}", "arg": "{{ uuid() }} {{ now() }}"}},
	  "b": {"type": "call", "needs": ["a"], "with": {"name": "b-{{ input.n }}", "arg": "hold"}},
	  "c": {"type": "call", "needs": ["b"], "with": {"name": "c-{{ input.n }}", "arg": "{{ nodes.a.output }}"}}},
	  "output": "{{ nodes.c.output }}"}`)
	var ids []runs.ID
	for n := range count {
		ids = append(ids, w.start(id, fmt.Sprintf(`{"n": %d}`, n)))
	}
	for range count {
		<-stuck
	}
	before := w.steps(ids[0])["a"]
	w.kill()
	w.mu.Lock()
	block = false
	w.mu.Unlock()
	w.boot(engine.Options{Exclusive: true})
	for n, id := range ids {
		run, steps := w.wait(id)
		want := map[string]runs.StepStatus{"a": "succeeded", "b": "succeeded", "c": "succeeded"}
		if diff := cmp.Diff(want, statuses(steps)); diff != "" || run.Status != runs.Succeeded {
			t.Fatalf("run %d is %s; steps (-want +got):\n%s", n, run.Status, diff)
		}
		for name, calls := range map[string]int{"a": 1, "b": 2, "c": 1} {
			if got := w.count(fmt.Sprintf("%s-%d", name, n)); got != calls {
				t.Errorf("run %d: %s was called %d times, want %d", n, name, got, calls)
			}
		}
		if got := steps["b"].Attempts; len(got) != 1 || got[0].Attempt != 1 {
			t.Errorf("run %d: attempts of b are %+v, want one: the same attempt again", n, got)
		}
		if string(run.Output) != string(steps["a"].Output) {
			t.Errorf("run %d: output %s, a gave %s", n, run.Output, steps["a"].Output)
		}
	}
	if diff := cmp.Diff(before, w.steps(ids[0])["a"]); diff != "" {
		t.Errorf("the recorded step has changed:\n%s", diff)
	}
}

// TestResumeRepeatsTheSameValues pins now() and uuid() of a step that runs again.
func TestResumeRepeatsTheSameValues(t *testing.T) {
	t.Parallel()
	w := setup(t)
	seen := make(chan any, 2)
	first := true
	w.do = func(ctx context.Context, _ nodes.Env, c call) (any, error) {
		seen <- c.arg
		if c.n == 1 && first {
			<-ctx.Done()
			return nil, ctx.Err()
		}
		return nil, nil
	}
	id := w.start(w.apply(`{"id": "same", "nodes": {"a": {"type": "call", "with": {"name": "a", "arg": {"b": "{{ uuid() }}", "a": "{{ uuid() }}", "at": "{{ now() }}"}}}}}`), "")
	one := <-seen
	w.kill()
	w.boot(engine.Options{Exclusive: true})
	w.wait(id)
	two := <-seen
	if diff := cmp.Diff(one, two); diff != "" {
		t.Errorf("the repeated step saw other values:\n%s", diff)
	}
	if m := one.(map[string]any); m["a"] == m["b"] || m["at"] == nil {
		t.Errorf("values: %v", m)
	}
}

func TestAtMostOnceIsInterrupted(t *testing.T) {
	t.Parallel()
	w := setup(t)
	started := make(chan struct{})
	w.do = func(ctx context.Context, _ nodes.Env, c call) (any, error) {
		if c.name == "pay" {
			close(started)
			<-ctx.Done()
			return nil, ctx.Err()
		}
		return c.arg, nil
	}
	id := w.start(w.apply(`{"id": "pay", "nodes": {
	  "pay": {"type": "call", "at_most_once": true, "with": {"name": "pay"}},
	  "notify": {"type": "call", "needs": ["pay"], "run_on": "failure", "with": {"name": "notify", "arg": "{{ nodes.pay.error.code }}"}}}}`), "")
	<-started
	w.kill()
	w.boot(engine.Options{Exclusive: true})
	run, steps := w.wait(id)
	want := map[string]runs.StepStatus{"pay": "failed", "notify": "succeeded"}
	if diff := cmp.Diff(want, statuses(steps)); diff != "" {
		t.Errorf("steps (-want +got):\n%s", diff)
	}
	if w.count("pay") != 1 || string(steps["notify"].Output) != `"interrupted"` {
		t.Errorf("pay was called %d times; notify saw %s", w.count("pay"), steps["notify"].Output)
	}
	wantErr := &runs.RunError{Node: "pay", Code: "interrupted", Message: "the process ended while the step was at work; at_most_once forbids another attempt"}
	if diff := cmp.Diff(wantErr, run.Error); diff != "" || run.Status != runs.Failed {
		t.Errorf("run %s, error (-want +got):\n%s", run.Status, diff)
	}
}

// TestResumeForEach dies in the middle of a for_each, with one element that waits.
func TestResumeForEach(t *testing.T) {
	t.Parallel()
	w := setup(t)
	stuck := make(chan struct{})
	alive := true
	w.do = func(ctx context.Context, _ nodes.Env, c call) (any, error) {
		w.mu.Lock()
		hold := alive
		w.mu.Unlock()
		switch {
		case c.arg == "wait" && c.n == 1:
			return nil, &nodes.Error{Code: nodes.CodeNetwork, Message: "refused"}
		case hold && (c.arg == "hold" || c.arg == "wait"):
			if c.arg == "hold" {
				close(stuck)
			}
			<-ctx.Done()
			return nil, ctx.Err()
		}
		return c.arg, nil
	}
	id := w.start(w.apply(`{"id": "each", "nodes": {
	  "each": {"type": "call", "for_each": "input.list", "max_parallel": 2, "retry": {"max_attempts": 2, "initial": "20ms"},
	           "with": {"name": "each-{{ index }}", "arg": "{{ item }}"}}}, "output": "{{ nodes.each.output }}"}`),
		`{"list": ["x", "wait", "y", "hold"]}`)
	<-stuck
	w.eventually("the first failure of element 1 is on disk", func() bool {
		_, steps, err := w.engine.Run(context.Background(), id)
		return err == nil && slices.ContainsFunc(steps, func(s runs.Step) bool { return s.Index == 1 && len(s.Attempts) > 0 })
	})
	w.kill()
	w.mu.Lock()
	alive = false
	w.mu.Unlock()
	w.boot(engine.Options{Exclusive: true})
	run, steps := w.wait(id)
	if string(run.Output) != `["x","wait","y","hold"]` {
		t.Errorf("output %s, error %+v", run.Output, run.Error)
	}
	for i, want := range map[int]int{0: 1, 2: 1, 3: 2} { // 1 may have been in its second attempt
		if got := w.count(fmt.Sprintf("each-%d", i)); got != want {
			t.Errorf("element %d was called %d times, want %d", i, got, want)
		}
	}
	if got := len(steps["each/1"].Attempts); got != 2 {
		t.Errorf("element 1 has %d attempts, want 2", got)
	}
}

// TestWaitingRetryIsStored gives a run up while it waits; it goes on after a restart.
func TestWaitingRetryIsStored(t *testing.T) {
	t.Parallel()
	w := setup(t)
	w.do = func(_ context.Context, env nodes.Env, c call) (any, error) {
		if c.n == 1 {
			return nil, &nodes.Error{Code: nodes.CodeHTTPStatus, Status: 503, Message: "answered 503", RetryAfter: 3 * time.Second}
		}
		return env.Attempt(), nil
	}
	id := w.start(w.apply(`{"id": "later", "nodes": {"a": {"type": "call", "with": {"name": "a"}, "retry": {"max_attempts": 2, "initial": "10ms", "max": "5s"}}}, "output": "{{ nodes.a.output }}"}`), "")
	var parked runs.Run
	w.eventually("parked", func() bool {
		parked, _, _ = w.engine.Run(context.Background(), id)
		return parked.Status == runs.Waiting
	})
	step := w.steps(id)["a"]
	if step.Status != runs.StepWaiting || step.DueAt == nil || parked.WakeAt == nil || !parked.WakeAt.Equal(*step.DueAt) {
		t.Fatalf("step %+v, run %+v", step, parked)
	}
	if wait := step.DueAt.Sub(*step.Attempts[0].FinishedAt); wait < 3*time.Second || wait > 5*time.Second {
		t.Errorf("the step waits %s, want what Retry-After asked for", wait)
	}
	if parked.Owner != (runs.OwnerID{}) {
		t.Errorf("a parked run has an owner")
	}
	w.kill()
	w.boot(engine.Options{Exclusive: true})
	run, steps := w.wait(id)
	if run.Status != runs.Succeeded || string(run.Output) != "2" || len(steps["a"].Attempts) != 2 {
		t.Errorf("run %s, output %s, attempts %+v", run.Status, run.Output, steps["a"].Attempts)
	}
	if second := steps["a"].Attempts[1].StartedAt; second.Before(*step.DueAt) {
		t.Errorf("the second attempt began at %s, before it was due at %s", second, step.DueAt)
	}
}

// TestRetryAfterOverMax waits as long as the answer asks, also when that is more than retry.max,
// and shows it in the step.
func TestRetryAfterOverMax(t *testing.T) {
	t.Parallel()
	tests := map[string]struct {
		after, wait time.Duration
		message     string
	}{
		"over the default of max":  {90 * time.Second, 90 * time.Second, "answered 429; it asks to wait 1m30s"},
		"over the bound of a wait": {48 * time.Hour, 24 * time.Hour, "answered 429; it asks to wait 2d, the next attempt starts after 1d"},
	}
	for name, tt := range tests {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			w := setup(t)
			w.do = func(context.Context, nodes.Env, call) (any, error) {
				return nil, &nodes.Error{Code: nodes.CodeHTTPStatus, Status: 429, Message: "answered 429", RetryAfter: tt.after}
			}
			id := w.start(w.apply(`{"id": "later", "nodes": {"a": {"type": "call", "with": {"name": "a"}, "retry": {"max_attempts": 2}}}}`), "")
			var parked runs.Run
			w.eventually("parked", func() bool {
				parked, _, _ = w.engine.Run(context.Background(), id)
				return parked.Status == runs.Waiting
			})
			step := w.steps(id)["a"]
			if step.DueAt == nil || parked.WakeAt == nil || !parked.WakeAt.Equal(*step.DueAt) {
				t.Fatalf("step %+v, run %+v", step, parked)
			}
			if wait := step.DueAt.Sub(*step.Attempts[0].FinishedAt); wait < tt.wait || wait > tt.wait+time.Minute {
				t.Errorf("the step waits %s, want %s", wait, tt.wait)
			}
			if step.Error == nil || step.Error.Message != tt.message {
				t.Errorf("the step shows %+v, want the message %q", step.Error, tt.message)
			}
		})
	}
}

// TestGracefulStop lets a step in flight end and hands the run back.
func TestGracefulStop(t *testing.T) {
	t.Parallel()
	w := setup(t)
	atWork, goOn := make(chan struct{}), make(chan struct{})
	w.do = func(_ context.Context, _ nodes.Env, c call) (any, error) {
		if c.name == "a" {
			close(atWork)
			<-goOn
		}
		return c.name, nil
	}
	id := w.start(w.apply(`{"id": "stop", "nodes": {"a": {"type": "call", "with": {"name": "a"}}, "b": {"type": "call", "needs": ["a"], "with": {"name": "b"}}}}`), "")
	<-atWork
	old := w.engine
	stopped := make(chan struct{})
	go func() { w.stop(); close(stopped) }()
	w.eventually("stopping", func() bool { return old.Ready() != nil })
	if _, err := old.Start(context.Background(), engine.Start{Workflow: "stop"}); !fault.Is(err, fault.Unavailable) {
		t.Errorf("a stopping engine accepts a run: %v", err)
	}
	close(goOn)
	<-stopped
	run, steps, err := old.Run(context.Background(), id)
	if err != nil || run.Status != runs.Queued || len(steps) != 1 || steps[0].Status != runs.StepSucceeded || w.count("b") != 0 {
		t.Fatalf("after the stop: run %s, steps %+v, b called %d times, %v", run.Status, steps, w.count("b"), err)
	}
	w.boot(engine.Options{Exclusive: true})
	run, _ = w.wait(id)
	if run.Status != runs.Succeeded || w.count("a") != 1 || w.count("b") != 1 {
		t.Errorf("run %s, a %d, b %d", run.Status, w.count("a"), w.count("b"))
	}
}

// TestStopInterruptsSlowSteps gives up on a step that does not end in time: it runs again
// as the same attempt.
func TestStopInterruptsSlowSteps(t *testing.T) {
	t.Parallel()
	w := setup(t)
	w.stop()
	w.boot(engine.Options{Exclusive: true, StopTimeout: 10 * time.Millisecond})
	atWork := make(chan struct{}, 2)
	w.do = func(ctx context.Context, _ nodes.Env, c call) (any, error) {
		atWork <- struct{}{}
		if c.n == 1 {
			<-ctx.Done()
			return nil, ctx.Err()
		}
		return c.name, nil
	}
	id := w.start(w.apply(`{"id": "slow", "nodes": {"a": {"type": "call", "with": {"name": "a"}}}}`), "")
	<-atWork
	w.stop()
	w.boot(engine.Options{Exclusive: true})
	run, steps := w.wait(id)
	if run.Status != runs.Succeeded || len(steps["a"].Attempts) != 1 {
		t.Errorf("run %s, attempts %+v", run.Status, steps["a"].Attempts)
	}
}
