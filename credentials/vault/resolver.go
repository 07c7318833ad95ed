package vault

import (
	"context"
	"log/slog"
	"maps"
	"net/http"
	"time"

	"keyflow/credentials"
	"keyflow/internal/egress"
	"keyflow/internal/fault"
)

// Resolver turns a reference into an authenticated HTTP client. It is safe for concurrent use.
type Resolver struct {
	base         http.RoundTripper
	gate         *Gate
	reader       *Reader
	tokens       *Tokens
	provider     *Provider
	states       *States
	certificates *Certificates
	throttles    *Throttles
	usage        *UsageLog
	// leave is called when an upstream refused a version; it reports whether another is in force.
	leave func(ctx context.Context, o *opened) bool
	now   func() time.Time
	log   *slog.Logger

	kits kits
}

// Client returns an HTTP client that authenticates each request, and each redirect hop on an
// allowed host, with the credential as it is at that moment. Without Use.ID the client sends
// requests as they are.
//
// Errors, also those of the client's requests, are *Error or, when nothing was answered,
// *egress.Error.
func (r *Resolver) Client(ctx context.Context, use credentials.Use) (*http.Client, error) {
	base := r.base
	if fresh, ok := base.(interface{ Fresh() http.RoundTripper }); ok && use.AtMostOnce {
		base = fresh.Fresh()
	}
	options := egress.ClientOptions{MaxRedirects: use.MaxRedirects, MaxBytes: use.MaxBytes}
	if use.ID == "" {
		return egress.NewClient(&plainTransport{base: base, use: use, now: r.now}, options), nil
	}
	t := &transport{resolver: r, base: base, use: use}
	t.open = func(ctx context.Context) (*opened, error) { return r.gate.openFor(ctx, use) }
	if _, err := t.open(ctx); err != nil {
		return nil, err
	}
	options.KeepAuth = t.keepsAuth
	return egress.NewClient(t, options), nil
}

func awaitReady(ctx context.Context, u *credentials.Use) {
	if u.Ready != nil {
		u.Ready(ctx)
	}
}

// openFor opens a credential for a workflow; the right is checked at each use, on the resolved id.
func (g *Gate) openFor(ctx context.Context, use credentials.Use) (*opened, error) {
	o, err := g.reader.open(ctx, use.ID)
	if err != nil {
		return nil, inRun(use.ID, err)
	}
	if !o.allowsWorkflow(use.Folder, use.Workflow) {
		return nil, o.failed(credentials.CodeWorkflowNotAllowed, nil,
			"credential %q may not be used by the workflow %q in folder %s; add it to the credential's allowed_workflows",
			o.ID, use.Workflow, use.Folder)
	}
	return o, nil
}

// inRun gives the error of a damaged record the form in which a run shows it.
func inRun(id credentials.ID, err error) error {
	if !fault.Is(err, fault.Conflict) {
		return err
	}
	return &credentials.Error{Code: credentials.CodeRefused, ID: id, Message: fault.Message(err), Err: err}
}

// plainTransport sends requests as they are and records them.
type plainTransport struct {
	base http.RoundTripper
	use  credentials.Use
	now  func() time.Time
}

var _ http.RoundTripper = (*plainTransport)(nil)

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
