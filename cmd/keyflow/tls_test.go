package main

import (
	"crypto/ecdsa"
	"crypto/elliptic"
	"crypto/rand"
	"crypto/tls"
	"crypto/x509"
	"encoding/pem"
	"io"
	"math/big"
	"net"
	"net/http"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"
)

// writeCertificate puts a new certificate for this machine, with a serial number, and its key
// into files.
func writeCertificate(t *testing.T, certFile, keyFile string, serial int64) {
	t.Helper()
	key, err := ecdsa.GenerateKey(elliptic.P256(), rand.Reader)
	if err != nil {
		t.Fatal(err)
	}
	template := &x509.Certificate{SerialNumber: big.NewInt(serial), NotBefore: time.Now().Add(-time.Hour), NotAfter: time.Now().Add(time.Hour), IPAddresses: []net.IP{net.IPv4(127, 0, 0, 1)}}
	cert, err := x509.CreateCertificate(rand.Reader, template, template, key.Public(), key)
	if err != nil {
		t.Fatal(err)
	}
	private, err := x509.MarshalPKCS8PrivateKey(key)
	if err != nil {
		t.Fatal(err)
	}
	for file, block := range map[string]*pem.Block{certFile: {Type: "CERTIFICATE", Bytes: cert}, keyFile: {Type: "PRIVATE KEY", Bytes: private}} {
		if err := os.WriteFile(file, pem.EncodeToMemory(block), 0o600); err != nil {
			t.Fatal(err)
		}
	}
}

// F34: the certificate is replaced while the server runs, with a broken pair in between. New
// connections see the new one, and an open one stays.
func TestServeTLS(t *testing.T) {
	t.Parallel()
	dir := t.TempDir()
	certFile, keyFile := filepath.Join(dir, "cert.pem"), filepath.Join(dir, "key.pem")
	writeCertificate(t, certFile, keyFile, 1)
	s := serveWith(t, "", []string{"KEYFLOW_ADMIN_PASSWORD=" + operatorPassword, "KEYFLOW_TLS_CERT=" + certFile}, "--tls-key", keyFile)
	if !strings.HasPrefix(s.url, "https://127.0.0.1:") {
		t.Fatalf("listening on %s", s.url)
	}
	newClient := func(c *tls.Config) *http.Client {
		c.InsecureSkipVerify = true // the serial number is looked at
		transport := &http.Transport{TLSClientConfig: c, ForceAttemptHTTP2: true}
		t.Cleanup(transport.CloseIdleConnections)
		return &http.Client{Transport: transport}
	}
	get := func(c *http.Client) int64 {
		t.Helper()
		res, err := c.Get(s.url + "/healthz")
		if err != nil {
			t.Fatal(err)
		}
		defer res.Body.Close()
		if _, err := io.Copy(io.Discard, res.Body); err != nil || res.StatusCode != http.StatusOK {
			t.Fatalf("%d, %v", res.StatusCode, err)
		}
		return res.TLS.PeerCertificates[0].SerialNumber.Int64()
	}
	open := newClient(&tls.Config{})
	if serial := get(open); serial != 1 {
		t.Fatalf("serial number %d", serial)
	}
	if _, err := newClient(&tls.Config{MaxVersion: tls.VersionTLS11, MinVersion: tls.VersionTLS10}).Get(s.url); err == nil { // an old client
		t.Error("TLS 1.1 was taken")
	}
	if err := os.WriteFile(certFile, []byte("half of a"), 0o600); err != nil {
		t.Fatal(err)
	}
	eventually(t, "a warning of the broken pair", func() bool {
		get(newClient(&tls.Config{}))
		return strings.Contains(s.stderr.String(), "the new TLS certificate cannot be used; the former one stays")
	})
	writeCertificate(t, certFile, keyFile, 2)
	eventually(t, "the new certificate", func() bool { return get(newClient(&tls.Config{})) == 2 })
	if serial := get(open); serial != 1 {
		t.Errorf("the open connection was not used again: serial number %d", serial)
	}

	res, err := open.Post(s.url+"/api/v1/session", "application/json", strings.NewReader(`{"username": "admin", "password": "`+operatorPassword+`"}`))
	if err != nil {
		t.Fatal(err)
	}
	defer res.Body.Close()
	if cookies := res.Cookies(); res.StatusCode >= 300 || len(cookies) != 1 || !cookies[0].Secure || res.Header.Get("Strict-Transport-Security") == "" {
		t.Errorf("%d %v %v", res.StatusCode, cookies, res.Header)
	}
	plain, err := http.Get(strings.Replace(s.url, "https", "http", 1) + "/healthz")
	if err != nil {
		t.Fatal(err)
	}
	defer plain.Body.Close()
	if plain.StatusCode != http.StatusBadRequest {
		t.Errorf("plain HTTP: %d", plain.StatusCode)
	}
	if code := s.stop(); code != exitOK {
		t.Errorf("exit code %d: %s", code, s.stderr)
	}
}

// A server that cannot be trusted is another thing than none.
func TestClientNamesTheCertificate(t *testing.T) {
	t.Parallel()
	dir := t.TempDir()
	certFile, keyFile := filepath.Join(dir, "cert.pem"), filepath.Join(dir, "key.pem")
	writeCertificate(t, certFile, keyFile, 1)
	s := serve(t, "", "--tls-cert", certFile, "--tls-key", keyFile)
	if r := keyflow(t, s.env(), "health"); r.code != exitUnreachable || !strings.Contains(r.stderr, "the certificate of "+s.url+" (KEYFLOW_URL) is not trusted: ") || !strings.Contains(r.stderr, "SSL_CERT_FILE") {
		t.Errorf("not trusted: %d %s", r.code, r.stderr)
	}
	if r := keyflow(t, append(s.env(), "SSL_CERT_FILE="+certFile), "health"); r.code != exitOK {
		t.Errorf("trusted: %d %s", r.code, r.stderr)
	}
	bare := serve(t, "")
	if r := keyflow(t, []string{"KEYFLOW_URL=" + strings.Replace(bare.url, "http", "https", 1)}, "health"); r.code != exitUnreachable || !strings.Contains(r.stderr, "does not speak TLS") {
		t.Errorf("no TLS: %d %s", r.code, r.stderr)
	}
}

func TestServeFlagsThatDoNotFit(t *testing.T) {
	t.Parallel()
	dir := t.TempDir()
	certFile, keyFile, other := filepath.Join(dir, "cert.pem"), filepath.Join(dir, "key.pem"), filepath.Join(dir, "other.pem")
	writeCertificate(t, filepath.Join(dir, "unused.pem"), other, 1)
	writeCertificate(t, certFile, keyFile, 1)
	for name, tt := range map[string]struct {
		args []string
		want string
	}{
		"certificate alone":  {[]string{"--tls-cert", certFile}, "--tls-cert and --tls-key belong together: give both or none"},
		"key alone":          {[]string{"--tls-key", keyFile}, "--tls-cert and --tls-key belong together: give both or none"},
		"no certificate":     {[]string{"--tls-cert", dir + "/none.pem", "--tls-key", keyFile}, "--tls-cert: stat " + dir + "/none.pem: no such file or directory"},
		"another's key":      {[]string{"--tls-cert", certFile, "--tls-key", other}, "are not a certificate and its key in PEM: tls: private key does not match public key"},
		"public URL":         {[]string{"--tls-cert", certFile, "--tls-key", keyFile, "--public-url", "http://flow.example.com"}, "write https://flow.example.com"},
		"too large outputs":  {[]string{"--max-output", "11MiB"}, "--max-output must be between 1KiB and 10MiB"},
		"too small outputs":  {[]string{"--max-output", "1"}, "--max-output must be between 1KiB and 10MiB"},
		"no outputs":         {[]string{"--max-output", "0"}, "--max-output must be between 1KiB and 10MiB"},
		"no size":            {[]string{"--max-output", "2 MB"}, `"2 MB" is not a size such as 2097152, 512KiB or 2MiB`},
		"proxy":              {[]string{"--egress-proxy", "proxy:3128"}, "--egress-proxy must look like http://proxy.example.com:3128"},
		"a negative number":  {[]string{"--keep-runs", "-1"}, "--keep-runs must not be negative; 0 keeps all"},
		"a negative age":     {[]string{"--keep-runs-for", "-1h"}, "--keep-runs-for"},
		"an age in words":    {[]string{"--keep-runs-for", "a year"}, `"a year" is not a duration`},
		"a number in words":  {[]string{"--keep-runs", "many"}, "--keep-runs"},
		"an unreadable file": {[]string{"--tls-cert", certFile, "--tls-key", certFile}, "are not a certificate and its key in PEM"},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			data := filepath.Join(t.TempDir(), "data")
			r := keyflow(t, nil, append([]string{"serve", "--listen", "127.0.0.1:0", "--data-dir", data}, tt.args...)...)
			if r.code != exitUsage || !strings.Contains(r.stderr, tt.want) {
				t.Errorf("%d %s", r.code, r.stderr)
			}
			if _, err := os.Stat(data); !os.IsNotExist(err) {
				t.Errorf("something was written: %v", err)
			}
		})
	}
}
