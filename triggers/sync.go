package triggers

import (
	"context"
	"fmt"
	"maps"
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
	crons    map[string]cronTrigger
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
func (k *known) planned() map[string]cronTrigger {
	if !k.enabled {
		return nil
	}
	return k.crons
}

type cronTrigger struct {
	Spec
	overlap  string
	schedule *Schedule
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
		m.adopt(s.ID, &known{revision: s.Revision, version: s.Version, folder: s.Folder, broken: true})
		return 0, fmt.Errorf("triggers of workflow %s: %w", s.ID, err)
	}
	k := m.read(d, s)
	m.adopt(s.ID, k)
	if before == nil && len(k.planned()) == 0 {
		return 0, nil // nothing was planned here; what others left behind is found by reconcile
	}
	return m.arm(ctx, s.ID, k.planned())
}

// read compiles the triggers of a definition.
func (m *Manager) read(d *workflows.Definition, s workflows.Summary) *known {
	k := &known{revision: s.Revision, version: s.Version, enabled: s.Enabled, folder: s.Folder, crons: map[string]cronTrigger{}}
	for id, t := range d.Triggers {
		switch t.Type {
		case workflows.TriggerCron:
			spec := specOf(t)
			if schedule, err := spec.Parse(); err != nil {
				m.logger.Error("schedule is not valid", reference(s.ID, id), "error", err)
			} else {
				k.crons[id] = cronTrigger{spec, t.Overlap, schedule}
			}
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

// arm makes the stored plans those of the given triggers and returns how many it made. A plan
// whose schedule did not change goes on; a new or edited one begins now.
func (m *Manager) arm(ctx context.Context, id workflows.ID, crons map[string]cronTrigger) (armed int, err error) {
	m.expect(id, unsettled)
	if err := m.store.Keep(ctx, id, slices.Sorted(maps.Keys(crons))); err != nil {
		return 0, fmt.Errorf("remove plans of %s: %w", id, err)
	}
	stored, err := m.store.Plans(ctx, id)
	if err != nil {
		return 0, fmt.Errorf("read plans of %s: %w", id, err)
	}
	var fresh []Plan
	live, now := 0, m.now()
	for trigger, c := range crons {
		next, goesOn := c.goesOn(stored, trigger, now)
		if !next.IsZero() {
			live++
		}
		if goesOn {
			continue
		}
		fresh = append(fresh, Plan{Workflow: id, Trigger: trigger, Spec: c.Spec, Anchor: now, NextAt: next})
	}
	if len(fresh) > 0 {
		if err := m.store.Arm(ctx, fresh); err != nil {
			return 0, fmt.Errorf("plan schedules of %s: %w", id, err)
		}
	}
	m.expect(id, live)
	m.notify()
	return len(fresh), nil
}

// goesOn looks for the trigger's plan and returns when it is due next; a plan that must be
// made anew would be due at next.
func (c cronTrigger) goesOn(stored []Plan, trigger string, now time.Time) (next time.Time, ok bool) {
	i := slices.IndexFunc(stored, func(p Plan) bool { return p.Trigger == trigger && p.same(c.Spec) })
	if i < 0 {
		return c.schedule.Next(now, now), false
	}
	if !stored[i].NextAt.IsZero() {
		return stored[i].NextAt, true
	}
	next = c.schedule.Next(now, stored[i].Anchor)
	return next, next.IsZero() // it has come to its end
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
