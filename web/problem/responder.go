package problem

import (
	"context"
	"errors"
	"log/slog"
	"net/http"
)

// Responder answers with problems, and logs what they do not show.
type Responder struct{ Logger *slog.Logger }

// Fail renders err as a problem; the cause of an internal error goes to the log.
func (r Responder) Fail(ctx context.Context, w http.ResponseWriter, err error) {
	p := From(ctx, err)
	r.Report(ctx, p, err)
	Write(w, p)
}

// Report logs the cause of an internal error.
func (r Responder) Report(ctx context.Context, p *Problem, err error) {
	if p.Status >= http.StatusInternalServerError && !errors.Is(err, context.Canceled) {
		r.Logger.ErrorContext(ctx, "request failed", "request_id", p.RequestID, "status", p.Status, "error", err)
	}
}
