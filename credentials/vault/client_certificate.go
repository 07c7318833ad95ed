package vault

import (
	"crypto/tls"
	"errors"
	"net/http"
	"strings"

	"keyflow/credentials"
)

// clientCertificate proves the client in the TLS handshake (RFC 8446 section 4.4.2). How
// servers are verified does not change.
func clientCertificate() Type {
	fields := certificateFields()
	for i := range fields {
		fields[i].Required, fields[i].grants = true, false
	}
	return Type{
		Name:    credentials.TypeClientCertificate,
		Label:   "Client Certificate",
		Summary: "A certificate that the client shows in the TLS handshake (mTLS).",
		Fields:  fields,
		check:   checkCertificate,
		authenticate: func(*values, *http.Request, proof) ([]string, error) {
			return nil, nil // the connection carries it
		},
		placement:   func(*values) string { return "TLS client certificate" },
		certificate: certificateOf,
	}
}

// certificateFields are shared by the types that may show a client certificate.
func certificateFields() []Field {
	return []Field{
		{
			Name: "client_certificate", Label: "Client certificate", Kind: KindLines, grants: true,
			Help: "In PEM form, followed by the certificates between it and the authority, if any.",
		},
		{
			Name: "client_key", Label: "Private key", Kind: KindLines, Secret: true, grants: true,
			Help: "In PEM form, without a pass phrase.",
		},
	}
}

func checkCertificate(o *values) []issue {
	if o.text("client_certificate") == "" {
		return nil
	}
	if strings.Contains(o.text("client_certificate"), "PRIVATE KEY") {
		return []issue{{"client_certificate", codeInvalidValue, "is shown to everyone who may see the credential, and this holds a private key: enter it as private key"}}
	}
	if o.refs["client_key"] != "" && o.text("client_key") == "" {
		return nil // known when it is used
	}
	if o.text("client_key") == "" {
		return []issue{{"client_key", codeRequired, "is required with a client certificate"}}
	}
	if _, err := certificateOf(o); err != nil {
		// Errors of crypto/tls name what is wrong and hold nothing of the key.
		return []issue{{"client_certificate", codeInvalidValue, "and the private key do not make a pair in PEM form: " + err.Error()}}
	}
	return nil
}

// certificateOf returns what TLS servers are shown; nil when the credential has none.
func certificateOf(o *values) (*tls.Certificate, error) {
	text := o.text("client_certificate")
	if text == "" {
		return nil, nil
	}
	pair, err := tls.X509KeyPair([]byte(text), []byte(o.text("client_key")))
	if err != nil {
		return nil, errors.New(trimTLS(err.Error()))
	}
	return &pair, nil
}

// trimTLS takes the package's name off an error of crypto/tls.
func trimTLS(text string) string { return strings.TrimPrefix(text, "tls: ") }
