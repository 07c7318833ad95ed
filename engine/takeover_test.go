package engine_test

import (
	"bytes"
	"context"
	"log/slog"
	"strings"
	"sync"
	"testing"

	"github.com/google/go-cmp/cmp"

	"keyflow/engine"
	"keyflow/engine/runs"
	"keyflow/nodes"
)

// TestTakeover has two processes on one database. The first loses its heartbeat in the
// middle of a step; the second takes the run over and ends it. What the first sends
// afterwards is refused, and it starts nothing more.
func TestTakeover(t *testing.T) {
	t.Parallel()
	w := setup(t)
	w.stop()
	w.boot(engine.Options{})
	first, firstOwners, stopFirst := w.engine, w.owners, w.stop
	atWork, goOn := make(chan struct{}, 2), make(chan struct{})
	w.do = func(_ context.Context, _ nodes.Env, c call) (any, error) {
		if c.name == "a" && c.n == 1 {
			atWork <- struct{}{}
			<-goOn
			return "late", nil
		}
		return c.name, nil
	}
	id := w.start(w.apply(`{"id": "two", "nodes": {
	  "a": {"type": "call", "with": {"name": "a"}}, "b": {"type": "call", "needs": ["a"], "with": {"name": "b", "arg": "{{ nodes.a.output }}"}}},
	  "output": "{{ nodes.a.output }}"}`), "")
	<-atWork
	w.boot(engine.Options{}) // the second process
	firstOwners.dead.Store(true)
	run, steps := w.wait(id)
	if run.Status != runs.Succeeded || string(run.Output) != `"a"` || run.Fence != 2 {
		t.Errorf("run %s, output %s, fence %d", run.Status, run.Output, run.Fence)
	}
	if err := first.Ready(); err == nil {
		t.Error("a process without a confirmed heartbeat is ready")
	}
	close(goOn)
	stopFirst()
	if diff := cmp.Diff(steps, w.steps(id)); diff != "" || w.count("a") != 2 || w.count("b") != 1 {
		t.Errorf("a was called %d times, b %d times; the late result changed steps:\n%s", w.count("a"), w.count("b"), diff)
	}
}

// A process that was given up and comes back checks its runs before it goes on with them:
// an attempt that was due meanwhile is not made.
func TestComingBackAfterTakeover(t *testing.T) {
	t.Parallel()
	w := setup(t)
	w.stop()
	var log logText
	w.boot(engine.Options{Logger: slog.New(slog.NewTextHandler(&log, nil))})
	first, owners, stop := w.engine, w.owners, w.stop
	failed := make(chan struct{}, 1)
	w.do = func(_ context.Context, _ nodes.Env, c call) (any, error) {
		if c.n == 1 {
			owners.dead.Store(true)
			w.eventually("the process is not confirmed", func() bool { return first.Ready() != nil })
			failed <- struct{}{}
			return nil, &nodes.Error{Code: nodes.CodeTimeout, Message: "slow"}
		}
		return c.n, nil
	}
	id := w.start(w.apply(`{"id": "back", "nodes": {"a": {"type": "call", "with": {"name": "a"}, "retry": {"max_attempts": 3, "initial": "900ms"}}}}`), "")
	<-failed
	w.boot(engine.Options{}) // the second process
	if run, _ := w.wait(id); run.Status != runs.Succeeded {
		t.Errorf("the run is %s, %v", run.Status, run.Error)
	}
	calls := w.count("a")
	owners.dead.Store(false)
	w.eventually("the first process drops the run", func() bool { return strings.Contains(log.String(), "lost a run to another process") })
	stop()
	if got := w.count("a"); got != calls {
		t.Errorf("%d more calls by a process that had lost the run", got-calls)
	}
}

// logText is a log that is read while it is written.
type logText struct {
	mu sync.Mutex
	b  bytes.Buffer
}

func (l *logText) Write(p []byte) (int, error) {
	l.mu.Lock()
	defer l.mu.Unlock()
	return l.b.Write(p)
}

func (l *logText) String() string {
	l.mu.Lock()
	defer l.mu.Unlock()
	return l.b.String()
}

// TestManyRuns works through more runs than there are slots.
func TestManyRuns(t *testing.T) {
	t.Parallel()
	w := setup(t)
	w.stop()
	w.boot(engine.Options{Exclusive: true, Concurrency: 4})
	ids := make([]runs.ID, 300)
	one, other := w.apply(`{"id": "one", "nodes": {"a": {"type": "call", "with": {"name": "one"}}}}`),
		w.apply(`{"id": "other", "nodes": {"a": {"type": "call", "for_each": "1..3", "max_parallel": 3, "with": {"name": "other"}}}}`)
	for i := range ids {
		if i%10 == 0 {
			ids[i] = w.start(other, "")
		} else {
			ids[i] = w.start(one, "")
		}
	}
	for _, id := range ids {
		if run, _ := w.wait(id); run.Status != runs.Succeeded {
			t.Fatalf("run %s: %+v", run.Status, run.Error)
		}
	}
	if w.count("one") != 270 || w.count("other") != 90 {
		t.Errorf("%d and %d calls, want 270 and 90", w.count("one"), w.count("other"))
	}
}
