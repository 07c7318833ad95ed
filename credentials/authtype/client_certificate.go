package authtype

import (
	"net/http"

	"keyflow/credentials"
)

// clientCertificate proves the client in the TLS handshake (RFC 8446 section 4.4.2). How
// servers are verified does not change.
func clientCertificate() Type {
	fields := certificateFields()
	for i := range fields {
		fields[i].Required, fields[i].Grants = true, false
	}
	return Type{
		Name:    credentials.TypeClientCertificate,
		Label:   "Client Certificate",
		Summary: "A certificate that the client shows in the TLS handshake (mTLS).",
		Fields:  fields,
		Check:   checkCertificate,
		Authenticate: func(*Values, *http.Request, Proof) ([]string, error) {
			return nil, nil // the connection carries it
		},
		Placement:   func(*Values) string { return "TLS client certificate" },
		Certificate: certificateOf,
	}
}
