package triggers

import (
	"context"
	"maps"
	"net/http"
	"strings"

	"keyflow/internal/fault"
)

// CallbacksPrefix is where Callbacks expects to be mounted.
const CallbacksPrefix = "/callbacks/"

// Waiters delivers calls from outside to the steps that wait for them; *engine.Engine is one.
// Errors are faults: NotFound for an unknown token, Conflict for a token that was used.
type Waiters interface {
	Callback(ctx context.Context, token string, request any) error
}

// Callbacks returns the handler of /callbacks/: the one-time URLs of wait nodes. Whoever has
// the URL may call it, by any method.
func (m *Manager) Callbacks() http.Handler { return http.HandlerFunc(m.serveCallback) }

func (m *Manager) serveCallback(w http.ResponseWriter, r *http.Request) {
	maps.Copy(w.Header(), m.headers)
	token, ok := strings.CutPrefix(r.URL.EscapedPath(), CallbacksPrefix)
	source := "callback " + m.clientIP(r)
	if !ok || m.waiters == nil || m.throttled(w, source) {
		if !ok || m.waiters == nil {
			refuse(w, http.StatusNotFound, "nothing is at this address")
		}
		return
	}
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
	switch err := m.waiters.Callback(r.Context(), token, request); {
	case err == nil:
		writeJSON(w, http.StatusAccepted, "application/json", []byte(`{"accepted":true}`))
	case fault.Is(err, fault.NotFound):
		m.failures.fail(source)
		refuse(w, http.StatusNotFound, "nothing is at this address")
	case fault.Is(err, fault.Conflict):
		refuse(w, http.StatusConflict, "this address was called before, or no step waits for it now")
	case fault.Is(err, fault.TooLarge):
		refuse(w, http.StatusRequestEntityTooLarge, fault.Message(err))
	case fault.Is(err, fault.Unavailable):
		m.logger.Warn("callback not accepted", "error", err)
		w.Header().Set("Retry-After", "2")
		refuse(w, http.StatusServiceUnavailable, "the call was not accepted: "+fault.Message(err))
	default:
		m.logger.Error("callback", "error", err)
		refuse(w, http.StatusInternalServerError, "internal error")
	}
}
