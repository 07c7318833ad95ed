package engine_test

import (
	"context"
	"errors"
	"net/http"
	"strings"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"

	"keyflow/engine"
	"keyflow/engine/runs"
	"keyflow/internal/fault"
	"keyflow/nodes"
	"keyflow/workflows"
)

const respondTriggers = `"triggers": {
	"in": {"type": "webhook", "path": "ID", "respond": "on_finish"},
	"quick": {"type": "webhook", "path": "ID-quick"}}`

// called starts a run as a call of the webhook does.
func (w *world) called(id workflows.ID, trigger string) runs.ID {
	w.Helper()
	started, err := w.engine.Start(context.Background(), engine.Start{Workflow: id, Trigger: runs.TriggerRef{ID: trigger, Type: "webhook"}})
	if err != nil {
		w.Fatal(err)
	}
	return started.Run
}

// answer waits for what the run says.
func (w *world) answer(id runs.ID) (*runs.Answer, runs.Run) {
	w.Helper()
	ctx, cancel := context.WithTimeout(context.Background(), time.Minute)
	defer cancel()
	a, run, err := w.engine.Answer(ctx, id)
	if err != nil {
		w.Fatal(err)
	}
	return a, run
}

func plain(status int, body string) *runs.Answer {
	return &runs.Answer{Status: status, Header: http.Header{"Content-Type": {"text/plain; charset=utf-8"}}, Body: []byte(body)}
}

// TestRespondGoesOn: the caller is answered while the run is at work, and again the same after
// its end and after a restart.
func TestRespondGoesOn(t *testing.T) {
	t.Parallel()
	w := setup(t)
	goOn := make(chan struct{})
	w.do = func(context.Context, nodes.Env, call) (any, error) {
		<-goOn
		return 1, nil
	}
	id := w.called(w.apply(`{"id": "on", `+strings.ReplaceAll(respondTriggers, "ID", "on")+`, "nodes": {
	  "say": {"type": "respond", "with": {"status": 202, "body": "taken {{ run.workflow }}"}},
	  "work": {"type": "call", "needs": ["say"], "with": {"name": "work"}},
	  "again": {"type": "respond", "needs": ["work"], "with": {"status": 500}}}, "output": "{{ nodes.again.output }}"}`), "in")
	want := plain(202, "taken on")
	got, _ := w.answer(id)
	if diff := cmp.Diff(want, got); diff != "" {
		t.Errorf("at work: -want +got\n%s", diff)
	}
	close(goOn)
	run, steps := w.wait(id)
	if run.Status != runs.Succeeded || string(run.Output) != `{"reason":"the run has responded already","responded":false,"status":500}` {
		t.Errorf("%s %s", run.Status, run.Output)
	}
	if out := string(steps["say"].Output); out != `{"responded":true,"status":202}` {
		t.Errorf("say gave %s", out)
	}
	w.kill()
	w.boot(engine.Options{Exclusive: true})
	got, _ = w.answer(id)
	if diff := cmp.Diff(want, got); diff != "" {
		t.Errorf("after a restart: -want +got\n%s", diff)
	}
}

// TestRespondHasNoEffect: nobody waits for the run.
func TestRespondHasNoEffect(t *testing.T) {
	t.Parallel()
	w := setup(t)
	flow := w.apply(`{"id": "no", ` + strings.ReplaceAll(respondTriggers, "ID", "no") + `, "nodes": {
	  "say": {"type": "respond", "with": {"body": "x"}}}, "output": "{{ nodes.say.output }}"}`)
	failing := w.apply(`{"id": "failing", ` + strings.ReplaceAll(respondTriggers, "ID", "failing") + `, "nodes": {
	  "say": {"type": "respond"}, "end": {"type": "fail", "needs": ["say"], "with": {"message": "no"}}}}`)
	first := w.called(failing, "in")
	w.wait(first)
	retried, err := w.engine.Retry(t.Context(), engine.Retry{Run: first, FromStart: true})
	if err != nil {
		t.Fatal(err)
	}
	for name, id := range map[string]runs.ID{"manual": w.start(flow, ""), "on_accept": w.called(flow, "quick"), "retry": retried.Run} {
		a, run := w.answer(id)
		want := `{"reason":"no webhook with respond on_finish waits for this run","responded":false,"status":200}`
		if _, steps := w.wait(id); a != nil || !run.Status.Final() || string(steps["say"].Output) != want {
			t.Errorf("%s: %v, %s, %s", name, a, run.Status, steps["say"].Output)
		}
	}
}

// TestRespondOnce: of many elements that respond at once exactly one does, and a step that
// fails leaves the word to another.
func TestRespondOnce(t *testing.T) {
	t.Parallel()
	w := setup(t)
	many := w.called(w.apply(`{"id": "many", `+strings.ReplaceAll(respondTriggers, "ID", "many")+`, "nodes": {
	  "say": {"type": "respond", "for_each": "1..40", "max_parallel": 40, "with": {"body": "{{ item }} times"}}}}`), "in")
	a, _ := w.answer(many)
	_, steps := w.wait(many)
	said := 0
	for name, step := range steps {
		if name != "say" && strings.Contains(string(step.Output), `"responded":true`) {
			said++
		}
	}
	if said != 1 || a == nil || !strings.HasSuffix(string(a.Body), " times") {
		t.Errorf("%d elements responded: %+v", said, a)
	}
	other := w.called(w.apply(`{"id": "other", `+strings.ReplaceAll(respondTriggers, "ID", "other")+`, "nodes": {
	  "bad": {"type": "respond", "with": {"body": "bad"}, "output": "{{ int('x') }}", "on_error": "continue"},
	  "good": {"type": "respond", "needs": ["bad"], "run_on": "failure", "with": {"body": "good"}}}}`), "in")
	a, _ = w.answer(other)
	if diff := cmp.Diff(plain(200, "good"), a); diff != "" {
		t.Errorf("-want +got\n%s", diff)
	}
}

// TestRespondEnds: the end of a run that said nothing, a wait that ends first, a deleted run and
// an answer that is too large.
func TestRespondEnds(t *testing.T) {
	t.Parallel()
	w := setup(t)
	silent := w.called(w.apply(`{"id": "silent", `+strings.ReplaceAll(respondTriggers, "ID", "silent")+`, "nodes": {
	  "say": {"type": "respond", "if": "false"}}, "output": 7}`), "in")
	if a, run := w.answer(silent); a != nil || run.Status != runs.Succeeded || string(run.Output) != "7" {
		t.Errorf("silent: %v, %s", a, run.Status)
	}
	last := w.called(w.apply(`{"id": "last", `+strings.ReplaceAll(respondTriggers, "ID", "last")+`, "nodes": {
	  "say": {"type": "respond", "with": {"body": "last"}}}, "output": 7}`), "in")
	if a, _ := w.answer(last); cmp.Diff(plain(200, "last"), a) != "" {
		t.Errorf("with the run's end: %v", a)
	}
	parked := w.called(w.apply(`{"id": "parked", `+strings.ReplaceAll(respondTriggers, "ID", "parked")+`, "nodes": {
	  "wait": {"type": "wait", "with": {"for": "1h"}}, "say": {"type": "respond", "needs": ["wait"]}}}`), "in")
	ctx, cancel := context.WithCancel(t.Context())
	w.eventually("parked", func() bool { return w.steps(parked)["wait"].Status == runs.StepWaiting })
	cancel()
	if _, _, err := w.engine.Answer(ctx, parked); !errors.Is(err, context.Canceled) {
		t.Errorf("parked: %v", err)
	}
	if err := w.engine.Cancel(t.Context(), parked); err != nil {
		t.Fatal(err)
	}
	if a, run := w.answer(parked); a != nil || run.Status != runs.Canceled {
		t.Errorf("canceled: %v, %s", a, run.Status)
	}
	if err := w.engine.Delete(t.Context(), parked); err != nil {
		t.Fatal(err)
	}
	if _, _, err := w.engine.Answer(t.Context(), parked); !fault.Is(err, fault.NotFound) {
		t.Errorf("deleted: %v", err)
	}
	large := w.called(w.apply(`{"id": "large", `+strings.ReplaceAll(respondTriggers, "ID", "large")+`, "nodes": {
	  "say": {"type": "respond", "with": {"body": "{{ repeat('x', 1048577) }}"}}}}`), "in")
	if a, run := w.answer(large); a != nil || run.Status != runs.Failed || run.Error.Code != nodes.CodeTooLarge {
		t.Errorf("large: %v, %+v", a, run.Error)
	}
}

// TestRespondAfterTakeover has a process die between the answer and its second respond node:
// the next owner does not speak again, and a caller who waits there gets what was said.
func TestRespondAfterTakeover(t *testing.T) {
	t.Parallel()
	w := setup(t)
	atWork := make(chan struct{}, 1)
	w.do = func(ctx context.Context, _ nodes.Env, c call) (any, error) {
		if c.n == 1 {
			atWork <- struct{}{}
			<-ctx.Done()
			return nil, ctx.Err()
		}
		return nil, nil
	}
	id := w.called(w.apply(`{"id": "two", `+strings.ReplaceAll(respondTriggers, "ID", "two")+`, "nodes": {
	  "say": {"type": "respond", "with": {"body": "first"}},
	  "work": {"type": "call", "needs": ["say"], "with": {"name": "work"}},
	  "more": {"type": "respond", "needs": ["work"], "with": {"body": "second"}}}, "output": "{{ nodes.more.output.responded }}"}`), "in")
	<-atWork
	w.kill()
	w.boot(engine.Options{Exclusive: true})
	if a, _ := w.answer(id); cmp.Diff(plain(200, "first"), a) != "" {
		t.Errorf("got %+v", a)
	}
	if run, _ := w.wait(id); run.Status != runs.Succeeded || string(run.Output) != "false" {
		t.Errorf("%s %s", run.Status, run.Output)
	}
}

// TestRespondAfterAnOutage: a later owner of the run cannot find out at once whether it has
// responded; it asks again.
func TestRespondAfterAnOutage(t *testing.T) {
	t.Parallel()
	w := setup(t)
	id := w.called(w.apply(`{"id": "late", `+strings.ReplaceAll(respondTriggers, "ID", "late")+`, "nodes": {
	  "a": {"type": "wait", "with": {"callback": true}},
	  "say": {"type": "respond", "needs": ["a"], "with": {"body": "late"}}}}`), "in")
	w.eventually("parked", func() bool { return w.only("late").Status == runs.Waiting })
	w.store.mute.Store(2)
	w.signal(id, runs.SignalStep)
	if run, steps := w.wait(id); run.Status != runs.Succeeded || w.store.mute.Load() >= 0 {
		t.Errorf("%s, %+v, %d questions left", run.Status, steps["say"].Error, w.store.mute.Load())
	}
	if a, _ := w.answer(id); cmp.Diff(plain(200, "late"), a) != "" {
		t.Errorf("got %+v", a)
	}
}
