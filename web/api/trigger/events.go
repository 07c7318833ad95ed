package trigger

import (
	"context"
	"encoding/json"
	"net/http"
	"time"

	"keyflow/engine/runs"
	"keyflow/internal/cloudevent"
	"keyflow/internal/fault"
	"keyflow/internal/identity"
	"keyflow/triggers/event"
	"keyflow/web/request"
	"keyflow/web/rest"
	"keyflow/web/session"
)

// cloudEvent is a CloudEvent 1.0 in its JSON form, for the OpenAPI document; package cloudevent
// reads it.
type cloudEvent struct {
	SpecVersion     string          `json:"specversion" enum:"1.0"`
	ID              string          `json:"id" minLength:"1" doc:"With source it identifies the event: a repetition within 24 hours starts no second run."`
	Source          string          `json:"source" minLength:"1" doc:"A URI reference."`
	Type            string          `json:"type" minLength:"1" maxLength:"255" doc:"Such as com.example.ticket.created; keyflow.* is reserved."`
	Subject         string          `json:"subject,omitempty"`
	Time            *time.Time      `json:"time,omitempty"`
	DataContentType string          `json:"datacontenttype,omitempty"`
	DataSchema      string          `json:"dataschema,omitempty"`
	Data            json.RawMessage `json:"data,omitempty"`
	DataBase64      string          `json:"data_base64,omitempty" doc:"Instead of data."`
}

type receiptList struct {
	Items []receiptView `json:"items" nullable:"false" doc:"One for each event, in the order in which they were sent."`
}

type receiptView struct {
	ID     string         `json:"id"`
	RunIDs []runs.ID      `json:"run_ids" nullable:"false" doc:"The runs that the event started, now or when it was sent before, as far as you may start them."`
	Error  *fault.Problem `json:"error,omitempty" doc:"Why the event was not accepted."`
}

// receiveEvents passes events to the triggers. A caller that may start runs in some folder may send
// events; an event starts only workflows that its sender may start.
func (h *handlers) receiveEvents(ctx context.Context, who session.Who, in *rest.JSONBody) (*rest.Answer[receiptList], error) {
	if err := who.Caller.Require(identity.Operate, who.Caller.Folder); err != nil {
		return nil, err
	}
	receipts, err := h.Triggers.Receive(ctx, event.Sent{
		Header: request.From(ctx).HTTP.Header, Body: in.Copied(),
		May: func(folder string) bool { return who.Caller.May(identity.Operate, folder) },
	})
	if err != nil {
		return nil, err
	}
	list := receiptList{Items: make([]receiptView, len(receipts))}
	for i, r := range receipts {
		list.Items[i] = receiptView{ID: r.ID, RunIDs: rest.OrEmpty(r.Runs), Error: r.Problem}
	}
	return &rest.Answer[receiptList]{Status: http.StatusAccepted, Body: list}, nil
}

// eventForms are the media types of events beside application/json, with an example of each.
func eventForms() map[string]any {
	return map[string]any{cloudevent.MediaEvent: cloudEvent{}, cloudevent.MediaBatch: []cloudEvent{}}
}
