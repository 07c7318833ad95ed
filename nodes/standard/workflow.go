package standard

import (
	"context"

	"keyflow/nodes"
)

func workflowType() nodes.Type {
	return nodes.Type{
		Name:    "workflow",
		Aliases: []string{"subworkflow", "sub_workflow", "execute_workflow"},
		Summary: "Starts another workflow and, unless wait is false, waits for its end.",
		Params: []nodes.Param{
			{Name: "workflow", Kind: nodes.String, Required: true, Help: "Its id."},
			{Name: "input", Kind: nodes.Any, Default: "{}", Help: "The input of its run."},
			{Name: "wait", Kind: nodes.Boolean, Default: "true", Help: "false: the step ends at once with {run_id}. true: the output is the run's output, its failure the step's."},
		},
		New: func() nodes.Node { return workflow{} },
	}
}

type workflow struct{}

var _ nodes.Node = workflow{}

// Run implements nodes.Node.
func (workflow) Run(_ context.Context, _ nodes.Env, in nodes.Input) (nodes.Result, error) {
	id := textOr(in.With, "workflow", "")
	if id == "" {
		return nil, invalid("workflow", "must be the id of a workflow")
	}
	wait, given := in.With["wait"].(bool)
	return nodes.Start{Workflow: id, Input: in.With["input"], Wait: wait || !given}, nil
}
