// Package workflow has the routes of workflows: definitions, versions, validation and switching.
//
// The catalog authorizes and decides; this package must not know runs.
package workflow

import (
	"context"
	"encoding/json"
	"net/http"
	"time"

	"github.com/danielgtaylor/huma/v2"

	"keyflow/internal/fault"
	"keyflow/internal/identity"
	"keyflow/web/rest"
	"keyflow/web/session"
	"keyflow/workflows"
)

// Options is what the routes need.
type Options struct{ Workflows Catalog }

type handlers struct{ Options }

// Register adds the routes.
func Register(a *rest.API, o Options) {
	h := &handlers{o}
	rest.Add(a, rest.Get("/workflows", "List workflows"), h.listWorkflows)
	rest.Add(a, rest.Post("/workflows/validate", "Check a definition and store nothing").JSON(definition{}).MaxBytes(maxDefinition), h.validateWorkflow)
	rest.Add(a, rest.Get("/workflows/{id}", "Read a workflow with its definition"), h.getWorkflow)
	rest.Add(a, rest.Put("/workflows/{id}", "Create or replace a workflow").JSON(definition{}).MaxBytes(maxDefinition), h.putWorkflow)
	rest.Add(a, rest.Delete("/workflows/{id}", "Delete a workflow; its runs and history stay"), h.deleteWorkflow)
	rest.Add(a, rest.Get("/workflows/{id}/versions", "List versions, newest first"), h.workflowVersions)
	rest.Add(a, rest.Get("/workflows/{id}/versions/{n}", "Read one version"), h.workflowVersion)
	rest.Add(a, rest.Post("/workflows/{id}/enable", "Turn the triggers on"), h.enableWorkflow)
	rest.Add(a, rest.Post("/workflows/{id}/disable", "Turn the triggers off"), h.disableWorkflow)
}

// Catalog is the part of the catalog that the API shows. Methods with a caller authorize it.
type Catalog interface {
	reads
	changes
}

type reads interface {
	Get(ctx context.Context, caller identity.Caller, id workflows.ID) (workflows.Summary, workflows.Version, error)
	List(ctx context.Context, caller identity.Caller, f workflows.Filter) ([]workflows.Summary, error)
	Versions(ctx context.Context, caller identity.Caller, id workflows.ID) ([]workflows.Version, error)
	Version(ctx context.Context, caller identity.Caller, id workflows.ID, number int) (workflows.Version, error)
	Validate(ctx context.Context, source []byte) (problems, warnings []workflows.Problem)
}

type changes interface {
	Apply(ctx context.Context, caller identity.Caller, id workflows.ID, source []byte, expect int) (workflows.Applied, error)
	SetEnabled(ctx context.Context, caller identity.Caller, id workflows.ID, enabled bool) (workflows.Summary, error)
	Delete(ctx context.Context, caller identity.Caller, id workflows.ID) error
}

// maxDefinition is above the catalog's limit of 1 MiB, so that the catalog reports a large definition.
const maxDefinition = 1<<20 + 64<<10

// WorkflowPath is the input of operations on one workflow.
type WorkflowPath struct {
	ID workflows.ID `path:"id"`
}

type workflowList struct {
	rest.Paging
	Folder string `query:"folder" doc:"This folder and below."`
	Q      string `query:"q" maxLength:"200" doc:"Part of the id or the name."`
}

type workflowPut struct {
	WorkflowPath
	rest.Matching
	IfNoneMatch string `header:"If-None-Match" enum:"*" doc:"* creates and never replaces."`
	rest.JSONBody
}

// workflowChange is the input of a change that has no body.
type workflowChange struct {
	WorkflowPath
	rest.Matching
}

type workflowVersionPath struct {
	WorkflowPath
	Number int `path:"n" minimum:"1"`
}

// definition stands for a workflow's definition in the OpenAPI document.
type definition struct{}

var _ huma.SchemaProvider = definition{}

// Schema implements huma.SchemaProvider.
func (definition) Schema(huma.Registry) *huma.Schema {
	return &huma.Schema{
		Type: huma.TypeObject, AdditionalProperties: true,
		Description: "A workflow's definition. Its JSON Schema is at " + rest.V1 + "/schema/workflow.",
	}
}

// WorkflowView is a workflow as lists show it.
type WorkflowView struct {
	ID        workflows.ID `json:"id"`
	Name      string       `json:"name"`
	Folder    string       `json:"folder"`
	Version   int          `json:"version"`
	Enabled   bool         `json:"enabled"`
	CreatedAt time.Time    `json:"created_at"`
	UpdatedAt time.Time    `json:"updated_at"`
	UpdatedBy string       `json:"updated_by"`
}

type workflowDetail struct {
	WorkflowView
	Definition json.RawMessage `json:"definition"`
}

type appliedView struct {
	WorkflowView
	Warnings []fault.Problem `json:"warnings" nullable:"false"`
}

type versionView struct {
	Version    int             `json:"version"`
	CreatedAt  time.Time       `json:"created_at"`
	CreatedBy  string          `json:"created_by"`
	Definition json.RawMessage `json:"definition,omitempty"`
}

type validationView struct {
	Valid    bool            `json:"valid"`
	Errors   []fault.Problem `json:"errors" nullable:"false"`
	Warnings []fault.Problem `json:"warnings" nullable:"false"`
}

func (h *handlers) listWorkflows(ctx context.Context, who session.Who, in *workflowList) (*rest.Answer[rest.Page[WorkflowView]], error) {
	list, err := h.Workflows.List(ctx, who.Caller, workflows.Filter{
		Folder: in.Folder, Query: in.Q, After: workflows.ID(in.Cursor), Limit: in.Fetch(),
	})
	if err != nil {
		return nil, err
	}
	return rest.PageOf(list, in.Limit, viewWorkflow, func(w workflows.Summary) string { return string(w.ID) }), nil
}

func (h *handlers) putWorkflow(ctx context.Context, who session.Who, in *workflowPut) (*rest.Answer[appliedView], error) {
	expect, err := in.Revision()
	if err != nil {
		return nil, err
	}
	if in.IfNoneMatch == "*" {
		expect = 0
	}
	applied, err := h.Workflows.Apply(ctx, who.Caller, in.ID, in.Copied(), int(expect))
	if err != nil {
		return nil, err
	}
	status := http.StatusOK
	if applied.Created {
		status = http.StatusCreated
	}
	return &rest.Answer[appliedView]{
		Status: status, ETag: rest.ETag(applied.Version),
		Body: appliedView{viewWorkflow(applied.Summary), rest.OrEmpty(applied.Warnings)},
	}, nil
}

func (h *handlers) getWorkflow(ctx context.Context, who session.Who, in *WorkflowPath) (*rest.Answer[workflowDetail], error) {
	summary, version, err := h.Workflows.Get(ctx, who.Caller, in.ID)
	if err != nil {
		return nil, err
	}
	return &rest.Answer[workflowDetail]{
		Status: http.StatusOK, ETag: rest.ETag(summary.Version),
		Body: workflowDetail{viewWorkflow(summary), version.JSON()},
	}, nil
}

func (h *handlers) deleteWorkflow(ctx context.Context, who session.Who, in *workflowChange) (*rest.Empty, error) {
	if err := h.requireVersion(ctx, who, in); err != nil {
		return nil, err
	}
	return &rest.Empty{}, h.Workflows.Delete(ctx, who.Caller, in.ID)
}

// requireVersion refuses a change by a caller that read another version.
func (h *handlers) requireVersion(ctx context.Context, who session.Who, in *workflowChange) error {
	expect, err := in.Revision()
	if err != nil || expect < 0 {
		return err
	}
	summary, _, err := h.Workflows.Get(ctx, who.Caller, in.ID)
	if err == nil && int64(summary.Version) != expect {
		err = fault.New(fault.Stale, "workflow %q is at version %d now: read it again", in.ID, summary.Version)
	}
	return err
}

func (h *handlers) workflowVersions(ctx context.Context, who session.Who, in *WorkflowPath) (*rest.Answer[rest.Page[versionView]], error) {
	versions, err := h.Workflows.Versions(ctx, who.Caller, in.ID)
	if err != nil {
		return nil, err
	}
	return rest.ListOf(versions, viewVersion), nil
}

func (h *handlers) workflowVersion(ctx context.Context, who session.Who, in *workflowVersionPath) (*rest.Answer[versionView], error) {
	v, err := h.Workflows.Version(ctx, who.Caller, in.ID, in.Number)
	if err != nil {
		return nil, err
	}
	view := viewVersion(v)
	view.Definition = v.JSON()
	return rest.OK(view), nil
}

func (h *handlers) enableWorkflow(ctx context.Context, who session.Who, in *workflowChange) (*rest.Answer[WorkflowView], error) {
	return h.switchWorkflow(ctx, who, in, true)
}

func (h *handlers) disableWorkflow(ctx context.Context, who session.Who, in *workflowChange) (*rest.Answer[WorkflowView], error) {
	return h.switchWorkflow(ctx, who, in, false)
}

func (h *handlers) switchWorkflow(ctx context.Context, who session.Who, in *workflowChange, enabled bool) (*rest.Answer[WorkflowView], error) {
	if err := h.requireVersion(ctx, who, in); err != nil {
		return nil, err
	}
	summary, err := h.Workflows.SetEnabled(ctx, who.Caller, in.ID, enabled)
	if err != nil {
		return nil, err
	}
	return &rest.Answer[WorkflowView]{Status: http.StatusOK, ETag: rest.ETag(summary.Version), Body: viewWorkflow(summary)}, nil
}

// validateWorkflow answers 200 also for an invalid definition: its problems are the result.
func (h *handlers) validateWorkflow(ctx context.Context, _ session.Who, in *rest.JSONBody) (*rest.Answer[validationView], error) {
	problems, warnings := h.Workflows.Validate(ctx, in.Copied())
	return rest.OK(validationView{Valid: len(problems) == 0, Errors: rest.OrEmpty(problems), Warnings: rest.OrEmpty(warnings)}), nil
}

func viewWorkflow(w workflows.Summary) WorkflowView {
	return WorkflowView{
		ID: w.ID, Name: w.Name, Folder: w.Folder, Version: w.Version, Enabled: w.Enabled,
		CreatedAt: w.CreatedAt.UTC(), UpdatedAt: w.UpdatedAt.UTC(), UpdatedBy: w.UpdatedBy,
	}
}

func viewVersion(v workflows.Version) versionView {
	return versionView{Version: v.Number, CreatedAt: v.CreatedAt.UTC(), CreatedBy: v.CreatedBy}
}
