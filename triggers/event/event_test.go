package event_test

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"net/http"
	"slices"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"
	"github.com/google/uuid"

	"keyflow/engine"
	"keyflow/engine/runs"
	"keyflow/internal/fault"
	"keyflow/internal/identity"
	"keyflow/internal/outbox"
	"keyflow/triggers"
	"keyflow/triggers/event"
	"keyflow/triggers/internal/firingtest"
	"keyflow/workflows"
)

// onEvent is an event trigger with the id "on" and the given further fields.
func onEvent(pattern string, more ...string) string {
	return `"on": {"type": "event", "event": "` + pattern + `"` + strings.Join(append([]string{""}, more...), ", ") + `}`
}

// loaded is a harness whose manager knows all its workflows.
func loaded(tb testing.TB) *firingtest.Harness {
	tb.Helper()
	h := firingtest.Setup(tb)
	if err := h.Manager.Load(tb.Context()); err != nil {
		tb.Fatal(err)
	}
	return h
}

// send gives the manager a request with events; the sender may start everything.
func send(tb testing.TB, h *firingtest.Harness, media, body string) ([]event.Receipt, error) {
	tb.Helper()
	return h.Manager.Receive(tb.Context(), event.Sent{
		Header: http.Header{"Content-Type": {media}}, Body: []byte(body), May: func(string) bool { return true },
	})
}

// event is a CloudEvent as JSON.
func eventJSON(id, eventType string, more ...string) string {
	return `{"specversion": "1.0", "id": "` + id + `", "source": "/tickets", "type": "` + eventType + `"` + strings.Join(append([]string{""}, more...), ", ") + `}`
}

// started returns the workflows that were started, in order of their ids.
func started(h *firingtest.Harness) []string {
	ids := []string{}
	for _, s := range h.Starter.All() {
		ids = append(ids, string(s.Workflow))
	}
	slices.Sort(ids)
	return ids
}

func TestEventPatterns(t *testing.T) {
	t.Parallel()
	h := loaded(t)
	for id, pattern := range map[string]string{
		"exact": "com.example.ticket.created", "ticket": "com.example.ticket.*", "example": "com.example.*", "all": "*",
		"own": "keyflow.*", "ends": "keyflow.run.finished", "dotless": "ping",
	} {
		h.Apply(t, id, onEvent(pattern))
	}
	h.Apply(t, "off", onEvent("*"), `"enabled": false`)
	for name, tt := range map[string]struct {
		eventType string
		want      []string
	}{
		"below three":        {"com.example.ticket.created", []string{"all", "exact", "example", "ticket"}},
		"deeper":             {"com.example.ticket.created.late", []string{"all", "example", "ticket"}},
		"the prefix itself":  {"com.example.ticket", []string{"all", "example"}},
		"nothing behind it":  {"com.example.ticket.", []string{"all", "example"}},
		"no part":            {"com.examples.x", []string{"all"}},
		"case counts":        {"Com.Example.Ticket.created", []string{"all"}},
		"without dots":       {"ping", []string{"all", "dotless"}},
		"keyflow's own":      {"keyflow.run.finished", []string{"ends", "own"}},
		"keyflow's other":    {"keyflow.credential.rotated", []string{"own"}},
		"only near keyflow.": {"keyflows.x", []string{"all"}},
	} {
		t.Run(name, func(t *testing.T) {
			err := h.Manager.Deliver(t.Context(), outbox.Entry{Event: outbox.Event{
				ID: uuid.New(), Type: tt.eventType, Subject: "x", Folder: "/team", Data: json.RawMessage("{}"),
			}})
			if err != nil {
				t.Fatal(err)
			}
			if diff := cmp.Diff(tt.want, started(h)); diff != "" {
				t.Errorf("started (-want +got):\n%s", diff)
			}
			h.Starter.Forget()
		})
	}
}

// What Keyflow tells about something in a folder reaches the folders that enclose it; what a
// workflow tells reaches those below, too. Siblings get neither.
func TestEventsReachTheirLineOfFolders(t *testing.T) {
	t.Parallel()
	h := loaded(t)
	for id, folder := range map[string]string{"root": "/", "hr": "/hr", "pay": "/hr/pay", "deep": "/hr/pay/kr", "sales": "/sales", "hrx": "/hrx"} {
		source := `{"id": "` + id + `", "folder": "` + folder + `", "nodes": {"n": {"type": "transform"}}, "triggers": {` + onEvent("*") + `, "own": {"type": "event", "event": "keyflow.*"}}}`
		if _, err := h.Catalog.Apply(t.Context(), identity.System(), workflows.ID(id), []byte(source), -1); err != nil {
			t.Fatal(err)
		}
	}
	for eventType, want := range map[string][]string{
		"keyflow.run.finished": {"hr", "pay", "root"},
		"com.example.told":     {"deep", "hr", "pay", "root"},
	} {
		if err := h.Manager.Deliver(t.Context(), outbox.Entry{Event: outbox.Event{ID: [16]byte{1}, Type: eventType, Subject: "x", Folder: "/hr/pay", Data: json.RawMessage("{}")}}); err != nil {
			t.Fatal(err)
		}
		if diff := cmp.Diff(want, started(h)); diff != "" {
			t.Errorf("%s started (-want +got):\n%s", eventType, diff)
		}
		h.Starter.Forget()
	}
	for folder, want := range map[string]bool{"/hr/pay": true, "/sales": true} {
		if got := h.Manager.Wants("keyflow.run.finished", folder); got != want {
			t.Errorf("wanted in %s: %v", folder, got)
		}
	}
}

// The answer to "does anybody want it" follows edits at once.
func TestWants(t *testing.T) {
	t.Parallel()
	h := firingtest.Setup(t)
	wants := func() bool { return h.Manager.Wants("keyflow.run.finished", "/team/x") }
	if !wants() {
		t.Error("before all workflows are known, an event could be lost")
	}
	if err := h.Manager.Load(t.Context()); err != nil {
		t.Fatal(err)
	}
	steps := []struct {
		name string
		do   func() error
		want bool
	}{
		{"nobody", func() error { return nil }, false},
		{"a pattern for others", func() error { h.Apply(t, "w", onEvent("com.*")+`, "b": {"type": "event", "event": "*"}`); return nil }, false},
		{"subscribed", func() error { h.Apply(t, "w", onEvent("keyflow.run.*")); return nil }, true},
		{"switched off", func() error {
			_, err := h.Catalog.SetEnabled(t.Context(), identity.System(), "w", false)
			return err
		}, false},
		{"switched on", func() error { _, err := h.Catalog.SetEnabled(t.Context(), identity.System(), "w", true); return err }, true},
		{"deleted", func() error { return h.Catalog.Delete(t.Context(), identity.System(), "w") }, false},
	}
	for _, step := range steps {
		if err := step.do(); err != nil {
			t.Fatal(err)
		}
		if got := wants(); got != step.want {
			t.Errorf("%s: wanted is %v", step.name, got)
		}
	}
}

func TestEventStartsWithItsInput(t *testing.T) {
	t.Parallel()
	h := loaded(t)
	h.Apply(t, "plain", onEvent("t"))
	h.Apply(t, "shaped", onEvent("t", `"filter": "trigger.event.data.n > vars.least && trigger.event.tenant == 'a'"`,
		`"input": {"id": "{{ trigger.event.id }}", "n": "{{ trigger.event.data.n }}", "by": "{{ trigger.id }}/{{ trigger.type }}"}`), `"vars": {"least": 1}`)
	h.Apply(t, "other", onEvent("t", `"filter": "trigger.event.data.n == 3"`))
	receipts, err := send(t, h, "application/json", eventJSON("7", "t", `"tenant": "a"`, `"keyflowdepth": 4`, `"data": {"n": 2, "s": "é"}`))
	if err != nil {
		t.Fatal(err)
	}
	got := map[string]engine.Start{}
	for _, s := range h.Starter.All() {
		got[string(s.Workflow)] = s
	}
	if len(got) != 2 || len(receipts) != 1 || len(receipts[0].Runs) != 2 || receipts[0].ID != "7" {
		t.Fatalf("started %v, receipts %+v", started(h), receipts)
	}
	if input := string(got["plain"].Input); input != `{"n":2,"s":"é"}` {
		t.Errorf("input without a template: %s", input)
	}
	if input := string(got["shaped"].Input); input != `{"by":"on/event","id":"7","n":2}` {
		t.Errorf("input of a template: %s", input)
	}
	s := got["plain"]
	if s.Depth != 4 || s.Trigger.ID != "on" || s.Trigger.Type != "event" || s.Trigger.FiredAt.IsZero() {
		t.Errorf("start %+v", s)
	}
	if want := `{"data":{"n":2,"s":"é"},"id":"7","keyflowdepth":4,"source":"/tickets","specversion":"1.0","tenant":"a","type":"t"}`; string(s.Trigger.Event) != want {
		t.Errorf("event %s", s.Trigger.Event)
	}
	if d := s.Dedupe; d == nil || d.Kind != "event" || d.Trigger != "on" || d.Key != "/tickets\x007" || d.ExpiresAt.Sub(s.Trigger.FiredAt) != 24*time.Hour {
		t.Errorf("dedupe key %+v", d)
	}
}

// An event is one run for each trigger, however often and by whatever way it comes.
func TestEventTwice(t *testing.T) {
	t.Parallel()
	h := loaded(t)
	h.Apply(t, "a", onEvent("t")+`, "also": {"type": "event", "event": "*"}`)
	var list []runs.ID
	var mu sync.Mutex
	var wg sync.WaitGroup
	for range 50 {
		wg.Go(func() {
			receipts, err := send(t, h, "application/json", eventJSON("7", "t"))
			mu.Lock()
			defer mu.Unlock()
			if err != nil || len(receipts[0].Runs) != 2 {
				t.Errorf("%v %v", receipts, err)
				return
			}
			list = append(list, receipts[0].Runs...)
		})
	}
	wg.Wait()
	slices.SortFunc(list, func(a, b runs.ID) int { return slices.Compare(a[:], b[:]) })
	if n := len(slices.Compact(list)); n != 2 || len(started(h)) != 2 {
		t.Errorf("%d runs were answered, %d started", n, len(started(h)))
	}
}

// A process that ends between the start and the removal of an event hands it out again: nothing
// starts twice.
func TestEventIsHandedOutAgain(t *testing.T) {
	t.Parallel()
	h := loaded(t)
	h.Apply(t, "a", onEvent("t"))
	told := outbox.Entry{Event: outbox.Event{ID: [16]byte{1}, Type: "t", Subject: "x", Folder: "/team", Data: json.RawMessage("{}")}}
	for range 2 {
		if err := h.Manager.Deliver(t.Context(), told); err != nil {
			t.Fatal(err)
		}
	}
	if n := len(started(h)); n != 1 {
		t.Errorf("%d runs", n)
	}
}

// A sender starts only what it may start, and repeats show it no other runs.
func TestEventsStartWhatTheSenderMayStart(t *testing.T) {
	t.Parallel()
	h := loaded(t)
	h.Apply(t, "a", onEvent("t"))
	receipts, err := h.Manager.Receive(t.Context(), event.Sent{
		Header: http.Header{"Content-Type": {"application/cloudevents+json"}}, Body: []byte(eventJSON("1", "t")),
		May: func(folder string) bool { return folder != "/team" },
	})
	if err != nil || len(receipts) != 1 || len(receipts[0].Runs) != 0 || len(started(h)) != 0 {
		t.Errorf("%+v, %v, started %v", receipts, err, started(h))
	}
}

// A batch with a bad event among 200 good ones: these are taken, that one is told with its place.
func TestBadEventOfABatch(t *testing.T) {
	t.Parallel()
	h := loaded(t)
	h.Apply(t, "a", onEvent("*"))
	for name, tt := range map[string]struct{ bad, path, code string }{
		"NUL in the id":     {`{"specversion": "1.0", "id": "a\u0000", "source": "/s", "type": "t"}`, "/100/id", "nul_character"},
		"NUL in the data":   {eventJSON("x", "t", `"data": {"a": [1, "b\u0000"]}`), "/100/data/a/1", "nul_character"},
		"duplicate key":     {eventJSON("x", "t", `"data": {"a": {"b": 1, "b": 2}}`), "/100/data/a/b", "duplicate_key"},
		"oversized value":   {eventJSON("x", "t", `"data": "`+strings.Repeat("x", 1<<20)+`"`), "/100", "too_large"},
		"oversized name":    {eventJSON(strings.Repeat("x", 5000), "t"), "/100/id", "too_large"},
		"nested too deep":   {eventJSON("x", "t", `"data": `+strings.Repeat("[", 2000)+strings.Repeat("]", 2000)), "/100", "too_deep"},
		"no UTF-8":          {eventJSON("\xff", "t"), "/100", "malformed"},
		"not an event":      {`7`, "/100", "wrong_type"},
		"from too far":      {eventJSON("x", "t", `"keyflowdepth": 33`), "/100/keyflowdepth", "loop"},
		"in another's name": {`{"specversion": "1.0", "id": "1", "source": "/workflows/pay", "type": "t"}`, "/100/source", "reserved"},
		"keyflow's own":     {eventJSON("x", "keyflow.run.finished"), "/100/type", "reserved"},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			var events []string
			for i := range 200 {
				events = append(events, eventJSON(fmt.Sprint(name, i), "t"))
			}
			events = slices.Insert(events, 100, tt.bad)
			receipts, err := send(t, h, "application/cloudevents-batch+json", "["+strings.Join(events, ",")+"]")
			if err != nil || len(receipts) != 201 {
				t.Fatalf("%d receipts, %v", len(receipts), err)
			}
			started := map[runs.ID]bool{}
			for i, r := range receipts {
				switch {
				case i == 100 && (r.Problem == nil || r.Problem.Path != tt.path || r.Problem.Code != tt.code || len(r.Runs) != 0):
					t.Errorf("the bad one: %+v %+v", r, r.Problem)
				case i != 100 && (r.Problem != nil || len(r.Runs) != 1):
					t.Fatalf("a good one: %+v", r)
				case i != 100:
					started[r.Runs[0]] = true
				}
			}
			if len(started) != 200 {
				t.Errorf("%d runs", len(started))
			}
		})
	}
}

func TestEventsRefused(t *testing.T) {
	t.Parallel()
	h := loaded(t)
	h.Apply(t, "a", onEvent("*"))
	for name, tt := range map[string]struct {
		media, body string
		kind        fault.Kind
	}{
		"all bad":        {"application/json", `[{"id": "1"}, 7]`, fault.Invalid},
		"one bad":        {"application/cloudevents+json", eventJSON("", "t"), fault.Invalid},
		"no JSON":        {"application/cloudevents+json", `{`, fault.Malformed},
		"more data":      {"application/json", `[] []`, fault.Malformed},
		"no batch":       {"application/cloudevents-batch+json", eventJSON("1", "t"), fault.Malformed},
		"another format": {"application/cloudevents+avro", "x", fault.Malformed},
		"no event":       {"text/plain", "hello", fault.Malformed},
		"too many":       {"application/json", "[" + strings.Repeat("0,", 1000) + "0]", fault.Invalid},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			if receipts, err := send(t, h, tt.media, tt.body); !fault.Is(err, tt.kind) || len(receipts) != 0 {
				t.Errorf("%v %+v, want %v", err, receipts, tt.kind)
			}
		})
	}
	if receipts, err := send(t, h, "application/json", "[]"); err != nil || receipts == nil || len(receipts) != 0 {
		t.Errorf("an empty batch gives %v, %v", receipts, err)
	}
	gone, cancel := context.WithCancel(t.Context())
	cancel()
	if receipts, err := firingtest.Setup(t).Manager.Receive(gone, event.Sent{Body: []byte(eventJSON("1", "t"))}); !fault.Is(err, fault.Unavailable) {
		t.Errorf("before all workflows are known: %v, %v", receipts, err)
	}
}

// Nothing is accepted of which a start could not be stored; sent again, nothing starts twice.
func TestEventsAreNotAcceptedHalf(t *testing.T) {
	t.Parallel()
	h := loaded(t)
	h.Apply(t, "a", onEvent("t"))
	h.Starter.Fail(fault.New(fault.Unavailable, "the queue is full"))
	if _, err := send(t, h, "application/json", eventJSON("1", "t")); !fault.Is(err, fault.Unavailable) {
		t.Errorf("answer %v", err)
	}
	h.Starter.Fail(nil)
	if receipts, err := send(t, h, "application/json", eventJSON("1", "t")); err != nil || len(receipts[0].Runs) != 1 {
		t.Errorf("again: %v, %v", receipts, err)
	}
}

// What can never start is counted, shown and given up; it keeps nobody else waiting.
func TestEventsThatCannotStart(t *testing.T) {
	t.Parallel()
	h := loaded(t)
	h.Apply(t, "filter", onEvent("t", `"filter": "trigger.event.data.n.m > 1"`))
	h.Apply(t, "number", onEvent("t", `"filter": "1"`))
	h.Apply(t, "input", onEvent("t", `"input": "{{ trigger.event.data.n.m.k }}"`))
	h.Apply(t, "good", onEvent("t"))
	told := outbox.Entry{Event: outbox.Event{ID: [16]byte{1}, Type: "t", Subject: "x", Folder: "/team", Data: json.RawMessage(`{"n": "text"}`)}}
	if err := h.Manager.Deliver(t.Context(), told); err != nil {
		t.Fatal(err)
	}
	if diff := cmp.Diff([]string{"good"}, started(h)); diff != "" {
		t.Errorf("started (-want +got):\n%s", diff)
	}
	h.Starter.Fail(fault.Problems("the input does not match", []workflows.Problem{{Path: "/n", Message: "must be a number"}}))
	told.ID[2] = 2
	if err := h.Manager.Deliver(t.Context(), told); err != nil {
		t.Error(err)
	}
	list, err := h.Manager.List(t.Context(), triggers.Filter{})
	if err != nil {
		t.Fatal(err)
	}
	got := map[workflows.ID]string{}
	for _, l := range list {
		got[l.Workflow] = fmt.Sprint(l.FilterErrors, l.Refused, l.LastProblem != "")
	}
	want := map[workflows.ID]string{"filter": "2 0 true", "number": "2 0 true", "input": "0 2 true", "good": "0 1 true"}
	if diff := cmp.Diff(want, got); diff != "" {
		t.Errorf("shown (-want +got):\n%s", diff)
	}
}

// An event is kept for the workflow that cannot be started now, and only for that one; while the
// process can start nothing, all events wait.
func TestEventIsPostponed(t *testing.T) {
	t.Parallel()
	h := firingtest.Setup(t)
	var down error
	m := triggers.New(triggers.Options{Store: h.Store, Catalog: h.Catalog, Starter: &stubborn{Recorder: h.Starter}, Ready: func() error { return down }})
	h.Apply(t, "bad", onEvent("t"))
	h.Apply(t, "good", onEvent("t"))
	if err := m.Load(t.Context()); err != nil {
		t.Fatal(err)
	}
	told := outbox.Entry{Event: outbox.Event{ID: [16]byte{1}, Type: "t", Subject: "x", Folder: "/team", Data: json.RawMessage(`{}`)}}
	err := m.Deliver(t.Context(), told)
	later, ok := errors.AsType[*outbox.Postponed](err)
	if !ok || !slices.Equal(later.Left, []string{"bad/on"}) {
		t.Fatalf("delivered with %v", err)
	}
	told.Left, told.Attempts = later.Left, 1
	if err := m.Deliver(t.Context(), told); err == nil || !slices.Equal(started(h), []string{"good"}) {
		t.Errorf("again: %v, started %v", err, started(h))
	}
	told.Attempts = 150
	if err := m.Deliver(t.Context(), told); err != nil {
		t.Errorf("after a day it is not given up: %v", err)
	}
	down = fault.New(fault.Unavailable, "stopping")
	told.Attempts, told.Left = 0, nil
	if err := m.Deliver(t.Context(), told); !errors.Is(err, down) {
		t.Errorf("while nothing can start: %v", err)
	}
}

// stubborn cannot start the workflow bad.
type stubborn struct{ *firingtest.Recorder }

func (s *stubborn) Start(ctx context.Context, start engine.Start) (engine.Started, error) {
	if start.Workflow == "bad" {
		return engine.Started{}, errors.New("its definition is damaged")
	}
	return s.Recorder.Start(ctx, start)
}

// Deliver waits until all workflows are known.
func TestDeliverWaitsForTheWorkflows(t *testing.T) {
	t.Parallel()
	h := firingtest.Setup(t)
	ctx, cancel := context.WithCancel(t.Context())
	done := make(chan error)
	go func() {
		done <- h.Manager.Deliver(ctx, outbox.Entry{Event: outbox.Event{Type: "t", Data: json.RawMessage("1")}})
	}()
	cancel()
	if err := <-done; !errors.Is(err, context.Canceled) {
		t.Errorf("delivered with %v", err)
	}
}

func TestEventTriggerChecks(t *testing.T) {
	t.Parallel()
	h := firingtest.Setup(t)
	for name, tt := range map[string]struct{ trigger, want string }{
		"right":          {onEvent("com.example.*", `"filter": "trigger.event.id != ''"`), ""},
		"no pattern":     {`"on": {"type": "event"}`, "/triggers/on/event required"},
		"star inside":    {onEvent("com.*.x"), "/triggers/on/event invalid_value"},
		"star in a part": {onEvent("com.ex*"), "/triggers/on/event invalid_value"},
		"control":        {onEvent(`a\u0007`), "/triggers/on/event invalid_value"},
		"filter":         {onEvent("t", `"filter": "trigger.event.("`), "/triggers/on/filter expression"},
		"filter braces":  {onEvent("t", `"filter": "{{ true }}"`), "/triggers/on/filter expression"},
		"filter reads":   {onEvent("t", `"filter": "input.a"`), "/triggers/on/filter expression"},
		"input":          {onEvent("t", `"input": {"a": "{{ nodes.x }}"}`), "/triggers/on/input/a expression"},
		"other field":    {onEvent("t", `"dedupe": "x"`), "/triggers/on/dedupe unknown_field"},
	} {
		t.Run(name, func(t *testing.T) {
			_, err := h.Catalog.Apply(t.Context(), identity.System(), "w", []byte(`{"id": "w", "nodes": {"n": {"type": "transform"}}, "triggers": {`+tt.trigger+`}}`), -1)
			got := ""
			for _, p := range fault.ProblemsOf(err) {
				got += p.Path + " " + p.Code
			}
			if got != tt.want {
				t.Errorf("problems %q, want %q (%v)", got, tt.want, err)
			}
		})
	}
}
