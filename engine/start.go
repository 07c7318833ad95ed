package engine

import (
	"context"
	"encoding/json"

	"keyflow/engine/concurrency"
	"keyflow/engine/plan"
	"keyflow/engine/runs"
	"keyflow/engine/starts"
	"keyflow/engine/values"
	"keyflow/internal/fault"
	"keyflow/workflows"
)

// resealKept moves the sealed outputs among the kept steps to the run that takes them over:
// they open for the run that they are sealed for.
func (e *Engine) resealKept(run *runs.Run, kept []runs.Step) error {
	for i := range kept {
		s := &kept[i]
		if len(s.Sealed) == 0 || s.Sealed[0] == values.PlainMarks {
			continue
		}
		if e.o.Sealer == nil {
			return fault.New(fault.Conflict, "the run has sealed outputs, which this process cannot open: retry it from the start")
		}
		text, err := e.o.Sealer.OpenOutput(run.RetryOf.String(), string(s.Node), s.Index, s.Sealed)
		if err == nil {
			s.Sealed, err = e.o.Sealer.SealOutput(run.ID.String(), string(s.Node), s.Index, text)
		}
		if err != nil {
			return fault.New(fault.Conflict, "a sealed output of the run cannot be opened: retry it from the start").Because(err)
		}
	}
	return nil
}

// Start asks for one run.
type Start struct {
	Workflow workflows.ID    // ignored by StartDefinition
	Input    json.RawMessage // nil is {}
	Trigger  runs.TriggerRef // zero is a manual start; a zero FiredAt is now
	Dedupe   *runs.DedupeKey // nil: always a new run
	Depth    int             // how many workflow starts led here; over MaxDepth is refused

	kept []runs.Step // of the run that this one retries
}

// Started is the result of a Start, after it is on disk.
type Started struct {
	Run       runs.ID // zero when Skipped
	Workflow  workflows.ID
	Version   int
	Status    runs.Status // running or queued; "" of a duplicate
	Duplicate bool        // Run is an earlier one with the same dedupe key
	Skipped   bool        // the key was recorded without a run, now or earlier
}

// Start stores a run of the workflow's current version and returns once it is on disk.
// Faults: NotFound (no such workflow), Malformed (the input is not JSON), Invalid with
// Problems (the input does not match the schema), Conflict (dedupe key with another input;
// depth), TooLarge (the input), Unavailable (queue full, database away, stopping): then nothing was
// accepted. Whether a disabled workflow may start is the caller's decision.
func (e *Engine) Start(ctx context.Context, s Start) (Started, error) {
	summary, plan, err := e.starts.Current(ctx, s.Workflow)
	if err != nil {
		return Started{}, err
	}
	return e.start(ctx, plan, s, runs.Run{Workflow: s.Workflow, Version: summary.Version, Folder: summary.Folder})
}

// StartDefinition is Start for a definition that is not in the catalog (`keyflow run FILE`).
// Its run has version 0 and cannot be resumed by another process. An Invalid fault lists
// the problems of the definition.
func (e *Engine) StartDefinition(ctx context.Context, d *workflows.Definition, s Start) (Started, error) {
	plan, problems := plan.Compile(d, e.o.Types)
	if len(problems) > 0 {
		return Started{}, fault.Problems("the workflow is not valid", problems)
	}
	return e.start(ctx, plan, s, runs.Run{Workflow: d.ID, Folder: d.Folder})
}

// start stores a run, of which workflow, version and folder are given, and sets it going.
func (e *Engine) start(ctx context.Context, plan *plan.Plan, s Start, run runs.Run) (Started, error) {
	if !e.live.Enter() {
		return Started{}, errUnavailable("the process is stopping")
	}
	defer e.live.Exit()
	if err := e.starts.Fill(&run, plan, starts.Ask{Input: s.Input, Trigger: s.Trigger, Depth: s.Depth}); err != nil {
		return Started{}, err
	}
	if err := e.resealKept(&run, s.kept); err != nil {
		return Started{}, err
	}
	own := e.queue.HasFreeSlot() && e.owner.Confirmed()
	if own {
		started := run.CreatedAt
		run.Status, run.Owner, run.Fence, run.StartedAt = runs.Running, e.owner.ID(), 1, &started
	}
	create := &runs.NewRun{Run: run, Steps: s.kept, Dedupe: s.Dedupe, RecordSkip: s.isOccurrence()}
	if err := concurrency.Need(ctx, plan, create); err != nil {
		return Started{}, err
	}
	concurrency.BoundWaiting(create, e.o.QueueLimit)
	if !own && !e.queue.Reserve(run.ID, run.Workflow, e.o.QueueLimit) {
		return Started{}, errUnavailable("the queue is full")
	}
	gaps := e.owner.Gaps() // the answer can be late
	stored := e.journal.Send(runs.Entry{Create: create})
	select {
	case out := <-stored:
		return e.created(plan, create, out, gaps)
	case <-ctx.Done():
	}
	// The run may be stored all the same, as one of this process.
	if e.live.Enter() {
		go func() {
			defer e.live.Exit()
			_, _ = e.created(plan, create, <-stored, gaps)
		}()
	}
	return Started{}, fault.New(fault.Unavailable, "the database did not answer in time").Because(ctx.Err())
}

// isOccurrence reports whether the start comes from a schedule: what keeps it from running is
// recorded, and no failure.
func (s *Start) isOccurrence() bool {
	return s.Dedupe != nil && s.Trigger.Type == workflows.TriggerCron
}

// created goes on after a run was stored, or was not. gaps is that of Ownership before the run was
// sent.
func (e *Engine) created(plan *plan.Plan, n *runs.NewRun, out runs.Outcome, gaps int64) (Started, error) {
	run := n.Run
	defer e.queue.Unreserve(run.ID) // unless it waits to be claimed
	e.dispatcher.Woken(out.Woken)
	if out.Err != nil {
		return Started{}, out.Err
	}
	started := Started{Run: out.Run, Workflow: run.Workflow, Version: run.Version, Duplicate: out.Duplicate, Skipped: out.Skipped}
	if out.Duplicate || out.Skipped {
		return started, nil
	}
	if out.Waits {
		started.Status = runs.Queued
		return started, nil
	}
	started.Status = run.Status
	if run.Version == 0 {
		e.starts.KeepLocal(run.ID, plan)
	}
	if run.Status == runs.Queued {
		e.dispatcher.Enqueue(runs.DueRun{Run: run.ID, Workflow: run.Workflow}, nil)
		return started, nil
	}
	e.execution.Begin(plan, run, n.Steps, gaps)
	return started, nil
}
