package triggers

import (
	"context"
	"encoding/json"
	"errors"
	"mime"
	"net/http"
	"strings"
	"time"
	"unicode/utf8"

	"keyflow/engine/runs"
	"keyflow/internal/expression"
	"keyflow/internal/jsonvalue"
	"keyflow/workflows"
)

// call is one verified request.
type call struct {
	route  *route
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
	text := string(c.body)
	if _, password, basic := r.BasicAuth(); basic && len(c.verified) > 0 {
		text = hideSecret(text, password)
	}
	for _, name := range c.verified {
		for _, presented := range []any{query[name], headers[strings.ToLower(name)]} {
			secret, _ := presented.(string)
			if scheme, token, ok := strings.Cut(secret, " "); ok && len(scheme) < 10 {
				secret = token
			}
			text = hideSecret(text, secret)
		}
		if _, ok := query[name]; ok {
			query[name] = hidden
		}
	}
	for _, name := range append([]string{"authorization", "proxy-authorization", "cookie"}, c.verified...) {
		if name = strings.ToLower(name); headers[name] != nil {
			headers[name] = hidden
		}
	}
	parsed, err := parseBody(r.Header.Get("Content-Type"), text)
	if err != nil {
		return err
	}
	params := c.params
	if params == nil {
		params = map[string]any{}
	}
	c.request = map[string]any{
		"method": r.Method, "path": r.URL.Path, "params": params, "query": query, "headers": headers,
		"body": parsed, "raw_body": strings.ToValidUTF8(text, "�"),
	}
	c.raw, err = jsonvalue.Encode(c.request)
	return err
}

// hideSecret replaces a presented secret in a body that repeats it. A very short one stays:
// replacing it would garble the body and hide nothing that cannot be guessed.
func hideSecret(text, secret string) string {
	if len(secret) < 6 {
		return text
	}
	return strings.ReplaceAll(text, secret, hidden)
}

// parseBody parses by content type. Without one, JSON is tried and text is the rest.
func parseBody(contentType, text string) (any, error) {
	media, _, _ := mime.ParseMediaType(contentType)
	switch {
	case text == "":
		return nil, nil
	case media == "application/json", strings.HasSuffix(media, "+json"):
		if !utf8.ValidString(text) { // encoding/json would replace what is wrong
			return nil, errors.New("not UTF-8")
		}
		return jsonvalue.Decode([]byte(text))
	case media == "application/x-www-form-urlencoded":
		return parseForm(text), nil
	case media == "":
		if v, err := jsonvalue.Decode([]byte(text)); err == nil {
			return v, nil
		}
		return strings.ToValidUTF8(text, "�"), nil
	case strings.HasPrefix(media, "text/"):
		return strings.ToValidUTF8(text, "�"), nil
	default:
		return nil, nil
	}
}

// env is the environment of the route's templates.
func (c *call) env() expression.Env {
	return expression.Env{Vars: map[string]any{"vars": c.route.vars, "trigger": map[string]any{
		"id": c.route.trigger, "type": workflows.TriggerWebhook, "fired_at": c.fired.Format(time.RFC3339Nano), "request": c.request,
	}}}
}

func (c *call) trigger() runs.TriggerRef {
	return runs.TriggerRef{ID: c.route.trigger, Type: workflows.TriggerWebhook, FiredAt: c.fired, Request: c.raw}
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
	return &runs.DedupeKey{Kind: workflows.TriggerWebhook, Trigger: c.route.trigger, Key: key, ExpiresAt: c.fired.Add(dedupeFor)}, nil
}
