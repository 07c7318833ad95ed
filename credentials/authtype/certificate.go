package authtype

import (
	"crypto/tls"
	"errors"
	"strings"

	"keyflow/credentials/internal/problem"
)

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

// trimTLS takes the package's name off an error of crypto/tls.
func trimTLS(text string) string { return strings.TrimPrefix(text, "tls: ") }
