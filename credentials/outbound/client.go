package outbound

import (
	"context"
	"maps"
	"net/http"
	"time"

	"keyflow/credentials"
	"keyflow/credentials/internal/decrypted"
	"keyflow/internal/egress"
)

// Client returns an HTTP client that authenticates each request, and each redirect to an
// allowed host, with the credential as it is at that moment. Without Use.ID the client sends
// requests as they are.
//
// Errors, also those of the client's requests, are *Error or, when nothing was answered,
// *egress.Error.
func (r *Resolver) Client(ctx context.Context, use credentials.Use) (*http.Client, error) {
	base := r.Base
	if fresh, ok := base.(interface{ Fresh() http.RoundTripper }); ok && use.AtMostOnce {
		base = fresh.Fresh()
	}
	options := egress.ClientOptions{MaxRedirects: use.MaxRedirects, MaxBytes: use.MaxBytes}
	if use.ID == "" {
		return egress.NewClient(&plainTransport{base: base, use: use, now: r.Now}, options), nil
	}
	t := &Transport{Resolver: r, Base: base, Use: use}
	t.Open = func(ctx context.Context) (*decrypted.Credential, error) { return r.Gate.OpenFor(ctx, use) }
	if _, err := t.Open(ctx); err != nil {
		return nil, err
	}
	options.KeepAuth = t.KeepsAuth
	return egress.NewClient(t, options), nil
}

// plainTransport sends requests as they are and records them.
type plainTransport struct {
	base http.RoundTripper
	use  credentials.Use
	now  func() time.Time
}

// RoundTrip implements http.RoundTripper.
func (t *plainTransport) RoundTrip(req *http.Request) (*http.Response, error) {
	if len(t.use.Header) > 0 {
		req = req.Clone(req.Context()) // a RoundTripper must not change what it is given
		maps.Copy(req.Header, t.use.Header)
	}
	awaitReady(req.Context(), &t.use)
	start := t.now()
	res, err := t.base.RoundTrip(req)
	if t.use.Record != nil {
		call := credentials.Call{Host: req.URL.Host, Method: req.Method, URL: req.URL.String(), Duration: t.now().Sub(start)}
		if res != nil {
			call.Status = res.StatusCode
		}
		t.use.Record(call)
	}
	return res, err
}
