// Package run has the routes of runs and their steps: starting, reading, deciding, canceling,
// retrying and deleting.
//
// This package authorizes the caller on the folder of the workflow or run; the engine does not. It
// must not know how workflows run. Package live streams runs.
package run

import (
	"context"
	"net/http"
	"time"

	"keyflow/engine/runs"
	"keyflow/internal/identity"
	"keyflow/web/rest"
	"keyflow/web/session"
	"keyflow/workflows"
)

// Options is what the routes need.
type Options struct {
	Runs      Engine
	Workflows Workflows
	Now       func() time.Time
}

type handlers struct {
	Options
	access Access
}

// Register adds the routes.
func Register(a *rest.API, o Options) {
	h := &handlers{o, Access{o.Runs}}
	rest.Add(a, rest.Post("/workflows/{id}/runs", "Start a run").JSON(runBody{}).OptionalBody().MaxBytes(5<<20).Answers(202).Or(200, "With wait: the run ended in time."), h.startRun)
	rest.Add(a, rest.Get("/runs", "List runs, newest first"), h.listRuns)
	rest.Add(a, rest.Get("/runs/{id}", "Read a run with its steps, or with the first of them when there are many"), h.getRun)
	rest.Add(a, rest.Get("/runs/{id}/steps", "List the steps of a run: of nodes, then the elements of for_each"), h.listSteps)
	rest.Add(a, rest.Delete("/runs/{id}", "Delete a finished run"), h.deleteRun)
	rest.Add(a, rest.Post("/runs/{id}/cancel", "Cancel a run").Answers(202), h.cancelRun)
	rest.Add(a, rest.Post("/runs/{id}/retry", "Start an ended run again, from what failed or from the start").JSON(runRetry{}).OptionalBody().Answers(202), h.retryRun)
	rest.Add(a, rest.Post("/runs/{id}/steps/{node}/approve", "Approve what a step waits for").JSON(decisionBody{}).OptionalBody(), h.approveStep)
	rest.Add(a, rest.Post("/runs/{id}/steps/{node}/reject", "Reject what a step waits for").JSON(decisionBody{}).OptionalBody(), h.rejectStep)
}

// RunPath is the input of operations on one run.
type RunPath struct {
	ID string `path:"id"`
}

type runList struct {
	rest.Paging
	Workflow string      `query:"workflow"`
	Status   runs.Status `query:"status" enum:"queued,running,waiting,succeeded,failed,canceled"`
	Folder   string      `query:"folder" doc:"This folder and below."`
	Trigger  string      `query:"trigger" doc:"The id of the trigger, or manual."`
	Since    time.Time   `query:"since" doc:"Created at this time or later, RFC 3339."`
	Until    time.Time   `query:"until" doc:"Created before this time, RFC 3339."`
}

func (h *handlers) listRuns(ctx context.Context, who session.Who, in *runList) (*rest.Answer[rest.Page[RunSummary]], error) {
	f := runs.Filter{
		Workflow: workflows.ID(in.Workflow), Status: in.Status, Folder: in.Folder, Trigger: in.Trigger,
		Since: in.Since, Until: in.Until, Limit: in.Fetch(),
	}
	if f.Folder == "" {
		f.Folder = who.Caller.Folder
	}
	if err := who.Caller.Require(identity.View, f.Folder); err != nil {
		return nil, err
	}
	if in.Cursor != "" && f.Before.UnmarshalText([]byte(in.Cursor)) != nil {
		return nil, rest.BadParameter("cursor", "use next_cursor of the page before")
	}
	all, err := h.Runs.Runs(ctx, f)
	if err != nil {
		return nil, err
	}
	return rest.PageOf(all, in.Limit, ViewSummary, func(r runs.Run) string { return r.ID.String() }), nil
}

func (h *handlers) getRun(ctx context.Context, who session.Who, in *RunPath) (*rest.Answer[runView], error) {
	run, err := h.access.Visible(ctx, who.Caller, identity.View, in.ID)
	if err != nil {
		return nil, err
	}
	view, err := h.viewRun(ctx, run.ID)
	if err != nil {
		return nil, err
	}
	return rest.OK(view), nil
}

func (h *handlers) cancelRun(ctx context.Context, who session.Who, in *RunPath) (*rest.Answer[startedView], error) {
	run, err := h.access.Visible(ctx, who.Caller, identity.Operate, in.ID)
	if err != nil {
		return nil, err
	}
	if err := h.Runs.Cancel(ctx, run.ID); err != nil {
		return nil, err
	}
	return &rest.Answer[startedView]{Status: http.StatusAccepted, Body: startedView{run.ID.String(), run.Status}}, nil
}

func (h *handlers) deleteRun(ctx context.Context, who session.Who, in *RunPath) (*rest.Empty, error) {
	run, err := h.access.Visible(ctx, who.Caller, identity.EditWorkflows, in.ID)
	if err != nil {
		return nil, err
	}
	return &rest.Empty{}, h.Runs.Delete(ctx, run.ID)
}
