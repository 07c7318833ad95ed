// Package events makes the events that runs publish: those of emit nodes, and that of a run's end.
//
// It must not know who listens, or how events are delivered.
package events

import (
	"encoding/json"
	"fmt"
	"strings"
	"time"

	"github.com/google/uuid"

	"keyflow/engine/runs"
	"keyflow/internal/cloudevent"
	"keyflow/internal/outbox"
	"keyflow/workflows"
)

// EventRunFinished is the type of the event of a run's end; its data is RunFinished.
const EventRunFinished = cloudevent.Reserved + "run.finished"

// RunFinished is the data of EventRunFinished. No payload of the run is in it.
type RunFinished struct {
	RunID      runs.ID        `json:"run_id"`
	Workflow   workflows.ID   `json:"workflow"`
	Version    int            `json:"version"`
	Status     runs.Status    `json:"status"`
	Trigger    cause          `json:"trigger"`
	Error      *runs.RunError `json:"error"`
	StartedAt  *time.Time     `json:"started_at"`
	FinishedAt *time.Time     `json:"finished_at"`
}

// cause is the trigger of a run without its payload.
type cause struct {
	ID   string `json:"id"`
	Type string `json:"type"`
}

// ID is the id of an event of a run: the same after a crash.
func ID(run runs.ID, name string) uuid.UUID {
	return uuid.NewSHA1(uuid.UUID(run), []byte("event "+name))
}

// New is an event that a run publishes, without time and data.
func New(run *runs.Run, id uuid.UUID, name string) *outbox.Event {
	return &outbox.Event{
		ID: id, Type: name, Source: "/workflows/" + string(run.Workflow), Subject: "runs/" + run.ID.String(),
		Folder: run.Folder, Depth: run.Depth + 1,
	}
}

// AddFinished adds the event of a run's end to its last entry, if wants says so; nil wants none. A
// run that such an event started has no such event itself: otherwise ends could cause ends for
// ever.
func AddFinished(run *runs.Run, p *runs.Progress, wants func(eventType, folder string) bool) error {
	if wants == nil || run.Version == 0 || !p.Set.Status.Final() || !wants(EventRunFinished, run.Folder) || startedByFinished(run) {
		return nil
	}
	data, err := json.Marshal(RunFinished{
		RunID: run.ID, Workflow: run.Workflow, Version: run.Version, Status: p.Set.Status, Trigger: cause{run.Trigger.ID, run.Trigger.Type},
		Error: p.Set.Error, StartedAt: run.StartedAt, FinishedAt: p.Set.FinishedAt,
	})
	if err != nil { // texts and times always have a JSON form
		return fmt.Errorf("encode the event of the end of run %s: %w", run.ID, err)
	}
	event := New(run, ID(run.ID, EventRunFinished), EventRunFinished)
	event.Time, event.Data = *p.Set.FinishedAt, data
	p.Events = append(p.Events, *event)
	return nil
}

// startedByFinished reports whether the event of the end of a run started this one.
func startedByFinished(run *runs.Run) bool {
	var event struct {
		Type string `json:"type"`
	}
	return run.Trigger.Event != nil && json.Unmarshal(run.Trigger.Event, &event) == nil && strings.HasPrefix(event.Type, EventRunFinished)
}
