package egress_test

import (
	"compress/gzip"
	"context"
	"errors"
	"fmt"
	"io"
	"net"
	"net/http"
	"net/http/httptest"
	"net/netip"
	"net/url"
	"strings"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"

	"keyflow/internal/egress"
	"keyflow/internal/fault"
)

func transport(t *testing.T, allow ...string) *egress.Transport {
	t.Helper()
	tr, err := egress.New(egress.Options{Allow: allow})
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(tr.CloseIdleConnections)
	return tr
}

func get(t *testing.T, c *http.Client, target string) (string, error) {
	t.Helper()
	req, err := http.NewRequestWithContext(t.Context(), http.MethodGet, target, nil)
	if err != nil {
		t.Fatal(err)
	}
	res, err := c.Do(req)
	if err != nil {
		return "", err
	}
	defer res.Body.Close()
	body, err := io.ReadAll(res.Body)
	return string(body), err
}

func serve(t *testing.T, h http.HandlerFunc) *httptest.Server {
	t.Helper()
	s := httptest.NewServer(h)
	t.Cleanup(s.Close)
	return s
}

func TestRefusedTargets(t *testing.T) {
	t.Parallel()
	tr := transport(t)
	for _, host := range []string{
		"127.0.0.1", "127.0.0.2", "0.0.0.0", "[::]", "[::1]", "[0:0:0:0:0:ffff:127.0.0.1]", "[::ffff:7f00:1]", "[::127.0.0.1]",
		"localhost", "LOCALHOST", "10.1.2.3", "172.16.0.1", "192.168.1.1", "100.64.0.1", "169.254.1.1",
		"[fc00::1]", "[fec0::1]", "169.254.169.254", "169.254.170.2", "[fd00:ec2::254]", "100.100.100.200", "192.0.0.192",
		"168.63.129.16", "[64:ff9b::7f00:1]", "[2002:7f00:1::]", "[2001::1]", "192.0.2.1", "198.18.0.1", "198.51.100.1",
		"203.0.113.1", "224.0.0.1", "240.0.0.1", "255.255.255.255", "[ff02::1]", "[2001:db8::1]", "[3fff::1]",
	} {
		t.Run(host, func(t *testing.T) {
			t.Parallel()
			_, err := get(t, egress.NewClient(tr, egress.ClientOptions{}), "http://"+host+":9/?secret=canary")
			e, ok := egress.AsError(err)
			if !ok || e.Code != egress.CodeHostNotAllowed || !strings.Contains(e.Message, "--egress-allow") {
				t.Fatalf("got %v, want host_not_allowed that names the flag", err)
			}
			if strings.Contains(e.Error(), "canary") {
				t.Errorf("the error shows the query: %v", e)
			}
		})
	}
}

func TestAllowEntries(t *testing.T) {
	t.Parallel()
	upstream := serve(t, func(w http.ResponseWriter, _ *http.Request) { fmt.Fprint(w, "ok") })
	_, port, err := net.SplitHostPort(upstream.Listener.Addr().String())
	if err != nil {
		t.Fatal(err)
	}
	own := []netip.AddrPort{netip.MustParseAddrPort("0.0.0.0:" + port)}
	tests := map[string]struct {
		allow []string
		own   []netip.AddrPort
		host  string
		want  bool
	}{
		"cidr":                         {allow: []string{"127.0.0.0/8"}, host: "127.0.0.1", want: true},
		"address":                      {allow: []string{"127.0.0.1"}, host: "127.0.0.1", want: true},
		"private":                      {allow: []string{"private"}, host: "127.0.0.1", want: true},
		"name":                         {allow: []string{"LocalHost"}, host: "localhost", want: true},
		"name does not open address":   {allow: []string{"localhost"}, host: "127.0.0.1", want: false},
		"pair":                         {allow: []string{"127.0.0.1:" + port}, host: "127.0.0.1", want: true},
		"pair with other port":         {allow: []string{"127.0.0.1:1"}, host: "127.0.0.1", want: false},
		"other cidr":                   {allow: []string{"10.0.0.0/8"}, host: "127.0.0.1", want: false},
		"own address despite private":  {allow: []string{"private"}, own: own, host: "127.0.0.1", want: false},
		"own address despite name":     {allow: []string{"localhost"}, own: own, host: "localhost", want: false},
		"own address by 0.0.0.0":       {allow: []string{"0.0.0.0/0"}, own: own, host: "0.0.0.0", want: false},
		"another by 0.0.0.0":           {allow: []string{"0.0.0.0/0"}, host: "0.0.0.0", want: true},
		"own address by exact entry":   {allow: []string{"127.0.0.1:" + port}, own: own, host: "127.0.0.1", want: true},
		"own address, entry with name": {allow: []string{"localhost:" + port}, own: own, host: "localhost", want: true},
	}
	for name, tt := range tests {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			tr, err := egress.New(egress.Options{Allow: tt.allow, Own: func() []netip.AddrPort { return tt.own }})
			if err != nil {
				t.Fatal(err)
			}
			t.Cleanup(tr.CloseIdleConnections)
			body, err := get(t, egress.NewClient(tr, egress.ClientOptions{}), "http://"+net.JoinHostPort(tt.host, port))
			if got := err == nil && body == "ok"; got != tt.want {
				t.Errorf("reached: %v, want %v (%v)", got, tt.want, err)
			}
		})
	}
}

func TestBadAllowEntryIsNamed(t *testing.T) {
	t.Parallel()
	for _, entry := range []string{"10.0.0.0/99", "a b", "host:notaport", "user@host", ":80"} {
		_, err := egress.New(egress.Options{Allow: []string{entry}})
		want := fmt.Sprintf("--egress-allow: %q is not a CIDR, an address, a host name, host:port or \"private\"", entry)
		if got := fault.Message(err); got != want {
			t.Errorf("entry %q: message %q, want %q", entry, got, want)
		}
	}
}

func TestRequestsThatMustNotLeave(t *testing.T) {
	t.Parallel()
	tr := transport(t, "private")
	tests := map[string]struct {
		url    string
		header http.Header
		want   string
	}{
		"user info":  {url: "http://u:p@127.0.0.1:9/", want: "127.0.0.1: the URL holds a user name or password; store them as a credential"},
		"scheme":     {url: "ftp://127.0.0.1/", want: "127.0.0.1: the URL must begin with http:// or https://"},
		"no host":    {url: "http:///x", want: "the URL has no host"},
		"line break": {url: "http://127.0.0.1:9/", header: http.Header{"X-A": {"a\r\nb: c"}}, want: "127.0.0.1: the value of header X-A holds a line break or NUL"},
		"nul":        {url: "http://127.0.0.1:9/", header: http.Header{"X-A": {"a\x00"}}, want: "127.0.0.1: the value of header X-A holds a line break or NUL"},
	}
	for name, tt := range tests {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			req, err := http.NewRequestWithContext(t.Context(), http.MethodGet, tt.url, nil)
			if err != nil {
				t.Fatal(err)
			}
			req.Header = tt.header
			res, err := tr.RoundTrip(req)
			if err == nil {
				res.Body.Close()
			}
			e, ok := egress.AsError(err)
			if !ok || e.Code != egress.CodeInvalidParam || e.Error() != tt.want {
				t.Errorf("got %v, want %s", err, tt.want)
			}
		})
	}
}

func TestRedirects(t *testing.T) {
	t.Parallel()
	type seen struct{ Path, Auth, Key, Referer, Body string }
	var log []seen
	record := func(r *http.Request) {
		body, _ := io.ReadAll(r.Body)
		log = append(log, seen{r.URL.Path, r.Header.Get("Authorization"), r.Header.Get("X-Api-Key"), r.Header.Get("Referer"), string(body)})
	}
	var a, b *httptest.Server
	b = serve(t, func(w http.ResponseWriter, r *http.Request) {
		record(r)
		if r.URL.Path == "/back" {
			http.Redirect(w, r, a.URL+"/end", http.StatusTemporaryRedirect)
		}
	})
	a = serve(t, func(w http.ResponseWriter, r *http.Request) {
		record(r)
		switch r.URL.Path {
		case "/same":
			http.Redirect(w, r, "/end", http.StatusTemporaryRedirect)
		case "/cross":
			http.Redirect(w, r, b.URL+"/end", http.StatusTemporaryRedirect)
		case "/there-and-back":
			http.Redirect(w, r, b.URL+"/back", http.StatusTemporaryRedirect)
		case "/found":
			http.Redirect(w, r, "/end", http.StatusFound)
		case "/see-other":
			http.Redirect(w, r, "/end", http.StatusSeeOther)
		case "/loop":
			http.Redirect(w, r, "/loop", http.StatusFound)
		case "/scheme":
			w.Header().Set("Location", "ftp://127.0.0.1/x?secret=canary")
			w.WriteHeader(http.StatusFound)
		case "/garbage":
			w.Header().Set("Location", `http://127.0.0.1:1\@canary/`)
			w.WriteHeader(http.StatusFound)
		}
	})
	full := seen{Auth: "Bearer canary", Key: "canary", Body: "payload"}
	bare := seen{Auth: "Bearer canary", Key: "canary"}
	at := func(s seen, path string) seen { s.Path = path; return s }
	anywhere := func(*url.URL) bool { return true }
	const bodyLost = "the request was redirected here from another origin, which may not get its body; " +
		"add the host to the allowed_hosts of the node's credential, or send the request to its URL"
	tests := []struct {
		name   string
		path   string
		keep   func(*url.URL) bool
		want   []seen // without err
		err    string
		method string // "": POST; all but GET have a body
	}{
		{name: "same origin keeps all but the referer", path: "/same", want: []seen{at(full, "/same"), at(full, "/end")}},
		{name: "other origin gets nothing", path: "/cross", method: "GET", want: []seen{at(bare, "/cross"), {Path: "/end"}}},
		{name: "other origin on the list keeps", path: "/cross", keep: anywhere, want: []seen{at(full, "/cross"), at(full, "/end")}},
		{name: "back home after another origin gets nothing", path: "/there-and-back", method: "GET", want: []seen{at(bare, "/there-and-back"), {Path: "/back"}, {Path: "/end"}}},
		{name: "POST would lose its body to another origin", path: "/cross", err: bodyLost},
		{name: "PUT would lose its body to another origin", path: "/cross", method: "PUT", err: bodyLost},
		{name: "a body would be lost back home after another origin", path: "/there-and-back", method: "PUT", err: bodyLost},
		{name: "POST becomes GET", path: "/found", want: []seen{at(full, "/found"), at(bare, "/end")}},
		{name: "PUT becomes GET after See Other", path: "/see-other", method: "PUT", want: []seen{at(full, "/see-other"), at(bare, "/end")}},
		{name: "PUT would become GET", path: "/found", method: "PUT", err: "the PUT was redirected here with status 302, " +
			"which would make it a GET without a body; send the request to the URL of the redirect"},
		{name: "too many", path: "/loop", err: "redirected more than 3 times"},
		{name: "other scheme", path: "/scheme", err: "redirected to a scheme other than http and https"},
		{name: "no URL", path: "/garbage", err: "redirected to something that is not a URL"},
	}
	for _, tt := range tests { // not parallel: one log
		t.Run(tt.name, func(t *testing.T) {
			log = nil
			c := egress.NewClient(transport(t, "private"), egress.ClientOptions{MaxRedirects: 3, KeepAuth: tt.keep})
			var body io.Reader
			if tt.method != http.MethodGet {
				body = strings.NewReader("payload")
			}
			req, err := http.NewRequestWithContext(t.Context(), methodOr(tt.method), a.URL+tt.path+"?q=canary", body)
			if err != nil {
				t.Fatal(err)
			}
			req.Header.Set("Authorization", "Bearer canary")
			req.Header.Set("X-Api-Key", "canary")
			res, err := c.Do(req)
			if err == nil {
				res.Body.Close()
			}
			if tt.err != "" {
				if e, ok := egress.AsError(err); !ok || e.Message != tt.err || strings.Contains(e.Error(), "canary") {
					t.Errorf("got %v, want %s", err, tt.err)
				}
				if n := len(log); n > 0 && log[n-1].Path == "/end" {
					t.Error("the target was asked all the same")
				}
				return
			}
			if err != nil {
				t.Fatal(err)
			}
			if diff := cmp.Diff(tt.want, log); diff != "" {
				t.Errorf("what the servers saw (-want +got):\n%s", diff)
			}
		})
	}
}

func methodOr(method string) string {
	if method == "" {
		return http.MethodPost
	}
	return method
}

func TestBodyLimits(t *testing.T) {
	t.Parallel()
	hang := make(chan struct{})
	upstream := serve(t, func(w http.ResponseWriter, r *http.Request) {
		switch r.URL.Path {
		case "/exact":
			fmt.Fprint(w, strings.Repeat("x", 1000))
		case "/over":
			fmt.Fprint(w, strings.Repeat("x", 1001))
		case "/bomb":
			w.Header().Set("Content-Encoding", "gzip")
			z := gzip.NewWriter(w)
			_, _ = io.WriteString(z, strings.Repeat("x", 1<<20))
			_ = z.Close()
		case "/compress":
			w.Header().Set("Content-Encoding", "compress")
			fmt.Fprint(w, "?")
		case "/stacked":
			w.Header().Set("Content-Encoding", "gzip, gzip")
			fmt.Fprint(w, "?")
		case "/hang":
			w.(http.Flusher).Flush()
			<-hang
		case "/cut":
			w.Header().Set("Content-Length", "100")
			fmt.Fprint(w, "short")
		}
	})
	t.Cleanup(func() { close(hang) })
	tests := map[string]struct{ code, message string }{
		"/exact":    {},
		"/over":     {egress.CodeTooLarge, "the answer is larger than 1000 bytes (max_bytes)"},
		"/bomb":     {egress.CodeTooLarge, "the answer is larger than 1000 bytes (max_bytes)"},
		"/compress": {egress.CodeNetwork, "answered with a content encoding that was not asked for"},
		"/stacked":  {egress.CodeNetwork, "answered with a content encoding that was not asked for"},
		"/hang":     {egress.CodeTimeout, "sent no further byte of its answer in time"},
		"/cut":      {egress.CodeNetwork, "the connection broke in the middle of the answer"},
	}
	for path, tt := range tests {
		t.Run(path, func(t *testing.T) {
			t.Parallel()
			tr := transport(t, "private")
			if path == "/hang" {
				tr.SetSilence(200 * time.Millisecond)
			}
			body, err := get(t, egress.NewClient(tr, egress.ClientOptions{MaxBytes: 1000}), upstream.URL+path)
			if tt.code == "" {
				if err != nil || len(body) != 1000 {
					t.Errorf("got %d bytes, %v", len(body), err)
				}
				return
			}
			e, ok := egress.AsError(err)
			if !ok || e.Code != tt.code || e.Message != tt.message {
				t.Errorf("got %v, want %s: %s", err, tt.code, tt.message)
			}
		})
	}
}

func TestErrorsNamePhaseAndHostOnly(t *testing.T) {
	t.Parallel()
	selfSigned := httptest.NewTLSServer(http.NotFoundHandler())
	t.Cleanup(selfSigned.Close)
	plain := serve(t, func(w http.ResponseWriter, r *http.Request) {
		conn, _, err := w.(http.Hijacker).Hijack()
		if err == nil {
			conn.Close()
		}
	})
	plainHost := strings.TrimPrefix(plain.URL, "http://")
	tests := map[string]struct{ url, phase, message string }{
		"refused":        {"http://127.0.0.1:1", "connect", "cannot connect: connection refused"},
		"unknown host":   {"http://no-such-host.invalid", "dns", ""},
		"self-signed":    {selfSigned.URL, "tls", "the certificate is signed by an unknown authority"},
		"http on https":  {"https://" + plainHost, "tls", ""},
		"closed at once": {plain.URL, "headers", "the connection broke before an answer"},
	}
	for name, tt := range tests {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			_, err := get(t, egress.NewClient(transport(t, "private"), egress.ClientOptions{}), tt.url+"/path?secret=canary")
			e, ok := egress.AsError(err)
			if !ok || e.Code != egress.CodeNetwork && e.Code != egress.CodeTimeout {
				t.Fatalf("got %v, want an egress error", err)
			}
			if name != "http on https" && e.Phase != tt.phase || tt.message != "" && e.Message != tt.message {
				t.Errorf("phase %q message %q, want %q %q", e.Phase, e.Message, tt.phase, tt.message)
			}
			if strings.Contains(e.Error(), "canary") || strings.Contains(e.Error(), "/path") {
				t.Errorf("the error shows the URL: %v", e)
			}
		})
	}
}

func TestDeadlineAndCancel(t *testing.T) {
	t.Parallel()
	hang := make(chan struct{})
	upstream := serve(t, func(http.ResponseWriter, *http.Request) { <-hang })
	t.Cleanup(func() { close(hang) })
	tr := transport(t, "private")

	ctx, cancel := context.WithTimeout(t.Context(), 50*time.Millisecond)
	defer cancel()
	req, _ := http.NewRequestWithContext(ctx, http.MethodGet, upstream.URL, nil)
	res, err := tr.RoundTrip(req)
	if err == nil {
		res.Body.Close()
	}
	if e, ok := egress.AsError(err); !ok || e.Code != egress.CodeTimeout || !e.Timeout || !errors.Is(err, context.DeadlineExceeded) {
		t.Errorf("deadline: %v", err)
	}
}

func TestFreshNeverReusesAConnection(t *testing.T) {
	t.Parallel()
	addresses := make(chan string, 4)
	upstream := serve(t, func(_ http.ResponseWriter, r *http.Request) { addresses <- r.RemoteAddr })
	tr := transport(t, "private")
	for range 2 {
		for _, rt := range []http.RoundTripper{tr.Fresh(), tr} {
			if _, err := get(t, egress.NewClient(rt, egress.ClientOptions{}), upstream.URL); err != nil {
				t.Fatal(err)
			}
		}
	}
	fresh1, pooled1, fresh2, pooled2 := <-addresses, <-addresses, <-addresses, <-addresses
	if fresh1 == fresh2 {
		t.Error("the fresh transport used a connection twice")
	}
	if pooled1 != pooled2 {
		t.Error("the pooled transport did not keep its connection")
	}
}
