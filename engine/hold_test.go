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

	"keyflow/credentials"
	"keyflow/engine"
	"keyflow/engine/dispatch"
	"keyflow/engine/runs"
	"keyflow/internal/fault"
	"keyflow/nodes"
	"keyflow/workflows"
)

// persons say which credentials wait for one.
type persons struct {
	mu     sync.Mutex
	absent map[credentials.ID]bool
	err    error
	checks int
}

var _ dispatch.Connections = (*persons)(nil)

func (p *persons) Connected(_ context.Context, id credentials.ID) (bool, error) {
	p.mu.Lock()
	defer p.mu.Unlock()
	p.checks++
	return !p.absent[id], p.err
}

// leave makes credentials need a person; come makes them usable again, without telling anyone.
func (p *persons) leave(ids ...credentials.ID) { p.set(true, ids) }
func (p *persons) come(ids ...credentials.ID)  { p.set(false, ids) }

func (p *persons) set(absent bool, ids []credentials.ID) {
	p.mu.Lock()
	defer p.mu.Unlock()
	for _, id := range ids {
		p.absent[id] = absent
	}
}

// use is what a node does whose first request needs a credential.
func (p *persons) use(id credentials.ID) error {
	p.mu.Lock()
	defer p.mu.Unlock()
	if !p.absent[id] {
		return nil
	}
	return fmt.Errorf("call: %w", &credentials.Error{Code: credentials.CodeNeedsConnect, ID: id, Message: "connect " + string(id), Hold: true})
}

// holding is a world whose calls use the credential that their argument names.
func holding(t *testing.T) *world {
	t.Helper()
	w := setup(t)
	w.do = func(_ context.Context, _ nodes.Env, c call) (any, error) {
		id, _ := c.arg.(string)
		if err := w.persons.use(credentials.ID(id)); err != nil {
			return nil, err
		}
		return c.name, nil
	}
	w.persons.leave("crm", "erp")
	return w
}

func (w *world) waits(id runs.ID) {
	w.Helper()
	w.eventually("the run waits", func() bool {
		run, _, err := w.engine.Run(context.Background(), id)
		return err == nil && run.Status == runs.Waiting
	})
}

const twoSteps = `{"id": "two", %s "nodes": {
	"a": {"type": "call", "with": {"name": "a"}},
	"b": {"type": "call", "needs": ["a"], %s "with": {"name": "b", "arg": "crm"}}}}`

func TestHoldGoesOnFromTheSameStep(t *testing.T) {
	t.Parallel()
	for name, more := range map[string]string{
		"plain": ``, "at most once": `"at_most_once": true,`, "for each": `"for_each": "[1]",`,
		"with retries": `"retry": {"max_attempts": 5, "initial": "1ms", "if": "true"},`,
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			w := holding(t)
			id := w.start(w.apply(fmt.Sprintf(twoSteps, "", more)), "")
			w.waits(id)
			key := "b"
			if name == "for each" {
				key = "b/0"
			}
			step := w.steps(id)[key]
			if step.Status != runs.StepWaiting || step.NeedsConnect != "crm" || step.Error == nil || len(step.Attempts) != 0 ||
				step.Error.Code != nodes.CodeCredentialNeedsConnect || step.Error.Message != "connect crm" {
				t.Errorf("waiting step %+v", step)
			}
			run, _, err := w.engine.Run(t.Context(), id)
			if err != nil || run.WakeAt == nil || time.Until(*run.WakeAt) < 23*time.Hour || !run.WakeAt.Equal(*step.DueAt) {
				t.Errorf("run %+v, %v: the deadline is not a day away", run, err)
			}
			w.persons.come("crm")
			begun := time.Now()
			w.engine.CredentialConnected("crm")
			run, steps := w.wait(id)
			if run.Status != runs.Succeeded || w.count("a") != 1 || w.count("b") != 2 || len(steps[key].Attempts) != 1 || steps[key].Error != nil || steps[key].NeedsConnect != "" {
				t.Errorf("run %s, %d calls of a, %d of b, step %+v", run.Status, w.count("a"), w.count("b"), steps[key])
			}
			if took := time.Since(begun); took > 10*time.Second {
				t.Errorf("the run went on after %s", took)
			}
		})
	}
}

// Nobody signals: the credential was connected before the wait was stored, or by a process that
// died before it could say so.
func TestHoldFindsOutByItself(t *testing.T) {
	t.Parallel()
	t.Run("connected before the wait was stored", func(t *testing.T) {
		t.Parallel()
		w := holding(t)
		w.do = func(_ context.Context, _ nodes.Env, c call) (any, error) {
			err := w.persons.use("crm")
			w.persons.come("crm")
			return c.name, err
		}
		if run, _ := w.wait(w.start(w.apply(`{"id": "race", "nodes": {"a": {"type": "call", "with": {"name": "a"}}}}`), "")); run.Status != runs.Succeeded {
			t.Errorf("run %s, %+v", run.Status, run.Error)
		}
	})
	t.Run("connected by a process that died", func(t *testing.T) {
		t.Parallel()
		w := holding(t)
		id := w.start(w.apply(fmt.Sprintf(twoSteps, "", "")), "")
		w.waits(id)
		w.kill()
		w.persons.come("crm")
		w.boot(engine.Options{Exclusive: true})
		if run, _ := w.wait(id); run.Status != runs.Succeeded || w.count("a") != 1 {
			t.Errorf("run %s, %d calls of a", run.Status, w.count("a"))
		}
	})
	t.Run("the look fails at first", func(t *testing.T) {
		t.Parallel()
		w := holding(t)
		w.persons.err = errors.New("no database")
		id := w.start(w.apply(fmt.Sprintf(twoSteps, "", "")), "")
		w.waits(id)
		w.eventually("it was checked", func() bool {
			w.persons.mu.Lock()
			defer w.persons.mu.Unlock()
			return w.persons.checks > 0
		})
		w.persons.come("crm")
		w.persons.mu.Lock()
		w.persons.err = nil
		w.persons.mu.Unlock()
		if run, _ := w.wait(id); run.Status != runs.Succeeded {
			t.Errorf("run %s", run.Status)
		}
	})
}

// The process dies while the woken step is at work and its signal has been read: the next one
// does not wait for a connect that has happened.
func TestHoldSurvivesADeathAfterTheWake(t *testing.T) {
	t.Parallel()
	w := holding(t)
	atWork, never := make(chan struct{}, 1), make(chan struct{})
	usual := w.do
	w.do = func(ctx context.Context, env nodes.Env, c call) (any, error) {
		if c.name == "b" && c.n == 2 {
			atWork <- struct{}{}
			select {
			case <-never:
			case <-ctx.Done():
			}
			return nil, ctx.Err()
		}
		return usual(ctx, env, c)
	}
	// The third step ends after the wake, so that the signal counts as read.
	id := w.start(w.apply(`{"id": "death", "nodes": {
		"b": {"type": "call", "with": {"name": "b", "arg": "crm"}},
		"c": {"type": "call", "with": {"name": "c", "arg": "crm"}}}}`), "")
	w.waits(id)
	w.persons.come("crm")
	w.engine.CredentialConnected("crm")
	<-atWork
	w.eventually("the other step has ended", func() bool { return w.steps(id)["c"].Status == runs.StepSucceeded })
	w.kill()
	w.boot(engine.Options{Exclusive: true})
	if run, _ := w.wait(id); run.Status != runs.Succeeded || w.count("b") != 3 || w.count("c") != 2 {
		t.Errorf("run %s, %d calls of b, %d of c", run.Status, w.count("b"), w.count("c"))
	}
}

func TestHoldWakesOnlyItsOwn(t *testing.T) {
	t.Parallel()
	w := holding(t)
	id := w.start(w.apply(`{"id": "both", "nodes": {
		"a": {"type": "call", "with": {"name": "a", "arg": "crm"}},
		"b": {"type": "call", "with": {"name": "b", "arg": "erp"}}}}`), "")
	w.waits(id)
	w.persons.come("crm")
	w.engine.CredentialConnected("crm")
	w.eventually("the first step went on", func() bool { return w.steps(id)["a"].Status == runs.StepSucceeded })
	w.waits(id)
	if step := w.steps(id)["b"]; step.Status != runs.StepWaiting || step.NeedsConnect != "erp" || w.count("b") != 1 {
		t.Errorf("step b %+v after %d calls", step, w.count("b"))
	}
	w.persons.come("erp")
	w.engine.CredentialConnected("erp")
	if run, _ := w.wait(id); run.Status != runs.Succeeded {
		t.Errorf("run %s", run.Status)
	}
}

// A run with a step at work is not given up; its held step goes on all the same.
func TestHoldBesideAStepAtWork(t *testing.T) {
	t.Parallel()
	w := holding(t)
	usual, goOn := w.do, make(chan struct{})
	w.do = func(ctx context.Context, env nodes.Env, c call) (any, error) {
		if c.name == "long" {
			<-goOn
		}
		return usual(ctx, env, c)
	}
	id := w.start(w.apply(`{"id": "beside", "nodes": {
		"held": {"type": "call", "with": {"name": "held", "arg": "crm"}}, "long": {"type": "call", "with": {"name": "long"}}}}`), "")
	w.eventually("the step waits", func() bool { return w.steps(id)["held"].Status == runs.StepWaiting })
	w.persons.come("crm")
	w.engine.CredentialConnected("crm")
	w.eventually("the held step ends first", func() bool { return w.steps(id)["held"].Status == runs.StepSucceeded })
	close(goOn)
	if run, _ := w.wait(id); run.Status != runs.Succeeded {
		t.Errorf("run %s", run.Status)
	}
}

func TestHoldElements(t *testing.T) {
	t.Parallel()
	w := holding(t)
	id := w.start(w.apply(`{"id": "each", "nodes": {"a": {"type": "call", "for_each": "1..5", "max_parallel": 2, "with": {"name": "{{ 'a' + string(item) }}", "arg": "crm"}}},
		"output": "{{ nodes.a.output }}"}`), "")
	w.waits(id)
	w.persons.come("crm")
	w.engine.CredentialConnected("crm")
	run, _ := w.wait(id)
	if run.Status != runs.Succeeded || string(run.Output) != `["a1","a2","a3","a4","a5"]` {
		t.Errorf("run %s, output %s", run.Status, run.Output)
	}
	got := []int{w.count("a1"), w.count("a2"), w.count("a3"), w.count("a5")}
	if diff := cmp.Diff([]int{2, 2, 1, 1}, got); diff != "" {
		t.Errorf("calls of elements (-want +got):\n%s", diff)
	}
}

func TestHoldEnds(t *testing.T) {
	t.Parallel()
	fails := func(t *testing.T, w *world, id runs.ID, message string) {
		t.Helper()
		run, steps := w.wait(id)
		if run.Status != runs.Failed || run.Error == nil || run.Error.Code != nodes.CodeCredentialNeedsConnect ||
			run.Error.Node != "b" || !strings.Contains(run.Error.Message, message) {
			t.Errorf("run %s, error %+v", run.Status, run.Error)
		}
		if got := steps["b"]; got.Status != runs.StepFailed || len(got.Attempts) != 1 || got.NeedsConnect != "" {
			t.Errorf("step %+v", got)
		}
	}
	t.Run("deadline", func(t *testing.T) {
		t.Parallel()
		w := holding(t)
		fails(t, w, w.start(w.apply(fmt.Sprintf(twoSteps, `"needs_connect_timeout": "1200ms",`, "")), ""), "connect crm (the step waited 1.2s for that)")
		if w.count("b") != 2 {
			t.Errorf("%d calls, want one at the deadline", w.count("b"))
		}
	})
	t.Run("deadline while nothing runs", func(t *testing.T) {
		t.Parallel()
		w := holding(t)
		id := w.start(w.apply(fmt.Sprintf(twoSteps, `"needs_connect_timeout": "1h",`, "")), "")
		w.waits(id)
		w.kill()
		w.boot(engine.Options{Exclusive: true, Now: func() time.Time { return time.Now().Add(time.Hour) }})
		fails(t, w, id, "(the step waited 1h for that)")
	})
	t.Run("connected for a moment", func(t *testing.T) { // the deadline is that of the first wait
		t.Parallel()
		w := holding(t)
		usual := w.do
		w.do = func(ctx context.Context, env nodes.Env, c call) (any, error) {
			out, err := usual(ctx, env, c)
			if err != nil {
				w.persons.come("crm")
				err = &credentials.Error{Code: credentials.CodeNeedsConnect, ID: "crm", Message: "refused", Hold: true}
			} else if c.name == "b" {
				err = &credentials.Error{Code: credentials.CodeNeedsConnect, ID: "crm", Message: "refused", Hold: true}
			}
			return out, err
		}
		fails(t, w, w.start(w.apply(fmt.Sprintf(twoSteps, `"needs_connect_timeout": "3s",`, "")), ""), "(the step waited 3s for that)")
		if n := w.count("b"); n < 3 || n > 12 {
			t.Errorf("%d calls in 3 s: a step that is refused again must be paced", n)
		}
	})
	t.Run("on_needs_connect fail", func(t *testing.T) {
		t.Parallel()
		w := holding(t)
		fails(t, w, w.start(w.apply(fmt.Sprintf(twoSteps, `"on_needs_connect": "fail",`, "")), ""), "connect crm")
	})
	t.Run("a definition that is in no catalog", func(t *testing.T) {
		t.Parallel()
		w := holding(t)
		d, problems := workflows.Parse([]byte(fmt.Sprintf(twoSteps, "", "")))
		if len(problems) > 0 {
			t.Fatal(problems)
		}
		started, err := w.engine.StartDefinition(t.Context(), d, engine.Start{})
		if err != nil {
			t.Fatal(err)
		}
		fails(t, w, started.Run, "connect crm")
	})
	t.Run("cancel", func(t *testing.T) {
		t.Parallel()
		w := holding(t)
		id := w.start(w.apply(fmt.Sprintf(twoSteps, "", "")), "")
		w.waits(id)
		if err := w.engine.Cancel(t.Context(), id); err != nil {
			t.Fatal(err)
		}
		run, steps := w.wait(id)
		if run.Status != runs.Canceled || steps["b"].Status != runs.StepCanceled || steps["b"].NeedsConnect != "" {
			t.Errorf("run %s, step %+v", run.Status, steps["b"])
		}
		w.persons.come("crm")
		w.engine.CredentialConnected("crm") // finds nobody
		if err := w.engine.Cancel(t.Context(), id); !fault.Is(err, fault.Conflict) {
			t.Errorf("cancel of the ended run: %v", err)
		}
	})
	t.Run("the run's timeout does not count the wait", func(t *testing.T) {
		t.Parallel()
		w := holding(t)
		id := w.start(w.apply(fmt.Sprintf(twoSteps, `"timeout": "1s",`, "")), "")
		w.waits(id)
		since := time.Now()
		w.eventually("more than the timeout passes", func() bool { return time.Since(since) > 1500*time.Millisecond })
		w.persons.come("crm")
		w.engine.CredentialConnected("crm")
		if run, _ := w.wait(id); run.Status != runs.Succeeded {
			t.Errorf("run %s, %+v", run.Status, run.Error)
		}
	})
}

// A thousand runs wait for one credential; all go on, no more at once than the engine does.
func TestHoldOfManyRuns(t *testing.T) {
	t.Parallel()
	const count, slots = 300, 8
	w := holding(t)
	w.stop()
	w.boot(engine.Options{Exclusive: true, Concurrency: slots})
	var mu sync.Mutex
	now, most := 0, 0
	usual := w.do
	w.do = func(ctx context.Context, env nodes.Env, c call) (any, error) {
		mu.Lock()
		now++
		most = max(most, now)
		mu.Unlock()
		defer func() { mu.Lock(); now--; mu.Unlock() }()
		return usual(ctx, env, c)
	}
	id := w.apply(fmt.Sprintf(twoSteps, "", ""))
	ids := make([]runs.ID, count)
	for i := range ids {
		ids[i] = w.start(id, "")
	}
	w.eventually("all wait", func() bool {
		held, err := w.store.WaitingForCredential(t.Context(), "crm", runs.ID{}, 2*count)
		if err != nil {
			t.Fatal(err)
		}
		return len(held) == count
	})
	w.persons.come("crm")
	w.engine.CredentialConnected("crm")
	for _, id := range ids {
		if run, _ := w.wait(id); run.Status != runs.Succeeded {
			t.Errorf("run %s: %s", id, run.Status)
		}
	}
	if w.count("a") != count || w.count("b") != 2*count || most > slots {
		t.Errorf("%d calls of a, %d of b, %d at once", w.count("a"), w.count("b"), most)
	}
}
