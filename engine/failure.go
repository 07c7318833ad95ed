package engine

import (
	"encoding/json"

	"keyflow/engine/attempt"
	"keyflow/engine/runs"
	"keyflow/engine/starts"
	"keyflow/workflows"
)

// triggerFailure is the type of the trigger of a run that the failure of another one started.
const triggerFailure = "on_failure"

// startOnFailure adds, to the end of a failed run, the start of the workflow that its
// definition names for that. A run that was started so itself starts no other one: failures
// must not go round in circles. It waits while the database cannot be read; false when the
// process ends meanwhile. r.mu is held.
func (r *runner) startOnFailure(p *runs.Progress) bool {
	id := r.plan.Definition.OnFailure
	if p.Set.Status != runs.Failed || id == "" || r.run.Version == 0 || r.run.Trigger.Type == triggerFailure {
		return true
	}
	var failed []workflows.NodeID
	for _, n := range r.values.Failed() {
		failed = append(failed, r.plan.Nodes[n].ID)
	}
	input := map[string]any{
		"run_id": r.run.ID.String(), "workflow": string(r.run.Workflow), "failed_nodes": texts(failed), "input": nil,
		"error": map[string]any{"node": string(p.Set.Error.Node), "code": p.Set.Error.Code, "message": p.Set.Error.Message},
	}
	if json.Valid(r.run.Input) && len(r.run.Input) < starts.MaxInput-failureText {
		input["input"] = r.run.Input
	}
	n, err := r.engine.starts.Prepare(r.engine.steps, id, input, starts.Ask{
		Depth: r.run.Depth + 1, Trigger: runs.TriggerRef{ID: triggerFailure, Type: triggerFailure},
	})
	if err != nil && r.engine.steps.Err() != nil {
		return false
	}
	if err != nil {
		r.engine.o.Logger.Error("the workflow for failures cannot be started", "run", r.run.ID, "workflow", r.run.Workflow, "on_failure", id, "error", err)
		return true
	}
	if !attempt.Startable(n.Run.Folder, r.run.Folder) && !attempt.Startable(n.Run.Folder, r.plan.Definition.StartScope) {
		r.engine.o.Logger.Error("the workflow for failures may not be started by whoever applied the definition",
			"run", r.run.ID, "workflow", r.run.Workflow, "version", r.run.Version, "on_failure", id)
		return true
	}
	p.Starts = append(p.Starts, *n)
	return true
}

// failureText is room for all but the input of the run that failed; a larger input is null.
const failureText = 256 << 10

func texts(ids []workflows.NodeID) []any {
	out := make([]any, len(ids))
	for i, id := range ids {
		out[i] = string(id)
	}
	return out
}
