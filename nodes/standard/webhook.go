package standard

import (
	"bytes"
	"context"
	"net/http"
	"strconv"
	"strings"
	"time"

	"keyflow/internal/egress"
	"keyflow/internal/jsonvalue"
	"keyflow/internal/secret"
	"keyflow/nodes"
)

// Headers of Standard Webhooks, and webhook-event for the name of the event.
const (
	headerID        = "Webhook-Id"
	headerTimestamp = "Webhook-Timestamp"
	headerEvent     = "Webhook-Event"
	headerPrefix    = "Webhook-"
)

func webhookType() nodes.Type {
	return nodes.Type{
		Name:    "webhook",
		Aliases: []string{"notify", "notification"},
		Summary: "Delivers a notification, at least once.",
		Params: []nodes.Param{
			{Name: "url", Kind: nodes.String, Required: true, Help: "http or https, without user name and password."},
			{Name: "payload", Kind: nodes.Any, Redacted: nodes.RedactedUsed, Default: "{}", Help: "Sent as JSON."},
			{Name: "method", Kind: nodes.String, Enum: []string{http.MethodPost, http.MethodPut, http.MethodPatch}, Default: http.MethodPost, Help: "POST, PUT or PATCH."},
			{Name: "headers", Kind: nodes.Object, Redacted: nodes.RedactedUsed, Help: "A list repeats the header, null leaves it out."},
			{Name: "event", Kind: nodes.String, Help: "The event's type name, sent as webhook-event."},
		},
		Credential: true,
		Timeout:    30 * time.Second,
		Retry:      nodes.RetryDefault{MaxAttempts: 5, Initial: 5 * time.Second, Max: 10 * time.Minute, Factor: 5},
		Output:     []string{"status", "delivery_id", "attempts"},
		New:        func() nodes.Node { return &webhook{now: time.Now} },
	}
}

// webhook delivers one notification and gives {status, delivery_id, attempts}. Success is
// a status of 200 to 299; redirects are not followed (Standard Webhooks).
type webhook struct{ now func() time.Time }

var _ nodes.Node = (*webhook)(nil)

// Run implements nodes.Node.
func (w *webhook) Run(ctx context.Context, env nodes.Env, in nodes.Input) (nodes.Result, error) {
	ctx, masked := secret.Watch(ctx)
	req, err := w.request(ctx, env.DeliveryID(), in.With)
	if err != nil {
		return nil, err
	}
	client, err := env.Client(nodes.ClientOptions{MaxBytes: egress.DefaultMaxBytes})
	if err != nil {
		return nil, err
	}
	res, err := client.Do(req)
	if err != nil {
		return nil, err
	}
	defer func() { _ = res.Body.Close() }()                              // it has been read, or is not wanted
	a, err := readAnswer(res, format{kind: answerAuto}, masked, w.now()) // a body that cannot be read does not matter
	if err != nil {
		return nil, err
	}
	if a.status < 200 || a.status > 299 {
		return nil, a.refused()
	}
	return nodes.Done{Output: map[string]any{
		"status": a.status, "delivery_id": env.DeliveryID(), "attempts": env.Attempt(),
	}}, nil
}

func (w *webhook) request(ctx context.Context, id string, with map[string]any) (*http.Request, error) {
	u, err := parseURL(textOr(with, "url", ""), nil)
	if err != nil {
		return nil, err
	}
	headers, err := header(object(with, "headers"))
	if err != nil {
		return nil, err
	}
	for name := range headers {
		if strings.HasPrefix(name, headerPrefix) {
			return nil, invalid("headers", "%s is set by Keyflow itself", name)
		}
	}
	event := textOr(with, "event", "")
	if strings.ContainsFunc(event, isControl) {
		return nil, invalid("event", "holds a line break or control character")
	}
	payload := with["payload"]
	if payload == nil {
		payload = map[string]any{}
	}
	body, err := jsonvalue.Encode(payload)
	if err != nil {
		return nil, invalid("payload", "cannot be written as JSON")
	}
	req, err := http.NewRequestWithContext(ctx, textOr(with, "method", http.MethodPost), u.String(), bytes.NewReader(body))
	if err != nil {
		return nil, invalid("url", "is not a valid URL")
	}
	setDefault(headers, "Content-Type", "application/json")
	setDefault(headers, "User-Agent", userAgent)
	setDefault(headers, headerEvent, event)
	headers.Set(headerID, id)
	headers.Set(headerTimestamp, strconv.FormatInt(w.now().Unix(), 10))
	req.Header = headers
	return req, nil
}
