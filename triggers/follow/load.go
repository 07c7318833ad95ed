package follow

import (
	"context"
	"errors"
	"fmt"

	"keyflow/internal/fault"
	"keyflow/triggers/cron"
	"keyflow/workflows"
)

// pageOfChanges is how many changes are read at once.
const pageOfChanges = 500

// Load reads the changes of the catalog since the last Load, at first every workflow. Its cost
// is that of the changes. Manager.Serve calls it at its start and then every second (Options.Shared)
// or minute.
func (f *Follower) Load(ctx context.Context) error {
	f.loading.Lock()
	defer f.loading.Unlock()
	first := !f.loaded.Load()
	var failed []error
	for {
		page, err := f.catalog.Changes(ctx, f.revision, pageOfChanges)
		if err != nil {
			return fmt.Errorf("read changes of workflows: %w", err)
		}
		if err := f.followAll(ctx, page); err != nil {
			if fault.Is(err, fault.Unavailable) {
				return err // the next Load continues with this page
			}
			failed = append(failed, err)
		}
		if len(page) > 0 {
			f.revision = page[len(page)-1].Revision
		}
		if len(page) < pageOfChanges {
			break
		}
	}
	if first {
		f.loaded.Store(true)
		close(f.complete)
		failed = append(failed, f.Reconcile(ctx))
	}
	return errors.Join(failed...)
}

// followAll applies changes, except those that this process made or has seen newer versions of.
// After an Unavailable fault the remaining changes are not applied.
func (f *Follower) followAll(ctx context.Context, page []workflows.Change) error {
	var failed []error
	for _, change := range page {
		if !change.Deleted || f.Workflow(change.ID) == nil {
			continue
		}
		if _, err := f.update(ctx, change.ID); fault.Is(err, fault.Unavailable) {
			return err
		} else if err != nil {
			failed = append(failed, err)
		}
	}
	f.syncing.Lock()
	defer f.syncing.Unlock()
	var list []cron.Wanted
	for _, change := range page {
		before := f.Workflow(change.ID)
		if change.Deleted || before != nil && before.revision >= change.Revision {
			continue
		}
		d, err := change.Triggers()
		if err != nil {
			failed = append(failed, f.fail(change.Summary, err))
			continue
		}
		w := f.read(d, change.Summary)
		f.adopt(change.ID, w)
		if before != nil || len(w.planned()) > 0 {
			list = append(list, cron.Wanted{Workflow: change.ID, Triggers: w.planned()})
		}
	}
	if _, err := f.planner.Arm(ctx, list...); err != nil {
		return err // reconcile reads these workflows again
	}
	return errors.Join(failed...)
}

// CatchUp returns when all workflows are known, including those that other processes have just
// stored.
func (f *Follower) CatchUp(ctx context.Context) error {
	select {
	case <-f.complete:
	case <-ctx.Done():
		return ctx.Err()
	}
	if !f.shared {
		return nil
	}
	if err := f.Load(ctx); fault.Is(err, fault.Unavailable) || ctx.Err() != nil {
		return err
	}
	return nil // Serve reports workflows that are broken
}
