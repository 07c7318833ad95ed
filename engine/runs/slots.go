package runs

import (
	"keyflow/workflows"
)

// Place says in which order a run takes its slots. A run that holds the later one never waits
// for the earlier one, so runs cannot wait for one another in a circle.
type Place uint8

// The places.
const (
	PlaceTrigger  Place = 0 // overlap: one at once
	PlaceWorkflow Place = 1 // concurrency
)

// Slot is what a run needs from its start to its end: one of the places of a group.
type Slot struct {
	Group GroupID
	Place Place
	// Limit is how many runs of the group hold a slot at once; for PlaceTrigger 1. Of PlaceWorkflow
	// that of the highest Version counts, for all groups of the workflow.
	Limit   int
	Version int
	OnLimit string // workflows.OnLimitQueue, …; asked once, when the run is stored
	// MaxWaiting, with OnLimitQueue: while so many wait, a start is skipped, or of PlaceWorkflow
	// refused as Unavailable. 0 is any number.
	MaxWaiting int
}

// Admit gives free slots of a group to the runs that wait for them: what the end of a run does,
// for when the limit was raised or something is inconsistent.
type Admit struct {
	Workflow workflows.ID
	Group    GroupID // zero: none, only Ended
	Place    Place
	Limit    int // of PlaceWorkflow; counts if Version is not older than the one that is known
	Version  int
	Ended    []ID // runs that may hold a slot although they have ended, or are gone
}

// SlotQueue is the runs that wait for a slot of one group.
type SlotQueue struct {
	Workflow workflows.ID
	Group    GroupID
	Place    Place
	Limit    int // as it is known to the store
	Version  int
	Taken    int // slots that are taken; counted up to Limit
}

// After is the cursor behind the queue, for the next page.
func (q *SlotQueue) After() SlotQueue { return SlotQueue{Workflow: q.Workflow, Group: q.Group} }
