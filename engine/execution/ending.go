package execution

import (
	"cmp"
	"encoding/json"
	"fmt"

	"keyflow/engine/attempt"
	"keyflow/engine/runs"
	"keyflow/engine/starts"
	"keyflow/engine/values"
	"keyflow/internal/jsonvalue"
	"keyflow/nodes"
	"keyflow/workflows"
)

// ending decides how a run ends whose nodes have all ended. The run's mu is held.
type ending struct{ *Run }

// unstored is the message of a run whose results the store refuses.
const unstored = "internal error: a result could not be stored"

// conclude decides how the run ends. All nodes have ended, so nobody waits for e.mu but
// readers. e.mu is held.
func (e ending) conclude() *runs.Change {
	at := e.newest
	set := &runs.Change{Status: e.verdict, FinishedAt: &at}
	switch {
	case e.broken:
		set.Status, set.Error = runs.Failed, &runs.RunError{Code: nodes.CodeInternal, Message: unstored}
	case e.verdict == runs.Failed:
		set.Error = cmp.Or(e.failure, &runs.RunError{Code: nodes.CodeInternal, Message: "internal error"})
	case e.verdict == runs.Succeeded && e.plan.Output != nil:
		output, err := e.output()
		if err != nil {
			set.Status, set.Error = runs.Failed, &runs.RunError{Code: err.Code, Message: values.ShortMessage(err.Message)}
		}
		set.Output = output
	}
	return set
}

// output evaluates the run's result.
func (e ending) output() ([]byte, *nodes.Error) {
	use, err := e.values.Vars(&e.plan.OutputRead)
	if err != nil {
		return nil, values.VarsError(fmt.Errorf("output: %w", err))
	}
	ctx := e.process.Context
	v, err := e.plan.Output.Eval(ctx, values.Environment(e.run.ID, "output", e.newest, use.Vars))
	if err != nil {
		return nil, values.ExpressionError(ctx, "output", err)
	}
	raw, err := jsonvalue.EncodeShown(v)
	if err != nil {
		return nil, &nodes.Error{Code: nodes.CodeExpression, Message: "output: the value cannot be written as JSON"}
	}
	return raw, e.process.Attempts.CheckSize(raw)
}

// report signals the step that started this run how it ended.
func (e ending) report(p *runs.Progress) {
	if e.run.Parent == nil {
		return
	}
	s, err := reportEnd(&e.run, p.Set)
	if err != nil { // plain JSON cannot fail
		e.process.Attempts.Logger.Error("cannot report the end of a run", "run", e.run.ID, "error", err)
		return
	}
	p.Signals = append(p.Signals, s)
}

// triggerFailure is the type of the trigger of a run that the failure of another one started.
const triggerFailure = "on_failure"

// startOnFailure adds, to the end of a failed run, the start of the workflow that its
// definition names for that. A run that was started so itself starts no other one: failures
// must not go round in circles. It waits while the database cannot be read; false when the
// process ends meanwhile. e.mu is held.
func (e ending) startOnFailure(p *runs.Progress) bool {
	id := e.plan.Definition.OnFailure
	if p.Set.Status != runs.Failed || id == "" || e.run.Version == 0 || e.run.Trigger.Type == triggerFailure {
		return true
	}
	var failed []workflows.NodeID
	for _, n := range e.values.Failed() {
		failed = append(failed, e.plan.Nodes[n].ID)
	}
	input := map[string]any{
		"run_id": e.run.ID.String(), "workflow": string(e.run.Workflow), "failed_nodes": texts(failed), "input": nil,
		"error": map[string]any{"node": string(p.Set.Error.Node), "code": p.Set.Error.Code, "message": p.Set.Error.Message},
	}
	if json.Valid(e.run.Input) && len(e.run.Input) < starts.MaxInput-failureText {
		input["input"] = e.run.Input
	}
	n, err := e.process.Attempts.Starts.Prepare(e.process.Context, id, input, starts.Ask{
		Depth: e.run.Depth + 1, Trigger: runs.TriggerRef{ID: triggerFailure, Type: triggerFailure},
	})
	if err != nil && e.process.Context.Err() != nil {
		return false
	}
	if err != nil {
		e.process.Attempts.Logger.Error("the workflow for failures cannot be started", "run", e.run.ID, "workflow", e.run.Workflow, "on_failure", id, "error", err)
		return true
	}
	if !attempt.Startable(n.Run.Folder, e.run.Folder) && !attempt.Startable(n.Run.Folder, e.plan.Definition.StartScope) {
		e.process.Attempts.Logger.Error("the workflow for failures may not be started by whoever applied the definition",
			"run", e.run.ID, "workflow", e.run.Workflow, "version", e.run.Version, "on_failure", id)
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
