package egress_test

import (
	"crypto/x509"
	"fmt"
	"io"
	"net"
	"net/http"
	"net/http/httptest"
	"net/netip"
	"strings"
	"sync"
	"testing"

	"github.com/google/go-cmp/cmp"

	"keyflow/internal/egress"
	"keyflow/internal/fault"
)

// forward is a forward proxy that opens tunnels and notes what it was asked.
type forward struct {
	t      *testing.T
	status int // answered instead of a tunnel, when not 0

	mu    sync.Mutex
	asked []string // "target authorization"
}

func (f *forward) ServeHTTP(w http.ResponseWriter, r *http.Request) {
	f.mu.Lock()
	f.asked = append(f.asked, strings.TrimSpace(r.Method+" "+r.Host+" "+r.Header.Get("Proxy-Authorization")))
	f.mu.Unlock()
	if f.status != 0 {
		w.WriteHeader(f.status)
		return
	}
	upstream, err := net.Dial("tcp", r.Host)
	if err != nil {
		w.WriteHeader(http.StatusBadGateway)
		return
	}
	w.WriteHeader(http.StatusOK)
	conn, buffered, err := http.NewResponseController(w).Hijack()
	if err != nil {
		f.t.Error(err)
		return
	}
	go func() {
		defer upstream.Close()
		_, _ = io.Copy(upstream, buffered)
	}()
	defer conn.Close()
	_, _ = io.Copy(conn, upstream)
}

func (f *forward) requests() []string {
	f.mu.Lock()
	defer f.mu.Unlock()
	return append([]string(nil), f.asked...)
}

// proxied returns a transport whose connections go through f, by TLS when secure.
func proxied(t *testing.T, f *forward, secure bool, user string, allow ...string) *egress.Transport {
	t.Helper()
	f.t = t
	server := httptest.NewUnstartedServer(f)
	t.Cleanup(server.Close)
	scheme, roots := "http", x509.NewCertPool()
	if secure {
		server.StartTLS()
		scheme = "https"
		roots.AddCert(server.Certificate())
	} else {
		server.Start()
	}
	tr, err := egress.New(egress.Options{Allow: allow, Proxy: scheme + "://" + user + server.Listener.Addr().String(), Roots: roots})
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(tr.CloseIdleConnections)
	return tr
}

func TestProxy(t *testing.T) {
	t.Parallel()
	upstream := serve(t, func(w http.ResponseWriter, r *http.Request) {
		if r.Header.Get("Proxy-Authorization") != "" || r.URL.IsAbs() {
			t.Errorf("the upstream sees what is for the proxy: %s %v", r.RequestURI, r.Header)
		}
		fmt.Fprint(w, "ok")
	})
	address := upstream.Listener.Addr().String()
	_, port, _ := net.SplitHostPort(address)
	for name, tt := range map[string]struct {
		secure bool
		user   string
		url    string
		allow  string
		want   string
	}{
		"plain":                   {url: "http://" + address, allow: "127.0.0.0/8", want: "CONNECT " + address},
		"by TLS, with a password": {secure: true, user: "us%65r:p%40ss@", url: "http://" + address, allow: "127.0.0.1", want: "CONNECT " + address + " Basic dXNlcjpwQHNz"},
		"a name is an address":    {url: "http://localhost:" + port, allow: "localhost", want: "CONNECT " + address},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			f := &forward{}
			tr := proxied(t, f, tt.secure, tt.user, tt.allow)
			for range 2 { // the second uses the tunnel again
				if body, err := get(t, egress.NewClient(tr, egress.ClientOptions{}), tt.url); err != nil || body != "ok" {
					t.Fatalf("%q, %v", body, err)
				}
			}
			if diff := cmp.Diff([]string{tt.want}, f.requests()); diff != "" {
				t.Errorf("-want +got\n%s", diff)
			}
		})
	}
}

// TLS is spoken with the upstream through the tunnel: the proxy sees nothing and is not asked
// who the upstream is.
func TestProxyToTLS(t *testing.T) {
	t.Parallel()
	upstream := httptest.NewTLSServer(http.HandlerFunc(func(w http.ResponseWriter, _ *http.Request) { fmt.Fprint(w, "ok") }))
	t.Cleanup(upstream.Close)
	f := &forward{}
	tr := proxied(t, f, false, "", "private")
	_, err := get(t, egress.NewClient(tr, egress.ClientOptions{}), upstream.URL)
	if e, ok := egress.AsError(err); !ok || e.Phase != "tls" || len(f.requests()) != 1 {
		t.Errorf("got %v after %v", err, f.requests())
	}
}

// What may not be reached directly may not be reached through a proxy: it is not even asked.
func TestProxyIsNoWayAround(t *testing.T) {
	t.Parallel()
	f := &forward{}
	tr := proxied(t, f, false, "")
	redirecting := serve(t, func(w http.ResponseWriter, r *http.Request) {
		http.Redirect(w, r, "http://169.254.169.254/latest", http.StatusFound)
	})
	allowed := proxied(t, f, false, "", redirecting.Listener.Addr().String())
	own, err := egress.New(egress.Options{
		Allow: []string{"private"}, Proxy: "http://127.0.0.1:9", Own: func() []netip.AddrPort { return []netip.AddrPort{netip.MustParseAddrPort("127.0.0.1:8080")} },
	})
	if err != nil {
		t.Fatal(err)
	}
	for name, tt := range map[string]struct {
		transport *egress.Transport
		url       string
	}{
		"loopback": {tr, "http://127.0.0.1:9/"}, "private": {tr, "https://10.1.2.3/"}, "metadata": {tr, "http://169.254.169.254/"},
		"mapped": {tr, "http://[::ffff:127.0.0.1]:9/"}, "name": {tr, "http://localhost:9/"}, "redirect": {allowed, redirecting.URL},
		"own address": {own, "http://127.0.0.1:8080/"},
	} {
		_, err := get(t, egress.NewClient(tt.transport, egress.ClientOptions{MaxRedirects: 3}), tt.url)
		if e, ok := egress.AsError(err); !ok || e.Code != egress.CodeHostNotAllowed {
			t.Errorf("%s: got %v, want host_not_allowed", name, err)
		}
	}
	if got := f.requests(); len(got) != 1 || got[0] != "CONNECT "+redirecting.Listener.Addr().String() {
		t.Errorf("the proxy was asked for %v", got)
	}
}

func TestProxyFails(t *testing.T) {
	t.Parallel()
	const target = "http://127.0.0.1:9/?secret=canary"
	nowhere, err := egress.New(egress.Options{Allow: []string{"private"}, Proxy: "http://user:canary@127.0.0.1:1"})
	if err != nil {
		t.Fatal(err)
	}
	for name, tt := range map[string]struct {
		transport *egress.Transport
		want      string
	}{
		"unreachable": {nowhere, "127.0.0.1:9: the egress proxy cannot be reached"},
		"password":    {proxied(t, &forward{status: 407}, false, "user:canary@", "private"), "127.0.0.1:9: the egress proxy wants another user name or password (407)"},
		"refused":     {proxied(t, &forward{status: 403}, false, "user:canary@", "private"), "127.0.0.1:9: the egress proxy opened no connection (403)"},
		"target down": {proxied(t, &forward{}, false, "user:canary@", "private"), "127.0.0.1:9: the egress proxy opened no connection (502)"},
	} {
		_, err := get(t, egress.NewClient(tt.transport, egress.ClientOptions{}), target)
		if e, ok := egress.AsError(err); !ok || e.Error() != tt.want || e.Code != egress.CodeNetwork {
			t.Errorf("%s: got %v", name, err)
		}
	}
}

func TestBadProxy(t *testing.T) {
	t.Parallel()
	for _, text := range []string{"proxy:3128", "socks5://proxy", "http://", "http://proxy/path", "http://proxy?x=canary", "http://user:canary@pro xy", "::"} {
		_, err := egress.New(egress.Options{Proxy: text})
		if message := fault.Message(err); !fault.Is(err, fault.Invalid) || strings.ContainsAny(message, "@") || strings.Contains(message, "canary") || !strings.HasPrefix(message, "--egress-proxy must look like") {
			t.Errorf("%q: %v", text, err)
		}
	}
}
