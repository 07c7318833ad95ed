package authtype

import (
	"crypto/tls"
	"errors"
	"net/http"
	"strings"

	"keyflow/credentials"
	"keyflow/credentials/internal/problem"
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

// certificateFields are shared by the types that may show a client certificate.
func certificateFields() []Field {
	return []Field{
		{
			Name: "client_certificate", Label: "Client certificate", Kind: KindLines, Grants: true,
			Help: "In PEM form, followed by the certificates between it and the authority, if any.",
		},
		{
			Name: "client_key", Label: "Private key", Kind: KindLines, Secret: true, Grants: true,
			Help: "In PEM form, without a pass phrase.",
		},
	}
}

func checkCertificate(v *Values) []Issue {
	if v.Text("client_certificate") == "" {
		return nil
	}
	if strings.Contains(v.Text("client_certificate"), "PRIVATE KEY") {
		return []Issue{{"client_certificate", problem.InvalidValue, "is shown to everyone who may see the credential, and this holds a private key: enter it as private key"}}
	}
	if v.Refs["client_key"] != "" && v.Text("client_key") == "" {
		return nil // known when it is used
	}
	if v.Text("client_key") == "" {
		return []Issue{{"client_key", problem.Required, "is required with a client certificate"}}
	}
	if _, err := certificateOf(v); err != nil {
		// Errors of crypto/tls name what is wrong and hold nothing of the key.
		return []Issue{{"client_certificate", problem.InvalidValue, "and the private key do not make a pair in PEM form: " + err.Error()}}
	}
	return nil
}

// certificateOf returns what TLS servers are shown; nil when the credential has none.
func certificateOf(v *Values) (*tls.Certificate, error) {
	text := v.Text("client_certificate")
	if text == "" {
		return nil, nil
	}
	pair, err := tls.X509KeyPair([]byte(text), []byte(v.Text("client_key")))
	if err != nil {
		return nil, errors.New(trimTLS(err.Error()))
	}
	return &pair, nil
}

// trimTLS takes the package's name off an error of crypto/tls.
func trimTLS(text string) string { return strings.TrimPrefix(text, "tls: ") }
