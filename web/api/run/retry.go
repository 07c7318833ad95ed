package run

import (
	"context"
	"net/http"
	"slices"

	"keyflow/engine"
	"keyflow/internal/fault"
	"keyflow/internal/identity"
	"keyflow/web/rest"
	"keyflow/web/session"
)

type runRetryOf struct {
	RunPath
	rest.JSONBody
}

// runRetry says from where a run is started again.
type runRetry struct {
	From    string `json:"from,omitempty" enum:"failed,start" doc:"failed (default) keeps the results of the steps that succeeded."`
	Version string `json:"version,omitempty" enum:"same,newest" doc:"Of the workflow; newest only with start."`
}

// retriedView is the answer to a retry.
type retriedView struct {
	startedView
	RetryOf string `json:"retry_of"`
}

func (h *handlers) retryRun(ctx context.Context, who session.Who, in *runRetryOf) (*rest.Answer[retriedView], error) {
	run, err := h.access.Visible(ctx, who.Caller, identity.Operate, in.ID)
	if err != nil {
		return nil, err
	}
	var body runRetry
	if len(in.RawBody) > 0 {
		if body, err = rest.Decode[runRetry](in.RawBody); err != nil {
			return nil, err
		}
	}
	if err := body.check(); err != nil {
		return nil, err
	}
	started, err := h.Runs.Retry(ctx, engine.Retry{Run: run.ID, FromStart: body.From == "start", Newest: body.Version == "newest"})
	if err != nil {
		return nil, err
	}
	id := started.Run.String()
	return &rest.Answer[retriedView]{
		Status: http.StatusAccepted, Location: rest.V1 + "/runs/" + id,
		Body: retriedView{startedView{id, started.Status}, run.ID.String()},
	}, nil
}

func (b runRetry) check() error {
	var wrong []fault.Problem
	if !slices.Contains([]string{"", "failed", "start"}, b.From) {
		wrong = append(wrong, fault.Problem{Path: "/from", Code: "invalid_value", Message: "must be failed or start"})
	}
	switch {
	case !slices.Contains([]string{"", "same", "newest"}, b.Version):
		wrong = append(wrong, fault.Problem{Path: "/version", Code: "invalid_value", Message: "must be same or newest"})
	case b.Version == "newest" && b.From != "start":
		wrong = append(wrong, fault.Problem{Path: "/version", Code: "invalid_value", Message: "newest needs from: start, because steps of one version do not fit another"})
	}
	if len(wrong) == 0 {
		return nil
	}
	return fault.Problems("the retry is not valid", wrong)
}
