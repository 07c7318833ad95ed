package triggers

import (
	"context"
	"errors"
	"fmt"
	"maps"
	"slices"

	"keyflow/internal/fault"
	"keyflow/internal/identity"
	"keyflow/workflows"
)

// known is what the manager has taken over from one workflow.
type known struct {
	version int
	enabled bool
	folder  string
	crons   map[string]cronTrigger
	hooks   []*route
}

// planned returns the cron triggers that fire: none of a switched-off workflow.
func (k *known) planned() map[string]cronTrigger {
	if !k.enabled {
		return nil
	}
	return k.crons
}

type cronTrigger struct {
	text, timezone string
	schedule       *Schedule
}

// WorkflowChanged implements workflows.Listener.
func (m *Manager) WorkflowChanged(ctx context.Context, id workflows.ID) error {
	s, err := m.catalog.Summary(ctx, id)
	if fault.Is(err, fault.NotFound) {
		return m.forget(ctx, id)
	}
	if err != nil {
		return fmt.Errorf("read workflow %s: %w", id, err)
	}
	return m.sync(ctx, s)
}

// Load takes over all workflows of the catalog and mends plans that do not fit them:
// enabled triggers with nothing planned, plans of triggers that are gone. Serve does it at
// its start and from time to time.
func (m *Manager) Load(ctx context.Context) error {
	counts, err := m.store.Counts(ctx)
	if err != nil {
		return fmt.Errorf("count plans: %w", err)
	}
	seen := make(map[workflows.ID]bool)
	var failed []error
	for f := (workflows.Filter{Limit: 200}); ; {
		page, err := m.catalog.List(ctx, identity.System(), f)
		if err != nil {
			return fmt.Errorf("list workflows: %w", err)
		}
		for _, s := range page {
			seen[s.ID] = true
			if !m.fits(s, counts[s.ID]) {
				failed = append(failed, m.sync(ctx, s))
			}
		}
		if len(page) < f.Limit {
			break
		}
		f.After = page[len(page)-1].ID
	}
	for _, id := range m.strangers(seen, counts) {
		failed = append(failed, m.forget(ctx, id))
	}
	m.loaded.Store(true)
	return errors.Join(failed...)
}

// fits reports whether a workflow and its plans are as they were taken over.
func (m *Manager) fits(s workflows.Summary, planned int) bool {
	m.mu.RLock()
	defer m.mu.RUnlock()
	k := m.known[s.ID]
	return k != nil && k.version == s.Version && k.enabled == s.Enabled && len(k.planned()) == planned
}

// strangers returns workflows that are known or planned but no longer in the catalog. One
// that was made after the catalog was listed comes back with its own WorkflowChanged.
func (m *Manager) strangers(seen map[workflows.ID]bool, counts map[workflows.ID]int) []workflows.ID {
	m.mu.RLock()
	defer m.mu.RUnlock()
	gone := make(map[workflows.ID]bool)
	for id := range m.known {
		gone[id] = !seen[id]
	}
	for id := range counts {
		gone[id] = !seen[id]
	}
	maps.DeleteFunc(gone, func(_ workflows.ID, is bool) bool { return !is })
	return slices.Sorted(maps.Keys(gone))
}

// forget drops a workflow that the catalog has no more. It looks once more, because the
// workflow may have been made since.
func (m *Manager) forget(ctx context.Context, id workflows.ID) error {
	m.syncing.Lock()
	defer m.syncing.Unlock()
	if _, err := m.catalog.Summary(ctx, id); !fault.Is(err, fault.NotFound) {
		return err
	}
	m.adopt(id, nil)
	return m.store.Keep(ctx, id, nil)
}

// sync takes over a workflow's current version: routes into memory, plans into the store.
func (m *Manager) sync(ctx context.Context, s workflows.Summary) error {
	m.syncing.Lock()
	defer m.syncing.Unlock()
	d, err := m.catalog.Definition(ctx, s.ID, s.Version)
	if err != nil {
		m.adopt(s.ID, nil) // it cannot run; other workflows go on
		return fmt.Errorf("triggers of workflow %s: %w", s.ID, err)
	}
	k := &known{version: s.Version, enabled: s.Enabled, folder: s.Folder, crons: map[string]cronTrigger{}}
	for id, t := range d.Triggers {
		switch t.Type {
		case workflows.TriggerCron:
			if schedule, err := ParseSchedule(t.Schedule, t.Timezone); err != nil {
				m.logger.Error("schedule is not valid", reference(s.ID, id), "error", err)
			} else {
				k.crons[id] = cronTrigger{t.Schedule, t.Timezone, schedule}
			}
		case workflows.TriggerWebhook:
			r, err := newRoute(d, s, id)
			if err != nil {
				m.logger.Error("webhook is not valid", reference(s.ID, id), "error", err)
				continue
			}
			k.hooks = append(k.hooks, r)
		}
	}
	m.adopt(s.ID, k)
	return m.arm(ctx, s.ID, k.planned())
}

// adopt replaces what is known of a workflow.
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
}

// arm makes the stored plans those of the given triggers. A plan whose schedule did not
// change goes on; a new or edited one begins now.
func (m *Manager) arm(ctx context.Context, id workflows.ID, crons map[string]cronTrigger) error {
	if err := m.store.Keep(ctx, id, slices.Sorted(maps.Keys(crons))); err != nil {
		return fmt.Errorf("remove plans of %s: %w", id, err)
	}
	if len(crons) == 0 {
		return nil
	}
	stored, err := m.store.Plans(ctx, id)
	if err != nil {
		return fmt.Errorf("read plans of %s: %w", id, err)
	}
	now := m.now()
	for trigger, c := range crons {
		same := slices.ContainsFunc(stored, func(p Plan) bool {
			return p.Trigger == trigger && p.Schedule == c.text && p.Timezone == c.timezone && !p.NextAt.IsZero()
		})
		if same {
			continue
		}
		p := Plan{Workflow: id, Trigger: trigger, Schedule: c.text, Timezone: c.timezone, Anchor: now, NextAt: c.schedule.Next(now, now)}
		if err := m.store.Arm(ctx, p); err != nil {
			return fmt.Errorf("plan %s/%s: %w", id, trigger, err)
		}
	}
	m.notify()
	return nil
}

// notify wakes Serve.
func (m *Manager) notify() {
	select {
	case m.wake <- struct{}{}:
	default:
	}
}
