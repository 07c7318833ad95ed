package follow

import (
	"context"
	"errors"
	"slices"

	"keyflow/workflows"
)

// Compare counts the plans, and reconciles when their number is wrong.
func (f *Follower) Compare(ctx context.Context) error {
	complete, err := f.planner.Complete(ctx)
	if err != nil {
		return err
	}
	if complete && len(f.broken()) == 0 {
		return nil
	}
	return f.Reconcile(ctx)
}

// Reconcile compares the stored plans with those that should exist, and corrects the
// differences: enabled triggers without a plan, plans of deleted triggers, workflows that could
// not be read before.
func (f *Follower) Reconcile(ctx context.Context) error {
	differing, err := f.planner.Differing(ctx)
	if err != nil {
		return err
	}
	differing = append(differing, f.broken()...)
	slices.Sort(differing)
	var failed []error
	for _, id := range slices.Compact(differing) {
		armed, err := f.update(ctx, id)
		failed = append(failed, err)
		if armed > 0 {
			f.rearmed.Add(float64(armed))
			f.logger.Warn("enabled schedules had no plan; it was created again", "workflow", id, "count", armed)
		}
	}
	return errors.Join(failed...)
}

// broken returns the workflows that could not be read.
func (f *Follower) broken() []workflows.ID {
	return f.Select(func(_ workflows.ID, w *Workflow) bool { return w.broken })
}
