// Package outbound is the outgoing HTTP client of nodes: for each request it opens the credential
// as it is at that moment, waits for its limits, attaches the secret last, judges the response by
// the failure rules, recovers from a refusal once, and redacts what comes back.
//
// It must not know nodes or runs, nor how tokens and versions are kept.
package outbound

import (
	"context"
	"net/http"
	"net/url"
	"sync/atomic"

	"keyflow/credentials"
	"keyflow/credentials/internal/decrypted"
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
	// begun says that something was sent that may have been acted upon.
	begun atomic.Bool
	// last is of the newest authenticated request; redirects without authentication use it.
	Last atomic.Pointer[authenticator]
}

var _ http.RoundTripper = (*Transport)(nil)

// KeepsAuth reports whether a redirect target may see what the author put into the request.
func (t *Transport) KeepsAuth(u *url.URL) bool {
	k := t.Last.Load()
	return k != nil && k.credential.AllowsHost(u)
}
