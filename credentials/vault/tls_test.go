package vault_test

import (
	"crypto"
	"crypto/ecdsa"
	"crypto/elliptic"
	"crypto/rand"
	"crypto/rsa"
	"crypto/tls"
	"crypto/x509"
	"crypto/x509/pkix"
	"encoding/pem"
	"fmt"
	"math/big"
	"net"
	"net/http"
	"net/http/httptest"
	"net/url"
	"strings"
	"sync"
	"testing"
	"time"

	"keyflow/credentials"
	"keyflow/credentials/oauth/oauthtest"
	"keyflow/internal/egress"
	"keyflow/internal/fault"
)

// pair is a certificate with its key, in PEM form.
type pair struct{ certificate, key string }

// newPair makes a certificate of its own authority for a client.
func newPair(t *testing.T, name string) (pair, *x509.Certificate) {
	t.Helper()
	key, err := ecdsa.GenerateKey(elliptic.P256(), rand.Reader)
	if err != nil {
		t.Fatal(err)
	}
	template := &x509.Certificate{
		SerialNumber: big.NewInt(time.Now().UnixNano()), Subject: pkix.Name{CommonName: name},
		NotBefore: time.Now().Add(-time.Hour), NotAfter: time.Now().Add(time.Hour),
		KeyUsage: x509.KeyUsageDigitalSignature | x509.KeyUsageCertSign, IsCA: true, BasicConstraintsValid: true,
		ExtKeyUsage: []x509.ExtKeyUsage{x509.ExtKeyUsageClientAuth},
	}
	der, err := x509.CreateCertificate(rand.Reader, template, template, key.Public(), key)
	if err != nil {
		t.Fatal(err)
	}
	parsed, err := x509.ParseCertificate(der)
	if err != nil {
		t.Fatal(err)
	}
	return pair{string(pem.EncodeToMemory(&pem.Block{Type: "CERTIFICATE", Bytes: der})), privatePEM(t, key)}, parsed
}

func privatePEM(t *testing.T, key any) string {
	t.Helper()
	der, err := x509.MarshalPKCS8PrivateKey(key)
	if err != nil {
		t.Fatal(err)
	}
	return string(pem.EncodeToMemory(&pem.Block{Type: "PRIVATE KEY", Bytes: der}))
}

func publicPEM(t *testing.T, key crypto.PublicKey) string {
	t.Helper()
	der, err := x509.MarshalPKIXPublicKey(key)
	if err != nil {
		t.Fatal(err)
	}
	return string(pem.EncodeToMemory(&pem.Block{Type: "PUBLIC KEY", Bytes: der}))
}

// mutual is a server that lets clients in by certificate. It answers the client's name and
// counts connections.
type mutual struct {
	*httptest.Server
	host  string
	mu    sync.Mutex
	conns int
}

func serveMutual(t *testing.T, known *x509.CertPool, auth tls.ClientAuthType) *mutual {
	t.Helper()
	m := &mutual{}
	m.Server = httptest.NewUnstartedServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		name := "nobody"
		if len(r.TLS.PeerCertificates) > 0 {
			name = r.TLS.PeerCertificates[0].Subject.CommonName
		}
		_, _ = fmt.Fprint(w, name+" "+r.Header.Get("Authorization"))
	}))
	m.Config.ConnState = func(_ net.Conn, state http.ConnState) {
		if state == http.StateNew {
			m.mu.Lock()
			m.conns++
			m.mu.Unlock()
		}
	}
	m.TLS = &tls.Config{ClientCAs: known, ClientAuth: auth}
	m.StartTLS()
	t.Cleanup(m.Close)
	m.host = strings.TrimPrefix(m.URL, "https://")
	return m
}

func (m *mutual) connections() int {
	m.mu.Lock()
	defer m.mu.Unlock()
	return m.conns
}

// trusting is a network whose transport knows the servers' authority.
func trusting(t *testing.T, servers ...*httptest.Server) *network {
	t.Helper()
	roots := x509.NewCertPool()
	for _, s := range servers {
		roots.AddCert(s.Certificate())
	}
	transport, err := egress.New(egress.Options{Allow: []string{"127.0.0.0/8"}, Roots: roots})
	if err != nil {
		t.Fatal(err)
	}
	return onlineBy(t, transport)
}

func certificate(id, host string, p pair) string {
	return fmt.Sprintf(`{"id": %q, "type": "client_certificate", "allowed_hosts": [%q], "fields": {"client_certificate": %q, "client_key": %q}}`, id, host, p.certificate, p.key)
}

func TestClientCertificate(t *testing.T) {
	t.Parallel()
	acme, acmeCA := newPair(t, "acme")
	other, otherCA := newPair(t, "other")
	stranger, _ := newPair(t, "stranger")
	known := x509.NewCertPool()
	known.AddCert(acmeCA)
	known.AddCert(otherCA)
	up := serveMutual(t, known, tls.RequireAndVerifyClientCert)
	n := trusting(t, up.Server)
	for id, p := range map[string]pair{"acme": acme, "other": other, "stranger": stranger} {
		n.create(t, certificate(id, up.host, p))
	}
	for range 3 {
		if got := mustGet(t, n, "acme", up.URL).body; got != "acme " {
			t.Fatalf("shown as %q", got)
		}
		// A connection of one identity never serves another.
		if got := mustGet(t, n, "other", up.URL).body; got != "other " {
			t.Fatalf("shown as %q", got)
		}
	}
	if got := up.connections(); got != 2 {
		t.Errorf("%d connections for two identities", got)
	}
	if _, err := n.get(t, "stranger", up.URL); egressCode(err) != egress.CodeNetwork {
		t.Errorf("unknown certificate: %v", err)
	}
	if _, err := call(t, n.client(t, credentials.Use{}), http.MethodGet, up.URL, ""); egressCode(err) != egress.CodeNetwork {
		t.Errorf("without credential: %v", err)
	}
	// P1: the next request after an edit shows the new certificate, though connections are open.
	n.patch(t, "acme", fmt.Sprintf(`{"fields": {"client_certificate": %q, "client_key": %q}}`, other.certificate, other.key))
	if got := mustGet(t, n, "acme", up.URL).body; got != "other " {
		t.Errorf("after the edit shown as %q", got)
	}
	if got, err := call(t, n.client(t, credentials.Use{ID: "acme", AtMostOnce: true}), http.MethodPost, up.URL, "{}"); err != nil || got.body != "other " {
		t.Errorf("at most once: %q, %v", got.body, err)
	}
	if r, err := n.Test(t.Context(), admin, "acme"); err != nil || r.OK {
		t.Errorf("test without URL: %+v, %v", r, err)
	}
	n.patch(t, "acme", fmt.Sprintf(`{"test_url": %q}`, up.URL))
	if r, err := n.Test(t.Context(), admin, "acme"); err != nil || !r.OK || r.Status != credentials.OK {
		t.Errorf("test: %+v, %v", r, err)
	}
	if r, err := n.TestInput(t.Context(), admin, input(t, strings.Replace(certificate("new", up.host, acme), `"fields"`, fmt.Sprintf(`"test_url": %q, "fields"`, up.URL), 1))); err != nil || !r.OK {
		t.Errorf("test of unsaved values: %+v, %v", r, err)
	}
}

func egressCode(err error) string {
	e, ok := egress.AsError(err)
	if !ok {
		return ""
	}
	return e.Code
}

// A client certificate changes nothing about how the server is verified.
func TestClientCertificateVerifiesTheServer(t *testing.T) {
	t.Parallel()
	acme, ca := newPair(t, "acme")
	known := x509.NewCertPool()
	known.AddCert(ca)
	up := serveMutual(t, known, tls.RequireAndVerifyClientCert)
	n := online(t) // knows the authorities of the machine only
	n.create(t, certificate("acme", up.host, acme))
	_, err := n.get(t, "acme", up.URL)
	if e, ok := egress.AsError(err); !ok || e.Phase != "tls" {
		t.Errorf("a server of an unknown authority: %v", err)
	}
	if up.connections() == 0 {
		t.Error("the server was not asked")
	}
}

// A certificate goes to allowed hosts only, across redirects too.
func TestClientCertificateStopsAtAllowedHosts(t *testing.T) {
	t.Parallel()
	acme, ca := newPair(t, "acme")
	known := x509.NewCertPool()
	known.AddCert(ca)
	elsewhere := serveMutual(t, known, tls.RequestClientCert)
	up := httptest.NewTLSServer(http.RedirectHandler(elsewhere.URL, http.StatusFound))
	t.Cleanup(up.Close)
	n := trusting(t, up, elsewhere.Server)
	n.create(t, certificate("acme", strings.TrimPrefix(up.URL, "https://"), acme))
	got, err := call(t, n.client(t, credentials.Use{ID: "acme", MaxRedirects: 3}), http.MethodGet, up.URL, "")
	if err != nil || got.body != "nobody " {
		t.Errorf("the other host saw %q, %v", got.body, err)
	}
}

// RFC 8705: the certificate is the client's proof at the token endpoint and at the API.
func TestOAuthWithClientCertificate(t *testing.T) {
	t.Parallel()
	acme, ca := newPair(t, "acme")
	known := x509.NewCertPool()
	known.AddCert(ca)
	var mu sync.Mutex
	var seen url.Values
	token := httptest.NewUnstartedServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		_ = r.ParseForm()
		mu.Lock()
		defer mu.Unlock()
		seen = r.PostForm
		_, _ = fmt.Fprintf(w, `{"access_token": "token-of-%s", "expires_in": 3600}`, r.TLS.PeerCertificates[0].Subject.CommonName)
	}))
	token.TLS = &tls.Config{ClientCAs: known, ClientAuth: tls.RequireAndVerifyClientCert}
	token.StartTLS()
	t.Cleanup(token.Close)
	up := serveMutual(t, known, tls.RequireAndVerifyClientCert)
	n := trusting(t, token, up.Server)
	n.create(t, fmt.Sprintf(`{"id": "adp", "type": "oauth2", "allowed_hosts": [%q], "fields": {"grant_type": "client_credentials", "access_token_url": %q,
		"client_id": "c1", "client_authentication": "none", "client_certificate": %q, "client_key": %q}}`, up.host, token.URL, acme.certificate, acme.key))
	if got := mustGet(t, n, "adp", up.URL).body; got != "acme ***" { // it echoes the token
		t.Errorf("got %q", got)
	}
	mu.Lock()
	defer mu.Unlock()
	if seen.Get("client_id") != "c1" || seen.Has("client_secret") {
		t.Errorf("token request %v", seen)
	}
}

func TestPrivateKeyJWT(t *testing.T) {
	t.Parallel()
	rsaKey, err := rsa.GenerateKey(rand.Reader, 2048)
	if err != nil {
		t.Fatal(err)
	}
	ecKey, err := ecdsa.GenerateKey(elliptic.P256(), rand.Reader)
	if err != nil {
		t.Fatal(err)
	}
	wrong, err := rsa.GenerateKey(rand.Reader, 2048)
	if err != nil {
		t.Fatal(err)
	}
	for _, algorithm := range []string{"RS256", "PS256", "ES256"} {
		t.Run(algorithm, func(t *testing.T) {
			t.Parallel()
			var key crypto.Signer = rsaKey
			if algorithm == "ES256" {
				key = ecKey
			}
			p := oauthtest.New(t, oauthtest.Options{ClientKey: key.Public(), KeyAlgorithm: algorithm})
			n := online(t)
			u, _ := url.Parse(p.URL)
			n.create(t, fmt.Sprintf(`{"id": "okta", "type": "oauth2", "allowed_hosts": [%q], "fields": {"grant_type": "client_credentials", "access_token_url": %q,
				"client_id": %q, "client_authentication": "private_key_jwt", "assertion_algorithm": %q, "assertion_key_id": "key-1", "client_key": %q, "scope": "read"}}`,
				u.Host, p.TokenURL, p.ClientID, algorithm, privatePEM(t, key)))
			for range 2 { // each request has an assertion of its own: the provider accepts none twice
				if got := mustGet(t, n, "okta", p.ResourceURL); got.status != http.StatusOK {
					t.Fatalf("resource answered %d %s", got.status, got.body)
				}
				p.RevokeAccess()
			}
			form := p.TokenRequests()[0].Form
			if form["client_assertion_type"][0] != "urn:ietf:params:oauth:client-assertion-type:jwt-bearer" || form["client_secret"] != nil {
				t.Errorf("token request %v", form)
			}
			if algorithm == "ES256" {
				return
			}
			n.patch(t, "okta", fmt.Sprintf(`{"fields": {"client_key": %q}}`, privatePEM(t, wrong)))
			_, err := n.get(t, "okta", p.ResourceURL)
			refusal(t, err, credentials.CodeRefused)
			r, err := n.Test(t.Context(), admin, "okta")
			if err != nil || r.OK || strings.Contains(string(r.Trace), "eyJ") {
				t.Errorf("test %v %s, %v", r.OK, r.Trace, err)
			}
		})
	}
}

func TestCertificateProblems(t *testing.T) {
	t.Parallel()
	n := online(t)
	acme, _ := newPair(t, "acme")
	other, _ := newPair(t, "other")
	const typ = `"type": "client_certificate", "allowed_hosts": ["a.example"]`
	tests := map[string]struct {
		fields map[string]any
		want   string
	}{
		"nothing":                {nil, "/fields/client_certificate required: is required\n/fields/client_key required: is required"},
		"of two pairs":           {map[string]any{"client_certificate": acme.certificate, "client_key": other.key}, "/fields/client_certificate invalid_value: and the private key do not make a pair in PEM form: private key does not match public key"},
		"no PEM":                 {map[string]any{"client_certificate": "MIIB", "client_key": other.key}, "/fields/client_certificate invalid_value: and the private key do not make a pair in PEM form: failed to find any PEM data in certificate input"},
		"key in the certificate": {map[string]any{"client_certificate": acme.certificate + acme.key, "client_key": acme.key}, "/fields/client_certificate invalid_value: is shown to everyone who may see the credential, and this holds a private key: enter it as private key"},
	}
	for name, tt := range tests {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			_, err := n.Create(t.Context(), admin, input(t, fmt.Sprintf(`{"id": "x", %s, "fields": %s}`, typ, quoted(t, tt.fields))))
			if got := strings.Join(problemLines(err), "\n"); got != tt.want || !fault.Is(err, fault.Invalid) {
				t.Errorf("got\n%s\nwant\n%s", got, tt.want)
			}
			if err != nil && strings.Contains(err.Error(), acme.key[40:60]) {
				t.Error("the error shows the key")
			}
		})
	}
}
