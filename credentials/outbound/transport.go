// Package outbound is the outgoing HTTP client of nodes: for each request it opens the credential as
// it is at that moment, waits for its limits, attaches the secret last, judges the response by the
// failure rules, recovers from a refusal once, and redacts what comes back.
//
// It must not know nodes or runs, nor how tokens and versions are kept.
package outbound

import (
	"context"
	"errors"
	"fmt"
	"io"
	"maps"
	"net/http"
	"net/url"
	"strconv"
	"sync/atomic"
	"time"

	"keyflow/credentials"
	"keyflow/credentials/authtype"
	"keyflow/credentials/internal/access"
	"keyflow/credentials/internal/decrypted"
	"keyflow/credentials/internal/failurerule"
	"keyflow/credentials/internal/throttle"
	"keyflow/credentials/redact"
	"keyflow/credentials/token"
	"keyflow/internal/charset"
	"keyflow/internal/egress"
	"keyflow/internal/secret"
)

// Transport authenticates, sends, judges and redacts: the one way of a secret to the wire
// (docs/explanation/architecture.md). It is safe for concurrent use.
type Transport struct {
	Resolver *Resolver
	Base     http.RoundTripper
	Use      credentials.Use
	// open returns the credential as it is now, after checking who uses it.
	Open func(context.Context) (*decrypted.Credential, error)
	// draft marks values that are not saved: nothing about them is cached or stored.
	Draft bool
	// begun tells that something was sent that may have been acted upon.
	begun atomic.Bool
	// last is of the newest authenticated request; hops without authentication use it.
	Last atomic.Pointer[authenticator]
}

var _ http.RoundTripper = (*Transport)(nil)

// exchange is one request on the wire, and what it was sent with.
type exchange struct {
	credential    *decrypted.Credential // nil for a hop without authentication
	token         *token.Cached         // nil for types without
	authenticator *authenticator
	res           *http.Response   // redacted
	permit        *throttle.Permit // nil without limits
}

// done ends the use of s: its body has been read, or there is none.
func (s *exchange) done() {
	if s.permit != nil {
		s.permit.Release()
	}
}

// RoundTrip implements http.RoundTripper. It repeats a request only when the upstream did not
// act on it: once with a renewed token, and after each wait that a failure rule asks for.
func (t *Transport) RoundTrip(req *http.Request) (*http.Response, error) {
	res, err := t.roundTrip(req)
	if err != nil {
		if e, ok := errors.AsType[*credentials.Error](err); ok && (!e.Until.IsZero() || e.Hold) {
			return nil, err // nothing was done
		}
		t.usedAs(req.Context(), 0, err)
	}
	t.begun.Store(true)
	return res, err
}

func (t *Transport) roundTrip(req *http.Request) (*http.Response, error) {
	ctx, body := req.Context(), req.Body
	var done recovery
	for {
		s, err := t.send(req, body)
		if err != nil {
			return nil, access.Hold(err, t.parks())
		}
		v := t.judge(ctx, s)
		if v == nil {
			t.accepted(ctx, s)
			if s.credential != nil {
				t.usedAs(ctx, s.res.StatusCode, nil)
			}
			return s.res, nil
		}
		switch v.Action {
		case credentials.RuleQuota:
			return nil, t.exhausted(ctx, s, v)
		case credentials.RuleWait:
			if body, err = t.wait(req, s, v); err != nil {
				return nil, err
			}
			continue
		}
		if err := t.recover(ctx, s, v, &done); err != nil {
			return nil, err
		}
		var again bool
		if body, again = t.again(req, v); !again {
			return nil, t.unrepeated(s, done)
		}
		closeBody(s.res.Body)
	}
}

// judge finds the failure rule that the answer matches; nil is none. A hop without
// authentication says nothing about the credential.
func (t *Transport) judge(ctx context.Context, s *exchange) *failurerule.Verdict {
	if s.credential == nil {
		return nil
	}
	return s.authenticator.Rules.Match(ctx, s.res)
}

// again returns the body for a repetition, if one is allowed and possible.
func (t *Transport) again(req *http.Request, v *failurerule.Verdict) (io.ReadCloser, bool) {
	if t.Use.AtMostOnce || !v.Repeatable {
		return nil, false
	}
	if req.Body == nil || req.Body == http.NoBody {
		return req.Body, true
	}
	if req.GetBody == nil {
		return nil, false
	}
	body, err := req.GetBody()
	return body, err == nil
}

// send authenticates a copy of req, sends it with body and redacts the answer. It closes body.
func (t *Transport) send(req *http.Request, body io.ReadCloser) (*exchange, error) {
	s, err := t.ready(req)
	if err != nil {
		closeBody(body)
		return nil, err
	}
	if err := t.perform(req, body, s); err != nil {
		s.done()
		return nil, err
	}
	return s, nil
}

// permitTries bounds how often a request gives a late permit back: each counts towards the rate.
const permitTries = 3

// ready prepares until nothing is in the way of sending the request at once. A permit that came
// too late to be used is given back, and the request waits for another one.
func (t *Transport) ready(req *http.Request) (*exchange, error) {
	ctx := req.Context()
	for tries := 1; ; tries++ {
		awaitReady(ctx, &t.Use)
		s, err := t.prepare(req)
		if err != nil {
			return nil, err
		}
		awaitReady(ctx, &t.Use) // prepare may have waited long, for a token or a permit
		if tries == permitTries || !s.permit.Late(t.Resolver.Now()) {
			return s, nil
		}
		s.done()
		if err := ctx.Err(); err != nil {
			return nil, err
		}
	}
}

// perform does what is left of send.
func (t *Transport) perform(req *http.Request, body io.ReadCloser, s *exchange) error {
	out := req.Clone(req.Context())
	out.Body = body
	out.Host = req.URL.Host // the host that was checked
	maps.Copy(out.Header, t.Use.Header)
	if s.credential != nil {
		wire, err := s.credential.AuthType.Authenticate(&s.credential.Values, out, authtype.Proof{Token: s.accessToken(), Now: t.Resolver.Now()})
		if err != nil {
			closeBody(body)
			return cannotAuthenticate(s.credential, err)
		}
		s.authenticator = t.kit(s, wire)
		t.Last.Store(s.authenticator)
	} else {
		s.authenticator = t.Last.Load() // a hop follows a request
	}
	if hasMaskedTarget(req, out.URL) {
		closeBody(out.Body)
		return &egress.Error{Phase: "redirect", Host: req.URL.Host, Code: egress.CodeNetwork, Message: "redirected here by a URL that holds " +
			"a secret of the credential, which is masked in answers; send the request to the final URL"}
	}
	base, err := t.route(s.credential)
	if err != nil {
		closeBody(out.Body)
		return err
	}
	start := t.Resolver.Now()
	res, err := base.RoundTrip(out) //nolint:bodyclose // whoever gets s.res closes it
	if err != nil {
		t.record(req, s, t.Resolver.Now().Sub(start))
		return err
	}
	if s.permit != nil {
		res.Body = &granted{res.Body, s.permit.Release}
	}
	s.res = t.redacted(req, res, s.authenticator) //nolint:bodyclose // whoever gets the answer closes it, as http.RoundTripper says
	t.record(req, s, t.Resolver.Now().Sub(start))
	return nil
}

// prepare waits for the limits, gets a token if the type needs one, reads what references lead
// to and then, last of all, reads the credential again: what it says now counts (promise P1).
// The result has no credential for a redirect hop that may not have it.
func (t *Transport) prepare(req *http.Request) (*exchange, error) {
	ctx, s := req.Context(), &exchange{}
	var full *decrypted.Credential // with what its references lead to
	for range 6 {
		o, err := t.Open(ctx)
		if err == nil {
			err = t.usable(o, req)
		}
		switch {
		case err != nil:
		case !allowsChain(o, req):
			s.done()
			return &exchange{}, nil
		case o.AuthType.Renews && !s.token.Fits(o):
			s.token, err = t.token(ctx, o)
		case o.Limits != nil && s.permit == nil && !t.Draft:
			s.permit, err = t.Resolver.Throttles.Take(ctx, o.ID, *o.Limits, throttle.Caller{Park: t.parks(), Idle: t.idle})
		case len(o.Refs) > 0 && (full == nil || full.Revision != o.Revision):
			begun := t.Resolver.Now()
			full, err = t.Resolver.Reader.Resolved(ctx, o)
			s.permit.Extend(t.Resolver.Now().Sub(begun))
		default:
			if s.credential = o; full != nil && full.Revision == o.Revision {
				s.credential = full.WithState(o.State)
			}
			return s, nil
		}
		if err != nil {
			s.done()
			return nil, err
		}
	}
	s.done()
	return nil, &credentials.Error{Code: egress.CodeNetwork, ID: t.Use.ID,
		Message: fmt.Sprintf("credential %q changes faster than tokens can be got for it; try again", t.Use.ID)}
}

// usable refuses a request that may not have the credential now; a redirect hop goes without.
func (t *Transport) usable(o *decrypted.Credential, req *http.Request) error {
	if req.Response == nil && !allowsChain(o, req) {
		return o.Failed(credentials.CodeHostNotAllowed, nil,
			"credential %q may not be sent to %s; add the host to the credential's allowed_hosts", o.ID, req.URL.Host)
	}
	if o.State.Status == credentials.Quota && t.Resolver.Now().Before(o.State.Until) {
		return o.Failed(credentials.CodeQuota, nil, "the quota of credential %q is used up until %s: %s",
			o.ID, o.State.Until.Format(time.RFC3339), o.State.Message)
	}
	return nil
}

func (t *Transport) token(ctx context.Context, o *decrypted.Credential) (*token.Cached, error) {
	if !t.Draft {
		var h *token.Cached
		err := t.patiently(ctx, func() (err error) { h, err = t.Resolver.Tokens.Get(ctx, o); return err })
		if token.RefusedByProvider(err) && t.Resolver.FallBack(ctx, o) {
			return nil, nil // prepare reads the credential again
		}
		return h, access.InRun(o.ID, err)
	}
	obtained, err := t.Resolver.Provider.Client().ClientCredentials(ctx, t.Resolver.Provider.Config(o))
	return &token.Cached{Token: obtained, Grant: o.Grant}, err
}

func (t *Transport) kit(s *exchange, wire []string) *authenticator {
	if t.Draft {
		return t.Resolver.newAuthenticator(s.credential, s.token, wire)
	}
	return t.Resolver.authenticatorOf(s.credential, s.token, wire)
}

func (s *exchange) accessToken() string {
	if s.token == nil {
		return ""
	}
	return s.token.Access.Reveal()
}

// allowsChain reports whether this request and every one that it was redirected from are on
// allowed hosts: a stranger in between chooses where the next hop goes.
func allowsChain(o *decrypted.Credential, req *http.Request) bool {
	for {
		if !o.AllowsHost(req.URL) {
			return false
		}
		if req.Response == nil || req.Response.Request == nil {
			return true
		}
		req = req.Response.Request
	}
}

// KeepsAuth reports whether a redirect target may see what the author put into the request.
func (t *Transport) KeepsAuth(u *url.URL) bool {
	k := t.Last.Load()
	return k != nil && k.credential.AllowsHost(u)
}

// redacted is res as anyone may see it. Trailers are dropped.
func (t *Transport) redacted(req *http.Request, res *http.Response, k *authenticator) *http.Response {
	out := *res
	out.Request = req // the one without the secret
	if k.redactor == nil {
		return &out
	}
	out.Trailer = nil
	out.Header = res.Header.Clone()
	masked := func() { secret.NoteMasked(req.Context()) }
	if k.redactor.Header(out.Header) {
		masked()
	}
	if out.Header.Get("Location") != res.Header.Get("Location") {
		out.Request = req.WithContext(context.WithValue(req.Context(), maskedTarget{}, true))
	}
	out.Status = k.redactor.String(res.Status)
	if req.Method != http.MethodHead {
		limit := t.Use.MaxBytes
		if limit <= 0 {
			limit = egress.DefaultMaxBytes
		}
		declared := charset.Declared{Name: t.Use.Charset, ContentType: res.Header.Get("Content-Type")}
		out.Body = k.redactor.Body(res.Body, declared, redact.Limit{Bytes: limit, Masked: masked, TooLarge: &egress.Error{
			Phase: "limit", Host: req.URL.Host, Code: egress.CodeTooLarge,
			Message: "the answer is larger than " + strconv.FormatInt(limit, 10) + " bytes (max_bytes)",
		}})
		out.ContentLength = -1
		out.Header.Del("Content-Length")
	}
	return &out
}

// accepted notes that the credential works.
func (t *Transport) accepted(ctx context.Context, s *exchange) {
	if s.credential == nil || t.Draft {
		return
	}
	state := s.credential.State.Status
	if s.res.StatusCode >= http.StatusBadRequest || state != credentials.Untested && state != credentials.Refused && state != credentials.Quota {
		return
	}
	if s.token != nil && t.Resolver.Tokens.Renewals.Failing(s.credential) {
		return // the token still works, but its renewal is refused
	}
	t.Resolver.States.Report(ctx, s.credential, credentials.OK, "")
}

// withAnswer attaches the redacted answer to err and ends the exchange.
func (t *Transport) withAnswer(s *exchange, err error) error {
	defer closeBody(s.res.Body)
	e, ok := errors.AsType[*credentials.Error](err)
	if !ok {
		return err
	}
	body, readErr := io.ReadAll(io.LimitReader(s.res.Body, failurerule.MaxBody))
	if readErr != nil && len(body) == 0 {
		body = nil // status and headers still tell something
	}
	with := *e
	with.Answer = &credentials.Answer{Status: s.res.StatusCode, Header: s.res.Header, Body: body}
	return &with
}

func closeBody(body io.Closer) {
	if body != nil {
		_ = body.Close() // nothing is left to be done about it
	}
}

// cannotAuthenticate says why a request cannot carry o. The causes are texts of this package.
func cannotAuthenticate(o *decrypted.Credential, err error) *credentials.Error {
	return o.Failed(egress.CodeInvalidParam, err, "credential %q cannot be used for this request: %v", o.ID, err)
}
