// Package health answers the probes: whether the process is alive, and whether it can take work.
//
// It must not know what readiness depends on.
package health

import (
	"context"
	"io"
	"net/http"
	"time"

	"keyflow/web/problem"
)

// Handler has one method for each probe.
type Handler struct {
	// Check is nil while the process can accept and do work.
	Check    func(ctx context.Context) error
	Problems problem.Responder
}

// readyTimeout bounds a readiness check: a database that hangs is not ready.
const readyTimeout = 5 * time.Second

// Live answers 200 while the process is alive.
func (h *Handler) Live(w http.ResponseWriter, _ *http.Request) {
	answer(w, `{"status":"ok"}`)
}

// Ready answers 200 while the process can take and do work, else 503.
func (h *Handler) Ready(w http.ResponseWriter, r *http.Request) {
	ctx, cancel := context.WithTimeout(r.Context(), readyTimeout)
	defer cancel()
	if err := h.Check(ctx); err != nil {
		h.Problems.Fail(r.Context(), w, err)
		return
	}
	answer(w, `{"status":"ready"}`)
}

func answer(w http.ResponseWriter, text string) {
	w.Header().Set("Content-Type", "application/json")
	_, _ = io.WriteString(w, text)
}
