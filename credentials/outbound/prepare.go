package outbound

import (
	"context"
	"fmt"
	"net/http"
	"time"

	"keyflow/credentials"
	"keyflow/credentials/internal/access"
	"keyflow/credentials/internal/decrypted"
	"keyflow/credentials/internal/throttle"
	"keyflow/credentials/token"
	"keyflow/internal/egress"
)

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

// permitTries bounds how often a request gives a late permit back: each counts towards the rate.
const permitTries = 3

// prepare waits for the limits, gets a token if the type needs one, reads what references lead
// to and then, last of all, reads the credential again: what it says now counts (promise P1).
// The result has no credential for a redirect that may not have it.
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

// usable refuses a request that may not have the credential now; a redirect goes without it.
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

// allowsChain reports whether this request and every one that it was redirected from are on
// allowed hosts: a foreign host in between chooses where the next redirect goes.
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

// cannotAuthenticate says why a request cannot carry o. The causes are texts of this package.
func cannotAuthenticate(o *decrypted.Credential, err error) *credentials.Error {
	return o.Failed(egress.CodeInvalidParam, err, "credential %q cannot be used for this request: %v", o.ID, err)
}
