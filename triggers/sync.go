package triggers

import (
	"context"
	"fmt"
	"slices"
	"time"

	"keyflow/internal/fault"
	"keyflow/workflows"
)

// known is what the manager has loaded of one workflow. It is immutable.
type known struct {
	revision int64
	version  int
	enabled  bool
	broken   bool // it could not be read: tried again from time to time
	folder   string
	crons    []cronTrigger
	hooks    []*route
	events   []*subscription
}

// subscribed returns the event triggers that fire: none of a disabled workflow.
func (k *known) subscribed() []*subscription {
	if k == nil || !k.enabled {
		return nil
	}
	return k.events
}

// planned returns the cron triggers that fire: none of a disabled workflow.
func (k *known) planned() []cronTrigger {
	if !k.enabled {
		return nil
	}
	return k.crons
}

// cronTrigger is a schedule as text: there may be a hundred thousand, so it is parsed on use.
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

// update loads the current version of a workflow and returns how many plans it made.
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

// sync loads a version of a workflow: routes into memory, plans into the store. The caller
// holds m.syncing.
func (m *Manager) sync(ctx context.Context, s workflows.Summary) (armed int, err error) {
	before := m.lookup(s.ID)
	if before != nil && before.revision > s.Revision {
		return 0, nil // a newer version is loaded
	}
	d, err := m.catalog.Definition(ctx, s.ID, s.Version)
	if err != nil { // it cannot run; the others can
		return 0, m.fail(s, err)
	}
	k := m.read(d, s)
	k.crons = slices.DeleteFunc(k.crons, func(c cronTrigger) bool { return m.parse(s.ID, c) == nil })
	m.adopt(s.ID, k)
	if before == nil && len(k.planned()) == 0 {
		return 0, nil // nothing was planned; reconcile finds plans of other processes
	}
	return m.arm(ctx, wanted{s.ID, k.planned()})
}

// fail marks a workflow whose definition cannot be read as broken; reconcile tries it again.
func (m *Manager) fail(s workflows.Summary, err error) error {
	m.adopt(s.ID, &known{revision: s.Revision, version: s.Version, folder: s.Folder, broken: true})
	return fmt.Errorf("triggers of workflow %s: %w", s.ID, err)
}

// read returns the triggers of a definition, with webhooks and event triggers compiled.
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

// adopt replaces what is known of a workflow; nil removes it.
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

// arm stores the plans of the given triggers, removes other plans of their workflows, and returns
// how many plans it made. A plan whose schedule did not change stays; a new or edited schedule
// begins now. When nothing has changed it costs two queries for all workflows.
func (m *Manager) arm(ctx context.Context, list ...wanted) (armed int, err error) {
	if len(list) == 0 {
		return 0, nil
	}
	ids := make([]workflows.ID, len(list))
	for i, w := range list {
		ids[i] = w.workflow
		m.expect(w.workflow, unknownPlans)
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
			next, valid := m.nextOf(w.workflow, c, plans, now)
			if !next.IsZero() {
				live[i]++
			}
			if !valid {
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

// keep removes the stored plans of triggers that no longer exist.
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

// nextOf returns when a trigger is due next, and whether a stored plan says so; if not, a plan
// must be made. A schedule that is not valid needs no plan.
func (m *Manager) nextOf(id workflows.ID, c cronTrigger, stored []Plan, now time.Time) (next time.Time, ok bool) {
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
		return next, next.IsZero() // it has ended
	}
}

// unknownPlans is no number: reconcile reads the workflow again.
const unknownPlans = -1

// expect records how many triggers of a workflow should have a plan.
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
