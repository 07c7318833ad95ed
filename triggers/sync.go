package triggers

import (
	"context"
	"fmt"
	"slices"
	"time"

	"keyflow/internal/fault"
	"keyflow/workflows"
)

// known is what the manager has taken over from one workflow. It is immutable.
type known struct {
	revision int64
	version  int
	enabled  bool
	broken   bool // it could not be taken over: tried again from time to time
	folder   string
	crons    []cronTrigger
	hooks    []*route
	events   []*subscription
}

// subscribed returns the event triggers that fire: none of a switched-off workflow.
func (k *known) subscribed() []*subscription {
	if k == nil || !k.enabled {
		return nil
	}
	return k.events
}

// planned returns the cron triggers that fire: none of a switched-off workflow.
func (k *known) planned() []cronTrigger {
	if !k.enabled {
		return nil
	}
	return k.crons
}

// cronTrigger is one of perhaps a hundred thousand that sleep: it is parsed when it is needed.
type cronTrigger struct {
	Spec
	id      string
	overlap string
}

// WorkflowChanged implements workflows.Listener.
func (m *Manager) WorkflowChanged(ctx context.Context, id workflows.ID) error {
	_, err := m.update(ctx, id)
	return err
}

// update takes over a workflow as it is stored now and returns how many plans it made.
func (m *Manager) update(ctx context.Context, id workflows.ID) (armed int, err error) {
	m.syncing.Lock()
	defer m.syncing.Unlock()
	s, err := m.catalog.Current(ctx, id)
	if fault.Is(err, fault.NotFound) {
		m.adopt(id, nil)
		m.expect(id, 0)
		return 0, m.store.Keep(ctx, id, nil)
	}
	if err != nil {
		return 0, fmt.Errorf("read workflow %s: %w", id, err)
	}
	return m.sync(ctx, s)
}

// sync takes over a workflow's version: routes into memory, plans into the store. The caller
// holds m.syncing.
func (m *Manager) sync(ctx context.Context, s workflows.Summary) (armed int, err error) {
	before := m.lookup(s.ID)
	if before != nil && before.revision > s.Revision {
		return 0, nil // somebody was faster
	}
	d, err := m.catalog.Definition(ctx, s.ID, s.Version)
	if err != nil { // it cannot run; other workflows go on
		return 0, m.fail(s, err)
	}
	k := m.read(d, s)
	k.crons = slices.DeleteFunc(k.crons, func(c cronTrigger) bool { return m.parse(s.ID, c) == nil })
	m.adopt(s.ID, k)
	if before == nil && len(k.planned()) == 0 {
		return 0, nil // nothing was planned here; what others left behind is found by reconcile
	}
	return m.arm(ctx, wanted{s.ID, k.planned()})
}

// fail takes a workflow over whose definition cannot be read: it is tried again from time to time.
func (m *Manager) fail(s workflows.Summary, err error) error {
	m.adopt(s.ID, &known{revision: s.Revision, version: s.Version, folder: s.Folder, broken: true})
	return fmt.Errorf("triggers of workflow %s: %w", s.ID, err)
}

// read takes the triggers of a definition and compiles webhooks.
func (m *Manager) read(d *workflows.Definition, s workflows.Summary) *known {
	k := &known{revision: s.Revision, version: s.Version, enabled: s.Enabled, folder: s.Folder}
	for id, t := range d.Triggers {
		switch t.Type {
		case workflows.TriggerCron:
			k.crons = append(k.crons, cronTrigger{specOf(t), id, t.Overlap})
		case workflows.TriggerWebhook:
			r, err := newRoute(d, s, id)
			if err != nil {
				m.logger.Error("webhook is not valid", reference(s.ID, id), "error", err)
				continue
			}
			k.hooks = append(k.hooks, r)
		case workflows.TriggerEvent:
			x, err := newSubscription(d, s, id)
			if err != nil {
				m.logger.Error("event trigger is not valid", reference(s.ID, id), "error", err)
				continue
			}
			k.events = append(k.events, x)
		}
	}
	return k
}

// parse returns the schedule of a trigger; nil, and a line in the log, when it is not valid.
func (m *Manager) parse(id workflows.ID, c cronTrigger) *Schedule {
	schedule, err := c.Parse()
	if err != nil {
		m.logger.Error("schedule is not valid", reference(id, c.id), "error", err)
		return nil
	}
	return schedule
}

func (m *Manager) lookup(id workflows.ID) *known {
	m.mu.RLock()
	defer m.mu.RUnlock()
	return m.known[id]
}

// adopt replaces what is known of a workflow; nil is that it is gone.
func (m *Manager) adopt(id workflows.ID, k *known) {
	m.mu.Lock()
	before := m.known[id]
	if k == nil {
		delete(m.known, id)
	} else {
		m.known[id] = k
	}
	m.mu.Unlock()
	var old, hooks []*route
	if before != nil {
		old = before.hooks
	}
	if k != nil {
		hooks = k.hooks
	}
	m.routes.replace(old, hooks)
	m.events.replace(before.subscribed(), k.subscribed())
}

// wanted are the triggers of a workflow that should have a plan.
type wanted struct {
	workflow workflows.ID
	crons    []cronTrigger
}

// arm makes the stored plans those of the given triggers and returns how many it made. A plan
// whose schedule did not change goes on; a new or edited one begins now. Its cost is two
// queries for all workflows when nothing has changed.
func (m *Manager) arm(ctx context.Context, list ...wanted) (armed int, err error) {
	if len(list) == 0 {
		return 0, nil
	}
	ids := make([]workflows.ID, len(list))
	for i, w := range list {
		ids[i] = w.workflow
		m.expect(w.workflow, unsettled)
	}
	all, err := m.store.Plans(ctx, ids...)
	if err != nil {
		return 0, fmt.Errorf("read plans: %w", err)
	}
	stored := make(map[workflows.ID][]Plan, len(list))
	for _, p := range all {
		stored[p.Workflow] = append(stored[p.Workflow], p)
	}
	var fresh []Plan
	live, now := make([]int, len(list)), m.now()
	for i, w := range list {
		plans, err := m.keep(ctx, w, stored[w.workflow])
		if err != nil {
			return 0, err
		}
		for _, c := range w.crons {
			next, goesOn := m.goesOn(w.workflow, c, plans, now)
			if !next.IsZero() {
				live[i]++
			}
			if !goesOn {
				fresh = append(fresh, Plan{Workflow: w.workflow, Trigger: c.id, Spec: c.Spec, Anchor: now, NextAt: next})
			}
		}
	}
	if len(fresh) > 0 {
		if err := m.store.Arm(ctx, fresh); err != nil {
			return 0, fmt.Errorf("plan schedules: %w", err)
		}
	}
	for i, w := range list {
		m.expect(w.workflow, live[i])
	}
	m.notify()
	return len(fresh), nil
}

// keep removes the stored plans of triggers that are not wanted any more.
func (m *Manager) keep(ctx context.Context, w wanted, stored []Plan) ([]Plan, error) {
	ids := make([]string, len(w.crons))
	for i, c := range w.crons {
		ids[i] = c.id
	}
	gone := func(p Plan) bool { return !slices.Contains(ids, p.Trigger) }
	if !slices.ContainsFunc(stored, gone) {
		return stored, nil
	}
	if err := m.store.Keep(ctx, w.workflow, ids); err != nil {
		return nil, fmt.Errorf("remove plans of %s: %w", w.workflow, err)
	}
	return slices.DeleteFunc(stored, gone), nil
}

// goesOn looks for the trigger's plan and returns when it is due next; a plan that must be
// made anew would be due at next. A schedule that is not valid gets none.
func (m *Manager) goesOn(id workflows.ID, c cronTrigger, stored []Plan, now time.Time) (next time.Time, ok bool) {
	i := slices.IndexFunc(stored, func(p Plan) bool { return p.Trigger == c.id && p.same(c.Spec) })
	if i >= 0 && !stored[i].NextAt.IsZero() {
		return stored[i].NextAt, true
	}
	schedule := m.parse(id, c)
	switch {
	case schedule == nil:
		return time.Time{}, true
	case i < 0:
		return schedule.Next(now, now), false
	default:
		next = schedule.Next(now, stored[i].Anchor)
		return next, next.IsZero() // it has come to its end
	}
}

// unsettled is no number of plans: reconcile looks at the workflow again.
const unsettled = -1

// expect notes how many triggers of a workflow should have something planned.
func (m *Manager) expect(id workflows.ID, live int) {
	m.mu.Lock()
	defer m.mu.Unlock()
	if m.live[id] = live; live == 0 {
		delete(m.live, id)
	}
}

// notify wakes Serve.
func (m *Manager) notify() {
	select {
	case m.wake <- struct{}{}:
	default:
	}
}
