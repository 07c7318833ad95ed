package triggers

import (
	"context"
	"errors"
	"fmt"
	"maps"
	"slices"

	"keyflow/internal/fault"
	"keyflow/workflows"
)

// pageOfChanges is how many changes are read at once.
const pageOfChanges = 500

// Load reads the changes of the catalog since the last Load, at first every workflow. Its cost
// is that of the changes. Serve calls it at its start and then every second (Options.Shared) or
// minute.
func (m *Manager) Load(ctx context.Context) error {
	m.loading.Lock()
	defer m.loading.Unlock()
	first := !m.loaded.Load()
	var failed []error
	for {
		page, err := m.catalog.Changes(ctx, m.revision, pageOfChanges)
		if err != nil {
			return fmt.Errorf("read changes of workflows: %w", err)
		}
		if err := m.followAll(ctx, page); err != nil {
			if fault.Is(err, fault.Unavailable) {
				return err // the next Load continues with this page
			}
			failed = append(failed, err)
		}
		if len(page) > 0 {
			m.revision = page[len(page)-1].Revision
		}
		if len(page) < pageOfChanges {
			break
		}
	}
	if first {
		m.loaded.Store(true)
		close(m.complete)
		failed = append(failed, m.reconcile(ctx))
	}
	return errors.Join(failed...)
}

// followAll applies changes, except those that this process made or has seen newer versions of.
// After an Unavailable fault the remaining changes are not applied.
func (m *Manager) followAll(ctx context.Context, page []workflows.Change) error {
	var failed []error
	for _, change := range page {
		if !change.Deleted || m.lookup(change.ID) == nil {
			continue
		}
		if _, err := m.update(ctx, change.ID); fault.Is(err, fault.Unavailable) {
			return err
		} else if err != nil {
			failed = append(failed, err)
		}
	}
	m.syncing.Lock()
	defer m.syncing.Unlock()
	var list []wanted
	for _, change := range page {
		before := m.lookup(change.ID)
		if change.Deleted || before != nil && before.revision >= change.Revision {
			continue
		}
		d, err := change.Triggers()
		if err != nil {
			failed = append(failed, m.fail(change.Summary, err))
			continue
		}
		k := m.read(d, change.Summary)
		m.adopt(change.ID, k)
		if before != nil || len(k.planned()) > 0 {
			list = append(list, wanted{change.ID, k.planned()})
		}
	}
	if _, err := m.arm(ctx, list...); err != nil {
		return err // reconcile reads these workflows again
	}
	return errors.Join(failed...)
}

// compare counts the plans, and reconciles when their number is wrong.
func (m *Manager) compare(ctx context.Context) error {
	planned, err := m.store.Planned(ctx)
	if err != nil {
		return fmt.Errorf("count plans: %w", err)
	}
	if want, known := m.expected(); known && planned == want {
		return nil
	}
	return m.reconcile(ctx)
}

// expected is how many plans should be stored; not known while a workflow could not be read.
func (m *Manager) expected() (n int, known bool) {
	m.mu.RLock()
	defer m.mu.RUnlock()
	for _, live := range m.live {
		if live == unknownPlans {
			return 0, false
		}
		n += live
	}
	for _, k := range m.known {
		if k.broken {
			return 0, false
		}
	}
	return n, true
}

// reconcile compares the stored plans with those that should exist, and corrects the
// differences: enabled triggers without a plan, plans of deleted triggers, workflows that could
// not be read before.
func (m *Manager) reconcile(ctx context.Context) error {
	counts, err := m.store.Counts(ctx)
	if err != nil {
		return fmt.Errorf("count plans: %w", err)
	}
	var failed []error
	for _, id := range m.differing(counts) {
		armed, err := m.update(ctx, id)
		failed = append(failed, err)
		if armed > 0 {
			m.metrics.rearmed.Add(float64(armed))
			m.logger.Warn("enabled schedules had no plan; it was created again", "workflow", id, "count", armed)
		}
	}
	return errors.Join(failed...)
}

// differing returns the workflows whose plans are not those that are expected.
func (m *Manager) differing(counts map[workflows.ID]int) []workflows.ID {
	m.mu.RLock()
	defer m.mu.RUnlock()
	differ := make(map[workflows.ID]bool)
	for id, live := range m.live {
		if counts[id] != live {
			differ[id] = true
		}
	}
	for id, n := range counts {
		if m.live[id] != n {
			differ[id] = true
		}
	}
	for id, k := range m.known {
		if k.broken {
			differ[id] = true
		}
	}
	return slices.Sorted(maps.Keys(differ))
}
