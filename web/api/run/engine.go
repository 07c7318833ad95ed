package run

import (
	"context"

	"keyflow/engine"
	"keyflow/engine/live"
	"keyflow/engine/runs"
	"keyflow/internal/fault"
	"keyflow/internal/identity"
	"keyflow/workflows"
)

// Engine is the part of the engine that the API shows. It does not authorize: the handlers
// do, on the folder of the workflow or run.
type Engine interface {
	reads
	changes
}

type reads interface {
	Wait(ctx context.Context, id runs.ID) (runs.Run, error)
	// Find returns a run without its steps, Run with all of them.
	Find(ctx context.Context, id runs.ID) (runs.Run, error)
	Run(ctx context.Context, id runs.ID) (runs.Run, []runs.Step, error)
	Steps(ctx context.Context, f runs.StepFilter) ([]runs.Step, error)
	StepCounts(ctx context.Context, id runs.ID) (map[runs.StepStatus]int, error)
	Runs(ctx context.Context, f runs.Filter) ([]runs.Run, error)
	Watch(ctx context.Context, id runs.ID) (<-chan live.Update, error)
}

type changes interface {
	Start(ctx context.Context, s engine.Start) (engine.Started, error)
	Cancel(ctx context.Context, id runs.ID) error
	Retry(ctx context.Context, r engine.Retry) (engine.Started, error)
	// Deliver gives an external result to a waiting step.
	Deliver(ctx context.Context, id runs.ID, node workflows.NodeID, reason string, output any) error
	Delete(ctx context.Context, id runs.ID) error
}

// Workflows finds the workflow of a run that is started, and authorizes the caller to see it.
type Workflows interface {
	Get(ctx context.Context, caller identity.Caller, id workflows.ID) (workflows.Summary, workflows.Version, error)
}

// Access finds runs for a caller.
type Access struct {
	Runs interface {
		Find(ctx context.Context, id runs.ID) (runs.Run, error)
	}
}

// Visible loads a run and requires the right in its folder. A run that the caller may
// not see does not exist for that caller.
func (a Access) Visible(ctx context.Context, caller identity.Caller, right identity.Right, text string) (runs.Run, error) {
	missing := fault.New(fault.NotFound, "this run does not exist")
	var id runs.ID
	if id.UnmarshalText([]byte(text)) != nil {
		return runs.Run{}, missing
	}
	run, err := a.Runs.Find(ctx, id)
	if err != nil {
		return runs.Run{}, err
	}
	if !caller.May(identity.View, run.Folder) {
		return runs.Run{}, missing
	}
	return run, caller.Require(right, run.Folder)
}
