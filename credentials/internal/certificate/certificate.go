// Package certificate keeps the transports that show client certificates, one for each credential
// in use, so that connections made with one certificate never serve another.
package certificate

import (
	"crypto/tls"
	"fmt"
	"net/http"
	"sync"

	"keyflow/credentials"
	"keyflow/credentials/internal/decrypted"
	"keyflow/internal/egress"
)

// Certificates makes the transports that show client certificates.
type Certificates struct {
	Transport  http.RoundTripper
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
	version    int
	credential *decrypted.Credential
	transport  *egress.Transport
}

var _ certifier = (*egress.Transport)(nil)

// TokenRoute returns what sends token requests for o when it shows a certificate, else nil.
// They are rare: each has a connection of its own.
func (c *Certificates) TokenRoute(o *decrypted.Credential) http.RoundTripper {
	if o.Text("client_certificate") == "" {
		return nil
	}
	own, err := c.New(o)
	if err != nil {
		return noRoute{err}
	}
	return own.Fresh()
}

// noRoute fails every request.
type noRoute struct{ err error }

// RoundTrip implements http.RoundTripper.
func (n noRoute) RoundTrip(*http.Request) (*http.Response, error) { return nil, n.err }

// For returns the transport of o's version, nil when o has no certificate. One of an
// earlier version is given up: what it is sending ends as it is.
func (c *Certificates) For(o *decrypted.Credential) (*egress.Transport, error) {
	c.identities.mu.Lock()
	defer c.identities.mu.Unlock()
	was, known := c.identities.byID[o.ID]
	if known && was.version == o.Version && was.credential.SameReferences(o) {
		return was.transport, nil
	}
	own, err := c.New(o)
	if err != nil {
		return nil, err
	}
	if c.identities.byID == nil {
		c.identities.byID = make(map[credentials.ID]tlsIdentity)
	}
	if was.version > o.Version { // a late request: what is newer stays
		return own, nil
	}
	c.identities.byID[o.ID] = tlsIdentity{version: o.Version, credential: o, transport: own}
	if was.transport != nil {
		was.transport.CloseIdleConnections()
	}
	return own, nil
}

// New makes a transport that shows the certificate of o; nil when it has none.
func (c *Certificates) New(o *decrypted.Credential) (*egress.Transport, error) {
	pair, err := o.AuthType.Certificate(&o.Values)
	if pair == nil || err != nil {
		return nil, err
	}
	maker, ok := c.Transport.(certifier)
	if !ok {
		return nil, fmt.Errorf("the transport %T shows no client certificates", c.Transport)
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

// certifier makes transports that show a certificate.
type certifier interface {
	WithCertificate(tls.Certificate) *egress.Transport
}

// Forget closes the connections of a credential that is gone.
func (c *Certificates) Forget(id credentials.ID) { c.identities.forget(id) }
