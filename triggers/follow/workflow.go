package follow

import (
	"context"
	"fmt"
	"slices"

	"keyflow/internal/fault"
	"keyflow/triggers/cron"
	"keyflow/triggers/event"
	"keyflow/triggers/firing"
	"keyflow/triggers/schedule"
	"keyflow/triggers/webhook"
	"keyflow/workflows"
)

// Workflow is what has been loaded of one workflow. It is immutable.
type Workflow struct {
	Folder  string
	Enabled bool
	Crons   []cron.Trigger
	Hooks   []*webhook.Route
	Events  []*event.Subscription

	revision int64
	broken   bool // it could not be read: tried again from time to time
}

// subscribed returns the event triggers that fire: none of a disabled workflow.
func (w *Workflow) subscribed() []*event.Subscription {
	if w == nil || !w.Enabled {
		return nil
	}
	return w.Events
}

// planned returns the cron triggers that fire: none of a disabled workflow.
func (w *Workflow) planned() []cron.Trigger {
	if !w.Enabled {
		return nil
	}
	return w.Crons
}

// WorkflowChanged implements workflows.Listener.
func (f *Follower) WorkflowChanged(ctx context.Context, id workflows.ID) error {
	_, err := f.update(ctx, id)
	return err
}

// update loads the current version of a workflow and returns how many plans it made.
func (f *Follower) update(ctx context.Context, id workflows.ID) (armed int, err error) {
	f.syncing.Lock()
	defer f.syncing.Unlock()
	s, err := f.catalog.Current(ctx, id)
	if fault.Is(err, fault.NotFound) {
		f.adopt(id, nil)
		return 0, f.planner.Remove(ctx, id)
	}
	if err != nil {
		return 0, fmt.Errorf("read workflow %s: %w", id, err)
	}
	return f.sync(ctx, s)
}

// sync loads a version of a workflow: routes into memory, plans into the store. The caller
// holds f.syncing.
func (f *Follower) sync(ctx context.Context, s workflows.Summary) (armed int, err error) {
	before := f.Workflow(s.ID)
	if before != nil && before.revision > s.Revision {
		return 0, nil // a newer version is loaded
	}
	d, err := f.catalog.Definition(ctx, s.ID, s.Version)
	if err != nil { // it cannot run; the others can
		return 0, f.fail(s, err)
	}
	w := f.read(d, s)
	w.Crons = slices.DeleteFunc(w.Crons, func(c cron.Trigger) bool { return f.planner.Parse(s.ID, c) == nil })
	f.adopt(s.ID, w)
	if before == nil && len(w.planned()) == 0 {
		return 0, nil // nothing was planned; reconcile finds plans of other processes
	}
	return f.planner.Arm(ctx, cron.Wanted{Workflow: s.ID, Triggers: w.planned()})
}

// fail marks a workflow whose definition cannot be read as broken; reconcile tries it again.
func (f *Follower) fail(s workflows.Summary, err error) error {
	f.adopt(s.ID, &Workflow{revision: s.Revision, Folder: s.Folder, broken: true})
	return fmt.Errorf("triggers of workflow %s: %w", s.ID, err)
}

// read returns the triggers of a definition, with webhooks and event triggers compiled.
func (f *Follower) read(d *workflows.Definition, s workflows.Summary) *Workflow {
	w := &Workflow{revision: s.Revision, Enabled: s.Enabled, Folder: s.Folder}
	for id, t := range d.Triggers {
		switch t.Type {
		case workflows.TriggerCron:
			w.Crons = append(w.Crons, cron.Trigger{Spec: schedule.Of(t), ID: id, Overlap: t.Overlap})
		case workflows.TriggerWebhook:
			r, err := webhook.NewRoute(d, s, id)
			if err != nil {
				f.logger.Error("webhook is not valid", firing.Reference(s.ID, id), "error", err)
				continue
			}
			w.Hooks = append(w.Hooks, r)
		case workflows.TriggerEvent:
			x, err := event.NewSubscription(d, s, id)
			if err != nil {
				f.logger.Error("event trigger is not valid", firing.Reference(s.ID, id), "error", err)
				continue
			}
			w.Events = append(w.Events, x)
		}
	}
	return w
}

// adopt replaces what is known of a workflow; nil removes it.
func (f *Follower) adopt(id workflows.ID, w *Workflow) {
	f.mu.Lock()
	before := f.known[id]
	if w == nil {
		delete(f.known, id)
	} else {
		f.known[id] = w
	}
	f.mu.Unlock()
	var old, hooks []*webhook.Route
	if before != nil {
		old = before.Hooks
	}
	if w != nil {
		hooks = w.Hooks
	}
	f.routes.Replace(old, hooks)
	f.subscriptions.Replace(before.subscribed(), w.subscribed())
}
