package vault

import (
	"crypto/tls"
	"fmt"
	"net/http"
	"sync"

	"keyflow/credentials"
	"keyflow/internal/egress"
)

// Certificates makes the transports that show client certificates.
type Certificates struct {
	transport  http.RoundTripper
	identities identities
}

// identities keeps one transport for each TLS identity in use, so that connections made with
// one certificate never serve another. Its zero value is empty.
type identities struct {
	mu   sync.Mutex
	byID map[credentials.ID]tlsIdentity
}

// tlsIdentity is the transport of one version of a credential; nil shows no certificate.
type tlsIdentity struct {
	version   int
	opened    *opened
	transport *egress.Transport
}

// certifier makes transports that show a certificate.
type certifier interface {
	WithCertificate(tls.Certificate) *egress.Transport
}

var _ certifier = (*egress.Transport)(nil)

// route returns what sends requests authenticated by o; nil is a hop without authentication.
func (t *transport) route(o *opened) (http.RoundTripper, error) {
	if o == nil || o.typ.Certificate == nil || o.Text("client_certificate") == "" {
		return t.base, nil
	}
	if t.draft {
		own, err := t.resolver.certificates.certified(o)
		if own == nil || err != nil {
			return t.base, err
		}
		return own.Fresh(), nil // nobody closes its connections later
	}
	own, err := t.resolver.certificates.identity(o)
	switch {
	case own == nil || err != nil:
		return t.base, err
	case t.use.AtMostOnce:
		return own.Fresh(), nil
	default:
		return own, nil
	}
}

// tokenRoute returns what sends token requests for o when it shows a certificate, else nil.
// They are rare: each has a connection of its own.
func (c *Certificates) tokenRoute(o *opened) http.RoundTripper {
	if o.Text("client_certificate") == "" {
		return nil
	}
	own, err := c.certified(o)
	if err != nil {
		return noRoute{err}
	}
	return own.Fresh()
}

// noRoute fails every request.
type noRoute struct{ err error }

// RoundTrip implements http.RoundTripper.
func (n noRoute) RoundTrip(*http.Request) (*http.Response, error) { return nil, n.err }

// identity returns the transport of o's version, nil when o has no certificate. One of an
// earlier version is given up: what it is sending ends as it is.
func (c *Certificates) identity(o *opened) (*egress.Transport, error) {
	c.identities.mu.Lock()
	defer c.identities.mu.Unlock()
	was, known := c.identities.byID[o.ID]
	if known && was.version == o.Version && was.opened.sameReferences(o) {
		return was.transport, nil
	}
	own, err := c.certified(o)
	if err != nil {
		return nil, err
	}
	if c.identities.byID == nil {
		c.identities.byID = make(map[credentials.ID]tlsIdentity)
	}
	if was.version > o.Version { // a straggler: what is newer stays
		return own, nil
	}
	c.identities.byID[o.ID] = tlsIdentity{version: o.Version, opened: o, transport: own}
	if was.transport != nil {
		was.transport.CloseIdleConnections()
	}
	return own, nil
}

func (c *Certificates) certified(o *opened) (*egress.Transport, error) {
	pair, err := o.typ.Certificate(&o.Values)
	if pair == nil || err != nil {
		return nil, err
	}
	maker, ok := c.transport.(certifier)
	if !ok {
		return nil, fmt.Errorf("the transport %T shows no client certificates", c.transport)
	}
	return maker.WithCertificate(*pair), nil
}

func (i *identities) forget(id credentials.ID) {
	i.mu.Lock()
	defer i.mu.Unlock()
	if was := i.byID[id]; was.transport != nil {
		was.transport.CloseIdleConnections()
	}
	delete(i.byID, id)
}
