package oauth

import (
	"bytes"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"net/http"
	"net/url"
	"strings"
	"time"

	"golang.org/x/oauth2"

	"keyflow/credentials/redact"
	"keyflow/internal/secret"
)

// maxAnswer bounds the body of a token answer.
const maxAnswer = 1 << 20

// tokenCall is one token request: the http.RoundTripper under golang.org/x/oauth2. The
// library hands it a standard form POST with client_id and client_secret in the body; it
// sends what the configuration asks for and hands back a standard JSON answer.
type tokenCall struct {
	client *Client
	cfg    Config
	params map[string]string // extra parameters of this phase
	hidden []string          // secrets that no error and no trace may show

	sent   time.Time
	answer *answer // nil without an answer
	trace  Exchange
}

var _ http.RoundTripper = (*tokenCall)(nil)

func (c *Client) call(cfg Config, params map[string]string) *tokenCall {
	call := &tokenCall{client: c, cfg: cfg, params: params}
	call.hide(cfg.ClientSecret.Reveal())
	return call
}

func (t *tokenCall) hide(texts ...string) { t.hidden = append(t.hidden, texts...) }

// run lets the library make one request through t and turns its result into ours.
func (t *tokenCall) run(ctx context.Context, request func(context.Context) (*oauth2.Token, error)) (Token, error) {
	ctx, cancel := context.WithTimeout(ctx, Timeout)
	defer cancel()
	client := &http.Client{
		Transport: t,
		// A redirected token request would carry the client's secret to another place.
		CheckRedirect: func(*http.Request, []*http.Request) error { return http.ErrUseLastResponse },
	}
	got, err := request(context.WithValue(ctx, oauth2.HTTPClient, client))
	if t.client.Observe != nil {
		defer func() { t.client.Observe(t.trace) }()
	}
	if err != nil {
		return Token{}, t.failure(err)
	}
	token := Token{
		Access:     secret.New(got.AccessToken),
		Scope:      t.answer.scope,
		ObtainedAt: t.sent,
		Expiry:     t.cfg.expiry(t.sent, t.answer.expiresIn, got.AccessToken),
	}
	if got.RefreshToken != "" {
		token.Refresh = secret.New(got.RefreshToken)
	}
	t.trace.Lifetime = lifetimeText(token)
	return token, nil
}

// RoundTrip implements http.RoundTripper.
func (t *tokenCall) RoundTrip(req *http.Request) (*http.Response, error) {
	out, err := t.rewrite(req)
	if err != nil {
		return nil, err
	}
	t.sent = t.client.Now()
	transport := t.client.Transport
	if t.cfg.Transport != nil {
		transport = t.cfg.Transport
	}
	res, err := transport.RoundTrip(out)
	if err != nil {
		return nil, err
	}
	defer res.Body.Close() //nolint:errcheck // the answer is read in full or given up
	body, err := io.ReadAll(io.LimitReader(res.Body, maxAnswer+1))
	if err != nil {
		return nil, err
	}
	t.answer = t.cfg.read(res, body)
	t.trace.Status, t.trace.Date = res.StatusCode, res.Header.Get("Date")
	t.trace.Type, t.trace.Answer = res.Header.Get("Content-Type"), t.answer.shown(t.redactor())
	return t.answer.standard(res, req), nil
}

// rewrite makes the request that the provider wants from the one that the library made.
func (t *tokenCall) rewrite(req *http.Request) (*http.Request, error) {
	form, err := io.ReadAll(req.Body)
	if err != nil {
		return nil, err
	}
	params, err := url.ParseQuery(string(form))
	if err != nil {
		return nil, fmt.Errorf("token request form: %w", err)
	}
	for name, value := range t.params {
		params.Set(name, value)
	}
	query := req.URL.Query()
	header := http.Header{"Accept": {"application/json"}, "User-Agent": {"keyflow"}}
	if err := t.authenticate(req, params, query, header); err != nil {
		return nil, err
	}
	body, err := t.encode(params, query, header)
	if err != nil {
		return nil, err
	}
	for name, value := range t.cfg.Headers {
		header.Set(name, value)
	}
	target := *req.URL
	target.RawQuery = query.Encode()
	out, err := http.NewRequestWithContext(req.Context(), t.method(), target.String(), body)
	if err != nil {
		return nil, errors.New("the token URL is not a usable URL")
	}
	out.Header = header
	t.traceRequest(out, params)
	return out, nil
}

// authenticate moves the client's id and secret from the form to where the provider wants them.
func (t *tokenCall) authenticate(req *http.Request, params, query url.Values, header http.Header) error {
	id, key := t.cfg.ClientID, t.cfg.ClientSecret.Reveal()
	switch t.cfg.ClientAuth {
	case AuthBody:
	case AuthNone:
		params.Del("client_secret")
	case AuthAssertion:
		proof, err := t.cfg.Assertion(req.URL.String())
		if err != nil {
			return fmt.Errorf("client assertion: %w", err)
		}
		t.hide(proof)
		params.Del("client_secret")
		params.Set("client_assertion_type", "urn:ietf:params:oauth:client-assertion-type:jwt-bearer")
		params.Set("client_assertion", proof)
	case AuthQuery:
		params.Del("client_id")
		params.Del("client_secret")
		query.Set("client_id", id)
		query.Set("client_secret", key)
	default:
		params.Del("client_id")
		params.Del("client_secret")
		basic := &http.Request{Header: header}
		basic.SetBasicAuth(url.QueryEscape(id), url.QueryEscape(key))
		t.hide(header.Get("Authorization"))
	}
	return nil
}

// encode puts the parameters into the body, or into the query of a GET.
func (t *tokenCall) encode(params, query url.Values, header http.Header) (io.Reader, error) {
	if t.method() == http.MethodGet {
		for name, values := range params {
			query[name] = values
		}
		return nil, nil
	}
	if t.cfg.Body == "json" {
		header.Set("Content-Type", "application/json")
		object := make(map[string]string, len(params))
		for name := range params {
			object[name] = params.Get(name)
		}
		body, err := json.Marshal(object)
		return bytes.NewReader(body), err
	}
	header.Set("Content-Type", "application/x-www-form-urlencoded")
	return strings.NewReader(params.Encode()), nil
}

func (t *tokenCall) method() string {
	if strings.EqualFold(t.cfg.Method, http.MethodGet) {
		return http.MethodGet
	}
	return http.MethodPost
}

func (t *tokenCall) redactor() *redact.Redactor {
	return redact.New(redact.Secrets{Values: t.hidden})
}

// traceRequest records the request. Values of names that carry secrets are hidden whatever
// they are; extra parameters and headers may be secret too.
func (t *tokenCall) traceRequest(out *http.Request, params url.Values) {
	hide := t.redactor()
	bare := *out.URL
	bare.RawQuery = ""
	t.trace = Exchange{
		Method: out.Method, URL: hide.String(safeURL(bare.String())),
		Headers: map[string]string{}, Params: map[string]string{},
	}
	for name := range out.Header {
		t.trace.Headers[name] = hide.String(out.Header.Get(name))
	}
	shown := map[string]bool{"grant_type": true, "client_id": true, "scope": true, "redirect_uri": true}
	for _, values := range []url.Values{params, out.URL.Query()} {
		for name := range values {
			t.trace.Params[name] = secret.Mask
			if shown[name] {
				t.trace.Params[name] = hide.String(values.Get(name))
			}
		}
	}
	for name := range t.cfg.Headers {
		t.trace.Headers[http.CanonicalHeaderKey(name)] = secret.Mask
	}
}

func lifetimeText(token Token) string {
	if token.Expiry.IsZero() {
		return "unknown: the token is used until it is refused"
	}
	return token.Expiry.Sub(token.ObtainedAt).String()
}
