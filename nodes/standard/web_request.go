package standard

import (
	"bytes"
	"context"
	"fmt"
	"io"
	"net/http"
	"strconv"
	"strings"
	"time"

	"keyflow/internal/egress"
	"keyflow/internal/secret"
	"keyflow/nodes"
)

// Limits of web_request.
const (
	maxRedirects = 10
	maxAnswer    = 64 << 20
)

// headerIdempotency lets a receiver recognize a repeated request, after a retry or
// a crash (draft-ietf-httpapi-idempotency-key-header). Other methods may be repeated anyway.
const headerIdempotency = "Idempotency-Key"

func webRequestType() nodes.Type {
	zero, one, redirects, answer := 0, 1, maxRedirects, maxAnswer
	return nodes.Type{
		Name:    "web_request",
		Aliases: []string{"http", "http_request", "request", "rest", "api", "api_call", "fetch", "curl"},
		Summary: "Calls an API and uses its answer.",
		Params: []nodes.Param{
			{Name: "method", Kind: nodes.String, Default: "GET", Help: "Any method but CONNECT and TRACE."},
			{Name: "url", Kind: nodes.String, Required: true, Help: "http or https, without user name and password."},
			{Name: "query", Kind: nodes.Object, Redacted: nodes.RedactedUsed, Help: "Added to the URL; a list repeats the name, null leaves it out."},
			{Name: "headers", Kind: nodes.Object, Redacted: nodes.RedactedUsed, Help: "A list repeats the header, null leaves it out. POST and PATCH carry an Idempotency-Key, the same over retries, unless one is given."},
			{Name: "body", Kind: nodes.Any, Redacted: nodes.RedactedUsed, Help: "For multipart, a file is {filename, content_type, content or base64}."},
			{Name: "body_type", Kind: nodes.String, Enum: []string{bodyJSON, bodyForm, bodyMultipart, bodyText, bodyBase64}, Help: "Default: text for text, json for everything else."},
			responseParam(),
			{Name: "success", Kind: nodes.List, Default: `["200-399"]`, Help: "Statuses and ranges that are a success."},
			{Name: "fail_if", Kind: nodes.Expression, Scope: []string{"response"}, Help: "Whether a successful status is a failure all the same."},
			{Name: "follow_redirects", Kind: nodes.Integer, Default: "10", Minimum: &zero, Maximum: &redirects, Help: "How many redirects to follow; 0 is none."},
			{Name: "max_bytes", Kind: nodes.Integer, Default: "10485760", Minimum: &one, Maximum: &answer, Help: "The largest answer, decompressed."},
			paginateParam(),
		},
		Credential: true,
		Timeout:    30 * time.Second,
		Output:     append(nodes.ResponseMembers(), "url", "duration_ms", "pages", "more"),
		New:        func() nodes.Node { return &webRequest{now: time.Now} },
	}
}

// webRequest sends a request and gives the answer as {status, headers, body, url,
// duration_ms}; with paginate it sends one for each page.
type webRequest struct{ now func() time.Time }

var _ nodes.Node = (*webRequest)(nil)

// Run implements nodes.Node.
func (w *webRequest) Run(ctx context.Context, env nodes.Env, in nodes.Input) (nodes.Result, error) {
	success, err := statusRanges(in.With["success"])
	if err != nil {
		return nil, err
	}
	client, err := env.Client(nodes.ClientOptions{
		MaxRedirects: integerOr(in.With, "follow_redirects", maxRedirects),
		MaxBytes:     int64(integerOr(in.With, "max_bytes", egress.DefaultMaxBytes)),
		Charset:      textOr(in.With, "response.charset", ""),
	})
	if err != nil {
		return nil, err
	}
	call := webCall{env: env, client: client, success: success, id: env.DeliveryID(), now: w.now}
	start := w.now()
	with, all := in.With, newPages(env, in.With)
	for {
		a, err := call.do(ctx, with)
		if err != nil {
			return nil, err
		}
		if all != nil {
			if with, err = all.next(ctx, a); err != nil {
				return nil, err
			}
		}
		if all == nil || with == nil {
			output := a.data()
			output["url"], output["duration_ms"] = a.url, int(w.now().Sub(start).Milliseconds())
			return nodes.Done{Output: all.output(output)}, nil
		}
		call.id = fmt.Sprintf("%s/%d", env.DeliveryID(), all.read)
	}
}

// webCall is what the requests of a step have in common.
type webCall struct {
	env     nodes.Env
	client  *http.Client
	success ranges
	id      string // Idempotency-Key
	now     func() time.Time
}

// do sends one request; its answer is a success.
func (c *webCall) do(ctx context.Context, with map[string]any) (*answer, error) {
	ctx, masked := secret.Watch(ctx)
	req, err := newWebRequest(ctx, with)
	if err != nil {
		return nil, err
	}
	if req.Method == http.MethodPost || req.Method == http.MethodPatch {
		setDefault(req.Header, headerIdempotency, c.id)
	}
	start, to := c.now(), *req.URL
	res, err := c.client.Do(req)
	if err != nil {
		return nil, err
	}
	defer func() { _ = res.Body.Close() }() // it has been read, or is not wanted
	a, err := readAnswer(res, formatOf(with), masked, start)
	if err != nil {
		return nil, err
	}
	a.asked = &to
	switch {
	case !c.success.include(a.status):
		return nil, a.refused()
	case a.unreadable != nil:
		return nil, a.unreadable
	}
	return a, failIf(ctx, c.env, a)
}

// newWebRequest builds the request. Its body can be sent again.
func newWebRequest(ctx context.Context, with map[string]any) (*http.Request, error) {
	method := strings.ToUpper(textOr(with, "method", http.MethodGet))
	if !isToken(method) || method == http.MethodConnect || method == http.MethodTrace {
		return nil, invalid("method", "must be a method such as GET or POST")
	}
	u, err := parseURL(textOr(with, "url", ""), object(with, "query"))
	if err != nil {
		return nil, err
	}
	headers, err := header(object(with, "headers"))
	if err != nil {
		return nil, err
	}
	kind := textOr(with, "body_type", "")
	data, contentType, err := encodeBody(kind, with["body"])
	if err != nil {
		return nil, err
	}
	if kind == bodyMultipart && headers.Get("Content-Type") != "" {
		return nil, invalid("headers", "Content-Type is set by Keyflow itself for body_type multipart")
	}
	var body io.Reader
	if data != nil {
		body = bytes.NewReader(data)
	}
	req, err := http.NewRequestWithContext(ctx, method, "", body)
	if err != nil {
		return nil, invalid("url", "is not a valid URL")
	}
	req.URL, req.Host = u, u.Host
	setDefault(headers, "Content-Type", contentType)
	setDefault(headers, "Accept", "application/json, */*;q=0.5")
	setDefault(headers, "User-Agent", userAgent)
	req.Header = headers
	return req, nil
}

func failIf(ctx context.Context, env nodes.Env, a *answer) error {
	v, given, err := env.Eval(ctx, "fail_if", map[string]any{"response": a.data()})
	if err != nil || !given {
		return err
	}
	failed, ok := v.(bool)
	if !ok {
		return a.failed(nodes.CodeExpression, "with.fail_if gave something that is not a boolean", nil)
	}
	if !failed {
		return nil
	}
	return a.failed(nodes.CodeFailIf, fmt.Sprintf("%s answered %d, but fail_if holds", a.host, a.status), nil)
}

// ranges are statuses, each from a first to a last one.
type ranges [][2]int

func (r ranges) include(status int) bool {
	for _, span := range r {
		if span[0] <= status && status <= span[1] {
			return true
		}
	}
	return false
}

// statusRanges reads the parameter success: statuses (200) and ranges ("200-399").
func statusRanges(v any) (ranges, error) {
	list, ok := v.([]any)
	if !ok {
		return ranges{{200, 399}}, nil
	}
	out := make(ranges, 0, len(list))
	for _, e := range list {
		text, ok := scalarText(e)
		first, last, isRange := strings.Cut(text, "-")
		if !isRange {
			last = first
		}
		from, fromErr := strconv.Atoi(strings.TrimSpace(first))
		to, toErr := strconv.Atoi(strings.TrimSpace(last))
		if !ok || fromErr != nil || toErr != nil || from < 100 || to > 599 || from > to {
			return nil, invalid("success", `must list statuses and ranges such as 404 or "200-299"`)
		}
		out = append(out, [2]int{from, to})
	}
	return out, nil
}
