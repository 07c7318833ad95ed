package attempt

import (
	"context"
	"fmt"
	"log/slog"
	"net/http"
	"time"

	"keyflow/credentials"
	"keyflow/engine/callback"
	"keyflow/engine/plan"
	"keyflow/engine/runs"
	"keyflow/engine/starts"
	"keyflow/engine/state"
	"keyflow/engine/values"
	"keyflow/nodes"
	"keyflow/workflows"
)

// Actor works on credentials for nodes of type credential; *credentials.Vault does.
type Actor interface {
	// Act is Error workflow_not_allowed unless the credential's rotatable_by names the workflow.
	Act(ctx context.Context, use credentials.Use, a credentials.Action) (map[string]any, error)
}

// Resolver turns a use of a credential into an HTTP client; *credentials.Resolver is one.
type Resolver interface {
	Client(ctx context.Context, use credentials.Use) (*http.Client, error)
}

// Process is what the process lends to all attempts.
type Process struct {
	Now         func() time.Time // in the precision of the store
	Logger      *slog.Logger
	MaxOutput   int           // bytes of one step's output as JSON
	Sealer      values.Sealer // nil: nothing can be sealed
	Credentials Resolver
	Actor       Actor // nil: no step can work on credentials
	CanConnect  bool  // steps may wait for a credential to be connected
	Callbacks   callback.URLs
	Starts      *starts.Preparer
	Children    Children
}

// Children is where the runs go that steps start.
type Children interface {
	// Reserve keeps a place in the queue for a run that is not stored yet; false when it is full.
	Reserve(run runs.ID, workflow workflows.ID) bool
	Unreserve(run runs.ID)
	// Create stores a run, which is due then.
	Create(n *runs.NewRun) runs.Outcome
}

// Host is the run that an attempt belongs to.
type Host interface {
	// StoreStart puts the start of an at_most_once step on disk before its request is sent.
	StoreStart(ctx context.Context, key state.StepKey, attempt int, started time.Time) error
	// AwaitOwnership returns when a request of the run may be sent, or ctx is done.
	AwaitOwnership(ctx context.Context)
	// MayRespond lets the first step of a run that asks answer the caller; the others get a reason.
	MayRespond(ctx context.Context, key state.StepKey) (reason string, err error)
	// DeclineResponse lets another step answer.
	DeclineResponse(key state.StepKey)
	// Vars decodes what the expressions of a node read.
	Vars(reads *plan.Reads) (values.Reading, error)
}

// CheckSize refuses a value that is too large to store.
func (p *Process) CheckSize(raw []byte) *nodes.Error {
	if len(raw) <= p.MaxOutput {
		return nil
	}
	return &nodes.Error{
		Code:    nodes.CodeTooLarge,
		Message: fmt.Sprintf("the output has %d bytes; at most %d are allowed: choose what is needed with \"output\"", len(raw), p.MaxOutput),
	}
}
