// Package access is the outermost handler: it gives each request its id, its security headers and
// its deadlines, turns a panic into a 500, and writes the access log and the metrics.
//
// It must not know routes, sign-in or what is behind them.
package access

import (
	"cmp"
	"context"
	"crypto/rand"
	"errors"
	"fmt"
	"log/slog"
	"maps"
	"net/http"
	"net/netip"
	"net/url"
	"runtime/debug"
	"strings"
	"time"

	"keyflow/internal/fault"
	"keyflow/web/problem"
	"keyflow/web/request"
)

// Options is what the handler needs.
type Options struct {
	Headers      http.Header // of every answer
	Proxies      []netip.Prefix
	WriteTimeout time.Duration // 0 is 30 s
	Now          func() time.Time
	Logger       *slog.Logger
	Metrics      *Metrics
}

// Handler puts what every request needs around next.
func Handler(next http.Handler, o Options) http.Handler {
	o.WriteTimeout = cmp.Or(o.WriteTimeout, writeTimeout)
	l := &log{Options: o, problems: problem.Responder{Logger: o.Logger}}
	return l.around(next)
}

// log is the handler of Handler.
type log struct {
	Options
	problems problem.Responder
}

// around gives the request its id, bounds its body, and turns a panic into a 500.
func (l *log) around(next http.Handler) http.Handler {
	return http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		began := l.Now()
		rec := &request.Record{ID: strings.ToLower(rand.Text()[:20]), Source: request.Source(r, l.Proxies)}
		r = r.WithContext(request.With(r.Context(), rec))
		rec.HTTP = r
		h := w.Header()
		maps.Copy(h, l.Headers)
		h.Set("X-Request-Id", rec.ID)
		request.LimitBody(w, r, rec)

		out := newAnswerWriter(w, l.WriteTimeout)
		out.extend()       // for a 100 Continue, which is not written here
		defer out.extend() // for what the server still has to send
		defer func() {
			if p := recover(); p != nil {
				l.panicked(r.Context(), out, p)
			}
			took := l.Now().Sub(began)
			if level := levelOf(r, out.code()); l.Logger.Enabled(r.Context(), level) {
				l.Logger.LogAttrs(r.Context(), level, "request",
					slog.String("request_id", rec.ID), slog.String("method", r.Method), slog.String("route", rec.Route),
					slog.String("path", logPath(rec, r)), slog.Int("status", out.code()), slog.Duration("duration", took),
					slog.String("caller", rec.Who.Caller.Name), slog.String("source", rec.Source))
			}
			l.Metrics.observe(r.Method, rec.Route, out.code(), took)
		}()
		next.ServeHTTP(out, r)
	})
}

// panicked answers 500, unless the answer had begun, and logs the stack. ErrAbortHandler, which
// makes net/http close the connection, is passed on.
func (l *log) panicked(ctx context.Context, w *answerWriter, p any) {
	if err, ok := p.(error); ok && errors.Is(err, http.ErrAbortHandler) {
		panic(p)
	}
	l.Logger.ErrorContext(ctx, "handler panicked", "request_id", request.From(ctx).ID,
		"panic", fmt.Sprint(p), "stack", string(debug.Stack()))
	if !w.wrote() {
		l.problems.Fail(ctx, w, fault.New(fault.Internal, "panic"))
	}
}

// SecureHeaders are those that every answer carries; pages replace the policy. Answers share
// the values: replace them, never write into them.
func SecureHeaders(public *url.URL) http.Header {
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

// levelOf keeps the log of a busy server readable. Successful reads are logged at debug level, and
// so are successful webhooks and callbacks, which the run history records.
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

// logPath masks the tokens of callback URLs.
func logPath(rec *request.Record, r *http.Request) string {
	if rec.Route == callbacksPrefix {
		return callbacksPrefix + "***"
	}
	return r.URL.Path
}
