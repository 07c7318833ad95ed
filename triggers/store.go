package triggers

import (
	"context"
	"time"

	"keyflow/workflows"
)

// Plan is the stored row of one enabled cron trigger: when it fires next.
type Plan struct {
	Workflow workflows.ID
	Trigger  string
	Schedule string // the text and zone that the plan was made for
	Timezone string
	Anchor   time.Time // what "@every" counts from
	Revision int64     // set by the store; grows with each Arm
	NextAt   time.Time // zero: nothing planned
	Missed   int64     // occurrences that were too old to be made up, since it was armed
}

// Store keeps the plans. The cost of Due and NextDue must not grow with the number of
// plans that are not due. Times keep microseconds.
type Store interface {
	// Arm stores a plan with a new revision, in place of an older one.
	Arm(ctx context.Context, p Plan) error
	// Keep removes the plans of a workflow whose trigger is not listed.
	Keep(ctx context.Context, workflow workflows.ID, triggers []string) error
	// Plans returns the plans of a workflow, ordered by trigger.
	Plans(ctx context.Context, workflow workflows.ID) ([]Plan, error)
	// Counts returns how many triggers with something planned each workflow has.
	Counts(ctx context.Context) (map[workflows.ID]int, error)
	// Due returns plans due at now or before, earliest first, from the one after a place
	// (the zero Plan begins) and at most limit of them.
	Due(ctx context.Context, now time.Time, after Plan, limit int) ([]Plan, error)
	// NextDue returns when the earliest plan is due; zero when none is.
	NextDue(ctx context.Context) (time.Time, error)
	// Advance plans the next occurrence (zero: none) and adds to the missed ones, if the plan
	// still has p's revision and p's NextAt; else it changes nothing and returns false.
	Advance(ctx context.Context, p Plan, next time.Time, missed int64) (bool, error)
}
