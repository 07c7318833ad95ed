package engine_test

import (
	"context"
	"errors"
	"fmt"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"

	"keyflow/credentials"
	"keyflow/engine"
	"keyflow/engine/runs"
	"keyflow/internal/database"
	"keyflow/internal/database/databasetest"
	"keyflow/internal/fault"
	"keyflow/nodes"
)

const flakyWorkflow = `{"id": "flaky", "nodes": {
  "a": {"type": "call", "with": {"name": "a", "arg": "{{ uuid() }}"}},
  "each": {"type": "call", "needs": ["a"], "for_each": "[1, 2, 3]", "max_parallel": 3, "on_item_error": "fail",
           "with": {"name": "each-{{ item }}", "arg": "{{ item == 2 ? 'bad' : 'good' }}"}},
  "b": {"type": "call", "needs": ["a"], "with": {"name": "b", "arg": "good"}},
  "after": {"type": "call", "needs": ["each"], "run_on": "always", "with": {"name": "after", "arg": "good"}},
  "last": {"type": "call", "needs": ["b", "each"], "with": {"name": "last", "arg": "{{ nodes.a.output }}"}}},
  "output": {"a": "{{ nodes.a.output }}", "each": "{{ nodes.each.output }}"}}`

// A retry goes on from what failed: what succeeded is taken over and not called again.
func TestRetryFromFailed(t *testing.T) {
	t.Parallel()
	databasetest.Each(t, func(t *testing.T, open func() *database.DB) {
		w := setupOn(t, open())
		broken := true
		w.do = func(_ context.Context, _ nodes.Env, c call) (any, error) {
			w.mu.Lock()
			defer w.mu.Unlock()
			if c.arg == "bad" && broken {
				return nil, &nodes.Error{Code: "fail_if", Message: "bad", Permanent: true}
			}
			return fmt.Sprint(c.name, ":", c.arg), nil
		}
		id := w.apply(flakyWorkflow)
		first := w.start(id, `{"n": 1}`)
		run, steps := w.wait(first)
		if run.Status != runs.Failed {
			t.Fatalf("first run: %s", run.Status)
		}
		uuid := string(steps["a"].Output)
		w.mu.Lock()
		broken = false
		w.mu.Unlock()

		started, err := w.engine.Retry(t.Context(), engine.Retry{Run: first})
		if err != nil {
			t.Fatal(err)
		}
		run, steps = w.wait(started.Run)
		if run.Status != runs.Succeeded || run.RetryOf == nil || *run.RetryOf != first || string(run.Input) != `{"n": 1}` {
			t.Errorf("retry: %s of %v with %s: %v", run.Status, run.RetryOf, run.Input, run.Error)
		}
		want := `{"a":` + uuid + `,"each":["each-1:good","each-2:bad","each-3:good"]}`
		if diff := cmp.Diff(want, string(run.Output)); diff != "" {
			t.Errorf("output (-want +got):\n%s", diff)
		}
		if steps["a"].Attempts != nil {
			t.Errorf("the attempts of a step that was taken over count twice: %v", steps["a"].Attempts)
		}
		for name, calls := range map[string]int{"a": 1, "b": 1, "each-1": 1, "each-2": 2, "each-3": 1, "after": 2, "last": 1} {
			if got := w.count(name); got != calls {
				t.Errorf("%s was called %d times, want %d", name, got, calls)
			}
		}
	})
}

// A retry that its process does not survive goes on like any run.
func TestRetrySurvivesACrash(t *testing.T) {
	t.Parallel()
	w := setup(t)
	stuck := make(chan struct{}, 1)
	calls := 0
	w.do = func(ctx context.Context, _ nodes.Env, c call) (any, error) {
		if c.arg != "bad" {
			return c.name, nil
		}
		w.mu.Lock()
		calls++
		now := calls
		w.mu.Unlock()
		switch now {
		case 1:
			return nil, errors.New("broken")
		case 2:
			stuck <- struct{}{}
			<-ctx.Done()
			return nil, ctx.Err()
		}
		return c.name, nil
	}
	id := w.apply(flakyWorkflow)
	first := w.start(id, `{}`)
	w.wait(first)
	started, err := w.engine.Retry(t.Context(), engine.Retry{Run: first})
	if err != nil {
		t.Fatal(err)
	}
	<-stuck
	w.kill()
	w.boot(engine.Options{Exclusive: true})
	if run, _ := w.wait(started.Run); run.Status != runs.Succeeded {
		t.Errorf("the retry: %s %v", run.Status, run.Error)
	}
	for name, calls := range map[string]int{"a": 1, "b": 1, "each-1": 1, "each-2": 3, "each-3": 1, "last": 1} {
		if got := w.count(name); got != calls {
			t.Errorf("%s was called %d times, want %d", name, got, calls)
		}
	}
}

func TestRetryFromStart(t *testing.T) {
	t.Parallel()
	w := setup(t)
	w.do = func(_ context.Context, _ nodes.Env, c call) (any, error) { return c.arg, nil }
	id := w.apply(`{"id": "v", "nodes": {"a": {"type": "call", "with": {"name": "a", "arg": "one"}}}, "output": "{{ nodes.a.output }}"}`)
	first := w.start(id, `{}`)
	w.wait(first)
	w.apply(`{"id": "v", "nodes": {"a": {"type": "call", "with": {"name": "a", "arg": "two"}}}, "output": "{{ nodes.a.output }}"}`)
	for _, test := range []struct {
		newest  bool
		output  string
		version int
	}{{false, `"one"`, 1}, {true, `"two"`, 2}} {
		started, err := w.engine.Retry(t.Context(), engine.Retry{Run: first, FromStart: true, Newest: test.newest})
		if err != nil {
			t.Fatal(err)
		}
		if run, _ := w.wait(started.Run); string(run.Output) != test.output || run.Version != test.version {
			t.Errorf("newest %t: version %d gave %s", test.newest, run.Version, run.Output)
		}
	}
}

func TestRetryRefused(t *testing.T) {
	t.Parallel()
	w := setup(t)
	hold := make(chan struct{})
	w.do = func(ctx context.Context, _ nodes.Env, c call) (any, error) {
		if c.arg == "hold" {
			select {
			case <-hold:
			case <-ctx.Done():
			}
		}
		return c.arg, nil
	}
	done := w.start(w.apply(`{"id": "done", "nodes": {"a": {"type": "call", "with": {"name": "a", "arg": "x"}}}}`), `{}`)
	w.wait(done)
	held := w.start(w.apply(`{"id": "held", "nodes": {"a": {"type": "call", "with": {"name": "a", "arg": "hold"}}}}`), `{}`)
	defer close(hold)
	for _, test := range []struct {
		name    string
		retry   engine.Retry
		kind    fault.Kind
		message string
	}{
		{"unknown", engine.Retry{Run: runs.ID{9}}, fault.NotFound, "run 09000000-0000-0000-0000-000000000000 does not exist"},
		{"not ended", engine.Retry{Run: held, FromStart: true}, fault.Conflict, "the run is running: cancel it first, or wait for its end"},
		{"nothing failed", engine.Retry{Run: done}, fault.Conflict, "the run succeeded, so there is no failed step to go on from: retry it from the start"},
	} {
		if _, err := w.engine.Retry(t.Context(), test.retry); !fault.Is(err, test.kind) || fault.Message(err) != test.message {
			t.Errorf("%s: %v", test.name, err)
		}
	}
}

// A sealed output that is taken over opens for the new run, and for nobody else.
func TestRetryKeepsSealedOutputs(t *testing.T) {
	t.Parallel()
	w, c := rotating(t)
	c.err = &credentials.Error{Code: credentials.CodeRefused, Message: "no"}
	id := w.apply(`{"id": "rot", "nodes": {"make": {"type": "call", "sensitive": true, "with": {"name": "make"}},
		"put": {"type": "act", "needs": ["make"], "credential": "api", "with": {"action": "rotate", "fields": {"value": "{{ nodes.make.output.key }}"}}}}}`)
	first := w.start(id, "")
	if run, _ := w.wait(first); run.Status != runs.Failed {
		t.Fatalf("run %s", run.Status)
	}
	c.mu.Lock()
	c.err = nil
	c.mu.Unlock()
	started, err := w.engine.Retry(t.Context(), engine.Retry{Run: first})
	if err != nil {
		t.Fatal(err)
	}
	run, _ := w.wait(started.Run)
	if run.Status != runs.Succeeded || w.count("make") != 1 {
		t.Errorf("run %s: %+v; the key was made %d times", run.Status, run.Error, w.count("make"))
	}
	if got := c.done[len(c.done)-1].Fields["value"]; got != newKey {
		t.Errorf("rotated to %v", got)
	}
	if strings.Contains(w.all(started.Run), newKey) {
		t.Error("the key is shown")
	}
}
