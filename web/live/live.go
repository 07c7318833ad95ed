// Package live streams runs to their readers as server-sent events.
//
// It must not know how the engine watches a run, or who else reads it.
package live

import (
	"context"
	"net/http"
	"strconv"
	"time"

	"github.com/danielgtaylor/huma/v2"
	"github.com/danielgtaylor/huma/v2/adapters/humago"

	"keyflow/engine/live"
	"keyflow/engine/runs"
	"keyflow/internal/fault"
	"keyflow/internal/identity"
	"keyflow/web/api/run"
	"keyflow/web/rest"
	"keyflow/web/session"
)

// Options is what the stream needs.
type Options struct {
	Runs     Watcher
	Access   run.Access
	Session  *session.Service
	Stopping <-chan struct{} // when closed, ends streams
}

// Watcher sends a run and its steps as they are, then every change.
type Watcher interface {
	Watch(ctx context.Context, id runs.ID) (<-chan live.Update, error)
}

type handlers struct{ Options }

// Register adds the route.
func Register(a *rest.API, o Options) {
	h := &handlers{o}
	rest.Add(a, rest.Get("/runs/{id}/events", "Follow a run: server-sent events, resumable with Last-Event-ID").Streams().Or(204, "The run has ended and nothing more will come."), h.runEvents)
}

const (
	// heartbeat is the interval of comments in a stream without events, and how soon a stream
	// ends after its reader lost the right to read it (docs/explanation/security.md).
	heartbeat = 5 * time.Second
	// maxEventOutput bounds the output inside an event; a larger one is null there and whole in
	// the run itself.
	maxEventOutput = 64 << 10
	// resumeMargin is how far before its last event a returning reader is shown steps again:
	// events of parallel steps are not strictly in the order of their times.
	resumeMargin = 10 * time.Second
)

type runEventsOf struct {
	run.RunPath
	LastEventID string `header:"Last-Event-ID" maxLength:"20" doc:"The id of the last event that was seen, to go on from there."`
}

// runEvents streams a run as server-sent events (WHATWG HTML, section 9.2): the current
// state of the run and its steps, then each change; it ends after the final run. An event is "run" or
// "step" with the object of GET /runs/{id}; its id never decreases. A reader that
// returns with Last-Event-ID misses nothing and may get a change twice; 204 says that no more will
// come.
func (h *handlers) runEvents(ctx context.Context, who session.Who, in *runEventsOf) (*huma.StreamResponse, error) {
	found, err := h.Access.Visible(ctx, who.Caller, identity.View, in.ID)
	if err != nil {
		return nil, err
	}
	var seen int64
	if in.LastEventID != "" {
		if seen, err = strconv.ParseInt(in.LastEventID, 10, 64); err != nil || seen < 0 {
			return nil, fault.New(fault.Invalid, "Last-Event-ID: send the id of an event of this stream, or omit the header")
		}
	}
	if found.Status.Final() && seen >= instantOf(&found) {
		return &huma.StreamResponse{Body: func(c huma.Context) { c.SetStatus(http.StatusNoContent) }}, nil
	}
	ctx, stop := context.WithCancel(ctx)
	updates, err := h.Runs.Watch(ctx, found.ID)
	if err != nil {
		stop()
		return nil, err
	}
	return &huma.StreamResponse{Body: func(c huma.Context) {
		defer stop()
		r, w := humago.Unwrap(c)
		header := w.Header()
		header.Set("Content-Type", "text/event-stream; charset=utf-8")
		header.Set("X-Accel-Buffering", "no") // nginx would buffer events
		h.stream(r.WithContext(ctx), &eventWriter{w: w, control: http.NewResponseController(w), resumed: seen}, updates)
	}}, nil
}

// stream writes until the run has ended, the reader has gone or lost its right, or the server
// stops.
func (h *handlers) stream(r *http.Request, e *eventWriter, updates <-chan live.Update) {
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
			if _, err = h.Session.Authenticate(r.Context(), r); err == nil {
				err = e.text(":\n\n")
			}
		case <-h.Stopping:
			return
		case <-r.Context().Done():
			return
		}
	}
}
