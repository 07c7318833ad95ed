// Package trigger has the routes of triggers and of events that start workflows.
//
// This package authorizes the caller; the trigger manager does not. It must not know schedules or
// deliveries.
package trigger

import (
	"context"

	"keyflow/internal/cloudevent"
	"keyflow/internal/identity"
	"keyflow/triggers"
	"keyflow/triggers/event"
	"keyflow/web/rest"
	"keyflow/web/session"
	"keyflow/workflows"
)

// Options is what the routes need.
type Options struct{ Triggers Manager }

type handlers struct{ Options }

// Register adds the routes.
func Register(a *rest.API, o Options) {
	h := &handlers{o}
	rest.Add(a, rest.Post("/events", "Send CloudEvents 1.0 to event triggers").JSON(cloudEvent{}).OrList().Also(eventForms()).MaxBytes(cloudevent.MaxBody).Answers(202), h.receiveEvents)
	rest.Add(a, rest.Get("/triggers", "List triggers with their next times"), h.listTriggers)
}

// Manager lists triggers and receives events. It authorizes only by Sent.May.
type Manager interface {
	Receive(ctx context.Context, in event.Sent) ([]event.Receipt, error)
	List(ctx context.Context, f triggers.Filter) ([]triggers.Trigger, error)
}

type triggerList struct {
	rest.Paging
	Workflow string `query:"workflow"`
	Folder   string `query:"folder" doc:"Of the workflow: this folder and below."`
}

func (h *handlers) listTriggers(ctx context.Context, who session.Who, in *triggerList) (*rest.Answer[rest.Page[triggers.Trigger]], error) {
	f := triggers.Filter{Folder: in.Folder, Workflow: workflows.ID(in.Workflow), After: in.Cursor, Limit: in.Fetch()}
	if f.Folder == "" {
		f.Folder = who.Caller.Folder
	}
	if err := who.Caller.Require(identity.View, f.Folder); err != nil {
		return nil, err
	}
	list, err := h.Triggers.List(ctx, f)
	if err != nil {
		return nil, err
	}
	return rest.PageOf(list, in.Limit, rest.Same, func(t triggers.Trigger) string { return string(t.Workflow) + "/" + t.ID }), nil
}
