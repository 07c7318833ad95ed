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

// Load takes over what changed in the catalog since the last Load; the first time that is
// every workflow. Its cost is that of the changes. Serve does it at its start and then
// every second (Options.Shared) or minute.
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
		for _, change := range page {
			err := m.follow(ctx, change)
			if fault.Is(err, fault.Unavailable) {
				return err // goes on with this one
			}
			failed = append(failed, err)
			m.revision = change.Revision
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

// follow takes over one change, unless this process made it or has seen a later one.
func (m *Manager) follow(ctx context.Context, change workflows.Change) error {
	k := m.lookup(change.ID)
	switch {
	case k == nil && change.Deleted, k != nil && k.revision >= change.Revision:
		return nil
	case change.Deleted:
		_, err := m.update(ctx, change.ID)
		return err
	}
	m.syncing.Lock()
	defer m.syncing.Unlock()
	_, err := m.sync(ctx, change.Summary)
	return err
}

// reconcile compares the stored plans with those that should be there and mends what differs:
// enabled triggers with nothing planned, plans of triggers that are gone, workflows that
// could not be taken over before.
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
			m.logger.Warn("enabled schedules had nothing planned", "workflow", id, "count", armed)
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
