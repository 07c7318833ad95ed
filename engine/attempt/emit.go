package attempt

import (
	"context"
	"fmt"
	"strconv"

	"keyflow/engine/events"
	"keyflow/internal/cloudevent"
	"keyflow/internal/jsonvalue"
	"keyflow/nodes"
)

// maxEventData bounds the data of an event, in bytes.
const maxEventData = cloudevent.MaxEvent

// emit is the outcome of a step that publishes an event. Its id is that of the step, so that a
// step that runs again after a crash publishes the same event.
func (s *Attempt) emit(ctx context.Context, ask *nodes.Emit) (Outcome, *nodes.Error) {
	run := s.Run
	if wrong := cloudevent.CheckType(ask.Event); wrong != "" {
		return Outcome{}, &nodes.Error{Code: nodes.CodeInvalidParam, Message: "with.event: " + wrong, Permanent: true}
	}
	data, err := jsonvalue.Encode(ask.Data)
	if err != nil {
		return Outcome{}, &nodes.Error{Code: nodes.CodeExpression, Message: "with.data: the value cannot be written as JSON", Err: err, Permanent: true}
	}
	if len(data) > maxEventData {
		return Outcome{}, &nodes.Error{
			Code: nodes.CodeTooLarge, Permanent: true,
			Message: fmt.Sprintf("with.data has %d bytes; at most %d are allowed: publish a link to what is larger", len(data), maxEventData),
		}
	}
	id := events.ID(run.ID, string(s.Node.ID)+"/"+strconv.Itoa(s.Key.Index))
	out, wrong := s.done(ctx, map[string]any{"id": id.String()})
	out.Event = events.New(run, id, ask.Event)
	out.Event.Time, out.Event.Data = s.process.Now(), data
	return out, wrong
}
