package web

import (
	"context"

	"keyflow/internal/identity"
	"keyflow/triggers"
	"keyflow/web/session"
	"keyflow/workflows"
)

type triggerList struct {
	Paging
	Workflow string `query:"workflow"`
	Folder   string `query:"folder" doc:"Of the workflow: this folder and below."`
}

func (s *server) listTriggers(ctx context.Context, who session.Who, in *triggerList) (*answer[page[triggers.Trigger]], error) {
	f := triggers.Filter{Folder: in.Folder, Workflow: workflows.ID(in.Workflow), After: in.Cursor, Limit: in.fetch()}
	if f.Folder == "" {
		f.Folder = who.Caller.Folder
	}
	if err := who.Caller.Require(identity.View, f.Folder); err != nil {
		return nil, err
	}
	list, err := s.triggers.List(ctx, f)
	if err != nil {
		return nil, err
	}
	return pageOf(list, in.Limit, same, func(t triggers.Trigger) string { return string(t.Workflow) + "/" + t.ID }), nil
}
