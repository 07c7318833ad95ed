package triggers

import (
	"context"
	"fmt"

	"keyflow/engine"
	"keyflow/internal/fault"
	"keyflow/workflows"
)

// recentRuns is how many runs of a trigger are looked at for one that goes on. While a
// trigger may have one run at a time that is the last one; more go on only where "overlap"
// was "allow" before.
const recentRuns = 100

// makeRoom asks the trigger's overlap whether an occurrence may start now, and cancels what
// shall make room for it. Plans move on by compare and set, after the start: no two
// occurrences of one trigger are decided at once, in any number of processes.
func (m *Manager) makeRoom(ctx context.Context, o *occurrence) (free bool, err error) {
	if o.trigger.Overlap == workflows.OverlapAllow {
		return true, nil
	}
	going, err := m.going(ctx, o)
	if err != nil {
		return false, err
	}
	if o.trigger.Overlap != workflows.OverlapCancelPrevious {
		return len(going) == 0, nil
	}
	for _, run := range going {
		err := m.starter.Cancel(ctx, run)
		if err != nil && !fault.Is(err, fault.Conflict) && !fault.Is(err, fault.NotFound) { // it has ended meanwhile
			return false, fmt.Errorf("cancel the previous run: %w", err)
		}
	}
	return true, nil
}

// going returns the runs of earlier occurrences that have not ended. A run of this very
// occurrence is none of them: its start is being repeated.
func (m *Manager) going(ctx context.Context, o *occurrence) ([]engine.RunID, error) {
	runs, err := m.starter.Runs(ctx, engine.RunFilter{Workflow: o.plan.Workflow, Trigger: o.plan.Trigger, Limit: recentRuns})
	if err != nil {
		return nil, fmt.Errorf("look for a run that goes on: %w", err)
	}
	var going []engine.RunID
	for _, run := range runs {
		earlier := run.Trigger.ScheduledAt != nil && run.Trigger.ScheduledAt.Before(o.planned)
		if run.Trigger.Type == workflows.TriggerCron && earlier && !run.Status.Final() {
			going = append(going, run.ID)
		}
	}
	return going, nil
}
