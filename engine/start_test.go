package engine_test

import (
	"context"
	"fmt"
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

const single = `{"id": "single", "input": {"type": "object", "required": ["n"], "properties": {"n": {"type": "integer"}}},
  "nodes": {"a": {"type": "call", "with": {"name": "a", "arg": "{{ input.n }}"}}}, "output": "{{ nodes.a.output }}"}`

func TestStartRefuses(t *testing.T) {
	t.Parallel()
	w := setup(t)
	id := w.apply(single)
	tests := map[string]struct {
		start   engine.Start
		kind    fault.Kind
		message string
	}{
		"unknown workflow": {engine.Start{Workflow: "nope"}, fault.NotFound, `workflow "nope" does not exist`},
		"malformed input":  {engine.Start{Workflow: id, Input: []byte(`{"n": `)}, fault.Malformed, "the input is not valid JSON"},
		"not UTF-8":        {engine.Start{Workflow: id, Input: []byte("{\"n\": \"\xff\"}")}, fault.Malformed, "the input is not valid JSON in UTF-8"},
		"wrong input":      {engine.Start{Workflow: id, Input: []byte(`{"n": "x"}`)}, fault.Invalid, "the input does not match the workflow's schema"},
		"missing input":    {engine.Start{Workflow: id}, fault.Invalid, "the input does not match the workflow's schema"},
		"loop":             {engine.Start{Workflow: id, Depth: 33}, fault.Conflict, "more than 32 workflows have started one another in a row; this looks like a loop"},
	}
	for name, tt := range tests {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			_, err := w.engine.Start(context.Background(), tt.start)
			if fault.KindOf(err) != tt.kind || !strings.Contains(fault.Message(err), tt.message) {
				t.Errorf("%v (%v), want %v: %s", err, fault.KindOf(err), tt.kind, tt.message)
			}
		})
	}
	t.Cleanup(func() {
		if list, err := w.engine.Runs(context.Background(), runs.Filter{Limit: 10}); err != nil || len(list) != 0 {
			t.Errorf("%d runs were stored, %v", len(list), err)
		}
	})
}

func TestStartTwiceIsOneRun(t *testing.T) {
	t.Parallel()
	w := setup(t)
	id := w.apply(single)
	start := func(key, hash string) (engine.Started, error) {
		return w.engine.Start(context.Background(), engine.Start{
			Workflow: id, Input: []byte(`{"n": 1}`), Trigger: runs.TriggerRef{ID: "form", Type: "webhook"},
			Dedupe: &runs.DedupeKey{Kind: "webhook", Trigger: "form", Key: key, InputHash: hash, ExpiresAt: time.Now().Add(time.Hour)},
		})
	}
	first, err := start("d1", "h")
	if err != nil || first.Duplicate || first.Status != runs.Running {
		t.Fatalf("first: %+v, %v", first, err)
	}
	again, err := start("d1", "h")
	if err != nil || !again.Duplicate || again.Run != first.Run || again.Status != "" {
		t.Errorf("second: %+v, %v", again, err)
	}
	if _, err := start("d1", "other"); !fault.Is(err, fault.Conflict) {
		t.Errorf("same key, other input: %v", err)
	}
	if other, err := start("d2", ""); err != nil || other.Duplicate {
		t.Errorf("other key: %+v, %v", other, err)
	}
	w.wait(first.Run)
}

func TestStartFillsTheRun(t *testing.T) {
	t.Parallel()
	w := setup(t)
	id := w.apply(`{"id": "filled", "folder": "/a/b", "nodes": {"a": {"type": "call", "with": {"name": "a",
	  "arg": ["{{ run.id }}", "{{ run.workflow }}", "{{ run.version }}", "{{ trigger.id }}", "{{ trigger.request.body.x }}", "{{ input }}", "{{ vars }}", "{{ trigger.fired_at }}"]}}},
	  "output": "{{ nodes.a.output }}"}`)
	started, err := w.engine.Start(context.Background(), engine.Start{
		Workflow: id, Depth: 2, Trigger: runs.TriggerRef{ID: "form", Type: "webhook", FiredAt: time.Now(), Request: []byte(`{"body":{"x":7}}`)},
	})
	if err != nil {
		t.Fatal(err)
	}
	run, _ := w.wait(started.Run)
	// A repeated step must see the same time: what the database keeps is what expressions see.
	fired := run.Trigger.FiredAt.Truncate(time.Microsecond).Format(time.RFC3339Nano)
	if want := fmt.Sprintf(`[%q,"filled",1,"form",7,{},{},%q]`, started.Run, fired); string(run.Output) != want {
		t.Errorf("output %s, want %s", run.Output, want)
	}
	stored, _, err := w.engine.Run(context.Background(), started.Run)
	if err != nil {
		t.Fatal(err)
	}
	if diff := cmp.Diff(stored, run); diff != "" {
		t.Errorf("Wait gives another run than the store (-store +wait):\n%s", diff)
	}
	if run.Folder != "/a/b" || run.Depth != 2 || run.Version != 1 || run.StartedAt == nil || run.FinishedAt == nil || run.Trigger.FiredAt.IsZero() {
		t.Errorf("run %+v", run)
	}
}

// TestStartCostsTwoCommits pins the hot path: a run of one step is stored when it is
// accepted and when it has ended, and read never.
func TestStartCostsTwoCommits(t *testing.T) {
	t.Parallel()
	w := setup(t)
	id := w.apply(single)
	before := w.store.commits.Load()
	run, _ := w.wait(w.start(id, `{"n": 1}`))
	if got := w.store.commits.Load() - before; got != 2 || run.Status != runs.Succeeded {
		t.Errorf("%d commits for a run that %s, want 2", got, run.Status)
	}
}

func TestStartDefinition(t *testing.T) {
	t.Parallel()
	w := setup(t)
	d, _ := workflows.Parse([]byte(strings.Replace(single, `"single"`, `"file"`, 1)))
	started, err := w.engine.StartDefinition(context.Background(), d, engine.Start{Input: []byte(`{"n": 4}`)})
	if err != nil {
		t.Fatal(err)
	}
	if run, _ := w.wait(started.Run); run.Status != runs.Succeeded || string(run.Output) != "4" || run.Version != 0 || run.Workflow != "file" {
		t.Errorf("run %+v", run)
	}
	bad, _ := workflows.Parse([]byte(`{"id": "bad", "nodes": {"a": {"type": "nope"}}}`))
	if _, err := w.engine.StartDefinition(context.Background(), bad, engine.Start{}); !fault.Is(err, fault.Invalid) || len(fault.ProblemsOf(err)) != 1 {
		t.Errorf("bad definition: %v", err)
	}
}

// TestDefinitionIsLost: nobody else knows the definition of a run of a file.
func TestDefinitionIsLost(t *testing.T) {
	t.Parallel()
	w := setup(t)
	atWork := make(chan struct{})
	w.do = func(ctx context.Context, _ nodes.Env, _ call) (any, error) {
		close(atWork)
		<-ctx.Done()
		return nil, ctx.Err()
	}
	d, _ := workflows.Parse([]byte(strings.Replace(single, `"single"`, `"file"`, 1)))
	started, err := w.engine.StartDefinition(context.Background(), d, engine.Start{Input: []byte(`{"n": 4}`)})
	if err != nil {
		t.Fatal(err)
	}
	<-atWork
	w.kill()
	w.boot(engine.Options{Exclusive: true})
	run, _ := w.wait(started.Run)
	want := &runs.RunError{Code: "interrupted", Message: "the run cannot be resumed: the definition of this run was known only to the process that started it"}
	if diff := cmp.Diff(want, run.Error); diff != "" || run.Status != runs.Failed {
		t.Errorf("run %s, error (-want +got):\n%s", run.Status, diff)
	}
}

// TestQueueIsBounded fills the only slot and the queue behind it.
func TestQueueIsBounded(t *testing.T) {
	t.Parallel()
	w := setup(t)
	w.stop()
	w.boot(engine.Options{Exclusive: true, Concurrency: 1, QueueLimit: 2})
	atWork, goOn := make(chan struct{}, 10), make(chan struct{})
	w.do = func(context.Context, nodes.Env, call) (any, error) {
		atWork <- struct{}{}
		<-goOn
		return nil, nil
	}
	id := w.apply(`{"id": "full", "nodes": {"a": {"type": "call", "with": {"name": "a"}}}}`)
	ids := []runs.ID{w.start(id, "")}
	<-atWork
	for range 2 {
		ids = append(ids, w.start(id, ""))
	}
	_, err := w.engine.Start(context.Background(), engine.Start{Workflow: id})
	if !fault.Is(err, fault.Unavailable) || fault.Message(err) != "the queue is full; try again" {
		t.Errorf("over the limit: %v", err)
	}
	if err := w.engine.Ready(); !fault.Is(err, fault.Unavailable) {
		t.Errorf("ready with a full queue: %v", err)
	}
	close(goOn)
	for _, id := range ids {
		if run, _ := w.wait(id); run.Status != runs.Succeeded {
			t.Errorf("run %s", run.Status)
		}
	}
	if got := w.count("a"); got != 3 {
		t.Errorf("%d calls, want 3", got)
	}
}

func TestDelete(t *testing.T) {
	t.Parallel()
	w := setup(t)
	goOn := make(chan struct{})
	w.do = func(context.Context, nodes.Env, call) (any, error) { <-goOn; return nil, nil }
	id := w.start(w.apply(`{"id": "gone", "nodes": {"a": {"type": "call", "with": {"name": "a"}}}}`), "")
	if err := w.engine.Delete(context.Background(), id); !fault.Is(err, fault.Conflict) {
		t.Errorf("delete of a running run: %v", err)
	}
	close(goOn)
	w.wait(id)
	if err := w.engine.Delete(context.Background(), id); err != nil {
		t.Fatal(err)
	}
	if _, _, err := w.engine.Run(context.Background(), id); !fault.Is(err, fault.NotFound) {
		t.Errorf("after the delete: %v", err)
	}
}

// TestDefaultsOfTheSchema are part of the stored input, whatever starts the run.
func TestDefaultsOfTheSchema(t *testing.T) {
	t.Parallel()
	w := setup(t)
	const definition = `{"id": "child", "input": {"required": ["n"], "properties": {"n": {"type": ["integer", "null"], "default": 3}}},
	  "nodes": {"a": {"type": "call", "with": {"arg": "{{ input.n }}"}}}, "output": "{{ nodes.a.output }}"}`
	child := w.apply(definition)
	parent := w.apply(`{"id": "parent", "nodes": {"a": {"type": "workflow", "with": {"workflow": "child", "input": {"a": 1}}}}, "output": "{{ nodes.a.output }}"}`)
	d, problems := workflows.Parse([]byte(definition))
	if len(problems) > 0 {
		t.Fatal(problems)
	}
	file, err := w.engine.StartDefinition(context.Background(), d, engine.Start{})
	if err != nil {
		t.Fatal(err)
	}
	tests := map[string]struct {
		run           runs.ID
		input, output string
	}{
		"no input":              {w.start(child, ""), `{"n":3}`, "3"},
		"an input without it":   {w.start(child, `{"a": 1}`), `{"a":1,"n":3}`, "3"},
		"an explicit null":      {w.start(child, `{"n": null}`), `{"n": null}`, "null"},
		"of a workflow node":    {w.start(parent, ""), `{}`, "3"},
		"of a definition alone": {file.Run, `{"n":3}`, "3"},
	}
	for name, tt := range tests {
		t.Run(name, func(t *testing.T) {
			run, _ := w.wait(tt.run)
			if string(run.Input) != tt.input || string(run.Output) != tt.output {
				t.Errorf("input %s, output %s, error %+v", run.Input, run.Output, run.Error)
			}
		})
	}
}
