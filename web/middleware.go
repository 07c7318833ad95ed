package web

import (
	"context"
	"crypto/rand"
	"errors"
	"fmt"
	"io"
	"log/slog"
	"maps"
	"net"
	"net/http"
	"net/netip"
	"net/url"
	"runtime/debug"
	"strings"
	"time"

	"keyflow/credentials/transfer"
	"keyflow/internal/fault"
	"keyflow/web/session"
)

// request is what the handlers and the access log know about one request. It is made by
// the outermost handler and filled in on the way in, by one goroutine.
type request struct {
	id     string // random; in the X-Request-Id header, every problem and every log line
	source string // the client's address, for throttles and logs
	route  string // the pattern that matched; "" when none did
	who    session.Who
	http   *http.Request
	broken error // what ended the body before its end
}

type requestKey struct{}

// requestFrom returns the request's record; an empty one outside the handler.
func requestFrom(ctx context.Context) *request {
	if r, ok := ctx.Value(requestKey{}).(*request); ok {
		return r
	}
	return &request{}
}

const (
	// maxBody bounds every request body, whatever the route's own limit is.
	maxBody = transfer.MaxBytes + 64<<10
	// bodyTimeout is how long a whole body may take to arrive.
	bodyTimeout = 60 * time.Second
)

// outermost gives the request its id, bounds its body, and turns a panic into a 500.
func (s *server) outermost(next http.Handler) http.Handler {
	return http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		began := s.now()
		rec := &request{id: strings.ToLower(rand.Text()[:20]), source: clientAddress(r, s.proxies)}
		r = r.WithContext(context.WithValue(r.Context(), requestKey{}, rec))
		rec.http = r
		h := w.Header()
		maps.Copy(h, s.headers)
		h.Set("X-Request-Id", rec.id)
		limitBody(w, r, rec)

		out := newAnswerWriter(w, s.writeTimeout)
		out.extend()       // for a 100 Continue, which is not written here
		defer out.extend() // for what the server still has to send
		defer func() {
			if p := recover(); p != nil {
				s.panicked(r.Context(), out, p)
			}
			took := s.now().Sub(began)
			if level := levelOf(r, out.code()); s.log.Enabled(r.Context(), level) {
				s.log.LogAttrs(r.Context(), level, "request",
					slog.String("request_id", rec.id), slog.String("method", r.Method), slog.String("route", rec.route),
					slog.String("path", logPath(rec, r)), slog.Int("status", out.code()), slog.Duration("duration", took),
					slog.String("caller", rec.who.Caller.Name), slog.String("source", rec.source))
			}
			s.metrics.observe(r.Method, rec.route, out.code(), took)
		}()
		next.ServeHTTP(out, r)
	})
}

// panicked answers 500, unless the answer had begun, and logs the stack. ErrAbortHandler is
// the way of net/http to cut a connection and goes on.
func (s *server) panicked(ctx context.Context, w *answerWriter, p any) {
	if err, ok := p.(error); ok && errors.Is(err, http.ErrAbortHandler) {
		panic(p)
	}
	s.log.ErrorContext(ctx, "handler panicked", "request_id", requestFrom(ctx).id,
		"panic", fmt.Sprint(p), "stack", string(debug.Stack()))
	if !w.wrote() {
		s.fail(ctx, w, fault.New(fault.Internal, "panic"))
	}
}

// fail renders err as a problem; the cause of an internal error goes to the log.
func (s *server) fail(ctx context.Context, w http.ResponseWriter, err error) {
	p := problem(ctx, err)
	s.logFailure(ctx, p, err)
	writeProblem(w, p)
}

func (s *server) logFailure(ctx context.Context, p *Problem, err error) {
	if p.Status >= http.StatusInternalServerError && !errors.Is(err, context.Canceled) {
		s.log.ErrorContext(ctx, "request failed", "request_id", p.RequestID, "status", p.Status, "error", err)
	}
}

// secureHeaders are those that every answer carries; pages replace the policy. Answers share
// the values: replace them, never write into them.
func secureHeaders(public *url.URL) http.Header {
	h := http.Header{
		"Content-Security-Policy":      {"default-src 'none'; base-uri 'none'; form-action 'none'; frame-ancestors 'none'"},
		"X-Content-Type-Options":       {"nosniff"},
		"X-Frame-Options":              {"DENY"},
		"Referrer-Policy":              {"no-referrer"},
		"Cross-Origin-Resource-Policy": {"same-origin"},
		"Cross-Origin-Opener-Policy":   {"same-origin-allow-popups"},
		"Cache-Control":                {"no-store"},
	}
	if public.Scheme == "https" {
		h.Set("Strict-Transport-Security", "max-age=31536000")
	}
	return h
}

// authenticated lets open routes pass and asks everybody else who they are. A route that
// nobody listed as open is closed.
func (s *server) authenticated(next http.Handler) http.Handler {
	return http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		ctx, rec := r.Context(), requestFrom(r.Context())
		if !s.api.open[rec.route] {
			who, err := s.session.Authenticate(ctx, r)
			if err != nil {
				s.fail(ctx, w, err)
				return
			}
			rec.who = who
		}
		next.ServeHTTP(w, r)
	})
}

// limitBody bounds size and duration of the body. The deadline is taken back at the end of
// the body: left in place it would end the context of a handler that waits longer.
func limitBody(w http.ResponseWriter, r *http.Request, rec *request) {
	if r.Body == nil || r.Body == http.NoBody {
		return
	}
	control := http.NewResponseController(w)
	if err := control.SetReadDeadline(time.Now().Add(bodyTimeout)); err != nil {
		control = nil // not a connection (tests with a recorder)
	}
	r.Body = &timedBody{ReadCloser: http.MaxBytesReader(w, r.Body, maxBody), control: control, rec: rec}
}

type timedBody struct {
	io.ReadCloser
	control *http.ResponseController
	rec     *request
}

// Read implements io.Reader. A body that breaks off ends: huma would answer 500 to the error.
// Instead it is noted in the request's record, which operations look at first of all.
func (b *timedBody) Read(p []byte) (int, error) {
	n, err := b.ReadCloser.Read(p)
	if err != nil && b.control != nil {
		_ = b.control.SetReadDeadline(time.Time{})
	}
	if err != nil && err != io.EOF && !isTimeout(err) {
		b.rec.broken, err = fault.New(fault.Malformed, "the body is broken off or wrongly encoded").Because(err), io.EOF
	}
	return n, err
}

func isTimeout(err error) bool {
	timeout, ok := errors.AsType[net.Error](err)
	return ok && timeout.Timeout()
}

// ClientAddress returns how a request's source is told, for throttles beside this handler:
// behind the trusted proxies it is the address that they forward.
func ClientAddress(trusted []netip.Prefix) func(*http.Request) string {
	return func(r *http.Request) string { return clientAddress(r, trusted) }
}

// clientAddress is the peer's address or, behind trusted proxies, the last address in
// X-Forwarded-For that none of them added.
func clientAddress(r *http.Request, trusted []netip.Prefix) string {
	host, _, err := net.SplitHostPort(r.RemoteAddr)
	if err != nil {
		host = r.RemoteAddr
	}
	addr, err := netip.ParseAddr(host)
	if err != nil {
		return host
	}
	if !isTrusted(addr, trusted) {
		return network(addr)
	}
	hops := strings.Split(strings.Join(r.Header.Values("X-Forwarded-For"), ","), ",")
	for i := len(hops) - 1; i >= 0 && isTrusted(addr, trusted); i-- {
		next, err := netip.ParseAddr(strings.TrimSpace(hops[i]))
		if err != nil {
			break
		}
		addr = next
	}
	return network(addr)
}

// network is what counts as one source: an IPv4 address, or the /64 that one IPv6 customer owns.
func network(addr netip.Addr) string {
	addr = addr.Unmap().WithZone("")
	if addr.Is4() {
		return addr.String()
	}
	prefix, err := addr.Prefix(64)
	if err != nil {
		return addr.String()
	}
	return prefix.String()
}

func isTrusted(addr netip.Addr, trusted []netip.Prefix) bool {
	for _, p := range trusted {
		if p.Contains(addr.Unmap()) {
			return true
		}
	}
	return false
}

// levelOf keeps a busy server's log readable: what worked and changed nothing here, and
// webhooks, which have their runs as a record, are for debugging.
func levelOf(r *http.Request, status int) slog.Level {
	quiet := r.Method == http.MethodGet || r.Method == http.MethodHead ||
		strings.HasPrefix(r.URL.Path, "/hooks/") || strings.HasPrefix(r.URL.Path, callbacksPrefix)
	switch {
	case status >= http.StatusInternalServerError:
		return slog.LevelWarn
	case status < http.StatusBadRequest && quiet:
		return slog.LevelDebug
	default:
		return slog.LevelInfo
	}
}

const callbacksPrefix = "/callbacks/"

// logPath leaves out what a path itself proves: who has the URL of a callback may call it.
func logPath(rec *request, r *http.Request) string {
	if rec.route == callbacksPrefix {
		return callbacksPrefix + "***"
	}
	return r.URL.Path
}
