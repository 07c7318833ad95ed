package triggers

import (
	"bytes"
	"context"
	"encoding/json"
	"errors"
	"io"
	"maps"
	"net/http"
	"slices"
	"strconv"
	"strings"
	"time"

	"keyflow/credentials"
	"keyflow/engine"
	"keyflow/engine/runs"
	"keyflow/internal/fault"
)

const (
	// HooksPrefix is where Hooks expects to be mounted.
	HooksPrefix = "/hooks/"
	// DepthHeader carries how many workflow starts led to a request that Keyflow sends.
	DepthHeader = "Keyflow-Depth"
	// DuplicateHeader marks the answer to a delivery that has started a run before.
	DuplicateHeader = "Keyflow-Duplicate"

	maxBody = 5 << 20 // bytes of a request body
	// storeWithin is how long a run may take to be stored.
	storeWithin = 30 * time.Second
)

// Hooks returns the handler of /hooks/ and everything below it. It must see paths as they are in
// the request line: a mux that cleans paths would accept other spellings.
func (m *Manager) Hooks() http.Handler { return http.HandlerFunc(m.serveHook) }

// serveHook answers one inbound call. Callers learn little: an unknown path and the path of a
// disabled workflow get the same answer, and a refusal gives no reason.
func (m *Manager) serveHook(w http.ResponseWriter, r *http.Request) {
	h := w.Header()
	maps.Copy(h, m.headers)
	rt, params := m.find(r)
	if rt == nil && !m.loaded.Load() {
		if m.catchUpWithin(r.Context(), loadWithin) != nil {
			h.Set("Retry-After", "2")
			refuse(w, http.StatusServiceUnavailable, "the call was not accepted: starting")
			return
		}
		rt, params = m.find(r)
	}
	if rt == nil {
		refuse(w, http.StatusNotFound, "there is no webhook at this address")
		return
	}
	if !slices.Contains(rt.methods, r.Method) {
		h.Set("Allow", strings.Join(rt.methods, ", "))
		refuse(w, http.StatusMethodNotAllowed, "this webhook takes "+strings.Join(rt.methods, ", "))
		return
	}
	body, ok := readBody(w, r)
	if !ok {
		return
	}
	verified, ok := m.verify(w, r, rt, body)
	if !ok {
		return
	}
	taken := false
	defer func() {
		if !taken && rt.credential != "" {
			m.verifier.Unverify(context.WithoutCancel(r.Context()), credentials.ID(rt.credential), r, body)
		}
	}()
	c := &call{route: rt, params: params, fired: m.now().UTC(), body: body, verified: verified}
	started, ok := m.start(w, r, c)
	if !ok {
		return
	}
	taken = true
	if started.Duplicate {
		h.Set(DuplicateHeader, "true")
	}
	if rt.onFinish {
		m.answerFinish(w, r, rt, started)
		return
	}
	accepted(w, started.Run)
}

// start reads the request and stores a run.
func (m *Manager) start(w http.ResponseWriter, r *http.Request, c *call) (engine.Started, bool) {
	exit, ok := m.gate.enter(r.Context(), len(c.body))
	if !ok && hungUp(w, r) {
		return engine.Started{}, false
	}
	if !ok {
		w.Header().Set("Retry-After", "5")
		refuse(w, http.StatusServiceUnavailable, "the call was not accepted: too many large bodies at once")
		return engine.Started{}, false
	}
	defer exit()
	if err := c.read(r); err != nil {
		refuse(w, http.StatusBadRequest, err.Error())
		return engine.Started{}, false
	}
	start, ok := m.prepare(w, r, c)
	if !ok {
		return engine.Started{}, false
	}
	// The start goes on when the caller hangs up: whether the run is stored decides whether its
	// request counts as received.
	ctx, cancel := context.WithTimeout(context.WithoutCancel(r.Context()), storeWithin)
	defer cancel()
	started, err := m.starter.Start(ctx, start)
	if err != nil && !hungUp(w, r) {
		m.refuseStart(w, c.route, err)
	}
	return started, err == nil
}

// find returns the current route of a request. When other processes may have changed the
// workflow, it compares the route with the catalog, which caches for a moment.
func (m *Manager) find(r *http.Request) (*route, map[string]any) {
	path, ok := strings.CutPrefix(r.URL.EscapedPath(), HooksPrefix)
	if !ok {
		return nil, nil
	}
	rt, params := m.routes.find(path)
	if rt == nil || !m.shared {
		return rt, params
	}
	s, err := m.catalog.Summary(r.Context(), rt.workflow)
	if err == nil && s.Version == rt.version && s.Enabled {
		return rt, params
	}
	if err := m.WorkflowChanged(r.Context(), rt.workflow); err != nil {
		m.logger.Error("the change of a webhook cannot be read; its former version is used", reference(rt.workflow, rt.trigger), "error", err)
	}
	return m.routes.find(path)
}

func readBody(w http.ResponseWriter, r *http.Request) ([]byte, bool) {
	if e := r.Header.Get("Content-Encoding"); e != "" && e != "identity" {
		refuse(w, http.StatusUnsupportedMediaType, "send the body without Content-Encoding")
		return nil, false
	}
	if r.ContentLength == 0 {
		return nil, true
	}
	// Content-Length may lie: memory is allocated as the bytes arrive.
	body := make([]byte, 0, min(max(r.ContentLength, 512), smallBody)+bytes.MinRead)
	read := bytes.NewBuffer(body)
	_, err := read.ReadFrom(io.LimitReader(r.Body, maxBody+1))
	switch {
	case err != nil:
		refuse(w, http.StatusBadRequest, "the body could not be read")
		return nil, false
	case read.Len() > maxBody:
		// A caller that is cut off while it sends does not read the answer.
		_, _ = io.CopyN(io.Discard, r.Body, maxBody)
		refuse(w, http.StatusRequestEntityTooLarge, "the body is larger than 5 MiB")
		return nil, false
	default:
		return read.Bytes(), true
	}
}

// verify accepts a request that presents the route's credential. Every refusal has the same
// answer, except when the vault cannot answer now.
func (m *Manager) verify(w http.ResponseWriter, r *http.Request, rt *route, body []byte) (verified []string, ok bool) {
	if rt.credential == "" {
		return nil, true
	}
	source := m.clientIP(r) + " " + string(rt.workflow) + "/" + rt.trigger
	if m.throttled(w, source) {
		return nil, false
	}
	verified, err := m.verifier.Verify(r.Context(), credentials.ID(rt.credential), string(rt.workflow), rt.folder, r, body)
	switch {
	case err == nil:
		return verified, !m.throttled(w, source) // a right guess among many at once does not count
	case hungUp(w, r):
	case fault.Is(err, fault.Unavailable):
		m.unavailable(w, rt, err)
	case errors.Is(err, credentials.ErrReceived): // a repeated request is no guess: its sender is not locked out
		refuse(w, http.StatusUnauthorized, "the request is not authenticated")
	default:
		if !fault.Is(err, fault.Unauthenticated) { // the workflow's mistake, not the caller's
			m.logger.Error("webhook cannot verify its callers", reference(rt.workflow, rt.trigger), "error", err)
		}
		m.failures.fail(source)
		refuse(w, http.StatusUnauthorized, "the request is not authenticated")
	}
	return nil, false
}

// throttled refuses a source that failed too often, and reports whether it did.
func (m *Manager) throttled(w http.ResponseWriter, source string) bool {
	wait := m.failures.wait(source)
	if wait > 0 {
		w.Header().Set("Retry-After", seconds(wait))
		refuse(w, http.StatusTooManyRequests, "too many refused calls; try again later")
	}
	return wait > 0
}

// prepare evaluates the route's templates over the request.
func (m *Manager) prepare(w http.ResponseWriter, r *http.Request, c *call) (engine.Start, bool) {
	start := engine.Start{Workflow: c.route.workflow, Trigger: c.trigger()}
	depth, _ := strconv.Atoi(r.Header.Get(DepthHeader))
	if start.Depth = max(depth, 0); start.Depth > engine.MaxDepth {
		refuse(w, http.StatusLoopDetected, "workflows start one another in a loop: "+strconv.Itoa(engine.MaxDepth)+" starts in a row")
		return start, false
	}
	input, err := c.input(r.Context())
	if err == nil {
		start.Input = input
		start.Dedupe, err = c.dedupe(r.Context())
	}
	if err != nil && hungUp(w, r) {
		return start, false
	}
	if err != nil {
		m.logger.Warn("webhook template", reference(c.route.workflow, c.route.trigger), "error", err)
		refuse(w, http.StatusUnprocessableEntity, "the request does not fit what the webhook expects")
		return start, false
	}
	return start, true
}

// refuseStart answers when no run was stored.
func (m *Manager) refuseStart(w http.ResponseWriter, rt *route, err error) {
	switch fault.KindOf(err) {
	case fault.Invalid:
		writeProblem(w, problem{Status: http.StatusUnprocessableEntity, Detail: fault.Message(err), Errors: fault.ProblemsOf(err)})
	case fault.Conflict:
		refuse(w, http.StatusConflict, fault.Message(err))
	case fault.TooLarge:
		refuse(w, http.StatusRequestEntityTooLarge, fault.Message(err))
	case fault.NotFound: // just deleted
		refuse(w, http.StatusNotFound, "there is no webhook at this address")
	case fault.Unavailable:
		m.unavailable(w, rt, err)
	default:
		m.logger.Error("webhook start", reference(rt.workflow, rt.trigger), "error", err)
		refuse(w, http.StatusInternalServerError, "internal error")
	}
}

// statusHungUp is the status in log and metrics of a caller that did not wait for the answer (as
// in nginx). It is never sent.
const statusHungUp = 499

// hungUp reports whether the caller is gone.
func hungUp(w http.ResponseWriter, r *http.Request) bool {
	if r.Context().Err() == nil {
		return false
	}
	w.WriteHeader(statusHungUp)
	return true
}

func (m *Manager) unavailable(w http.ResponseWriter, rt *route, err error) {
	m.logger.Warn("webhook not accepted", reference(rt.workflow, rt.trigger), "error", err)
	w.Header().Set("Retry-After", "2")
	refuse(w, http.StatusServiceUnavailable, "the call was not accepted: "+fault.Message(err))
}

// answerFinish waits for the answer of a respond node, or for the end of the run. The run is
// stored: when the wait ends early, the answer is that of on_accept.
func (m *Manager) answerFinish(w http.ResponseWriter, r *http.Request, rt *route, started engine.Started) {
	ctx, cancel := context.WithTimeout(r.Context(), rt.timeout)
	defer cancel()
	answer, run, err := m.starter.Answer(ctx, started.Run)
	switch {
	case err != nil:
		if ctx.Err() == nil && !fault.Is(err, fault.NotFound) { // deleted since the first delivery
			m.logger.Error("webhook wait", reference(rt.workflow, rt.trigger), "run", started.Run, "error", err)
		}
		accepted(w, started.Run)
	case answer != nil:
		m.writeAnswer(w, answer)
	case run.Status == runs.Succeeded:
		output := run.Output
		if output == nil {
			output = json.RawMessage("null")
		}
		writeJSON(w, http.StatusOK, "application/json", output)
	default:
		writeProblem(w, problem{Status: http.StatusBadGateway, Detail: "the run ended as " + string(run.Status), Run: started.Run.String()})
	}
}
