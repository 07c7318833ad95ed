package attempt

import (
	"context"
	"fmt"

	"keyflow/engine/runs"
	"keyflow/nodes"
)

// respond is the outcome of a step that answers the caller.
func (s *Attempt) respond(ctx context.Context, result *nodes.Respond) (Outcome, *nodes.Error) {
	if limit := s.process.MaxOutput; len(result.Body) > limit {
		return Outcome{}, &nodes.Error{
			Code:    nodes.CodeTooLarge,
			Message: fmt.Sprintf("with.body has %d bytes; at most %d are allowed", len(result.Body), limit), Permanent: true,
		}
	}
	reason, err := s.host.MayRespond(ctx, s.Key)
	if err != nil {
		return Outcome{}, nodeError(ctx, err)
	}
	said := map[string]any{"status": result.Status, "responded": reason == ""}
	if reason != "" {
		said["reason"] = reason
	}
	out, wrong := s.done(ctx, said)
	switch {
	case reason != "":
	case wrong != nil:
		s.host.DeclineResponse(s.Key)
	default:
		out.Answer = &runs.Answer{Status: result.Status, Header: result.Header, Body: result.Body}
	}
	return out, wrong
}
