package engine

import (
	"context"
	"encoding/json"
	"fmt"
	"strconv"
	"strings"
	"time"

	"github.com/google/uuid"

	"keyflow/engine/runs"
	"keyflow/internal/cloudevent"
	"keyflow/internal/jsonvalue"
	"keyflow/internal/outbox"
	"keyflow/nodes"
	"keyflow/workflows"
)

// EventRunFinished is the type of the event that tells of a run's end; its data is RunFinished.
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

// cause is the trigger of a run without what it brought.
type cause struct {
	ID   string `json:"id"`
	Type string `json:"type"`
}

// maxEventData bounds the data of an event, in bytes.
const maxEventData = cloudevent.MaxEvent

// emit is the outcome of a step that publishes an event. Its id is that of the step, so that a
// step that runs again after a crash publishes the same event.
func (s *stepRun) emit(ctx context.Context, ask *nodes.Emit) (outcome, *nodes.Error) {
	run := &s.runner.run
	if wrong := cloudevent.CheckType(ask.Event); wrong != "" {
		return outcome{}, &nodes.Error{Code: nodes.CodeInvalidParam, Message: "with.event: " + wrong, Permanent: true}
	}
	data, err := jsonvalue.Encode(ask.Data)
	if err != nil {
		return outcome{}, &nodes.Error{Code: nodes.CodeExpression, Message: "with.data: the value cannot be written as JSON", Err: err, Permanent: true}
	}
	if len(data) > maxEventData {
		return outcome{}, &nodes.Error{
			Code: nodes.CodeTooLarge, Permanent: true,
			Message: fmt.Sprintf("with.data has %d bytes; at most %d are allowed: publish a link to what is larger", len(data), maxEventData),
		}
	}
	id := eventID(run.ID, string(s.plan.ID)+"/"+strconv.Itoa(s.key.index))
	out, wrong := s.done(ctx, map[string]any{"id": id.String()})
	out.event = newEvent(run, id, ask.Event)
	out.event.Time, out.event.Data = s.runner.engine.now(), data
	return out, wrong
}

func eventID(run runs.ID, name string) uuid.UUID {
	return uuid.NewSHA1(uuid.UUID(run), []byte("event "+name))
}

// newEvent is an event that a run tells, without time and data.
func newEvent(run *runs.Run, id uuid.UUID, name string) *outbox.Event {
	return &outbox.Event{
		ID: id, Type: name, Source: "/workflows/" + string(run.Workflow), Subject: "runs/" + run.ID.String(),
		Folder: run.Folder, Depth: run.Depth + 1,
	}
}

// announce adds, to the end of a run, the event that tells of it, if somebody may want it. The
// ends of runs that such an event started are not told: what follows ends must not go on for ever.
func (e *Engine) announce(run *runs.Run, p *runs.Progress) {
	if e.o.Wants == nil || run.Version == 0 || !p.Set.Status.Final() || !e.o.Wants(EventRunFinished, run.Folder) || startedByEnd(run) {
		return
	}
	data, err := json.Marshal(RunFinished{
		RunID: run.ID, Workflow: run.Workflow, Version: run.Version, Status: p.Set.Status, Trigger: cause{run.Trigger.ID, run.Trigger.Type},
		Error: p.Set.Error, StartedAt: run.StartedAt, FinishedAt: p.Set.FinishedAt,
	})
	if err != nil { // texts and times always have a JSON form
		e.o.Logger.Error("cannot tell of the end of a run", "run", run.ID, "error", err)
		return
	}
	event := newEvent(run, eventID(run.ID, EventRunFinished), EventRunFinished)
	event.Time, event.Data = *p.Set.FinishedAt, data
	p.Events = append(p.Events, *event)
}

// startedByEnd reports whether an event that told of the end of a run started this one.
func startedByEnd(run *runs.Run) bool {
	var event struct {
		Type string `json:"type"`
	}
	return run.Trigger.Event != nil && json.Unmarshal(run.Trigger.Event, &event) == nil && strings.HasPrefix(event.Type, EventRunFinished)
}
