package main

import (
	"bytes"
	"context"
	"crypto/tls"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"net/http"
	"net/url"
	"os"
	"path/filepath"
	"strings"
	"time"

	"github.com/spf13/cobra"

	"keyflow/internal/secret"
)

const (
	defaultURL    = "http://127.0.0.1:8080"
	maxAnswerSize = 64 << 20
)

// client calls the API of a server with the user's token.
type client struct {
	base  string
	token secret.Text
	http  *http.Client
}

// newClient finds the server (KEYFLOW_URL) and the token: KEYFLOW_TOKEN, or on the server's
// machine the token file in the data folder.
func newClient(p process) (*client, error) {
	base := p.getenv("KEYFLOW_URL")
	if base == "" {
		base = defaultURL
	}
	if u, err := url.Parse(base); err != nil || u.Host == "" {
		return nil, usagef("KEYFLOW_URL must look like %s, not %q", defaultURL, base)
	}
	c := &client{
		base: strings.TrimRight(base, "/"),
		http: &http.Client{Transport: &http.Transport{Proxy: http.ProxyFromEnvironment, ResponseHeaderTimeout: 6 * time.Minute}},
	}
	if t := p.getenv("KEYFLOW_TOKEN"); t != "" {
		c.token = secret.New(t)
		return c, nil
	}
	dir := p.getenv("KEYFLOW_DATA_DIR")
	if dir == "" {
		dir = defaultDataDir
	}
	if t, err := os.ReadFile(filepath.Join(dir, "admin-token")); err == nil {
		c.token = secret.New(strings.TrimSpace(string(t)))
	}
	return c, nil
}

// apiError is an error response of the server (RFC 9457).
type apiError struct {
	Status    int    `json:"status"`
	Title     string `json:"title"`
	Detail    string `json:"detail"`
	RequestID string `json:"request_id"`
	Errors    []struct {
		Path    string `json:"path"`
		Message string `json:"message"`
		Line    int    `json:"line"`
	} `json:"errors"`
}

// Error shows the detail, every problem and the request id, which the server's log has too.
func (e *apiError) Error() string {
	var b strings.Builder
	b.WriteString(e.Detail)
	if e.Detail == "" {
		fmt.Fprintf(&b, "the server answered %d %s", e.Status, e.Title)
	}
	for _, p := range e.Errors {
		if strings.Contains(e.Detail, p.Message) {
			continue // the detail repeats the only or first problem
		}
		b.WriteString("\n  ")
		if p.Path != "" {
			b.WriteString(p.Path + ": ")
		}
		b.WriteString(p.Message)
	}
	if e.Status == http.StatusUnauthorized {
		b.WriteString("\n  set KEYFLOW_TOKEN, or KEYFLOW_DATA_DIR to the server's data folder")
	}
	if e.RequestID != "" && e.Status >= http.StatusInternalServerError {
		b.WriteString("\n  request " + e.RequestID)
	}
	return b.String()
}

// call sends one request; in and out are JSON values, nil for none. The error carries the exit code.
func (c *client) call(ctx context.Context, method, path string, in, out any) error {
	var body []byte
	if in != nil {
		var err error
		if body, err = json.Marshal(in); err != nil {
			return usagef("%w", err)
		}
	}
	answer, err := c.send(ctx, method, path, body)
	if err != nil || out == nil || len(answer) == 0 {
		return err
	}
	if err := json.Unmarshal(answer, out); err != nil {
		return &exitError{exitFailed, fmt.Errorf("%s sent a response that this version does not understand: %w", c.base, err)}
	}
	return nil
}

// send is call with bytes, for bodies that must arrive exactly as written.
func (c *client) send(ctx context.Context, method, path string, body []byte) ([]byte, error) {
	return c.sendAs(ctx, request{method, path, "application/json", body})
}

// request is one request to the API; body nil is none.
type request struct {
	method, path, media string
	body                []byte
}

// sendAs is send for another media type than JSON.
func (c *client) sendAs(ctx context.Context, r request) ([]byte, error) {
	req, err := c.prepare(ctx, r)
	if err != nil {
		return nil, err
	}
	res, err := c.do(req)
	if err != nil {
		return nil, err
	}
	defer func() { _ = res.Body.Close() }()
	answer, err := io.ReadAll(io.LimitReader(res.Body, maxAnswerSize))
	if err != nil {
		return nil, &exitError{exitUnreachable, fmt.Errorf("the connection to %s broke in the middle of a response", c.base)}
	}
	return answer, nil
}

// prepare makes a request with the token.
func (c *client) prepare(ctx context.Context, r request) (*http.Request, error) {
	req, err := http.NewRequestWithContext(ctx, r.method, c.base+r.path, bytes.NewReader(r.body))
	if err != nil {
		return nil, usagef("KEYFLOW_URL: %w", err)
	}
	if r.body != nil {
		req.Header.Set("Content-Type", r.media)
	}
	if c.token.IsSet() {
		req.Header.Set("Authorization", "Bearer "+c.token.Reveal())
	}
	return req, nil
}

// do sends a request and returns a successful response, whose body the caller closes.
func (c *client) do(req *http.Request) (*http.Response, error) {
	res, err := c.http.Do(req)
	if err != nil {
		if errors.Is(err, context.Canceled) {
			return nil, &exitError{exitFailed, errors.New("interrupted")}
		}
		return nil, &exitError{exitUnreachable, c.unreachable(err)}
	}
	if res.StatusCode < http.StatusBadRequest {
		return res, nil
	}
	defer func() { _ = res.Body.Close() }()
	answer, err := io.ReadAll(io.LimitReader(res.Body, maxAnswerSize))
	if err != nil {
		return nil, &exitError{exitUnreachable, fmt.Errorf("the connection to %s broke in the middle of a response", c.base)}
	}
	return nil, refusal(res, answer)
}

// unreachable says why there was no response. With a certificate that is not trusted there is a
// server, which need not be started.
func (c *client) unreachable(err error) error {
	if untrusted, ok := errors.AsType[*tls.CertificateVerificationError](err); ok {
		return fmt.Errorf("the certificate of %s (KEYFLOW_URL) is not trusted: %w; set SSL_CERT_FILE to the certificate of the authority that signed it", c.base, untrusted.Err)
	}
	if errors.Is(err, http.ErrSchemeMismatch) {
		return fmt.Errorf("%s (KEYFLOW_URL) does not speak TLS: write http:// for a server without a certificate", c.base)
	}
	return fmt.Errorf("no Keyflow server answers at %s (KEYFLOW_URL); start one with: keyflow serve", c.base)
}

func refusal(res *http.Response, answer []byte) error {
	e := &apiError{}
	if json.Unmarshal(answer, e) != nil || e.Status == 0 {
		e = &apiError{Status: res.StatusCode, Title: http.StatusText(res.StatusCode)}
	}
	code := exitFailed
	if e.Status == http.StatusBadRequest || e.Status == http.StatusUnprocessableEntity {
		code = exitUsage
	}
	return &exitError{code, e}
}

// page is one page of a list.
type page[T any] struct {
	Items      []T    `json:"items"`
	NextCursor string `json:"next_cursor"`
}

// received is a value of the API that prints as it was received, with unknown fields.
type received[T any] struct {
	value T
	raw   json.RawMessage
}

// UnmarshalJSON implements json.Unmarshaler.
func (r *received[T]) UnmarshalJSON(data []byte) error {
	r.raw = bytes.Clone(data)
	return json.Unmarshal(data, &r.value)
}

// MarshalJSON implements json.Marshaler.
func (r received[T]) MarshalJSON() ([]byte, error) { return r.raw, nil }

// list reads all pages of a list, up to limit items (0: all).
func list[T any](ctx context.Context, c *client, path string, query url.Values, limit int) ([]T, error) {
	items := []T{}
	for {
		size := 200
		if limit > 0 {
			size = min(size, limit-len(items))
		}
		query.Set("limit", fmt.Sprint(size))
		var p page[T]
		if err := c.call(ctx, http.MethodGet, path+"?"+query.Encode(), nil, &p); err != nil {
			return nil, err
		}
		items = append(items, p.Items...)
		if p.NextCursor == "" || limit > 0 && len(items) >= limit {
			return items, nil
		}
		query.Set("cursor", p.NextCursor)
	}
}

// withClient returns the RunE of a command that needs a server.
func withClient(p process, fn func(cmd *cobra.Command, c *client, args []string) error) func(*cobra.Command, []string) error {
	return func(cmd *cobra.Command, args []string) error {
		c, err := newClient(p)
		if err != nil {
			return err
		}
		return fn(cmd, c, args)
	}
}
