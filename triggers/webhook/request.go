package webhook

import (
	"context"
	"encoding/json"
	"net/http"
	"slices"
	"strings"
	"time"

	"keyflow/credentials/redact"
	"keyflow/engine/runs"
	"keyflow/internal/expression"
	"keyflow/internal/jsonvalue"
	"keyflow/triggers/firing"
	"keyflow/workflows"
)

// call is one verified request.
type call struct {
	route  *Route
	params map[string]any
	fired  time.Time

	body     []byte
	verified []string // names of the headers and query keys that hold the caller's secret

	request map[string]any // trigger.request of expressions
	raw     json.RawMessage
}

const hidden = "***"

// read builds trigger.request without the secrets that authenticate the caller.
func (c *call) read(r *http.Request) error {
	headers := make(map[string]any, len(r.Header)+1)
	headers["host"] = r.Host
	for name, values := range r.Header {
		headers[strings.ToLower(name)] = strings.Join(values, ", ")
	}
	query := make(map[string]any)
	if r.URL.RawQuery != "" {
		for name, values := range r.URL.Query() {
			query[name] = strings.Join(values, ", ")
		}
	}
	body, err := readInbound(r.Header.Get("Content-Type"), c.body, hider(c.presented(r, query, headers)))
	if err != nil {
		return err
	}
	for _, name := range c.verified {
		if _, ok := query[name]; ok {
			query[name] = hidden
		}
	}
	for _, name := range append([]string{"authorization", "proxy-authorization", "cookie"}, c.verified...) {
		if name = strings.ToLower(name); headers[name] != nil {
			headers[name] = hidden
		}
	}
	params := c.params
	if params == nil {
		params = map[string]any{}
	}
	c.request = map[string]any{
		"method": r.Method, "path": r.URL.Path, "params": params, "query": query, "headers": headers,
		"body": body.parsed, "raw_body": body.text,
	}
	if body.warning != "" {
		c.request["warning"] = body.warning
	}
	c.raw, err = jsonvalue.Encode(c.request)
	return err
}

// presented returns the secrets with which the caller proved who it is.
func (c *call) presented(r *http.Request, query, headers map[string]any) []string {
	var secrets []string
	if _, password, basic := r.BasicAuth(); basic && len(c.verified) > 0 {
		secrets = append(secrets, password)
	}
	for _, name := range c.verified {
		for _, value := range []any{query[name], headers[strings.ToLower(name)]} {
			secret, _ := value.(string)
			if scheme, token, ok := strings.Cut(secret, " "); ok && len(scheme) < 10 {
				secret = token
			}
			secrets = append(secrets, secret)
		}
	}
	return secrets
}

// hider returns a function that replaces presented secrets in a body that repeats them, however it
// is encoded. A very short one stays: replacing it would garble the body and hide nothing that cannot
// be guessed.
func hider(secrets []string) func(string) string {
	secrets = slices.DeleteFunc(secrets, func(text string) bool { return len(text) < 6 })
	if len(secrets) == 0 {
		return func(text string) string { return text }
	}
	redactor := redact.New(redact.Secrets{Wire: secrets})
	return func(text string) string { return string(redactor.Bytes([]byte(text))) }
}

// env is the environment of the route's templates.
func (c *call) env() expression.Env {
	return expression.Env{Vars: map[string]any{"vars": c.route.vars, "trigger": map[string]any{
		"id": c.route.Trigger, "type": workflows.TriggerWebhook, "fired_at": c.fired.Format(time.RFC3339Nano), "request": c.request,
	}}}
}

func (c *call) trigger() runs.TriggerRef {
	return runs.TriggerRef{ID: c.route.Trigger, Type: workflows.TriggerWebhook, FiredAt: c.fired, Request: c.raw}
}

// input is the trigger's input; without one the parsed body.
func (c *call) input(ctx context.Context) (json.RawMessage, error) {
	value := c.request["body"]
	if c.route.input != nil {
		var err error
		if value, err = c.route.input.Eval(ctx, c.env()); err != nil {
			return nil, err
		}
	}
	return jsonvalue.Encode(value)
}

// dedupe is the key of the delivery; nil when the trigger has none or it is empty.
func (c *call) dedupe(ctx context.Context) (*runs.DedupeKey, error) {
	if c.route.dedupe == nil {
		return nil, nil
	}
	value, err := c.route.dedupe.Eval(ctx, c.env())
	if err != nil || value == nil || value == "" {
		return nil, err
	}
	key, ok := value.(string)
	if !ok {
		text, err := jsonvalue.Encode(value)
		if err != nil {
			return nil, err
		}
		key = string(text)
	}
	return &runs.DedupeKey{Kind: workflows.TriggerWebhook, Trigger: c.route.Trigger, Key: key, ExpiresAt: c.fired.Add(firing.DedupeFor)}, nil
}
