package outbound

import (
	"context"
	"io"
	"maps"
	"net/http"
	"strconv"

	"keyflow/credentials/authtype"
	"keyflow/credentials/redact"
	"keyflow/internal/charset"
	"keyflow/internal/egress"
	"keyflow/internal/secret"
)

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
		s.authenticator = t.prepared(s, wire)
		t.Last.Store(s.authenticator)
	} else {
		s.authenticator = t.Last.Load() // a redirect follows a request
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

func (t *Transport) prepared(s *exchange, wire []string) *authenticator {
	if t.Draft {
		return t.Resolver.newAuthenticator(s.credential, s.token, wire)
	}
	return t.Resolver.authenticatorOf(s.credential, s.token, wire)
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
