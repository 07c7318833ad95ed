package standard

import (
	"context"
	"time"

	"keyflow/nodes"
)

func waitType() nodes.Type {
	return nodes.Type{
		Name:    "wait",
		Aliases: []string{"sleep", "delay", "pause", "timer", "callback"},
		Summary: "Waits for a time or for a call of a one-time URL, without using anything meanwhile.",
		Params: []nodes.Param{
			{Name: "for", Kind: nodes.Duration, Help: "So long, such as 90s, 12h or 3d, from when the step could begin. With callback: fail when no call came in time."},
			{Name: "until", Kind: nodes.String, Help: "Until this time, RFC 3339. With callback: as for."},
			{Name: "callback", Kind: nodes.Boolean, Help: "Wait for a call of the URL that callback_url gives; it is the output: {method, headers, query, body}."},
			{Name: "methods", Kind: nodes.List, Literal: true, Enum: []string{"GET", "POST", "PUT", "PATCH", "DELETE"}, Default: "POST, PUT",
				Help: "Methods of the calls that count. Without GET, a GET shows a page with a button."},
		},
		Check:  checkWait,
		Output: []string{"until", "method", "headers", "query", "body", "warning"},
		New:    func() nodes.Node { return wait{} },
	}
}

// checkWait says what the parameters of a wait lack.
func checkWait(given func(name string) bool) string {
	switch {
	case given("for") && given("until"):
		return "give one of for and until, not both"
	case given("methods") && !given("callback"):
		return "methods needs callback: true"
	case !given("for") && !given("until") && !given("callback"):
		return "say what to wait for: for, until or callback"
	}
	return ""
}

// wait waits. Its output is {until}, or the request of the callback.
type wait struct{}

var _ nodes.Node = wait{}

// Run implements nodes.Node. It runs again when the time has come.
func (wait) Run(_ context.Context, env nodes.Env, in nodes.Input) (nodes.Result, error) {
	until, err := end(env.ReadyAt(), in.With)
	if err != nil {
		return nil, err
	}
	called, _ := in.With["callback"].(bool)
	switch {
	case !called && until.IsZero():
		return nil, invalid("callback", "is false, and neither for nor until is given")
	case !until.IsZero() && !in.Now.Before(until) && called:
		return nil, &nodes.Error{Code: nodes.CodeTimeout, Message: "nobody called the URL in time", Permanent: true}
	case !until.IsZero() && !in.Now.Before(until):
		return nodes.Done{Output: map[string]any{"until": until.UTC().Format(time.RFC3339Nano)}}, nil
	case called:
		return nodes.Park{Until: until, For: nodes.CodeWaitsForCallback, Message: "waits for a call of its URL"}, nil
	default:
		return nodes.Park{Until: until, Message: "waits until " + until.UTC().Format(time.RFC3339)}, nil
	}
}

// maxWait keeps times within what can be stored.
const maxWait = 10 * 366 * 24 * time.Hour

// end is the time that the parameters name; zero when they name none.
func end(from time.Time, with map[string]any) (time.Time, error) {
	if d, ok := with["for"].(time.Duration); ok {
		if d < 0 || d > maxWait {
			return time.Time{}, invalid("for", "must be between 0s and ten years")
		}
		return from.Add(d), nil
	}
	text, ok := with["until"].(string)
	if !ok {
		return time.Time{}, nil
	}
	until, err := time.Parse(time.RFC3339, text)
	if err != nil {
		return time.Time{}, invalid("until", "must be a time such as 2027-01-31T09:00:00+09:00")
	}
	if until.Sub(from) > maxWait {
		return time.Time{}, invalid("until", "is more than ten years away")
	}
	return until, nil
}
