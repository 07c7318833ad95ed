package webhook

import (
	"context"
	"errors"
	"maps"
	"net/http"
	"slices"
	"strconv"
	"strings"

	"keyflow/credentials"
	"keyflow/engine"
	"keyflow/engine/starts"
	"keyflow/internal/fault"
	"keyflow/triggers/firing"
)

const (
	// HooksPrefix is where Hooks expects to be mounted.
	HooksPrefix = "/hooks/"
	// DuplicateHeader marks the answer to a delivery that has started a run before.
	DuplicateHeader = "Keyflow-Duplicate"
)

// Hooks returns the handler of /hooks/ and everything below it. It must see paths as they are in
// the request line: a mux that cleans paths would accept other spellings.
func (s *Server) Hooks() http.Handler { return http.HandlerFunc(s.serveHook) }

// serveHook answers one inbound call. Callers learn little: an unknown path and the path of a
// disabled workflow get the same answer, and a refusal gives no reason.
func (s *Server) serveHook(w http.ResponseWriter, r *http.Request) {
	h := w.Header()
	maps.Copy(h, s.headers)
	rt, params := s.find(r)
	if rt == nil && !s.workflows.Loaded() {
		if s.catchUp(r.Context()) != nil {
			h.Set("Retry-After", "2")
			refuse(w, http.StatusServiceUnavailable, "the call was not accepted: starting")
			return
		}
		rt, params = s.find(r)
	}
	if rt == nil {
		refuse(w, http.StatusNotFound, "there is no webhook at this address")
		return
	}
	if !slices.Contains(rt.Methods, r.Method) {
		h.Set("Allow", strings.Join(rt.Methods, ", "))
		refuse(w, http.StatusMethodNotAllowed, "this webhook takes "+strings.Join(rt.Methods, ", "))
		return
	}
	body, ok := readBody(w, r)
	if !ok {
		return
	}
	verified, ok := s.verify(w, r, rt, body)
	if !ok {
		return
	}
	taken := false
	defer func() {
		if !taken && rt.Credential != "" {
			s.verifier.Unverify(context.WithoutCancel(r.Context()), credentials.ID(rt.Credential), r, body)
		}
	}()
	c := &call{route: rt, params: params, fired: s.now().UTC(), body: body, verified: verified}
	started, ok := s.start(w, r, c)
	if !ok {
		return
	}
	taken = true
	if started.Duplicate {
		h.Set(DuplicateHeader, "true")
	}
	if rt.onFinish {
		s.answerFinish(w, r, rt, started)
		return
	}
	accepted(w, started.Run)
}

// start reads the request and stores a run.
func (s *Server) start(w http.ResponseWriter, r *http.Request, c *call) (engine.Started, bool) {
	exit, ok := s.gate.Enter(r.Context(), len(c.body))
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
	start, ok := s.prepare(w, r, c)
	if !ok {
		return engine.Started{}, false
	}
	// The start goes on when the caller hangs up: whether the run is stored decides whether its
	// request counts as received.
	ctx, cancel := context.WithTimeout(context.WithoutCancel(r.Context()), firing.StoreWithin)
	defer cancel()
	started, err := s.starter.Start(ctx, start)
	if err != nil && !hungUp(w, r) {
		s.refuseStart(w, c.route, err)
	}
	return started, err == nil
}

// find returns the current route of a request. When other processes may have changed the
// workflow, it compares the route with the catalog, which caches for a moment.
func (s *Server) find(r *http.Request) (*Route, map[string]any) {
	path, ok := strings.CutPrefix(r.URL.EscapedPath(), HooksPrefix)
	if !ok {
		return nil, nil
	}
	rt, params := s.routes.find(path)
	if rt == nil || !s.shared {
		return rt, params
	}
	summary, err := s.catalog.Summary(r.Context(), rt.Workflow)
	if err == nil && summary.Version == rt.version && summary.Enabled {
		return rt, params
	}
	if err := s.workflows.WorkflowChanged(r.Context(), rt.Workflow); err != nil {
		s.logger.Error("the change of a webhook cannot be read; its former version is used", firing.Reference(rt.Workflow, rt.Trigger), "error", err)
	}
	return s.routes.find(path)
}

// verify accepts a request that presents the route's credential. Every refusal has the same
// answer, except when the vault cannot answer now.
func (s *Server) verify(w http.ResponseWriter, r *http.Request, rt *Route, body []byte) (verified []string, ok bool) {
	if rt.Credential == "" {
		return nil, true
	}
	source := s.clientIP(r) + " " + string(rt.Workflow) + "/" + rt.Trigger
	if s.throttled(w, source) {
		return nil, false
	}
	verified, err := s.verifier.Verify(r.Context(), credentials.ID(rt.Credential), string(rt.Workflow), rt.folder, r, body)
	switch {
	case err == nil:
		return verified, !s.throttled(w, source) // a right guess among many at once does not count
	case hungUp(w, r):
	case fault.Is(err, fault.Unavailable):
		s.unavailable(w, rt, err)
	case errors.Is(err, credentials.ErrReceived): // a repeated request is no guess: its sender is not locked out
		refuse(w, http.StatusUnauthorized, "the request is not authenticated")
	default:
		if !fault.Is(err, fault.Unauthenticated) { // the workflow's mistake, not the caller's
			s.logger.Error("webhook cannot verify its callers", firing.Reference(rt.Workflow, rt.Trigger), "error", err)
		}
		s.failures.fail(source)
		refuse(w, http.StatusUnauthorized, "the request is not authenticated")
	}
	return nil, false
}

// prepare evaluates the route's templates over the request.
func (s *Server) prepare(w http.ResponseWriter, r *http.Request, c *call) (engine.Start, bool) {
	start := engine.Start{Workflow: c.route.Workflow, Trigger: c.trigger()}
	depth, _ := strconv.Atoi(r.Header.Get(firing.DepthHeader))
	if start.Depth = max(depth, 0); start.Depth > starts.MaxDepth {
		refuse(w, http.StatusLoopDetected, "workflows start one another in a loop: "+strconv.Itoa(starts.MaxDepth)+" starts in a row")
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
		s.logger.Warn("webhook template", firing.Reference(c.route.Workflow, c.route.Trigger), "error", err)
		refuse(w, http.StatusUnprocessableEntity, "the request does not fit what the webhook expects")
		return start, false
	}
	return start, true
}

// refuseStart answers when no run was stored.
func (s *Server) refuseStart(w http.ResponseWriter, rt *Route, err error) {
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
		s.unavailable(w, rt, err)
	default:
		s.logger.Error("webhook start", firing.Reference(rt.Workflow, rt.Trigger), "error", err)
		refuse(w, http.StatusInternalServerError, "internal error")
	}
}

func (s *Server) unavailable(w http.ResponseWriter, rt *Route, err error) {
	s.logger.Warn("webhook not accepted", firing.Reference(rt.Workflow, rt.Trigger), "error", err)
	w.Header().Set("Retry-After", "2")
	refuse(w, http.StatusServiceUnavailable, "the call was not accepted: "+fault.Message(err))
}
