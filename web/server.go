// Package web is the outside of Keyflow: the HTTP API, sign-in, the admin page's files.
//
// It speaks HTTP and decides nothing: it authenticates a request (package session), passes
// the caller on, and renders what comes back; routes.go is every route, errors.go every
// error. It must not know SQL, secrets, or how workflows run.
package web

import (
	"cmp"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"html/template"
	"log/slog"
	"maps"
	"net/http"
	"net/netip"
	"net/url"
	"path"
	"slices"
	"strings"
	"time"
	"unicode/utf8"

	"keyflow/internal/fault"
	"keyflow/web/session"
)

// server is the handler and all it stands on.
type server struct {
	session     *session.Service
	credentials Credentials
	workflows   Workflows
	runs        Runs
	uses        Uses
	triggers    Triggers
	ready       func(ctx context.Context) error
	backUp      func(ctx context.Context, path string) error
	stopping    <-chan struct{}

	public  *url.URL
	headers http.Header // of every answer
	base    string      // the public URL's path, without a slash at its end
	proxies []netip.Prefix
	version string
	now     func() time.Time
	log     *slog.Logger

	writeTimeout time.Duration

	api              *api
	metrics          *metrics
	pages            *pages
	callbackTemplate *template.Template
	docsTemplate     *template.Template
	handler          http.Handler
}

var _ http.Handler = (*server)(nil)

// NewHandler returns the handler of everything that Keyflow serves. Give it to a server
// with ReadHeaderTimeout and without ReadTimeout: bodies have their own deadline here, and
// ReadTimeout would end the context of requests that wait for a run.
func NewHandler(d Deps) (http.Handler, error) {
	if d.Session == nil || d.Credentials == nil || d.Workflows == nil || d.Runs == nil ||
		d.Uses == nil || d.Triggers == nil || d.Hooks == nil || d.Callbacks == nil || d.Ready == nil || d.PublicURL == nil {
		return nil, errors.New("web: a required part is missing")
	}
	s := newServer(d)
	var err error
	if s.pages, err = newPages(s.base); err != nil {
		return nil, fmt.Errorf("web: %w", err)
	}
	if s.metrics, err = newMetrics(d.Metrics); err != nil {
		return nil, fmt.Errorf("web: %w", err)
	}
	s.register(s.api)
	protection, err := s.crossOrigin()
	if err != nil {
		return nil, fmt.Errorf("web: %w", err)
	}
	own := protection.Handler(s.routed(s.authenticated(s.api.mux)))
	s.handler = s.outermost(s.split(own, map[string]http.Handler{"/hooks": d.Hooks, "/callbacks": d.Callbacks}))
	return s, nil
}

// OpenAPI returns the OpenAPI 3.1 document of the API, for tools that have no server.
func OpenAPI(version string) ([]byte, error) {
	s := newServer(Deps{PublicURL: &url.URL{}, Version: version})
	var err error
	if s.metrics, err = newMetrics(nil); err != nil {
		return nil, fmt.Errorf("web: %w", err)
	}
	s.register(s.api)
	return json.MarshalIndent(s.api.huma.OpenAPI(), "", "  ")
}

func newServer(d Deps) *server {
	if d.Now == nil {
		d.Now = time.Now
	}
	if d.Logger == nil {
		d.Logger = slog.New(slog.DiscardHandler)
	}
	if d.Version == "" {
		d.Version = "dev"
	}
	s := &server{
		session: d.Session, credentials: d.Credentials, workflows: d.Workflows, runs: d.Runs, uses: d.Uses, triggers: d.Triggers,
		ready: d.Ready, stopping: d.Stopping, backUp: d.Backup, public: d.PublicURL, headers: secureHeaders(d.PublicURL), base: strings.TrimSuffix(d.PublicURL.Path, "/"),
		proxies: d.TrustedProxies, version: d.Version, now: d.Now, log: d.Logger, writeTimeout: cmp.Or(d.WriteTimeout, writeTimeout),
		callbackTemplate: template.Must(template.New("callback").Parse(callbackPage)),
		docsTemplate:     template.Must(template.New("docs").Parse(docsPage)),
	}
	s.api = newAPI(d.Version, s.logFailure)
	return s
}

// ServeHTTP implements http.Handler.
func (s *server) ServeHTTP(w http.ResponseWriter, r *http.Request) { s.handler.ServeHTTP(w, r) }

// crossOrigin refuses changes that another site's page sends with our cookie.
func (s *server) crossOrigin() (*http.CrossOriginProtection, error) {
	c := http.NewCrossOriginProtection()
	if err := c.AddTrustedOrigin(s.public.Scheme + "://" + s.public.Host); err != nil {
		return nil, fmt.Errorf("public URL: %w", err)
	}
	c.SetDenyHandler(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		s.fail(r.Context(), w, fault.New(fault.Forbidden, "the request comes from another site's page: open Keyflow at its public URL"))
	}))
	return c, nil
}

// split takes off the path under which a proxy publishes us, refuses paths that are not
// clean (nothing is redirected to another route), and sends what strangers may
// call to hooks and callbacks, whose answers are written by authors of workflows: they get a policy
// that gives them no power over this origin, and never our cookies.
func (s *server) split(own http.Handler, strangers map[string]http.Handler) http.Handler {
	return http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		r = s.belowBase(r)
		if r.URL.Path != cleaned(r.URL.Path) || !isText(r.URL.Path) {
			s.fail(r.Context(), w, fault.New(fault.NotFound, "nothing is at this path"))
			return
		}
		first, _, _ := strings.Cut(r.URL.Path[1:], "/")
		if handler := strangers["/"+first]; handler != nil {
			requestFrom(r.Context()).route = "/" + first + "/"
			w.Header().Set("Content-Security-Policy", "sandbox")
			handler.ServeHTTP(w, s.session.WithoutSession(r))
			return
		}
		own.ServeHTTP(w, r)
	})
}

// belowBase strips the public URL's path for proxies that pass it on.
func (s *server) belowBase(r *http.Request) *http.Request {
	rest, ok := strings.CutPrefix(r.URL.Path, s.base)
	if s.base == "" || !ok || rest != "" && rest[0] != '/' {
		return r
	}
	below := new(http.Request)
	*below = *r
	below.URL = new(url.URL)
	*below.URL = *r.URL
	below.URL.Path = cmp.Or(rest, "/")
	below.URL.RawPath = strings.TrimPrefix(r.URL.RawPath, s.base) // as spelled: hooks tell %2F from /
	return below
}

// routed finds the route before anyone is asked to sign in: what matches none is the
// admin page's, or a 404 or 405 as a problem.
func (s *server) routed(next http.Handler) http.Handler {
	return http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		unmatched, pattern := s.api.mux.Handler(r)
		if pattern == "" {
			s.unmatched(w, r, unmatched)
			return
		}
		requestFrom(r.Context()).route = pattern
		if err := checkQuery(r.URL.Query()); err != nil {
			s.fail(r.Context(), w, err)
			return
		}
		next.ServeHTTP(w, r)
	})
}

// checkQuery refuses parameters that are not text, or given twice: of two values one would count
// silently.
func checkQuery(query url.Values) error {
	var repeated []fault.Problem
	for _, name := range slices.Sorted(maps.Keys(query)) {
		if !isText(name) || slices.ContainsFunc(query[name], func(v string) bool { return !isText(v) }) {
			return fault.New(fault.Malformed, "a query parameter is not text in UTF-8")
		}
		if len(query[name]) < 2 {
			continue
		}
		p := fault.Problem{Path: "?", Code: "repeated_parameter", Message: "a query parameter is given more than once: give it once"}
		if isName(name) {
			p.Path, p.Message = "?"+name, name+": is given more than once: give it once"
		}
		repeated = append(repeated, p)
	}
	if len(repeated) == 0 {
		return nil
	}
	return fault.Problems(repeated[0].Message, repeated)
}

// isText reports whether s can be a name or a value of ours: databases differ in what they
// do with NUL and with bytes that are no UTF-8.
func isText(s string) bool { return utf8.ValidString(s) && !strings.ContainsRune(s, 0) }

func cleaned(p string) string {
	clean := path.Clean("/" + p)
	if strings.HasSuffix(p, "/") && clean != "/" {
		clean += "/"
	}
	return clean
}

// unmatched serves the admin page, or renders the mux's own 404 and 405 as problems.
func (s *server) unmatched(w http.ResponseWriter, r *http.Request, mux http.Handler) {
	var said refusal
	mux.ServeHTTP(&said, r)
	if said.status == http.StatusMethodNotAllowed {
		w.Header().Set("Allow", said.Header().Get("Allow"))
		writeProblem(w, newProblem(r.Context(), said.status, "this path takes "+said.Header().Get("Allow")))
		return
	}
	if s.pages.serve(w, r) {
		requestFrom(r.Context()).route = "page"
		return
	}
	s.fail(r.Context(), w, fault.New(fault.NotFound, "nothing is at this path"))
}

// refusal catches what http.ServeMux answers when nothing matches.
type refusal struct {
	header http.Header
	status int
}

// Header implements http.ResponseWriter.
func (r *refusal) Header() http.Header {
	if r.header == nil {
		r.header = http.Header{}
	}
	return r.header
}

// Write implements http.ResponseWriter and drops the text.
func (*refusal) Write(b []byte) (int, error) { return len(b), nil }

// WriteHeader implements http.ResponseWriter.
func (r *refusal) WriteHeader(status int) { r.status = status }
