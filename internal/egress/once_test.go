package egress_test

import (
	"bufio"
	"crypto/tls"
	"crypto/x509"
	"fmt"
	"io"
	"net"
	"net/http"
	"net/http/httptest"
	"net/http/httptrace"
	"strings"
	"sync/atomic"
	"testing"

	"golang.org/x/net/http2"

	"keyflow/internal/egress"
)

// wire is a raw TCP server that counts the requests that reach it. It answers the first request
// of its first connection and closes every connection on any later request, without an answer.
type wire struct {
	listener net.Listener
	requests atomic.Int32
}

func newWire(t *testing.T) *wire {
	t.Helper()
	l, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	w := &wire{listener: l}
	t.Cleanup(func() { l.Close() })
	go func() {
		for {
			conn, err := l.Accept()
			if err != nil {
				return
			}
			go w.serve(conn)
		}
	}()
	return w
}

func (w *wire) serve(conn net.Conn) {
	defer conn.Close()
	in := bufio.NewReader(conn)
	for {
		req, err := http.ReadRequest(in)
		if err != nil {
			return
		}
		if _, err := io.Copy(io.Discard, req.Body); err != nil {
			return
		}
		if w.requests.Add(1) > 1 {
			return
		}
		fmt.Fprint(conn, "HTTP/1.1 200 OK\r\nContent-Length: 2\r\n\r\nok")
	}
}

func (w *wire) url() string { return "http://" + w.listener.Addr().String() }

// TestARequestIsWrittenOnce sends a second request over a kept connection that the server
// closes when it has read the request: the server must not see the request again.
func TestARequestIsWrittenOnce(t *testing.T) {
	t.Parallel()
	key := http.Header{"Idempotency-Key": {"1"}}
	tests := map[string]struct {
		method string
		header http.Header
		body   string
	}{
		"GET":                           {method: "GET"},
		"HEAD":                          {method: "HEAD"},
		"OPTIONS":                       {method: "OPTIONS"},
		"DELETE":                        {method: "DELETE"},
		"PUT":                           {method: "PUT", body: "x"},
		"POST":                          {method: "POST", body: "x"},
		"POST with a key":               {method: "POST", header: key, body: "x"},
		"POST with another key":         {method: "POST", header: http.Header{"X-Idempotency-Key": {"1"}}, body: "x"},
		"POST with a key, without body": {method: "POST", header: key},
		"PATCH with a key":              {method: "PATCH", header: key, body: "x"},
		"GET with a body":               {method: "GET", body: "x"},
	}
	for name, tt := range tests {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			w := newWire(t)
			client := egress.NewClient(transport(t, "private"), egress.ClientOptions{})
			if body, err := get(t, client, w.url()); err != nil || body != "ok" {
				t.Fatalf("first request: %q, %v", body, err)
			}
			var body io.Reader
			if tt.body != "" {
				body = strings.NewReader(tt.body)
			}
			req, err := http.NewRequestWithContext(t.Context(), tt.method, w.url()+"/pay", body)
			if err != nil {
				t.Fatal(err)
			}
			if tt.header != nil {
				req.Header = tt.header
			}
			res, err := client.Do(req)
			if err == nil {
				res.Body.Close()
			}
			e, ok := egress.AsError(err)
			if !ok || e.Code != egress.CodeNetwork || e.Message != "the connection broke before an answer" {
				t.Errorf("got %v, want a broken connection", err)
			}
			if n := w.requests.Load(); n != 2 {
				t.Errorf("%d requests reached the server, want 2: one for each call", n)
			}
		})
	}
}

// TestARedirectedRequestIsWrittenOnce follows a redirect over a kept connection that breaks.
func TestARedirectedRequestIsWrittenOnce(t *testing.T) {
	t.Parallel()
	w := newWire(t)
	from := serve(t, func(rw http.ResponseWriter, r *http.Request) {
		http.Redirect(rw, r, w.url()+"/pay", http.StatusTemporaryRedirect)
	})
	client := egress.NewClient(transport(t, "private"), egress.ClientOptions{MaxRedirects: 3})
	if _, err := get(t, client, w.url()); err != nil {
		t.Fatal(err)
	}
	if _, err := get(t, client, from.URL); err == nil {
		t.Error("the redirected request succeeded, want a broken connection")
	}
	if n := w.requests.Load(); n != 2 {
		t.Errorf("%d requests reached the server, want 2", n)
	}
}

// TestAClosedConnectionIsReplaced closes the kept connection at the moment when a request has
// chosen it. Nothing was written, so the request goes to a new connection, whatever its method.
func TestAClosedConnectionIsReplaced(t *testing.T) {
	t.Parallel()
	for _, method := range []string{"GET", "DELETE", "PUT", "POST"} {
		t.Run(method, func(t *testing.T) {
			t.Parallel()
			l, err := net.Listen("tcp", "127.0.0.1:0")
			if err != nil {
				t.Fatal(err)
			}
			t.Cleanup(func() { l.Close() })
			conns := make(chan net.Conn, 2)
			go func() {
				for {
					conn, err := l.Accept()
					if err != nil {
						return
					}
					conns <- conn
					go answerOne(conn)
				}
			}()
			client := egress.NewClient(transport(t, "private"), egress.ClientOptions{})
			if _, err := get(t, client, "http://"+l.Addr().String()); err != nil {
				t.Fatal(err)
			}
			first := <-conns
			ctx := httptrace.WithClientTrace(t.Context(), &httptrace.ClientTrace{GotConn: func(info httptrace.GotConnInfo) {
				if info.Reused {
					_ = first.(*net.TCPConn).CloseWrite()
					_, _ = io.Copy(io.Discard, first) // until the client has closed its side
				}
			}})
			req, err := http.NewRequestWithContext(ctx, method, "http://"+l.Addr().String(), strings.NewReader("x"))
			if err != nil {
				t.Fatal(err)
			}
			res, err := client.Do(req)
			if err != nil {
				t.Fatal(err)
			}
			res.Body.Close()
			(<-conns).Close()
		})
	}
}

func answerOne(conn net.Conn) {
	req, err := http.ReadRequest(bufio.NewReader(conn))
	if err == nil {
		_, _ = io.Copy(io.Discard, req.Body)
		fmt.Fprint(conn, "HTTP/1.1 200 OK\r\nContent-Length: 2\r\n\r\nok")
	}
}

// TestAnHTTP2RequestIsWrittenOnce resets every request in ways after which net/http would send
// it again, on the same connection or on another one.
func TestAnHTTP2RequestIsWrittenOnce(t *testing.T) {
	t.Parallel()
	resets := map[string]func(*http2.Framer, uint32) error{
		"refused stream": func(f *http2.Framer, id uint32) error { return f.WriteRSTStream(id, http2.ErrCodeRefusedStream) },
		"protocol error": func(f *http2.Framer, id uint32) error { return f.WriteRSTStream(id, http2.ErrCodeProtocol) },
		"going away":     func(f *http2.Framer, _ uint32) error { return f.WriteGoAway(0, http2.ErrCodeNo, nil) },
	}
	for name, reset := range resets {
		for _, method := range []string{"GET", "POST"} {
			t.Run(name+" "+method, func(t *testing.T) {
				t.Parallel()
				var requests atomic.Int32
				upstream := http2Server(t, func(f *http2.Framer, id uint32) error {
					requests.Add(1)
					return reset(f, id)
				})
				req, err := http.NewRequestWithContext(t.Context(), method, upstream.url, nil)
				if err != nil {
					t.Fatal(err)
				}
				req.Header.Set("Idempotency-Key", "1")
				res, err := upstream.client.Do(req)
				if err == nil {
					res.Body.Close()
				}
				if e, ok := egress.AsError(err); !ok || e.Code != egress.CodeNetwork {
					t.Errorf("got %v, want a network error", err)
				}
				if n := requests.Load(); n != 1 {
					t.Errorf("%d requests reached the server, want 1", n)
				}
			})
		}
	}
}

type http2Upstream struct {
	url    string
	client *http.Client
}

// http2Server speaks HTTP/2 frame by frame and calls answer for each request.
func http2Server(t *testing.T, answer func(f *http2.Framer, id uint32) error) http2Upstream {
	t.Helper()
	secured := httptest.NewUnstartedServer(http.NotFoundHandler())
	secured.StartTLS() // for its certificate
	t.Cleanup(secured.Close)
	config := secured.TLS.Clone()
	config.NextProtos = []string{"h2"}
	l, err := tls.Listen("tcp", "127.0.0.1:0", config)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { l.Close() })
	go func() {
		for {
			conn, err := l.Accept()
			if err != nil {
				return
			}
			go serveHTTP2(conn, answer)
		}
	}()
	roots := x509.NewCertPool()
	roots.AddCert(secured.Certificate())
	tr, err := egress.New(egress.Options{Allow: []string{"private"}, Roots: roots})
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(tr.CloseIdleConnections)
	return http2Upstream{url: "https://" + l.Addr().String(), client: egress.NewClient(tr, egress.ClientOptions{})}
}

func serveHTTP2(conn net.Conn, answer func(f *http2.Framer, id uint32) error) {
	defer conn.Close()
	if _, err := io.CopyN(io.Discard, conn, int64(len(http2.ClientPreface))); err != nil {
		return
	}
	f := http2.NewFramer(conn, conn)
	if f.WriteSettings() != nil {
		return
	}
	for {
		frame, err := f.ReadFrame()
		if err != nil {
			return
		}
		switch frame := frame.(type) {
		case *http2.SettingsFrame:
			if !frame.IsAck() && f.WriteSettingsAck() != nil {
				return
			}
		case *http2.HeadersFrame:
			if answer(f, frame.StreamID) != nil {
				return
			}
		}
	}
}
