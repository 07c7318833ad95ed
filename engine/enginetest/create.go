package enginetest

import (
	"encoding/json"
	"fmt"
	"reflect"
	"slices"
	"strings"
	"time"

	"keyflow/credentials"
	"keyflow/engine/runs"
	"keyflow/internal/fault"
)

func (s *suite) createAndReadBack() {
	of := s.id()
	r := s.owned(1)
	r.Input = json.RawMessage(`{"a":1}`)
	r.RetryOf, r.Depth = &of, 3
	r.Trigger = runs.TriggerRef{
		ID: "in", Type: "webhook", FiredAt: s.now.Add(-time.Second), ScheduledAt: s.at(-time.Minute),
		Request: json.RawMessage(`{"method":"POST","body":{"x":"\u0000"}}`),
	}
	out := s.commit(create(r))[0]
	s.equal("outcome", out, runs.Outcome{Run: r.ID})
	s.equal("run", s.run(r.ID), r)

	event := s.queued()
	event.Trigger.Event = json.RawMessage(`{"type":"thing.happened"}`)
	event.Parent = &runs.StepRef{Run: of, Node: "start", Index: 2}
	event.Groups, event.Above = []runs.GroupID{group(1)}, []runs.GroupID{group(2)}
	failed := s.queued()
	failed.Status, failed.FinishedAt = runs.Failed, s.at(0)
	failed.Error = &runs.RunError{Node: "n", Code: "bad_input", Message: "no"}
	s.commit(create(event), create(failed))
	s.equal("run with event", s.run(event.ID), event)
	s.equal("run that failed at once", s.run(failed.ID), failed)
	s.everyFieldIsSet(r, event, failed)

	again := s.queued()
	kept := runs.Step{
		Node: "done", Index: runs.NoIndex, Status: runs.StepSucceeded, StartedAt: s.at(-time.Hour), FinishedAt: s.at(-time.Minute),
		Output: json.RawMessage(`{"big":"` + strings.Repeat("x", 64<<10) + `"}`),
	}
	s.commit(runs.Entry{Create: &runs.NewRun{Run: again, Steps: []runs.Step{kept}}})
	steps, err := s.Store.Steps(s.ctx, again.ID)
	if err != nil {
		s.Fatal(err)
	}
	s.equal("steps of a run that retries another", steps, []runs.Step{kept})

	if _, err := s.Store.Run(s.ctx, of); fault.Message(err) != fmt.Sprintf("run %s does not exist", of) {
		s.Errorf("unknown run: %v", err)
	}
}

// everyFieldIsSet holds the runs that are read back to set, together, each field of a run that is
// not of later entries only: a store that loses a field fails.
func (s *suite) everyFieldIsSet(created ...runs.Run) {
	s.Helper()
	later := []string{"Output", "WakeAt", "CancelRequested", "WaitsForSlot"}
	for field := range reflect.TypeFor[runs.Run]().Fields() {
		set := slices.ContainsFunc(created, func(r runs.Run) bool {
			return !reflect.ValueOf(r).FieldByIndex(field.Index).IsZero()
		})
		if !set && !slices.Contains(later, field.Name) {
			s.Errorf("no run here sets the field %s of runs.Run, so a store may lose it: set it in createAndReadBack", field.Name)
		}
	}
}

func (s *suite) createIsIdempotent() {
	r := s.owned(1)
	s.commit(create(r))
	s.commit(progress(r, &runs.Change{Status: runs.Succeeded, FinishedAt: s.at(time.Second)}))
	out := s.commit(create(r))[0]
	s.equal("second outcome", out, runs.Outcome{Run: r.ID, Waits: true})
	if got := s.run(r.ID); got.Status != runs.Succeeded {
		s.Errorf("the second create changed the run to %s", got.Status)
	}
}

func (s *suite) stepsAreReplaced() {
	r := s.owned(1)
	s.commit(create(r))
	running := runs.Step{Node: "call", Index: runs.NoIndex, Status: runs.StepRunning, StartedAt: s.at(0)}
	element := runs.Step{Node: "each", Index: 7, Status: runs.StepPending}
	s.commit(progress(r, nil, running, element))

	done := running
	done.Status, done.FinishedAt, done.Output = runs.StepSucceeded, s.at(40*time.Millisecond), json.RawMessage(`{"ok":true}`)
	done.Calls = []credentials.Call{{
		Credential: "erp", Version: 2, Fingerprint: "a1b2", Host: "api.example", Method: "GET",
		URL: "https://api.example/v1/things?x=***", Status: 200, Duration: 12345 * time.Microsecond,
	}, {Host: "proxy.example:8443", Method: "POST", URL: "https://proxy.example:8443", Status: 503, Duration: time.Second}}
	done.Attempts = []runs.Attempt{
		{Attempt: 1, StartedAt: *s.at(0), FinishedAt: s.at(10 * time.Millisecond), Error: &runs.StepError{
			Code: "http_status", Message: "503", Attempt: 1, Response: json.RawMessage(`{"status":503}`),
		}, Request: &runs.Request{Method: "POST", URL: "https://elsewhere.example/", Status: 503, DurationMS: 5}},
		{Attempt: 2, StartedAt: *s.at(20 * time.Millisecond), FinishedAt: s.at(40 * time.Millisecond), Request: &runs.Request{
			Method: "GET", URL: "https://api.example/v1/things?x=***", Status: 200, DurationMS: 12,
		}},
		{Attempt: 3, StartedAt: *s.at(50 * time.Millisecond)},
	}
	waiting := element
	waiting.Status, waiting.DueAt, waiting.StartedAt = runs.StepWaiting, s.at(time.Minute), s.at(time.Millisecond)
	waiting.Error = &runs.StepError{Code: "network", Message: "refused", Attempt: 1}
	s.commit(progress(r, nil, done, waiting))

	got, err := s.Store.Steps(s.ctx, r.ID)
	if err != nil {
		s.Fatal(err)
	}
	s.equal("steps", got, []runs.Step{done, waiting})
	if none, err := s.Store.Steps(s.ctx, s.id()); err != nil || len(none) != 0 {
		s.Errorf("steps of an unknown run: %v, %v", none, err)
	}
}

func (s *suite) noEntries() {
	if out := s.try(); len(out) != 0 {
		s.Errorf("outcomes of nothing: %v", out)
	}
}
