package outbound

import (
	"net/http"

	"keyflow/credentials/internal/decrypted"
)

// route returns what sends requests authenticated by o; nil is a redirect without authentication.
func (t *Transport) route(o *decrypted.Credential) (http.RoundTripper, error) {
	if o == nil || o.AuthType.Certificate == nil || o.Text("client_certificate") == "" {
		return t.Base, nil
	}
	if t.Draft {
		own, err := t.Resolver.Certificates.New(o)
		if own == nil || err != nil {
			return t.Base, err
		}
		return own.Fresh(), nil // nobody closes its connections later
	}
	own, err := t.Resolver.Certificates.For(o)
	switch {
	case own == nil || err != nil:
		return t.Base, err
	case t.Use.AtMostOnce:
		return own.Fresh(), nil
	default:
		return own, nil
	}
}
