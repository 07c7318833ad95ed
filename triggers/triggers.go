// Package triggers starts runs: at the times of cron schedules, for calls of inbound webhooks, and
// for events.
//
//	applied, enabled, deleted ──▶ sync ──▶ plans (store): cron, one row per trigger
//	                                 ├───▶ routes (memory): inbound webhooks
//	                                 └───▶ subscriptions (memory): events, by type
//	Serve    due plan ──▶ Starter.Start (idempotent) ──▶ Advance (compare and set)
//	Hooks    request  ──▶ verify ──▶ Starter.Start ──▶ answer now or when the run is final
//	Deliver  an event of the outbox ──▶ filter ──▶ Starter.Start (idempotent), for each subscription
//	Receive  events from outside, the same
//
// A dedupe key makes each occurrence one run, however many processes fire it. The package must
// not know how runs are executed, where plans are stored or what a credential contains.
package triggers

import (
	"context"
	"log/slog"
	"net"
	"net/http"
	"sync"
	"sync/atomic"
	"time"

	"keyflow/credentials"
	"keyflow/engine"
	"keyflow/engine/runs"
	"keyflow/workflows"
)

// Starter starts and lists runs; *engine.Engine is one.
type Starter interface {
	Start(ctx context.Context, s engine.Start) (engine.Started, error)
	// Answer waits for the answer of a respond node; nil and the run when it ends without one.
	Answer(ctx context.Context, id runs.ID) (*runs.Answer, runs.Run, error)
	Runs(ctx context.Context, f runs.Filter) ([]runs.Run, error)
}

// Verifier checks who calls a webhook; *credentials.Vault is one. It returns the names of the
// headers and query keys that hold the secret.
type Verifier interface {
	Verify(ctx context.Context, id credentials.ID, workflow, folder string, r *http.Request, body []byte) ([]string, error)
	// Unverify forgets a verified request that was not accepted, so that its sender can repeat it.
	Unverify(ctx context.Context, id credentials.ID, r *http.Request, body []byte)
}

// Catalog has the definitions; *workflows.Catalog is one.
type Catalog interface {
	Summary(ctx context.Context, id workflows.ID) (workflows.Summary, error) // may be a moment old
	Current(ctx context.Context, id workflows.ID) (workflows.Summary, error)
	Definition(ctx context.Context, id workflows.ID, version int) (*workflows.Definition, error)
	Changes(ctx context.Context, after int64, limit int) ([]workflows.Change, error)
}

// Options are what a manager is made of. Store, Catalog, Starter and Verifier are required.
type Options struct {
	Store    Store
	Catalog  Catalog
	Starter  Starter
	Verifier Verifier

	// Shared says that other processes change the same workflows (Postgres): their changes are
	// read every second.
	Shared    bool
	PublicURL string  // before the paths of webhooks in List; without a slash at the end
	Waiters   Waiters // nil: there are no callbacks
	// Ready returns nil while this process can start runs; without it, it always can.
	Ready func() error
	// ClientIP is the address that failed calls are counted by; nil: the peer's.
	ClientIP func(*http.Request) string
	Now      func() time.Time // nil: time.Now
	Logger   *slog.Logger     // nil: discards
}

// Manager owns the triggers of all workflows. It gets changes as a workflows.Listener, fires
// schedules in Serve and answers webhooks in Hooks. It is safe for concurrent use.
type Manager struct {
	store    Store
	catalog  Catalog
	starter  Starter
	verifier Verifier
	waiters  Waiters
	shared   bool
	public   string
	clientIP func(*http.Request) string
	headers  http.Header // of every answer of a webhook; the values are shared
	now      func() time.Time
	logger   *slog.Logger

	wake     chan struct{} // holds one token: plans have changed
	routes   *routes
	events   *subscriptions
	ready    func() error
	failures *limiter
	gate     gate
	metrics  *metrics

	loaded   atomic.Bool   // all workflows have been read once
	complete chan struct{} // closed then
	loading  sync.Mutex
	revision int64      // of the last change that was read; guarded by loading
	syncing  sync.Mutex // one sync at a time: the last one sees the latest state

	mu    sync.RWMutex
	known map[workflows.ID]*known // guarded by mu
	live  map[workflows.ID]int    // how many triggers have a plan; guarded by mu
}

var (
	_ workflows.Listener = (*Manager)(nil)
	_ Routes             = (*Manager)(nil)
)

// New returns a manager that knows no workflow until Load or Serve; until then an unknown
// webhook is answered with 503, not 404.
func New(o Options) *Manager {
	m := &Manager{
		store: o.Store, catalog: o.Catalog, starter: o.Starter, verifier: o.Verifier, waiters: o.Waiters,
		shared: o.Shared, public: o.PublicURL, clientIP: o.ClientIP, now: o.Now, logger: o.Logger,
		wake: make(chan struct{}, 1), routes: newRoutes(), events: newSubscriptions(), ready: o.Ready, complete: make(chan struct{}), gate: newGate(), metrics: newMetrics(),
		known: make(map[workflows.ID]*known), live: make(map[workflows.ID]int),
		headers: http.Header{
			"Content-Security-Policy": {"sandbox"}, // answers of workflows share the origin of the page
			"X-Content-Type-Options":  {"nosniff"},
			"Cache-Control":           {"no-store"},
		},
	}
	if m.now == nil {
		m.now = time.Now
	}
	if m.logger == nil {
		m.logger = slog.New(slog.DiscardHandler)
	}
	if m.clientIP == nil {
		m.clientIP = peer
	}
	if m.ready == nil {
		m.ready = func() error { return nil }
	}
	m.failures = newLimiter(m.now)
	return m
}

func peer(r *http.Request) string {
	host, _, err := net.SplitHostPort(r.RemoteAddr)
	if err != nil {
		return r.RemoteAddr
	}
	return host
}

// reference is a trigger's name in log lines.
func reference(workflow workflows.ID, trigger string) slog.Attr {
	return slog.String("trigger", string(workflow)+"/"+trigger)
}
