package engine_test

import (
	"context"
	"encoding/json"
	"fmt"
	"strings"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"

	"keyflow/engine"
	"keyflow/engine/plan"
	"keyflow/engine/runs"
	"keyflow/internal/database"
	"keyflow/internal/database/databasetest"
	"keyflow/internal/fault"
	"keyflow/internal/outbox"
	eventstore "keyflow/internal/outbox/sqlstore"
	"keyflow/nodes"
	"keyflow/workflows"
)

// published returns the events in the outbox.
func (w *world) published() []outbox.Event {
	w.Helper()
	entries, err := eventstore.New(w.db).Take(context.Background(), w.Name(), time.Minute, 1000)
	if err != nil {
		w.Fatal(err)
	}
	events := make([]outbox.Event, len(entries))
	for i := range entries {
		events[i] = entries[i].Event
	}
	return events
}

func TestEmit(t *testing.T) {
	t.Parallel()
	databasetest.Each(t, func(t *testing.T, open func() *database.DB) {
		w := setupOn(t, open())
		id := w.start(w.apply(`{"id": "shop", "folder": "/sales", "nodes": {
			"notify": {"type": "emit", "with": {"event": "com.example.{{ input.what }}", "data": {"n": "{{ input.n }}"}}},
			"many": {"type": "emit", "needs": ["notify"], "for_each": "[1, 2, 3]", "max_parallel": 3, "with": {"event": "com.example.item", "data": "{{ item }}"}}
		}, "output": {"notify": "{{ nodes.notify.output.id }}", "many": "{{ len(nodes.many.output) }}"}}`), `{"what": "sold", "n": 7}`)
		run, steps := w.wait(id)
		if run.Status != runs.Succeeded {
			t.Fatalf("run: %+v", run.Error)
		}
		events := w.published()
		if len(events) != 4 {
			t.Fatalf("published %d events: %+v", len(events), events)
		}
		first := events[0]
		if !first.Time.After(run.CreatedAt) {
			t.Errorf("published at %v, before the run of %v", first.Time, run.CreatedAt)
		}
		want := outbox.Event{
			ID: first.ID, Source: "/workflows/shop", Type: "com.example.sold", Subject: "runs/" + id.String(), Folder: "/sales",
			Depth: 1, Time: first.Time, Data: json.RawMessage(`{"n":7}`),
		}
		if diff := cmp.Diff(want, first); diff != "" {
			t.Errorf("event (-want +got):\n%s", diff)
		}
		if got, want := string(steps["notify"].Output), fmt.Sprintf(`{"id":%q}`, first.ID); got != want {
			t.Errorf("output %s, want %s", got, want)
		}
		got := map[string]bool{}
		for _, e := range events[1:] {
			got[string(e.Data)+e.ID.String()] = true
		}
		for i := range 3 {
			var out struct{ ID string }
			if err := json.Unmarshal(steps[fmt.Sprintf("many/%d", i)].Output, &out); err != nil || !got[fmt.Sprint(i+1)+out.ID] {
				t.Errorf("element %d gave %s (%v), published are %v", i, steps[fmt.Sprintf("many/%d", i)].Output, err, got)
			}
		}
	})
}

// A step that runs again after a crash publishes the same event, and one whose end is not stored none.
func TestEmitAgainAfterACrash(t *testing.T) {
	t.Parallel()
	w := setup(t)
	begun, gate := make(chan struct{}), make(chan struct{})
	w.do = func(_ context.Context, _ nodes.Env, c call) (any, error) {
		if c.n == 1 {
			close(begun)
			<-gate
		}
		return c.arg, nil
	}
	id := w.start(w.apply(`{"id": "w", "nodes": {
		"first": {"type": "emit", "with": {"event": "first"}},
		"slow": {"type": "call", "needs": ["first"], "with": {"name": "slow"}},
		"last": {"type": "emit", "needs": ["slow"], "with": {"event": "last"}}
	}}`), "")
	<-begun
	before := w.published()
	w.store.dead.Store(true)
	close(gate)
	w.kill()
	w.boot(engine.Options{Exclusive: true})
	if run, _ := w.wait(id); run.Status != runs.Succeeded {
		t.Fatalf("run: %+v", run)
	}
	after := w.published()
	if len(before) != 1 || len(after) != 2 || before[0].ID != after[0].ID || after[1].Type != "last" {
		t.Errorf("published before the crash %+v, after it %+v", before, after)
	}
}

func TestEmitRefuses(t *testing.T) {
	t.Parallel()
	w := setup(t)
	w.apply(`{"id": "w", "nodes": {"e": {"type": "emit", "with": {"event": "{{ input.type }}", "data": "{{ input.data }}"}}}}`)
	for name, tt := range map[string]struct{ input, code, message string }{
		"own type":  {`{"type": "keyflow.run.finished"}`, nodes.CodeInvalidParam, "with.event: types that begin with keyflow. are Keyflow's own; take a name of yours, such as com.example.ticket.created"},
		"empty":     {`{"type": ""}`, nodes.CodeInvalidParam, "with.event: must not be empty"},
		"no text":   {`{"type": 3}`, nodes.CodeInvalidParam, "with.event: must be text, not a number"},
		"control":   {`{"type": "a\u0000b"}`, nodes.CodeInvalidParam, "with.event: must not hold control characters"},
		"too long":  {`{"type": "` + strings.Repeat("x", 256) + `"}`, nodes.CodeInvalidParam, "with.event: has 256 bytes; at most 255 are allowed"},
		"too large": {`{"type": "x", "data": "` + strings.Repeat("x", 1<<20) + `"}`, nodes.CodeTooLarge, "with.data has 1048578 bytes; at most 1048576 are allowed: publish a link to what is larger"},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			run, _ := w.wait(w.start("w", tt.input))
			if run.Error == nil || run.Error.Code != tt.code || run.Error.Message != tt.message {
				t.Errorf("error %+v", run.Error)
			}
		})
	}
	t.Cleanup(func() {
		if events := w.published(); len(events) > 0 {
			t.Errorf("published %+v", events)
		}
	})
}

// A literal type is checked when the workflow is applied.
func TestEmitOfALiteralType(t *testing.T) {
	t.Parallel()
	d, problems := workflows.Parse([]byte(`{"id": "w", "nodes": {"e": {"type": "emit", "with": {"event": "keyflow.x"}}}}`))
	if len(problems) > 0 {
		t.Fatal(problems)
	}
	_, problems = plan.Compile(d, setup(t).types)
	if len(problems) != 1 || problems[0].Path != "/nodes/e/with/event" || problems[0].Code != "invalid_value" {
		t.Errorf("problems %+v", problems)
	}
}

// The end of a run is published when somebody may want it, without what it worked on; the end of one
// that such an event started is not.
func TestRunFinished(t *testing.T) {
	t.Parallel()
	w := setup(t)
	w.stop()
	asked := make(chan string, 100)
	w.boot(engine.Options{Exclusive: true, Wants: func(eventType, folder string) bool {
		asked <- eventType + " " + folder
		return folder == "/hr"
	}})
	w.apply(`{"id": "w", "folder": "/hr", "nodes": {"f": {"type": "fail", "with": {"message": "no stock"}}}}`)
	w.apply(`{"id": "alone", "nodes": {"c": {"type": "call"}}}`)
	w.wait(w.start("alone", ""))
	run, _ := w.wait(w.start("w", `{"secret": "payload"}`))
	started, err := w.engine.Start(t.Context(), engine.Start{Workflow: "w", Trigger: runs.TriggerRef{
		ID: "ends", Type: "event", Event: json.RawMessage(`{"type": "keyflow.run.finished"}`),
	}})
	if err != nil {
		t.Fatal(fault.Message(err))
	}
	w.wait(started.Run)
	events := w.published()
	if len(events) != 1 {
		t.Fatalf("published %+v", events)
	}
	data, err := json.Marshal(map[string]any{
		"run_id": run.ID, "workflow": "w", "version": 1, "status": "failed", "trigger": map[string]any{"id": "manual", "type": "manual"},
		"error": map[string]any{"node": "f", "code": "failed", "message": "no stock"}, "started_at": run.StartedAt, "finished_at": run.FinishedAt,
	})
	if err != nil {
		t.Fatal(err)
	}
	var want, got any
	if json.Unmarshal(data, &want) != nil || json.Unmarshal(events[0].Data, &got) != nil {
		t.Fatalf("data %s", events[0].Data)
	}
	if diff := cmp.Diff(want, got); diff != "" {
		t.Errorf("data (-want +got):\n%s", diff)
	}
	if e := events[0]; e.Type != "keyflow.run.finished" || e.Folder != "/hr" || e.Source != "/workflows/w" || e.Subject != "runs/"+run.ID.String() {
		t.Errorf("event %+v", e)
	}
	if first := <-asked; first != "keyflow.run.finished /" {
		t.Errorf("asked for %q", first)
	}
}

// An entry that is written again, because the answer to its COMMIT was lost, publishes nothing twice.
func TestEventIsStoredOnce(t *testing.T) {
	t.Parallel()
	databasetest.Each(t, func(t *testing.T, open func() *database.DB) {
		w := setupOn(t, open())
		w.stop()
		run := runs.Run{
			ID: runs.ID{6: 0x70, 8: 0x80, 15: 1}, Workflow: "w", Version: 1, Folder: "/", Status: runs.Running, Owner: runs.OwnerID{15: 1}, Fence: 1,
			Trigger: runs.TriggerRef{ID: "manual", Type: "manual"}, CreatedAt: time.Unix(1, 0), StartedAt: new(time.Unix(1, 0)),
		}
		notify := &runs.Progress{
			Run: run.ID, Owner: run.Owner, Fence: 1,
			Steps:  []runs.Step{{Node: "e", Index: runs.NoIndex, Status: runs.StepSucceeded}},
			Events: []outbox.Event{{ID: [16]byte{15: 9}, Type: "x", Source: "/workflows/w", Subject: "runs/1", Folder: "/", Time: time.Unix(2, 0), Data: json.RawMessage("null")}},
		}
		strangers := *notify
		strangers.Fence, strangers.Events = 2, []outbox.Event{{ID: [16]byte{15: 10}, Type: "y", Data: json.RawMessage("1")}}
		bad := *notify
		bad.Events = []outbox.Event{{ID: [16]byte{15: 11}, Type: "a\x00b", Data: json.RawMessage("1")}}
		for range 2 {
			outcomes, err := w.store.Commit(t.Context(), []runs.Entry{
				{Create: &runs.NewRun{Run: run}}, {Progress: notify}, {Progress: &strangers}, {Progress: &bad},
			}, time.Unix(3, 0))
			if err != nil || outcomes[1].Err != nil || outcomes[2].Err == nil || outcomes[3].Err == nil {
				t.Fatalf("%v, %+v", err, outcomes)
			}
		}
		if events := w.published(); len(events) != 1 || events[0].Type != "x" {
			t.Errorf("published %+v", events)
		}
	})
}
