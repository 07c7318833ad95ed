package web

import (
	"context"
	"net/http"
	"time"

	"github.com/danielgtaylor/huma/v2"

	"keyflow/internal/fault"
	"keyflow/web/session"
	"keyflow/workflows"
)

// WorkflowPath is the input of operations on one workflow.
type WorkflowPath struct {
	ID workflows.ID `path:"id"`
}

type workflowList struct {
	Paging
	Folder string `query:"folder" doc:"This folder and below."`
	Q      string `query:"q" maxLength:"200" doc:"Part of the id or the name."`
}

type workflowPut struct {
	WorkflowPath
	Matching
	IfNoneMatch string `header:"If-None-Match" enum:"*" doc:"* creates and never replaces."`
	JSONBody
}

// workflowChange is the input of a change that has no body.
type workflowChange struct {
	WorkflowPath
	Matching
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
		Description: "A workflow's definition. Its JSON Schema is at " + v1 + "/schema/workflow.",
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
	Definition rawJSON `json:"definition"`
}

type appliedView struct {
	WorkflowView
	Warnings []fault.Problem `json:"warnings" nullable:"false"`
}

type versionView struct {
	Version    int       `json:"version"`
	CreatedAt  time.Time `json:"created_at"`
	CreatedBy  string    `json:"created_by"`
	Definition rawJSON   `json:"definition,omitempty"`
}

type validationView struct {
	Valid    bool            `json:"valid"`
	Errors   []fault.Problem `json:"errors" nullable:"false"`
	Warnings []fault.Problem `json:"warnings" nullable:"false"`
}

func (s *server) listWorkflows(ctx context.Context, who session.Who, in *workflowList) (*answer[page[WorkflowView]], error) {
	list, err := s.workflows.List(ctx, who.Caller, workflows.Filter{
		Folder: in.Folder, Query: in.Q, After: workflows.ID(in.Cursor), Limit: in.fetch(),
	})
	if err != nil {
		return nil, err
	}
	return pageOf(list, in.Limit, viewWorkflow, func(w workflows.Summary) string { return string(w.ID) }), nil
}

func (s *server) putWorkflow(ctx context.Context, who session.Who, in *workflowPut) (*answer[appliedView], error) {
	expect, err := in.revision()
	if err != nil {
		return nil, err
	}
	if in.IfNoneMatch == "*" {
		expect = 0
	}
	applied, err := s.workflows.Apply(ctx, who.Caller, in.ID, in.copied(), int(expect))
	if err != nil {
		return nil, err
	}
	status := http.StatusOK
	if applied.Created {
		status = http.StatusCreated
	}
	return &answer[appliedView]{
		Status: status, ETag: etag(applied.Version),
		Body: appliedView{viewWorkflow(applied.Summary), orEmpty(applied.Warnings)},
	}, nil
}

func (s *server) getWorkflow(ctx context.Context, who session.Who, in *WorkflowPath) (*answer[workflowDetail], error) {
	summary, version, err := s.workflows.Get(ctx, who.Caller, in.ID)
	if err != nil {
		return nil, err
	}
	return &answer[workflowDetail]{
		Status: http.StatusOK, ETag: etag(summary.Version),
		Body: workflowDetail{viewWorkflow(summary), version.JSON()},
	}, nil
}

func (s *server) deleteWorkflow(ctx context.Context, who session.Who, in *workflowChange) (*empty, error) {
	if err := s.requireVersion(ctx, who, in); err != nil {
		return nil, err
	}
	return &empty{}, s.workflows.Delete(ctx, who.Caller, in.ID)
}

// requireVersion refuses a change by a caller who has seen another version.
func (s *server) requireVersion(ctx context.Context, who session.Who, in *workflowChange) error {
	expect, err := in.revision()
	if err != nil || expect < 0 {
		return err
	}
	summary, _, err := s.workflows.Get(ctx, who.Caller, in.ID)
	if err == nil && int64(summary.Version) != expect {
		err = fault.New(fault.Stale, "workflow %q is at version %d now: read it again", in.ID, summary.Version)
	}
	return err
}

func (s *server) workflowVersions(ctx context.Context, who session.Who, in *WorkflowPath) (*answer[page[versionView]], error) {
	versions, err := s.workflows.Versions(ctx, who.Caller, in.ID)
	if err != nil {
		return nil, err
	}
	return listOf(versions, viewVersion), nil
}

func (s *server) workflowVersion(ctx context.Context, who session.Who, in *workflowVersionPath) (*answer[versionView], error) {
	v, err := s.workflows.Version(ctx, who.Caller, in.ID, in.Number)
	if err != nil {
		return nil, err
	}
	view := viewVersion(v)
	view.Definition = v.JSON()
	return ok(view), nil
}

func (s *server) enableWorkflow(ctx context.Context, who session.Who, in *workflowChange) (*answer[WorkflowView], error) {
	return s.switchWorkflow(ctx, who, in, true)
}

func (s *server) disableWorkflow(ctx context.Context, who session.Who, in *workflowChange) (*answer[WorkflowView], error) {
	return s.switchWorkflow(ctx, who, in, false)
}

func (s *server) switchWorkflow(ctx context.Context, who session.Who, in *workflowChange, enabled bool) (*answer[WorkflowView], error) {
	if err := s.requireVersion(ctx, who, in); err != nil {
		return nil, err
	}
	summary, err := s.workflows.SetEnabled(ctx, who.Caller, in.ID, enabled)
	if err != nil {
		return nil, err
	}
	return &answer[WorkflowView]{Status: http.StatusOK, ETag: etag(summary.Version), Body: viewWorkflow(summary)}, nil
}

// validateWorkflow answers 200 whatever is wrong with the definition: its problems are the result.
func (s *server) validateWorkflow(ctx context.Context, _ session.Who, in *JSONBody) (*answer[validationView], error) {
	problems, warnings := s.workflows.Validate(ctx, in.copied())
	return ok(validationView{Valid: len(problems) == 0, Errors: orEmpty(problems), Warnings: orEmpty(warnings)}), nil
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
