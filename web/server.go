// Package web is the outside of Keyflow: the HTTP API, sign-in, the admin page's files.
//
// It joins the packages below: access (every request) · rest and api/… (the routes of the API by
// resource) · live (server-sent events) · oauth, page, docs, health (the rest) · session (who
// calls) · problem (errors) · request (what is known of a request). It routes, asks who calls, and
// decides nothing more. It must not know SQL, secrets, or how workflows run.
package web

import (
	"encoding/json"
	"errors"
	"fmt"
	"log/slog"
	"net/http"
	"net/url"
	"strings"
	"time"

	"keyflow/credentials"
	"keyflow/web/access"
	"keyflow/web/api/account"
	"keyflow/web/api/credential"
	"keyflow/web/api/run"
	"keyflow/web/api/system"
	"keyflow/web/api/trigger"
	"keyflow/web/api/workflow"
	"keyflow/web/docs"
	"keyflow/web/health"
	"keyflow/web/live"
	"keyflow/web/oauth"
	"keyflow/web/page"
	"keyflow/web/problem"
	"keyflow/web/rest"
	"keyflow/web/session"
)

// server routes requests to the packages below.
type server struct {
	session  *session.Service
	public   *url.URL
	base     string // the public URL's path, without a slash at its end
	api      *rest.API
	pages    *page.Files
	problems problem.Responder
	handler  http.Handler
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
	d = withDefaults(d)
	s := newServer(d)
	var err error
	if s.pages, err = page.New(s.base); err != nil {
		return nil, fmt.Errorf("web: %w", err)
	}
	metrics, err := access.NewMetrics(d.Metrics)
	if err != nil {
		return nil, fmt.Errorf("web: %w", err)
	}
	s.registerPlain(d, metrics)
	protection, err := s.crossOrigin()
	if err != nil {
		return nil, fmt.Errorf("web: %w", err)
	}
	own := protection.Handler(s.routed(s.authenticated(s.api)))
	s.handler = access.Handler(s.split(own, map[string]http.Handler{"/hooks": d.Hooks, "/callbacks": d.Callbacks}), access.Options{
		Headers: access.SecureHeaders(d.PublicURL), Proxies: d.TrustedProxies, WriteTimeout: d.WriteTimeout,
		Now: d.Now, Logger: d.Logger, Metrics: metrics,
	})
	return s, nil
}

// OpenAPI returns the OpenAPI 3.1 document of the API, for tools that have no server.
func OpenAPI(version string) ([]byte, error) {
	s := newServer(withDefaults(Deps{PublicURL: &url.URL{}, Options: Options{Version: version}}))
	return json.MarshalIndent(s.api.Document(), "", "  ")
}

func withDefaults(d Deps) Deps {
	if d.Now == nil {
		d.Now = time.Now
	}
	if d.Logger == nil {
		d.Logger = slog.New(slog.DiscardHandler)
	}
	if d.Version == "" {
		d.Version = "dev"
	}
	return d
}

// newServer returns a server with the routes of the API.
func newServer(d Deps) *server {
	problems := problem.Responder{Logger: d.Logger}
	s := &server{
		session: d.Session, public: d.PublicURL, base: strings.TrimSuffix(d.PublicURL.Path, "/"),
		api: rest.New(d.Version, problems.Report), problems: problems,
	}
	link := func(path string) string { return strings.TrimSuffix(d.PublicURL.String(), "/") + path }
	account.Register(s.api, account.Options{Session: d.Session, Link: link})
	credential.Register(s.api, credential.Options{Credentials: d.Credentials, Uses: d.Uses, Link: link})
	system.Register(s.api, system.Options{Keys: d.Credentials, Backup: d.Backup})
	workflow.Register(s.api, workflow.Options{Workflows: d.Workflows})
	run.Register(s.api, run.Options{Runs: d.Runs, Workflows: d.Workflows, Now: d.Now})
	live.Register(s.api, live.Options{Runs: d.Runs, Access: run.Access{Runs: d.Runs}, Session: d.Session, Stopping: d.Stopping})
	trigger.Register(s.api, trigger.Options{Triggers: d.Triggers})
	return s
}

// registerPlain adds the routes that are no part of the OpenAPI document.
func (s *server) registerPlain(d Deps, metrics *access.Metrics) {
	about := &docs.Handler{API: s.api, Version: d.Version, Base: s.base, Problems: s.problems}
	probes := &health.Handler{Check: d.Ready, Problems: s.problems}
	callback := &oauth.Callback{Session: d.Session, Credentials: d.Credentials, Base: s.base, Problems: s.problems}
	s.api.Plain("GET "+rest.V1+"/schema/workflow", about.WorkflowSchema)
	s.api.Plain("GET "+rest.V1+"/schema/credential", about.CredentialSchema)
	s.api.Plain("GET /metrics", metrics.Handler())
	s.api.PlainOpen("GET /healthz", probes.Live)
	s.api.PlainOpen("GET /readyz", probes.Ready)
	s.api.PlainOpen("GET /openapi.json", about.OpenAPI)
	s.api.PlainOpen("GET /docs", about.List)
	s.api.PlainOpen("GET "+credentials.CallbackPath, callback.ServeHTTP) // asks for the session itself: its answers are pages
}

// ServeHTTP implements http.Handler.
func (s *server) ServeHTTP(w http.ResponseWriter, r *http.Request) { s.handler.ServeHTTP(w, r) }
