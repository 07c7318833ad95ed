package engine

import (
	"context"
	"log/slog"
	"time"
)

// OwnershipOptions sets the timing of a heartbeat; zero fields take the defaults of
// docs/architecture.md.
type OwnershipOptions struct {
	Beat    time.Duration // between two beats; 1 s
	Confirm time.Duration // how long a stored beat confirms the process; 3 s
	Silence time.Duration // after which an owner is given up; 5 s
	// Orphans receives runs whose owner is silent, from the goroutine of Serve; it must not
	// block for long. The same runs come again until somebody has claimed them.
	Orphans func(context.Context, []Orphan)
	Logger  *slog.Logger // nil: discards
}

// Ownership keeps a process alive in the eyes of the others: it beats, it knows whether
// the process may act on its runs, and it reports the runs of processes that fell silent.
type Ownership struct{}

// NewOwnership returns the ownership of one process start, with a new random id.
func NewOwnership(owners Owners, o OwnershipOptions) *Ownership {
	panic("ownership: unfinished")
}

// ID is the owner id of this process start.
func (o *Ownership) ID() OwnerID { panic("ownership: unfinished") }

// Confirmed reports whether the process may start a step or a request: its last stored
// beat was sent less than OwnershipOptions.Confirm ago, time spent asleep included.
func (o *Ownership) Confirmed() bool { panic("ownership: unfinished") }

// Serve beats until ctx is done, then withdraws the process's row and returns nil.
func (o *Ownership) Serve(ctx context.Context) error { panic("ownership: unfinished") }
