package web

import (
	"context"
	"encoding/json"
	"fmt"
	"net/http"
	"strconv"
	"time"

	"github.com/danielgtaylor/huma/v2"
	"github.com/danielgtaylor/huma/v2/adapters/humago"

	"keyflow/engine/live"
	"keyflow/engine/runs"
	"keyflow/internal/fault"
	"keyflow/internal/identity"
	"keyflow/web/session"
)

const (
	// heartbeat is how often a silent stream shows that it lives, and how soon it ends after
	// its reader lost the right to read it (docs/explanation/security.md).
	heartbeat = 5 * time.Second
	// maxEventOutput bounds the output inside an event; a larger one is null there and whole in
	// the run itself.
	maxEventOutput = 64 << 10
	// resumeMargin is how far before its last event a returning reader is shown steps again:
	// events of parallel steps are not strictly in the order of their times.
	resumeMargin = 10 * time.Second
)

// runEvent is a run within a stream.
type runEvent struct {
	RunSummary
	Output rawJSON `json:"output"`
}

type runEventsOf struct {
	RunPath
	LastEventID string `header:"Last-Event-ID" maxLength:"20" doc:"The id of the last event that was seen, to go on from there."`
}

// runEvents streams a run as server-sent events (WHATWG HTML, section 9.2): what it and its
// steps are now, then each change, and the end after the final run. An event is "run" or
// "step" with the object of GET /runs/{id}; its id never falls. Whoever comes back with
// Last-Event-ID misses nothing and may see a change twice; 204 says that nothing will come.
func (s *server) runEvents(ctx context.Context, who session.Who, in *runEventsOf) (*huma.StreamResponse, error) {
	run, err := s.visibleRun(ctx, who.Caller, identity.View, in.ID)
	if err != nil {
		return nil, err
	}
	var seen int64
	if in.LastEventID != "" {
		if seen, err = strconv.ParseInt(in.LastEventID, 10, 64); err != nil || seen < 0 {
			return nil, fault.New(fault.Invalid, "Last-Event-ID: send the id of an event of this stream, or leave it out")
		}
	}
	if run.Status.Final() && seen >= instantOf(&run) {
		return &huma.StreamResponse{Body: func(c huma.Context) { c.SetStatus(http.StatusNoContent) }}, nil
	}
	ctx, stop := context.WithCancel(ctx)
	updates, err := s.runs.Watch(ctx, run.ID)
	if err != nil {
		stop()
		return nil, err
	}
	return &huma.StreamResponse{Body: func(c huma.Context) {
		defer stop()
		r, w := humago.Unwrap(c)
		h := w.Header()
		h.Set("Content-Type", "text/event-stream; charset=utf-8")
		h.Set("X-Accel-Buffering", "no") // nginx would hold events back
		s.stream(r.WithContext(ctx), &eventWriter{w: w, control: http.NewResponseController(w), resumed: seen}, updates)
	}}, nil
}

// stream writes until the run has ended, the reader is gone or not allowed any more, or the
// server stops.
func (s *server) stream(r *http.Request, e *eventWriter, updates <-chan live.Update) {
	ticker := time.NewTicker(heartbeat)
	defer ticker.Stop()
	err := e.text(":\n\n") // so that the reader sees at once that it is connected
	for err == nil {
		select {
		case u, open := <-updates:
			if !open {
				return
			}
			err = e.update(u)
		case <-ticker.C:
			if _, err = s.session.Authenticate(r.Context(), r); err == nil {
				err = e.text(":\n\n")
			}
		case <-s.stopping:
			return
		case <-r.Context().Done():
			return
		}
	}
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
		view := runEvent{RunSummary: viewRunSummary(*u.Run), Output: shortOutput(u.Run.Output)}
		return e.event("run", instantOf(u.Run), view)
	}
	id := stepInstant(u.Step)
	if u.Step.Status.Final() && id < e.resumed-resumeMargin.Microseconds() {
		return nil
	}
	view := viewStep(*u.Step)
	view.Output = shortOutput(view.Output)
	return e.event("step", id, view)
}

func shortOutput(output json.RawMessage) json.RawMessage {
	if len(output) > maxEventOutput {
		return nil
	}
	return withoutTokens(output)
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

// instantOf is the microsecond of the newest thing known of a run.
func instantOf(r *runs.Run) int64 {
	at := r.CreatedAt
	for _, t := range []*time.Time{r.StartedAt, r.FinishedAt} {
		if t != nil && t.After(at) {
			at = *t
		}
	}
	return at.UnixMicro()
}

// stepInstant is the microsecond of the newest thing that happened to a step.
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
