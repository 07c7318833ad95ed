// Package egress is the only way out: the one HTTP transport of the program.
//
// It owns what may be dialled (docs/explanation/security.md, "Outbound"), how redirects lose
// authentication, the time and size limits of answers, and the errors of all of that,
// built here so that none shows a URL's query, a header or a body. The address that is
// checked is the address that is dialled: the check sits in the dialer's control hook,
// after name resolution. It knows nothing of credentials or nodes.
package egress

import (
	"context"
	"crypto/tls"
	"crypto/x509"
	"errors"
	"io"
	"log/slog"
	"net"
	"net/http"
	"net/netip"
	"strings"
	"sync"
	"time"
)

// Limits of one exchange (docs/explanation/security.md).
const (
	connectTimeout    = 10 * time.Second
	tlsTimeout        = 10 * time.Second
	maxResponseHeader = 1 << 20

	// silenceTimeout is how long an upstream may be silent: before its answer begins and between
	// two bytes of the body. See WithOwnTimeout.
	silenceTimeout = 30 * time.Second

	// DefaultMaxBytes bounds a decompressed answer body when the caller states no limit.
	DefaultMaxBytes = 10 << 20
)

// Options say what may be reached beyond public addresses.
type Options struct {
	// Allow lists CIDRs, addresses, host names, host:port pairs, or "private" for the
	// loopback and private ranges: the values of --egress-allow.
	Allow []string
	// Own returns the listening addresses of this process, which only an exact host:port
	// entry opens. It is called for each dial to one of their ports; nil is none.
	Own    func() []netip.AddrPort
	Logger *slog.Logger
	// Proxy is the URL of a forward proxy for all connections, "" for none. What may be reached
	// is checked here all the same.
	Proxy string
	// Roots are the authorities that servers are verified against; nil is the system's.
	Roots *x509.CertPool
}

// Transport dials only where the operator allows. It is safe for concurrent use and keeps
// connections alive; there is one per process and TLS identity.
type Transport struct {
	pooled  *http.Transport
	fresh   *http.Transport
	silence time.Duration // allowed before an answer and between two bytes of its body
}

var _ http.RoundTripper = (*Transport)(nil)

// New returns a transport, or an Invalid fault that names the entry of Allow it cannot read.
func New(o Options) (*Transport, error) {
	g, err := newGuard(o)
	if err != nil {
		return nil, err
	}
	pooled := &http.Transport{
		Proxy:                  nil, // proxy variables of the environment are ignored on purpose
		DialContext:            g.dial,
		TLSHandshakeTimeout:    tlsTimeout,
		MaxResponseHeaderBytes: maxResponseHeader,
		MaxIdleConns:           2048,
		MaxIdleConnsPerHost:    512, // the default of 2 halves the throughput at 64 concurrent calls
		IdleConnTimeout:        90 * time.Second,
		DisableCompression:     true, // see askForEncodings
		ForceAttemptHTTP2:      true,
		TLSClientConfig:        &tls.Config{RootCAs: o.Roots, MinVersion: tls.VersionTLS12},
	}
	fresh := pooled.Clone()
	fresh.DisableKeepAlives = true
	return &Transport{pooled: pooled, fresh: fresh, silence: silenceTimeout}, nil
}

// RoundTrip writes one request, once, to a pooled connection; every error is an *Error. The
// body of the answer is decoded from the encodings of acceptEncoding; any other is refused.
func (t *Transport) RoundTrip(req *http.Request) (*http.Response, error) {
	return t.exchange(t.pooled, req)
}

// WithCertificate returns a transport of its own, with its own connections, that presents
// certificate to servers that ask for one. Servers are verified as strictly as before.
func (t *Transport) WithCertificate(certificate tls.Certificate) *Transport {
	pooled := t.pooled.Clone()
	pooled.TLSClientConfig.Certificates = []tls.Certificate{certificate}
	fresh := pooled.Clone()
	fresh.DisableKeepAlives = true
	return &Transport{pooled: pooled, fresh: fresh, silence: t.silence}
}

// Fresh returns a round tripper that opens a new connection for each request: no request meets
// a kept connection that the upstream is about to close.
func (t *Transport) Fresh() http.RoundTripper { return freshTripper{t} }

// CloseIdleConnections closes the connections that no request uses.
func (t *Transport) CloseIdleConnections() {
	t.pooled.CloseIdleConnections()
	t.fresh.CloseIdleConnections()
}

type freshTripper struct{ transport *Transport }

// RoundTrip implements http.RoundTripper.
func (f freshTripper) RoundTrip(req *http.Request) (*http.Response, error) {
	return f.transport.exchange(f.transport.fresh, req)
}

func (t *Transport) exchange(rt *http.Transport, req *http.Request) (*http.Response, error) {
	if err := checkRequest(req); err != nil {
		closeBody(req)
		return nil, err
	}
	ctx, cancel := context.WithCancelCause(req.Context())
	out := req.WithContext(ctx)
	askForEncodings(out)
	silence := t.silence
	if HasOwnTimeout(ctx) {
		silence = 0
	}
	res, err := sendOnce(rt, out, silence, cancel)
	if err != nil {
		if errors.Is(context.Cause(ctx), errSilent) {
			err = errSilent
		}
		cancel(nil)
		return nil, classify(err, req)
	}
	res.Body = newIdleBody(res.Body, req, silence, cancel)
	if err := decodeContent(req, res); err != nil {
		err.Err = res.Body.Close()
		return nil, err
	}
	res.Request = req
	return res, nil
}

// maxClosed bounds how many closed connections one request may meet in the pool.
const maxClosed = 4

// sendOnce writes req at most once. A request that met a closed connection in the pool was not
// written; it goes on to another one. After the silence that is allowed the exchange ends with
// errSilent; 0 allows any.
func sendOnce(rt *http.Transport, req *http.Request, silence time.Duration, cancel context.CancelCauseFunc) (*http.Response, error) {
	for tries := 1; ; tries++ {
		o := once{cancel: cancel, silence: silence}
		res, err := rt.RoundTrip(req.WithContext(o.watch(req.Context())))
		o.answered()
		if err == nil || tries == maxClosed || !o.neverLeft(req.Context()) {
			return res, err
		}
		again, ok := rewound(req)
		if !ok {
			return nil, err
		}
		req = again
	}
}

func closeBody(req *http.Request) {
	if req.Body != nil {
		_ = req.Body.Close() // RoundTripper's contract; the request was never sent
	}
}

// checkRequest refuses what must not leave before anything is dialled.
func checkRequest(req *http.Request) *Error {
	u := req.URL
	bad := func(message string) *Error {
		return &Error{Phase: "url", Host: u.Hostname(), Code: CodeInvalidParam, Message: message}
	}
	switch {
	case u.Scheme != "http" && u.Scheme != "https":
		return bad("the URL must begin with http:// or https://")
	case u.Hostname() == "":
		return bad("the URL has no host")
	case u.User != nil:
		return bad("the URL holds a user name or password; store them as a credential")
	}
	for name, values := range req.Header {
		if hasControl(name) {
			return bad("a header name holds a line break or NUL")
		}
		for _, v := range values {
			if hasControl(v) {
				return bad("the value of header " + name + " holds a line break or NUL")
			}
		}
	}
	return nil
}

func hasControl(s string) bool { return strings.ContainsAny(s, "\r\n\x00") }

// idleBody ends the exchange when the upstream sends no byte for the idle time, if there is one.
type idleBody struct {
	body   io.ReadCloser
	req    *http.Request
	idle   time.Duration
	cancel context.CancelCauseFunc
	timer  *time.Timer
	once   sync.Once
}

func newIdleBody(body io.ReadCloser, req *http.Request, idle time.Duration, cancel context.CancelCauseFunc) *idleBody {
	b := &idleBody{body: body, req: req, idle: idle, cancel: cancel}
	if idle > 0 {
		b.timer = time.AfterFunc(idle, func() { cancel(errSilent) })
	}
	return b
}

// Read implements io.Reader; errors other than io.EOF are *Error.
func (b *idleBody) Read(p []byte) (int, error) {
	n, err := b.body.Read(p)
	switch {
	case err == nil && b.timer != nil:
		b.timer.Reset(b.idle)
	case err == nil:
	case err == io.EOF: //nolint:errorlint // io.Reader promises the bare value
		b.stop()
	default:
		err = classifyBody(err, b.req)
	}
	return n, err
}

// Close implements io.Closer.
func (b *idleBody) Close() error {
	b.once.Do(b.stop)
	err := b.body.Close()
	b.cancel(nil)
	return err
}

func (b *idleBody) stop() {
	if b.timer != nil {
		b.timer.Stop()
	}
}

// dialer is the net.Dialer of every connection; Control is set per dial.
func dialer(control func(network, address string) error) *net.Dialer {
	return &net.Dialer{
		Timeout: connectTimeout, KeepAlive: 30 * time.Second,
		ControlContext: controlFunc(control),
	}
}
