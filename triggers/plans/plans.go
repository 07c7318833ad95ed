// Package plans is the contract of the store that keeps when cron triggers fire next.
package plans

import (
	"context"
	"time"

	"keyflow/triggers/schedule"
	"keyflow/workflows"
)

// Plan is the stored row of one enabled cron trigger: when it fires next.
type Plan struct {
	Workflow      workflows.ID
	Trigger       string
	schedule.Spec           // of the trigger when the plan was made
	Anchor        time.Time // what "@every" counts from
	Revision      int64     // set by the store; grows with each Arm
	NextAt        time.Time // the next occurrence; zero: nothing planned
	Missed        int64     // occurrences that were too old to start, since it was armed
	Skipped       int64     // occurrences that overlap or concurrency skipped
}

// Move is the change of a plan that was due.
type Move struct {
	Plan            Plan      // as it was read
	NextAt          time.Time // the plan's next occurrence
	Missed, Skipped int64     // to be added
}

// Store keeps the plans. The cost of Due and NextDue must not grow with the number of
// plans that are not due. Times keep microseconds.
type Store interface {
	// Arm stores plans with a new revision each, in place of older ones.
	Arm(ctx context.Context, plans []Plan) error
	// Keep removes the plans of a workflow whose trigger is not listed.
	Keep(ctx context.Context, workflow workflows.ID, triggers []string) error
	// Plans returns the plans of workflows, ordered by workflow and trigger.
	Plans(ctx context.Context, of ...workflows.ID) ([]Plan, error)
	// Counts returns how many triggers with something planned each workflow has.
	Counts(ctx context.Context) (map[workflows.ID]int, error)
	// Planned is the sum of Counts.
	Planned(ctx context.Context) (int, error)
	// Due returns at most limit plans due at now or before, earliest first, those after the
	// given one (all for the zero Plan).
	Due(ctx context.Context, now time.Time, after Plan, limit int) ([]Plan, error)
	// NextDue returns when the earliest plan is due; zero when none is.
	NextDue(ctx context.Context) (time.Time, error)
	// Advance changes plans, each if it still has the revision and the NextAt that it was read
	// with, and reports which ones it changed. One transaction for all.
	Advance(ctx context.Context, moves []Move) ([]bool, error)
}
