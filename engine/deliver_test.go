package engine_test

import (
	"context"
	"errors"
	"fmt"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"

	"keyflow/engine"
	"keyflow/engine/runs"
	"keyflow/internal/database"
	"keyflow/internal/database/databasetest"
	"keyflow/internal/fault"
	"keyflow/nodes"
	"keyflow/workflows"
)

func TestWaitForATime(t *testing.T) {
	t.Parallel()
	w := setup(t)
	id := w.apply(`{"id": "w", "nodes": {"a": {"type": "wait", "with": {"for": "1h"}},
		"b": {"type": "call", "needs": ["a"], "with": {"name": "b"}}}, "output": "{{ nodes.a.output.until }}"}`)
	run := w.start(id, "")
	w.waits(run)
	if step := w.steps(run)["a"]; step.Status != runs.StepWaiting || step.Error.Code != nodes.CodeWaitsForTime || len(step.Attempts) != 0 {
		t.Errorf("step %+v", step)
	}
	w.kill()
	w.boot(engine.Options{Exclusive: true, Now: func() time.Time { return time.Now().Add(time.Hour) }})
	ended, steps := w.wait(run)
	if ended.Status != runs.Succeeded || len(steps["a"].Attempts) != 1 || w.count("b") != 1 {
		t.Errorf("run %s, step %+v", ended.Status, steps["a"])
	}
	if took := ended.FinishedAt.Sub(*ended.StartedAt); took < time.Hour {
		t.Errorf("the run took %s", took)
	}
	if took := steps["a"].FinishedAt.Sub(*steps["a"].StartedAt); took < time.Hour-time.Minute { // its time counts from when it was ready, a moment before
		t.Errorf("the wait took %s", took)
	}
}

const callbackWorkflow = `{"id": "cb", "nodes": {
	"before": {"type": "call", "with": {"name": "before", "arg": "{{ input.hold }}"}},
	"a": {"type": "wait", "needs": ["before"], "with": {"callback": true}, "output": "{{ this.body.n + 1 }}"}}, "output": "{{ nodes.a.output }}"}`

func TestCallback(t *testing.T) {
	t.Parallel()
	databasetest.Each(t, func(t *testing.T, open func() *database.DB) {
		w := setupOn(t, open())
		id := w.apply(callbackWorkflow)
		run := w.start(id, "{}")
		w.waits(run)
		w.kill() // days may pass
		w.boot(engine.Options{Exclusive: true})
		if err := w.engine.Deliver(t.Context(), run, "a", nodes.CodeWaitsForCallback, body(1)); err != nil {
			t.Fatal(err)
		}
		if ended, _ := w.wait(run); string(ended.Output) != "2" {
			t.Errorf("run %s gave %s: %v", ended.Status, ended.Output, ended.Error)
		}
		err := w.engine.Deliver(t.Context(), run, "a", nodes.CodeWaitsForCallback, body(1))
		if !fault.Is(err, fault.Conflict) || fault.Message(err) != "the run has ended: it is succeeded" {
			t.Errorf("a second call: %v", err)
		}
	})
}

func body(n int) map[string]any {
	return map[string]any{"method": "POST", "body": map[string]any{"n": n}}
}

// A call that comes before its node waits is kept, also through a crash.
func TestCallbackBeforeTheWait(t *testing.T) {
	t.Parallel()
	for _, crash := range []bool{false, true} {
		t.Run(fmt.Sprint("crash ", crash), func(t *testing.T) {
			t.Parallel()
			w := setup(t)
			begun, release := make(chan struct{}, 2), make(chan struct{})
			w.do = func(ctx context.Context, _ nodes.Env, c call) (any, error) {
				begun <- struct{}{}
				select {
				case <-release:
				case <-ctx.Done():
				}
				return c.arg, ctx.Err()
			}
			run := w.start(w.apply(callbackWorkflow), `{"hold": true}`)
			<-begun
			if err := w.engine.Deliver(t.Context(), run, "a", nodes.CodeWaitsForCallback, body(41)); err != nil {
				t.Fatal(err)
			}
			w.eventually("the call is kept", func() bool { return w.steps(run)["a"].Status == runs.StepPending })
			err := w.engine.Deliver(t.Context(), run, "a", nodes.CodeWaitsForCallback, body(7))
			if !fault.Is(err, fault.Conflict) {
				t.Errorf("a second call: %v", err)
			}
			if crash {
				w.kill()
				w.boot(engine.Options{Exclusive: true})
				<-begun
			}
			close(release)
			if ended, _ := w.wait(run); string(ended.Output) != "42" {
				t.Errorf("run %s gave %s: %v", ended.Status, ended.Output, ended.Error)
			}
		})
	}
}

func TestCallbackInTime(t *testing.T) {
	t.Parallel()
	w := setup(t)
	run := w.start(w.apply(`{"id": "late", "nodes": {"a": {"type": "wait", "with": {"callback": true, "for": "300ms"}}}}`), "")
	ended, steps := w.wait(run)
	if ended.Status != runs.Failed || steps["a"].Error == nil || steps["a"].Error.Code != nodes.CodeTimeout || steps["a"].Error.Message != "nobody called the URL in time" {
		t.Errorf("run %s, step %+v", ended.Status, steps["a"])
	}
}

func TestBringRefused(t *testing.T) {
	t.Parallel()
	w := setup(t)
	run := w.start(w.apply(`{"id": "two", "nodes": {"cb": {"type": "wait", "with": {"callback": true}}, "time": {"type": "wait", "with": {"for": "1h"}},
		"later": {"type": "approval", "needs": ["cb"], "with": {"message": "go?"}}}}`), "")
	w.waits(run)
	for _, test := range []struct {
		name, node, reason string
		kind               fault.Kind
		message            string
	}{
		{"unknown node", "nope", nodes.CodeWaitsForCallback, fault.NotFound, `the run has no node "nope"`},
		{"another kind of wait", "cb", nodes.CodeWaitsForApproval, fault.Conflict, `step "cb" does not wait for this`},
		{"a wait for a time", "time", nodes.CodeWaitsForCallback, fault.Conflict, `step "time" does not wait for this`},
		{"an approval that has not begun", "later", nodes.CodeWaitsForApproval, fault.Conflict, `step "later" has not begun to wait`},
	} {
		err := w.engine.Deliver(t.Context(), run, workflows.NodeID(test.node), test.reason, nil)
		if !fault.Is(err, test.kind) || fault.Message(err) != test.message {
			t.Errorf("%s: %v", test.name, err)
		}
	}
	if err := w.engine.Cancel(t.Context(), run); err != nil {
		t.Fatal(err)
	}
	if ended, steps := w.wait(run); ended.Status != runs.Canceled || steps["cb"].Status != runs.StepCanceled || steps["later"].Status != runs.StepCanceled {
		t.Errorf("canceled: %s %v", ended.Status, steps)
	}
}

// Of many who decide at once, and of a decision and the end of the time, exactly one counts.
func TestOneDecisionCounts(t *testing.T) {
	t.Parallel()
	databasetest.Each(t, func(t *testing.T, open func() *database.DB) {
		w := setupOn(t, open())
		id := w.apply(`{"id": "ask", "nodes": {"a": {"type": "approval", "with": {"message": "go?", "timeout": "150ms", "on_timeout": "reject"}}}, "output": "{{ nodes.a.output.by }}"}`)
		for round := range 10 {
			run := w.start(id, "")
			w.eventually("the step waits", func() bool { return w.steps(run)["a"].Status != "" && w.steps(run)["a"].Status != runs.StepRunning })
			<-time.After(time.Duration(round) * 20 * time.Millisecond) // before, at and after the end of the time
			var mu sync.Mutex
			var won []string
			var all sync.WaitGroup
			for i := range 4 {
				all.Go(func() {
					name := fmt.Sprint("person-", i)
					err := w.engine.Deliver(context.Background(), run, "a", nodes.CodeWaitsForApproval, map[string]any{"approved": true, "by": name})
					if err == nil {
						mu.Lock()
						won = append(won, name)
						mu.Unlock()
					} else if !fault.Is(err, fault.Conflict) {
						t.Errorf("Deliver: %v", err)
					}
				})
			}
			all.Wait()
			ended, _ := w.wait(run)
			want := "null"
			if len(won) > 0 {
				want = `"` + won[0] + `"`
			}
			if len(won) > 1 || string(ended.Output) != want || ended.Status != runs.Succeeded {
				t.Errorf("round %d: %v heard that they decided; the run says %s", round, won, ended.Output)
			}
		}
	})
}

const child = `{"id": "child", "input": {"type": "object", "properties": {"n": {"type": "integer"}}},
	"nodes": {"work": {"type": "call", "with": {"name": "work-{{ input.n }}", "arg": "{{ input.n }}"}}}, "output": {"twice": "{{ nodes.work.output * 2 }}"}}`

func TestChildWorkflows(t *testing.T) {
	t.Parallel()
	databasetest.Each(t, func(t *testing.T, open func() *database.DB) {
		w := setupOn(t, open())
		w.apply(child)
		run := w.start(w.apply(`{"id": "parent", "nodes": {
			"each": {"type": "workflow", "for_each": "1..4", "max_parallel": 2, "with": {"workflow": "child", "input": {"n": "{{ item }}"}}, "output": "{{ this.twice }}"},
			"free": {"type": "workflow", "with": {"workflow": "child", "input": {"n": 9}, "wait": false}}},
			"output": {"each": "{{ nodes.each.output }}", "free": "{{ nodes.free.output.run_id }}"}}`), "")
		ended, _ := w.wait(run)
		if ended.Status != runs.Succeeded || !strings.HasPrefix(string(ended.Output), `{"each":[2,4,6,8],"free":"`) {
			t.Fatalf("run %s gave %s: %v", ended.Status, ended.Output, ended.Error)
		}
		var free runs.ID
		if err := free.UnmarshalText([]byte(strings.TrimSuffix(strings.Split(string(ended.Output), `"free":"`)[1], `"}`))); err != nil {
			t.Fatal(err)
		}
		own, _ := w.wait(free)
		if own.Status != runs.Succeeded || own.Parent != nil || own.Trigger.Type != "workflow" || own.Depth != 1 {
			t.Errorf("the run that nobody waits for: %+v", own)
		}
		for n := 1; n <= 4; n++ {
			if got := w.count(fmt.Sprint("work-", n)); got != 1 {
				t.Errorf("child %d was run %d times", n, got)
			}
		}
	})
}

// The process dies while children are at work: each ends once and the parent goes on.
func TestChildrenSurviveACrash(t *testing.T) {
	t.Parallel()
	w := setup(t)
	atWork := make(chan struct{}, 3)
	block := true
	w.do = func(ctx context.Context, _ nodes.Env, c call) (any, error) {
		w.mu.Lock()
		hold := block
		w.mu.Unlock()
		if hold {
			atWork <- struct{}{}
			<-ctx.Done()
			return nil, ctx.Err()
		}
		return c.arg, nil
	}
	w.apply(child)
	run := w.start(w.apply(`{"id": "parent", "nodes": {"each": {"type": "workflow", "for_each": "1..3", "max_parallel": 3,
		"with": {"workflow": "child", "input": {"n": "{{ item }}"}}}}, "output": "{{ nodes.each.output }}"}`), "")
	for range 3 {
		<-atWork
	}
	w.kill()
	w.mu.Lock()
	block = false
	w.mu.Unlock()
	w.boot(engine.Options{Exclusive: true})
	if ended, _ := w.wait(run); string(ended.Output) != `[{"twice":2},{"twice":4},{"twice":6}]` {
		t.Errorf("run %s gave %s: %v", ended.Status, ended.Output, ended.Error)
	}
	if list, err := w.engine.Runs(t.Context(), runs.Filter{Workflow: "child", Limit: 100}); err != nil || len(list) != 3 {
		t.Errorf("%d runs of the child, %v", len(list), err)
	}
}

func TestChildFails(t *testing.T) {
	t.Parallel()
	w := setup(t)
	fails := true
	w.do = func(_ context.Context, _ nodes.Env, c call) (any, error) {
		w.mu.Lock()
		defer w.mu.Unlock()
		if fails {
			return nil, &nodes.Error{Code: nodes.CodeNetwork, Message: "no way"}
		}
		return c.arg, nil
	}
	w.apply(child)
	parent := w.apply(`{"id": "parent", "nodes": {"a": {"type": "workflow", "with": {"workflow": "child", "input": {"n": 1}}}}}`)
	ended, steps := w.wait(w.start(parent, ""))
	want := &runs.StepError{Code: nodes.CodeNetwork, Message: "child/work: no way", Attempt: 1}
	if diff := cmp.Diff(want, steps["a"].Error); ended.Status != runs.Failed || diff != "" {
		t.Errorf("run %s; error (-want +got):\n%s", ended.Status, diff)
	}
	again := w.apply(`{"id": "again", "nodes": {"a": {"type": "workflow", "with": {"workflow": "child", "input": {"n": 1}},
		"retry": {"max_attempts": 2, "initial": "1ms"}}}}`)
	if ended, steps := w.wait(w.start(again, "")); ended.Status != runs.Failed || len(steps["a"].Attempts) != 2 {
		t.Errorf("with retry: run %s, step %+v", ended.Status, steps["a"])
	}
	if list, err := w.engine.Runs(t.Context(), runs.Filter{Workflow: "child", Limit: 100}); err != nil || len(list) != 3 {
		t.Errorf("%d runs of the child, want one for each attempt (%v)", len(list), err)
	}
}

func TestChildRefused(t *testing.T) {
	t.Parallel()
	w := setup(t)
	w.apply(child)
	w.apply(`{"id": "hr", "folder": "/hr", "nodes": {"a": {"type": "call", "with": {"name": "hr"}}}}`)
	for name, test := range map[string]struct{ with, message string }{
		"unknown":         {`{"workflow": "nope"}`, `with.workflow: there is no workflow "nope"`},
		"wrong input":     {`{"workflow": "child", "input": {"n": "x"}}`, `with.workflow: workflow "child" cannot be started: the input does not match the workflow's schema; `},
		"another folder":  {`{"workflow": "{{ 'h' + 'r' }}"}`, `with.workflow: there is no workflow "hr" in folder /it or below; to start one in another folder, write its id into the definition`},
		"unknown there":   {`{"workflow": "{{ 'n' + 'o' }}"}`, `with.workflow: there is no workflow "no" in folder /it or below; to start one in another folder, write its id into the definition`},
		"itself for ever": {`{"workflow": "p"}`, `more than 16 workflows have started one another in a row; this looks like a loop`},
		"no id":           {`{"workflow": "{{ '' }}"}`, `with.workflow: must be the id of a workflow`},
	} {
		t.Run(name, func(t *testing.T) {
			id := w.apply(`{"id": "p", "folder": "/it", "nodes": {"a": {"type": "workflow", "with": ` + test.with + `}}}`)
			ended, _ := w.wait(w.start(id, ""))
			if ended.Status != runs.Failed || !strings.Contains(ended.Error.Message, test.message) {
				t.Errorf("run %s: %+v", ended.Status, ended.Error)
			}
		})
	}
}

func TestCancelReachesChildren(t *testing.T) {
	t.Parallel()
	w := setup(t)
	stopped := make(chan struct{}, 1)
	atWork := make(chan struct{}, 1)
	w.do = func(ctx context.Context, _ nodes.Env, _ call) (any, error) {
		atWork <- struct{}{}
		<-ctx.Done()
		stopped <- struct{}{}
		return nil, errors.New("stopped")
	}
	w.apply(child)
	w.apply(`{"id": "middle", "nodes": {"a": {"type": "workflow", "with": {"workflow": "child", "input": {"n": 1}}}}}`)
	run := w.start(w.apply(`{"id": "top", "nodes": {"a": {"type": "workflow", "with": {"workflow": "middle"}}}}`), "")
	<-atWork
	if err := w.engine.Cancel(t.Context(), run); err != nil {
		t.Fatal(err)
	}
	<-stopped
	for _, id := range []string{"top", "middle", "child"} {
		w.eventually(id+" is canceled", func() bool {
			list, err := w.engine.Runs(t.Context(), runs.Filter{Workflow: workflows.ID(id), Limit: 10})
			return err == nil && len(list) == 1 && list[0].Status == runs.Canceled
		})
	}
}

// A child that somebody cancels fails its parent's step.
func TestCanceledChild(t *testing.T) {
	t.Parallel()
	w := setup(t)
	atWork := make(chan struct{}, 1)
	w.do = func(ctx context.Context, _ nodes.Env, _ call) (any, error) {
		atWork <- struct{}{}
		<-ctx.Done()
		return nil, ctx.Err()
	}
	w.apply(child)
	run := w.start(w.apply(`{"id": "top", "nodes": {"a": {"type": "workflow", "with": {"workflow": "child", "input": {"n": 1}}}}}`), "")
	<-atWork
	list, err := w.engine.Runs(t.Context(), runs.Filter{Workflow: "child", Limit: 10})
	if err != nil || len(list) != 1 {
		t.Fatal(list, err)
	}
	if err := w.engine.Cancel(t.Context(), list[0].ID); err != nil {
		t.Fatal(err)
	}
	if ended, _ := w.wait(run); ended.Status != runs.Failed || ended.Error.Code != nodes.CodeCanceled {
		t.Errorf("run %s: %+v", ended.Status, ended.Error)
	}
}
