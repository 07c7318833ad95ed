package engine

import (
	"context"

	"keyflow/engine/plan"
	"keyflow/engine/runs"
	"keyflow/internal/fault"
)

// Retry asks for a new run in place of one that has ended.
type Retry struct {
	Run runs.ID
	// FromStart runs every step again; otherwise those stay that succeeded after needs that
	// stay, with their outputs, and the version is that of the run.
	FromStart bool
	// Newest takes the workflow's current version instead of the run's; only with FromStart.
	Newest bool
}

// Retry starts a run with the input, trigger and folder of an ended one, whose RetryOf it
// carries, and returns once it is on disk. Faults beyond those of Start: NotFound (no such run),
// Conflict (the run has not ended, has no failed step to go on from, or its definition is not
// stored).
func (e *Engine) Retry(ctx context.Context, o Retry) (Started, error) {
	of, err := e.o.Store.Run(ctx, o.Run)
	if err != nil {
		return Started{}, err
	}
	switch {
	case !of.Status.Final():
		return Started{}, fault.New(fault.Conflict, "the run is %s: cancel it first, or wait for its end", of.Status)
	case of.Version == 0 || e.o.Catalog == nil:
		return Started{}, fault.New(fault.Conflict, "the run came from a file that is not stored here: run the file again")
	case !o.FromStart && of.Status == runs.Succeeded:
		return Started{}, fault.New(fault.Conflict, "the run succeeded, so there is no failed step to go on from: retry it from the start")
	case o.Newest && !o.FromStart:
		return Started{}, fault.New(fault.Invalid, "steps of one version do not fit another: the newest version needs a retry from the start")
	}
	summary, err := e.o.Catalog.Summary(ctx, of.Workflow) // a deleted workflow starts nothing
	if err != nil {
		return Started{}, err
	}
	run := runs.Run{Workflow: of.Workflow, Version: of.Version, Folder: summary.Folder, RetryOf: &of.ID}
	if o.Newest {
		run.Version = summary.Version
	}
	plan, err := e.starts.Version(ctx, run.Workflow, run.Version)
	if err != nil {
		return Started{}, err
	}
	again := Start{Input: of.Input, Trigger: of.Trigger, Depth: of.Depth}
	if !o.FromStart {
		steps, err := e.o.Store.Steps(ctx, of.ID)
		if err != nil {
			return Started{}, err
		}
		again.kept = keptSteps(plan, steps)
	}
	return e.start(ctx, plan, again, run)
}

// keptSteps picks the steps whose results a retry takes over: those that succeeded and whose needs
// are all taken over, and the elements that succeeded of a for_each that did not. What is
// below a step that runs again may see something else, so it runs again, too. Their attempts
// stay with the old run: they took none of the new one's time.
func keptSteps(p *plan.Plan, steps []runs.Step) []runs.Step {
	succeeded := make([]bool, len(p.Nodes))
	for i := range steps {
		if n, ok := p.Index[steps[i].Node]; ok && steps[i].Index == runs.NoIndex {
			succeeded[n] = steps[i].Status == runs.StepSucceeded
		}
	}
	memory := make([]int8, len(p.Nodes)) // 1 reached, 2 not
	var reached func(n int) bool         // all needs are kept
	reached = func(n int) bool {
		if memory[n] == 0 {
			memory[n] = 1
			for _, need := range p.Nodes[n].Needs {
				if !succeeded[need] || !reached(need) {
					memory[n] = 2
				}
			}
		}
		return memory[n] == 1
	}
	var kept []runs.Step
	for _, s := range steps {
		n, ok := p.Index[s.Node]
		if !ok || !reached(n) || !succeeded[n] && (s.Index == runs.NoIndex || s.Status != runs.StepSucceeded) {
			continue
		}
		s.Attempts, s.Calls = nil, nil
		kept = append(kept, s)
	}
	return kept
}
