package standard

import (
	"context"

	"keyflow/nodes"
)

func transformType() nodes.Type {
	return nodes.Type{
		Name:    "transform",
		Aliases: []string{"set", "code", "function", "script"},
		Summary: "Makes a value out of other values.",
		Params: []nodes.Param{
			{Name: "value", Kind: nodes.Any, Required: true, Redacted: nodes.RedactedKept, Help: "The output: any JSON with templates."},
		},
		New: func() nodes.Node { return transform{} },
	}
}

// transform gives its evaluated parameter as output.
type transform struct{}

var _ nodes.Node = transform{}

// Run implements nodes.Node.
func (transform) Run(_ context.Context, _ nodes.Env, in nodes.Input) (nodes.Result, error) {
	return nodes.Done{Output: in.With["value"]}, nil
}
