package egress

import (
	"bufio"
	"context"
	"crypto/tls"
	"crypto/x509"
	"encoding/base64"
	"errors"
	"fmt"
	"net"
	"net/http"
	"net/netip"
	"net/url"
	"strings"
	"time"

	"keyflow/internal/fault"
)

// proxy is a forward proxy through which every connection goes. It is asked for tunnels
// (CONNECT, RFC 9110 section 9.3.6) to addresses, never to names: names are resolved and
// checked here, so that the address that was checked is the one that is reached.
type proxy struct {
	address       string // host:port
	host          string
	tls           *tls.Config // nil: plain
	authorization string      // "" for none
}

// newProxy reads the value of --egress-proxy; nil for none. The text may hold a password, so
// no error repeats it.
func newProxy(text string, roots *x509.CertPool) (*proxy, error) {
	if text == "" {
		return nil, nil
	}
	u, err := url.Parse(text)
	if err != nil || u.Scheme != "http" && u.Scheme != "https" || u.Hostname() == "" || strings.Trim(u.Path, "/") != "" || u.RawQuery != "" || u.Fragment != "" {
		return nil, fault.New(fault.Invalid, "--egress-proxy must look like http://proxy.example.com:3128 or https://proxy.example.com:3129")
	}
	p := &proxy{address: net.JoinHostPort(u.Hostname(), portOf(u)), host: u.Hostname()}
	if u.Scheme == "https" {
		p.tls = &tls.Config{ServerName: u.Hostname(), RootCAs: roots, MinVersion: tls.VersionTLS12}
	}
	if u.User != nil {
		password, _ := u.User.Password()
		p.authorization = "Basic " + base64.StdEncoding.EncodeToString([]byte(u.User.Username()+":"+password))
	}
	return p, nil
}

// proxyError is a proxy that did not open a tunnel.
type proxyError struct{ message string }

// Error implements error.
func (e *proxyError) Error() string { return e.message }

// dialThrough connects to the first address of a host that is allowed and that the proxy reaches.
func (g *guard) dialThrough(ctx context.Context, host, port string, named, pair bool) (net.Conn, error) {
	ctx, cancel := context.WithTimeout(ctx, connectTimeout+tlsTimeout)
	defer cancel()
	addresses, err := net.DefaultResolver.LookupNetIP(ctx, "ip", host)
	if err != nil {
		return nil, err
	}
	err = errRefused
	for _, address := range addresses {
		network := "tcp6"
		if address = address.Unmap(); address.Is4() {
			network = "tcp4"
		}
		target := net.JoinHostPort(address.String(), port)
		if _, bad := netip.ParseAddrPort(target); bad != nil || g.check(network, target, named, pair) != nil {
			continue
		}
		conn, tunnelErr := g.proxy.tunnel(ctx, target)
		if tunnelErr == nil {
			return conn, nil
		}
		err = tunnelErr
	}
	return nil, err
}

// tunnel opens a connection to target, an address and a port.
func (p *proxy) tunnel(ctx context.Context, target string) (net.Conn, error) {
	conn, err := (&net.Dialer{Timeout: connectTimeout, KeepAlive: 30 * time.Second}).DialContext(ctx, "tcp", p.address)
	if err != nil {
		return nil, &proxyError{"the egress proxy cannot be reached"}
	}
	if p.tls != nil {
		secured := tls.Client(conn, p.tls)
		if err := secured.HandshakeContext(ctx); err != nil {
			return nil, errors.Join(&proxyError{"the egress proxy cannot be trusted: TLS failed"}, conn.Close())
		}
		conn = secured
	}
	stop := context.AfterFunc(ctx, func() { _ = conn.SetDeadline(time.Unix(1, 0)) }) // ends the exchange below
	err = p.connect(conn, target)
	if !stop() && err == nil {
		err = ctx.Err()
	}
	if err != nil {
		return nil, errors.Join(err, conn.Close())
	}
	return conn, nil
}

// connect asks for the tunnel. Its request has no context: that of the dial traces the request
// that goes through the tunnel (see once), and the deadline of conn ends the exchange.
func (p *proxy) connect(conn net.Conn, target string) error {
	req := &http.Request{Method: http.MethodConnect, URL: &url.URL{Opaque: target}, Host: target, Header: http.Header{"User-Agent": {""}}}
	if p.authorization != "" {
		req.Header.Set("Proxy-Authorization", p.authorization)
	}
	if err := req.Write(conn); err != nil {
		return &proxyError{"the connection to the egress proxy broke"}
	}
	answer := bufio.NewReaderSize(conn, 16<<10)
	res, err := http.ReadResponse(answer, req) //nolint:bodyclose // an answer to CONNECT that matters has none, and the connection is closed after the others
	switch {
	case err != nil:
		return &proxyError{"the egress proxy gave no answer"}
	case res.StatusCode == http.StatusProxyAuthRequired:
		return &proxyError{"the egress proxy wants another user name or password (407)"}
	case res.StatusCode < 200 || res.StatusCode > 299:
		return &proxyError{fmt.Sprintf("the egress proxy opened no connection (%d)", res.StatusCode)}
	case answer.Buffered() > 0:
		return &proxyError{"the egress proxy sent more than an answer"}
	}
	return nil
}
