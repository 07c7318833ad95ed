package vault

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
	"keyflow/credentials/internal/failurerule"
	"keyflow/credentials/redact"
	"keyflow/internal/charset"
	"keyflow/internal/egress"
	"keyflow/internal/secret"
)

// transport authenticates, sends, judges and redacts: the one way of a secret to the wire
// (docs/explanation/architecture.md). It is safe for concurrent use.
type transport struct {
	resolver *Resolver
	base     http.RoundTripper
	use      credentials.Use
	// open returns the credential as it is now, after checking who uses it.
	open func(context.Context) (*opened, error)
	// draft marks values that are not saved: nothing about them is cached or stored.
	draft bool
	// begun tells that something was sent that may have been acted upon.
	begun atomic.Bool
	// last is of the newest authenticated request; hops without authentication use it.
	last atomic.Pointer[kit]
}

var _ http.RoundTripper = (*transport)(nil)

// sent is one request on the wire, and what it was sent with.
type sent struct {
	opened *opened // nil for a hop without authentication
	token  *cachedToken   // nil for types without
	kit    *kit
	res    *http.Response // redacted
	permit *permit        // nil without limits
}

// done ends the use of s: its body has been read, or there is none.
func (s *sent) done() {
	if s.permit != nil {
		s.permit.release()
	}
}

// RoundTrip implements http.RoundTripper. It repeats a request only when the upstream did not
// act on it: once with a renewed token, and after each wait that a failure rule asks for.
func (t *transport) RoundTrip(req *http.Request) (*http.Response, error) {
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

func (t *transport) roundTrip(req *http.Request) (*http.Response, error) {
	ctx, body := req.Context(), req.Body
	var done amends
	for {
		s, err := t.send(req, body)
		if err != nil {
			return nil, hold(err, t.parks())
		}
		v := t.judge(ctx, s)
		if v == nil {
			t.accepted(ctx, s)
			if s.opened != nil {
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
		if err := t.amend(ctx, s, v, &done); err != nil {
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
func (t *transport) judge(ctx context.Context, s *sent) *failurerule.Verdict {
	if s.opened == nil {
		return nil
	}
	return s.kit.rules.Match(ctx, s.res)
}

// again returns the body for a repetition, if one is allowed and possible.
func (t *transport) again(req *http.Request, v *failurerule.Verdict) (io.ReadCloser, bool) {
	if t.use.AtMostOnce || !v.Repeatable {
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
func (t *transport) send(req *http.Request, body io.ReadCloser) (*sent, error) {
	s, err := t.ready(req)
	if err != nil {
		closeBody(body)
		return nil, err
	}
	if err := t.exchange(req, body, s); err != nil {
		s.done()
		return nil, err
	}
	return s, nil
}

// permitTries bounds how often a request gives a late permit back: each counts towards the rate.
const permitTries = 3

// ready prepares until nothing is in the way of sending the request at once. A permit that came
// too late to be used is given back, and the request waits for another one.
func (t *transport) ready(req *http.Request) (*sent, error) {
	ctx := req.Context()
	for tries := 1; ; tries++ {
		awaitReady(ctx, &t.use)
		s, err := t.prepare(req)
		if err != nil {
			return nil, err
		}
		awaitReady(ctx, &t.use) // prepare may have waited long, for a token or a permit
		if tries == permitTries || !s.permit.late(t.resolver.now()) {
			return s, nil
		}
		s.done()
		if err := ctx.Err(); err != nil {
			return nil, err
		}
	}
}

// exchange does what is left of send.
func (t *transport) exchange(req *http.Request, body io.ReadCloser, s *sent) error {
	out := req.Clone(req.Context())
	out.Body = body
	out.Host = req.URL.Host // the host that was checked
	maps.Copy(out.Header, t.use.Header)
	if s.opened != nil {
		wire, err := s.opened.typ.Authenticate(&s.opened.Values, out, authtype.Proof{Token: s.accessToken(), Now: t.resolver.now()})
		if err != nil {
			closeBody(body)
			return cannotAuthenticate(s.opened, err)
		}
		s.kit = t.kit(s, wire)
		t.last.Store(s.kit)
	} else {
		s.kit = t.last.Load() // a hop follows a request
	}
	base, err := t.route(s.opened)
	if err != nil {
		closeBody(out.Body)
		return err
	}
	start := t.resolver.now()
	res, err := base.RoundTrip(out) //nolint:bodyclose // whoever gets s.res closes it
	if err != nil {
		t.record(req, s, t.resolver.now().Sub(start))
		return err
	}
	if s.permit != nil {
		res.Body = &granted{res.Body, s.permit.release}
	}
	s.res = t.redacted(req, res, s.kit) //nolint:bodyclose // whoever gets the answer closes it, as http.RoundTripper says
	t.record(req, s, t.resolver.now().Sub(start))
	return nil
}

// prepare waits for the limits, gets a token if the type needs one, reads what references lead
// to and then, last of all, reads the credential again: what it says now counts (promise P1).
// The result has no credential for a redirect hop that may not have it.
func (t *transport) prepare(req *http.Request) (*sent, error) {
	ctx, s := req.Context(), &sent{}
	var full *opened // with what its references lead to
	for range 6 {
		o, err := t.open(ctx)
		if err == nil {
			err = t.usable(o, req)
		}
		switch {
		case err != nil:
		case !o.allowsChain(req):
			s.done()
			return &sent{}, nil
		case o.typ.Renews && !s.token.fits(o):
			s.token, err = t.token(ctx, o)
		case o.Limits != nil && s.permit == nil && !t.draft:
			s.permit, err = t.resolver.throttles.permit(ctx, o.ID, *o.Limits, waitingCaller{park: t.parks(), idle: t.idle})
		case len(o.Refs) > 0 && (full == nil || full.Revision != o.Revision):
			begun := t.resolver.now()
			full, err = t.resolver.reader.resolved(ctx, o)
			s.permit.extend(t.resolver.now().Sub(begun))
		default:
			if s.opened = o; full != nil && full.Revision == o.Revision {
				s.opened = full.withState(o.State)
			}
			return s, nil
		}
		if err != nil {
			s.done()
			return nil, err
		}
	}
	s.done()
	return nil, &credentials.Error{Code: egress.CodeNetwork, ID: t.use.ID,
		Message: fmt.Sprintf("credential %q changes faster than tokens can be got for it; try again", t.use.ID)}
}

// usable refuses a request that may not have the credential now; a redirect hop goes without.
func (t *transport) usable(o *opened, req *http.Request) error {
	if req.Response == nil && !o.allowsChain(req) {
		return o.failed(credentials.CodeHostNotAllowed, nil,
			"credential %q may not be sent to %s; add the host to the credential's allowed_hosts", o.ID, req.URL.Host)
	}
	if o.State.Status == credentials.Quota && t.resolver.now().Before(o.State.Until) {
		return o.failed(credentials.CodeQuota, nil, "the quota of credential %q is used up until %s: %s",
			o.ID, o.State.Until.Format(time.RFC3339), o.State.Message)
	}
	return nil
}

func (t *transport) token(ctx context.Context, o *opened) (*cachedToken, error) {
	if !t.draft {
		var h *cachedToken
		err := t.patiently(ctx, func() (err error) { h, err = t.resolver.tokens.token(ctx, o); return err })
		if refusedByProvider(err) && t.resolver.leave(ctx, o) {
			return nil, nil // prepare reads the credential again
		}
		return h, inRun(o.ID, err)
	}
	token, err := t.resolver.provider.oauthClient().ClientCredentials(ctx, t.resolver.provider.oauthConfig(o))
	return &cachedToken{Token: token, grant: o.grant}, err
}

func (t *transport) kit(s *sent, wire []string) *kit {
	if t.draft {
		return t.resolver.newKit(s.opened, s.token, wire)
	}
	return t.resolver.kitOf(s.opened, s.token, wire)
}

func (s *sent) accessToken() string {
	if s.token == nil {
		return ""
	}
	return s.token.Access.Reveal()
}

// allowsChain reports whether this request and every one that it was redirected from are on
// allowed hosts: a stranger in between chooses where the next hop goes.
func (o *opened) allowsChain(req *http.Request) bool {
	for {
		if !o.allowsHost(req.URL) {
			return false
		}
		if req.Response == nil || req.Response.Request == nil {
			return true
		}
		req = req.Response.Request
	}
}

// keepsAuth reports whether a redirect target may see what the author put into the request.
func (t *transport) keepsAuth(u *url.URL) bool {
	k := t.last.Load()
	return k != nil && k.opened.allowsHost(u)
}

// redacted is res as anyone may see it. Trailers are dropped.
func (t *transport) redacted(req *http.Request, res *http.Response, k *kit) *http.Response {
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
	out.Status = k.redactor.String(res.Status)
	if req.Method != http.MethodHead {
		limit := t.use.MaxBytes
		if limit <= 0 {
			limit = egress.DefaultMaxBytes
		}
		declared := charset.Declared{Name: t.use.Charset, ContentType: res.Header.Get("Content-Type")}
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
func (t *transport) accepted(ctx context.Context, s *sent) {
	if s.opened == nil || t.draft {
		return
	}
	state := s.opened.State.Status
	if s.res.StatusCode >= http.StatusBadRequest || state != credentials.Untested && state != credentials.Refused && state != credentials.Quota {
		return
	}
	if s.token != nil && t.resolver.tokens.renewals.failing(s.opened) {
		return // the token still works, but its renewal is refused
	}
	t.resolver.states.report(ctx, s.opened, credentials.OK, "")
}

// withAnswer attaches the redacted answer to err and ends the exchange.
func (t *transport) withAnswer(s *sent, err error) error {
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
func cannotAuthenticate(o *opened, err error) *credentials.Error {
	return o.failed(egress.CodeInvalidParam, err, "credential %q cannot be used for this request: %v", o.ID, err)
}
