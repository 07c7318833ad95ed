package standard

import (
	"context"

	"keyflow/internal/cloudevent"
	"keyflow/nodes"
)

func emitType() nodes.Type {
	return nodes.Type{
		Name:    "emit",
		Aliases: []string{"publish", "send_event"},
		Summary: "Publishes an event, which event triggers receive.",
		Params: []nodes.Param{
			{Name: "event", Kind: nodes.String, Required: true, Check: cloudevent.CheckType, Help: "Its type, such as com.example.ticket.created; types that begin with keyflow. are Keyflow's own."},
			{Name: "data", Kind: nodes.Any, Default: "null", Help: "The data of the event: any value, at most 1 MiB as JSON."},
		},
		Output: []string{"id"},
		New:    func() nodes.Node { return emit{} },
	}
}

type emit struct{}

var _ nodes.Node = emit{}

// Run implements nodes.Node.
func (emit) Run(_ context.Context, _ nodes.Env, in nodes.Input) (nodes.Result, error) {
	return nodes.Emit{Event: textOr(in.With, "event", ""), Data: in.With["data"]}, nil
}
