package execution

import (
	"encoding/json"

	"keyflow/engine/runs"
	"keyflow/nodes"
)

// reportEnd is the signal with which a run ends the wait of the step that started it.
func reportEnd(r *runs.Run, set *runs.Change) (runs.Signal, error) {
	b := runs.ExternalResult{Node: r.Parent.Node, Index: r.Parent.Index, Output: set.Output}
	switch {
	case set.Status == runs.Canceled:
		b.Error = &runs.StepError{Code: nodes.CodeCanceled, Message: "run " + r.ID.String() + " of workflow " + string(r.Workflow) + " was canceled"}
	case set.Status == runs.Failed && set.Error != nil:
		where := string(r.Workflow)
		if set.Error.Node != "" {
			where += "/" + string(set.Error.Node)
		}
		b.Error = &runs.StepError{Code: set.Error.Code, Message: where + ": " + set.Error.Message}
	case set.Output == nil:
		b.Output = json.RawMessage("null")
	}
	if b.Error != nil {
		b.Output = nil
	}
	s, err := b.Signal(r.Parent.Run)
	if err != nil {
		return runs.Signal{}, err
	}
	return *s, nil
}

// childOf reads the run that a waiting step started; zero when it started none.
func childOf(output json.RawMessage) runs.ID {
	var v struct {
		RunID runs.ID `json:"run_id"`
	}
	if json.Unmarshal(output, &v) != nil {
		return runs.ID{}
	}
	return v.RunID
}
