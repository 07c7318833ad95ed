// Package triggers starts runs: at the times of cron schedules, for calls of inbound webhooks, and
// for events. Manager is the front door; each kind of trigger is a package below.
//
//	follow ──▶ cron (schedule, plans)   due plans
//	      ├──▶ webhook                  calls from outside
//	      └──▶ event                    the outbox, and events from outside
//
// A dedupe key makes each occurrence one run, however many processes fire it. The package must
// not know how runs are executed, where plans are stored or what a credential contains.
package triggers

import (
	"context"
	"fmt"
	"log/slog"
	"net/http"
	"time"

	"github.com/prometheus/client_golang/prometheus"

	"keyflow/engine/runs"
	"keyflow/internal/outbox"
	"keyflow/triggers/cron"
	"keyflow/triggers/event"
	"keyflow/triggers/follow"
	"keyflow/triggers/gate"
	"keyflow/triggers/plans"
	"keyflow/triggers/webhook"
	"keyflow/workflows"
)

// Starter starts and lists runs; *engine.Engine is one.
type Starter interface {
	webhook.Starter
	Runs(ctx context.Context, f runs.Filter) ([]runs.Run, error)
}

// Catalog has the definitions; *workflows.Catalog is one.
type Catalog interface {
	cron.Catalog
	follow.Catalog
}

// Options are what a manager is made of. Store, Catalog, Starter and Verifier are required.
type Options struct {
	Store    plans.Store
	Catalog  Catalog
	Starter  Starter
	Verifier webhook.Verifier

	// Shared says that other processes change the same workflows (Postgres): their changes are
	// read every second.
	Shared    bool
	PublicURL string          // before the paths of webhooks in List; without a slash at the end
	Waiters   webhook.Waiters // nil: there are no callbacks
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
	follower  *follow.Follower
	planner   *cron.Planner
	scheduler *cron.Scheduler
	routes    *webhook.Routes
	webhooks  *webhook.Server
	events    *event.Dispatcher

	starter Starter
	shared  bool
	public  string
	now     func() time.Time
	logger  *slog.Logger
}

var (
	_ workflows.Listener = (*Manager)(nil)
	_ Routes             = (*Manager)(nil)
	_ outbox.Deliver     = (*Manager)(nil).Deliver
)

// New returns a manager that knows no workflow until Load or Serve; until then an unknown
// webhook is answered with 503, not 404.
func New(o Options) *Manager {
	if o.Now == nil {
		o.Now = time.Now
	}
	if o.Logger == nil {
		o.Logger = slog.New(slog.DiscardHandler)
	}
	if o.Ready == nil {
		o.Ready = func() error { return nil }
	}
	m := &Manager{
		planner: cron.NewPlanner(o.Store, o.Now, o.Logger), routes: webhook.NewRoutes(),
		starter: o.Starter, shared: o.Shared, public: o.PublicURL, now: o.Now, logger: o.Logger,
	}
	subscriptions, bodies := event.NewSubscriptions(), gate.New()
	m.follower = follow.New(follow.Options{
		Catalog: o.Catalog, Planner: m.planner, Routes: m.routes, Subscriptions: subscriptions,
		Shared: o.Shared, Logger: o.Logger,
	})
	m.scheduler = cron.NewScheduler(m.planner, o.Catalog, o.Starter, m.follower.WorkflowChanged)
	m.webhooks = webhook.New(webhook.Options{
		Routes: m.routes, Workflows: m.follower, Catalog: o.Catalog, Starter: o.Starter, Verifier: o.Verifier,
		Waiters: o.Waiters, Gate: bodies, Shared: o.Shared, ClientIP: o.ClientIP, Now: o.Now, Logger: o.Logger,
	})
	m.events = event.New(event.Options{
		Subscriptions: subscriptions, Workflows: m.follower, Starter: o.Starter, Gate: bodies,
		Ready: o.Ready, Now: o.Now, Logger: o.Logger,
	})
	return m
}

// WorkflowChanged implements workflows.Listener.
func (m *Manager) WorkflowChanged(ctx context.Context, id workflows.ID) error {
	return m.follower.WorkflowChanged(ctx, id)
}

// Load reads the changes of the catalog since the last Load, at first every workflow.
func (m *Manager) Load(ctx context.Context) error { return m.follower.Load(ctx) }

// Hooks returns the handler of webhook.HooksPrefix and everything below it.
func (m *Manager) Hooks() http.Handler { return m.webhooks.Hooks() }

// Callbacks returns the handler of webhook.CallbacksPrefix and everything below it.
func (m *Manager) Callbacks() http.Handler { return m.webhooks.Callbacks() }

// Taken implements Routes.
func (m *Manager) Taken(path string, except workflows.ID) (workflows.ID, bool) {
	return m.routes.Taken(path, except)
}

// Deliver starts the runs for an event of the outbox; it is an outbox.Deliver.
func (m *Manager) Deliver(ctx context.Context, e outbox.Entry) error { return m.events.Deliver(ctx, e) }

// Wants reports whether an event of a type, about something in a folder, has an event trigger.
func (m *Manager) Wants(eventType, folder string) bool { return m.events.Wants(eventType, folder) }

// Receive starts the runs for events from outside; see [event.Dispatcher.Receive].
func (m *Manager) Receive(ctx context.Context, in event.Sent) ([]event.Receipt, error) {
	return m.events.Receive(ctx, in)
}

// Register adds the metrics of triggers to a registry.
func (m *Manager) Register(r prometheus.Registerer) error {
	for _, of := range [][]prometheus.Collector{m.scheduler.Collectors(), m.follower.Collectors(), m.events.Collectors()} {
		for _, c := range of {
			if err := r.Register(c); err != nil {
				return fmt.Errorf("register metrics of triggers: %w", err)
			}
		}
	}
	return nil
}
