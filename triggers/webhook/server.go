// Package webhook answers requests from outside: inbound webhooks, which start runs, and the
// callback URLs of steps that wait.
//
//	Hooks      request ──▶ verify ──▶ Starter.Start ──▶ answer now or when the run is final
//	Callbacks  request ──▶ Waiters.Callback ──▶ the step goes on
//
// It must not know how definitions are followed, nor what a credential contains.
package webhook

import (
	"context"
	"log/slog"
	"net"
	"net/http"
	"time"

	"keyflow/credentials"
	"keyflow/engine"
	"keyflow/engine/runs"
	"keyflow/triggers/firing"
	"keyflow/triggers/gate"
	"keyflow/workflows"
)

// Starter starts runs and waits for their answers; *engine.Engine is one.
type Starter interface {
	Start(ctx context.Context, s engine.Start) (engine.Started, error)
	// Answer waits for the answer of a respond node; nil and the run when it ends without one.
	Answer(ctx context.Context, id runs.ID) (*runs.Answer, runs.Run, error)
}

// Verifier checks who calls a webhook; *credentials.Vault is one. It returns the names of the
// headers and query keys that hold the secret.
type Verifier interface {
	Verify(ctx context.Context, id credentials.ID, workflow, folder string, r *http.Request, body []byte) ([]string, error)
	// Unverify forgets a verified request that was not accepted, so that its sender can repeat it.
	Unverify(ctx context.Context, id credentials.ID, r *http.Request, body []byte)
}

// Summaries has the current versions of workflows; *workflows.Catalog is one.
type Summaries interface {
	Summary(ctx context.Context, id workflows.ID) (workflows.Summary, error) // may be a moment old
}

// Workflows are those that the routes come from.
type Workflows interface {
	workflows.Listener
	// Loaded reports whether all workflows have been read once.
	Loaded() bool
	// CatchUp returns when they have.
	CatchUp(ctx context.Context) error
}

// Options are what a server is made of; all are required but those that say otherwise.
type Options struct {
	Routes    *Routes
	Workflows Workflows
	Catalog   Summaries
	Starter   Starter
	Verifier  Verifier
	Waiters   Waiters // nil: there are no callbacks
	Gate      gate.Gate
	// Shared says that other processes change the same workflows.
	Shared bool
	// ClientIP is the address that failed calls are counted by; nil: the peer's.
	ClientIP func(*http.Request) string
	Now      func() time.Time
	Logger   *slog.Logger
}

// Server answers inbound webhooks. It is safe for concurrent use.
type Server struct {
	routes    *Routes
	workflows Workflows
	catalog   Summaries
	starter   Starter
	verifier  Verifier
	waiters   Waiters
	gate      gate.Gate
	shared    bool
	clientIP  func(*http.Request) string
	now       func() time.Time
	logger    *slog.Logger
	headers   http.Header // of every answer; the values are shared
	failures  *limiter
}

// New returns a server.
func New(o Options) *Server {
	s := &Server{
		routes: o.Routes, workflows: o.Workflows, catalog: o.Catalog, starter: o.Starter, verifier: o.Verifier,
		waiters: o.Waiters, gate: o.Gate, shared: o.Shared, clientIP: o.ClientIP, now: o.Now, logger: o.Logger,
		headers: http.Header{
			"Content-Security-Policy": {"sandbox"}, // answers of workflows share the origin of the page
			"X-Content-Type-Options":  {"nosniff"},
			"Cache-Control":           {"no-store"},
		},
		failures: newLimiter(o.Now),
	}
	if s.clientIP == nil {
		s.clientIP = peer
	}
	return s
}

func peer(r *http.Request) string {
	host, _, err := net.SplitHostPort(r.RemoteAddr)
	if err != nil {
		return r.RemoteAddr
	}
	return host
}

// catchUp waits no longer than a sender should.
func (s *Server) catchUp(ctx context.Context) error {
	ctx, cancel := context.WithTimeout(ctx, firing.LoadWithin)
	defer cancel()
	return s.workflows.CatchUp(ctx)
}

// throttled refuses a source that failed too often, and reports whether it did.
func (s *Server) throttled(w http.ResponseWriter, source string) bool {
	wait := s.failures.wait(source)
	if wait > 0 {
		w.Header().Set("Retry-After", seconds(wait))
		refuse(w, http.StatusTooManyRequests, "too many refused calls; try again later")
	}
	return wait > 0
}
