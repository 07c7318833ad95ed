package live

import (
	"encoding/json"
	"fmt"
	"net/http"
	"time"

	"keyflow/engine/live"
	"keyflow/engine/runs"
	"keyflow/web/api/run"
)

// runEvent is a run within a stream.
type runEvent struct {
	run.RunSummary
	Output json.RawMessage `json:"output"`
}

// eventWriter writes events to one reader.
type eventWriter struct {
	w       http.ResponseWriter
	control *http.ResponseController
	resumed int64 // the last id that a returning reader has seen; 0 is none
	newest  int64 // the last id that was written
}

func (e *eventWriter) update(u live.Update) error {
	if u.Run != nil {
		view := runEvent{RunSummary: run.ViewSummary(*u.Run), Output: shortOutput(u.Run.Output)}
		return e.event("run", instantOf(u.Run), view)
	}
	id := stepInstant(u.Step)
	if u.Step.Status.Final() && id < e.resumed-resumeMargin.Microseconds() {
		return nil
	}
	view := run.ViewStep(*u.Step)
	view.Output = shortOutput(view.Output)
	return e.event("step", id, view)
}

func shortOutput(output json.RawMessage) json.RawMessage {
	if len(output) > maxEventOutput {
		return nil
	}
	return run.WithoutTokens(output)
}

// event writes one event. JSON has no line breaks, so it is one line of data.
func (e *eventWriter) event(name string, id int64, view any) error {
	data, err := json.Marshal(view)
	if err != nil {
		return err
	}
	e.newest = max(e.newest, id, e.resumed)
	return e.text(fmt.Sprintf("event: %s\nid: %d\ndata: %s\n\n", name, e.newest, data))
}

func (e *eventWriter) text(text string) error {
	if _, err := e.w.Write([]byte(text)); err != nil {
		return err
	}
	return e.control.Flush()
}

// instantOf is the microsecond of the last change of a run.
func instantOf(r *runs.Run) int64 {
	at := r.CreatedAt
	for _, t := range []*time.Time{r.StartedAt, r.FinishedAt} {
		if t != nil && t.After(at) {
			at = *t
		}
	}
	return at.UnixMicro()
}

// stepInstant is the microsecond of the last change of a step.
func stepInstant(s *runs.Step) int64 {
	var at time.Time
	newer := func(t *time.Time) {
		if t != nil && t.After(at) {
			at = *t
		}
	}
	newer(s.StartedAt)
	newer(s.FinishedAt)
	if n := len(s.Attempts); n > 0 {
		newer(&s.Attempts[n-1].StartedAt)
		newer(s.Attempts[n-1].FinishedAt)
	}
	if at.IsZero() {
		return 0
	}
	return at.UnixMicro()
}
