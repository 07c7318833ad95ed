package webhook

import (
	"context"
	"maps"
	"net/http"
	"slices"
	"strings"

	"keyflow/internal/fault"
)

// CallbacksPrefix is where Callbacks expects to be mounted.
const CallbacksPrefix = "/callbacks/"

// Waiters delivers calls from outside to the steps that wait for them; *engine.Engine is one.
// Errors are faults: NotFound for an unknown token, Conflict for a token that was used.
type Waiters interface {
	// CallbackMethods returns the methods of the calls that count.
	CallbackMethods(ctx context.Context, token string) ([]string, error)
	Callback(ctx context.Context, token string, request any) error
}

// Callbacks returns the handler of /callbacks/: the one-time URLs of wait nodes. Whoever has the
// URL may call it, by the methods of the node. Where GET is none of them it shows a page with a
// button, because programs that show a preview of a link read it; HEAD never counts.
func (s *Server) Callbacks() http.Handler { return http.HandlerFunc(s.serveCallback) }

func (s *Server) serveCallback(w http.ResponseWriter, r *http.Request) {
	maps.Copy(w.Header(), s.headers)
	token, ok := strings.CutPrefix(r.URL.EscapedPath(), CallbacksPrefix)
	if !ok || s.waiters == nil {
		refuse(w, http.StatusNotFound, "nothing is at this address")
		return
	}
	source := "callback " + s.clientIP(r)
	if s.throttled(w, source) {
		return
	}
	methods, err := s.waiters.CallbackMethods(r.Context(), token)
	reading := r.Method == http.MethodGet || r.Method == http.MethodHead
	switch {
	case err != nil:
		s.callbackFailed(w, r, source, err)
	case slices.Contains(methods, r.Method):
		s.takeCallback(w, r, source, token)
	case reading && slices.Contains(methods, http.MethodPost):
		showCallbackPage(w, r, http.StatusOK)
	default:
		w.Header().Set("Allow", strings.Join(methods, ", "))
		refuse(w, http.StatusMethodNotAllowed, "this address takes "+strings.Join(methods, ", "))
	}
}

// takeCallback delivers a call that counts.
func (s *Server) takeCallback(w http.ResponseWriter, r *http.Request, source, token string) {
	body, ok := readBody(w, r)
	if !ok {
		return
	}
	c := &call{body: body}
	if err := c.read(r); err != nil {
		refuse(w, http.StatusBadRequest, err.Error())
		return
	}
	request := map[string]any{"method": r.Method, "headers": c.request["headers"], "query": c.request["query"], "body": c.request["body"]}
	if warning, ok := c.request["warning"]; ok {
		request["warning"] = warning
	}
	switch err := s.waiters.Callback(r.Context(), token, request); {
	case err != nil:
		s.callbackFailed(w, r, source, err)
	case wantsPage(r):
		showCallbackPage(w, r, http.StatusAccepted)
	default:
		writeJSON(w, http.StatusAccepted, "application/json", []byte(`{"accepted":true}`))
	}
}

func (s *Server) callbackFailed(w http.ResponseWriter, r *http.Request, source string, err error) {
	switch {
	case fault.Is(err, fault.NotFound):
		s.failures.fail(source)
		refuse(w, http.StatusNotFound, "nothing is at this address")
	case fault.Is(err, fault.Conflict) && wantsPage(r):
		showCallbackPage(w, r, http.StatusConflict)
	case fault.Is(err, fault.Conflict):
		refuse(w, http.StatusConflict, "this address was called before, or no step waits for it now")
	case fault.Is(err, fault.TooLarge):
		refuse(w, http.StatusRequestEntityTooLarge, fault.Message(err))
	case fault.Is(err, fault.Unavailable):
		s.logger.Warn("callback not accepted", "error", err)
		w.Header().Set("Retry-After", "2")
		refuse(w, http.StatusServiceUnavailable, "the call was not accepted: "+fault.Message(err))
	default:
		s.logger.Error("callback", "error", err)
		refuse(w, http.StatusInternalServerError, "internal error")
	}
}
