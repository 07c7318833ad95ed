package standard

import (
	"context"

	"keyflow/nodes"
)

func failType() nodes.Type {
	return nodes.Type{
		Name:    "fail",
		Aliases: []string{"error", "throw", "raise", "stop"},
		Summary: "Ends the run as failed.",
		Params: []nodes.Param{
			{Name: "message", Kind: nodes.String, Required: true, Help: "What the run's error says."},
		},
		New: func() nodes.Node { return fail{} },
	}
}

// fail always fails, and is never repeated.
type fail struct{}

var _ nodes.Node = fail{}

// Run implements nodes.Node.
func (fail) Run(_ context.Context, _ nodes.Env, in nodes.Input) (nodes.Result, error) {
	message, _ := in.With["message"].(string)
	return nil, &nodes.Error{Code: nodes.CodeFailed, Message: message, Permanent: true}
}
