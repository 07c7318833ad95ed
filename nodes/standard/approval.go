package standard

import (
	"context"
	"time"

	"keyflow/nodes"
)

// Values of on_timeout.
const (
	timeoutFails   = "fail"
	timeoutRejects = "reject"
)

func approvalType() nodes.Type {
	return nodes.Type{
		Name:    "approval",
		Aliases: []string{"approve", "manual", "human", "review"},
		Summary: "Waits for a person to approve or reject.",
		Params: []nodes.Param{
			{Name: "message", Kind: nodes.String, Required: true, Help: "What the person decides about."},
			{Name: "timeout", Kind: nodes.Duration, Help: "How long to wait; without it, for ever."},
			{Name: "on_timeout", Kind: nodes.String, Enum: []string{timeoutFails, timeoutRejects}, Default: timeoutFails, Help: "What it means that nobody decided."},
		},
		Output: []string{"approved", "by", "comment", "at"},
		New:    func() nodes.Node { return approval{} },
	}
}

// approval waits for {approved, by, comment, at}.
type approval struct{}

var _ nodes.Node = approval{}

// Run implements nodes.Node. It runs again when the time is over.
func (approval) Run(_ context.Context, env nodes.Env, in nodes.Input) (nodes.Result, error) {
	park := nodes.Park{For: nodes.CodeWaitsForApproval, Message: textOr(in.With, "message", "")}
	if timeout, ok := in.With["timeout"].(time.Duration); ok {
		if timeout < 0 || timeout > maxWait {
			return nil, invalid("timeout", "must be between 0s and ten years")
		}
		park.Until = env.ReadyAt().Add(timeout)
	}
	if park.Until.IsZero() || in.Now.Before(park.Until) {
		return park, nil
	}
	if textOr(in.With, "on_timeout", timeoutFails) == timeoutRejects {
		return nodes.Done{Output: map[string]any{
			"approved": false, "by": nil, "comment": "nobody decided in time", "at": park.Until.UTC().Format(time.RFC3339Nano),
		}}, nil
	}
	return nil, &nodes.Error{Code: nodes.CodeTimeout, Message: "nobody approved or rejected in time", Permanent: true}
}
