// Package follow keeps the triggers in step with the definitions.
//
//	applied, enabled, deleted ──▶ Follower ──▶ plans (store): cron, one row per trigger
//	                                     ├───▶ routes (memory): inbound webhooks
//	                                     └───▶ subscriptions (memory): events, by type
//
// It must not know how runs are started.
package follow

import (
	"context"
	"log/slog"
	"slices"
	"sync"
	"sync/atomic"

	"github.com/prometheus/client_golang/prometheus"

	"keyflow/triggers/cron"
	"keyflow/triggers/event"
	"keyflow/triggers/webhook"
	"keyflow/workflows"
)

// Catalog has the definitions; *workflows.Catalog is one.
type Catalog interface {
	Current(ctx context.Context, id workflows.ID) (workflows.Summary, error)
	Definition(ctx context.Context, id workflows.ID, version int) (*workflows.Definition, error)
	Changes(ctx context.Context, after int64, limit int) ([]workflows.Change, error)
}

// Options are what a follower is made of; all are required.
type Options struct {
	Catalog       Catalog
	Planner       *cron.Planner
	Routes        *webhook.Routes
	Subscriptions *event.Subscriptions
	// Shared says that other processes change the same workflows.
	Shared bool
	Logger *slog.Logger
}

// Follower knows the triggers of all workflows. It is safe for concurrent use.
type Follower struct {
	catalog       Catalog
	planner       *cron.Planner
	routes        *webhook.Routes
	subscriptions *event.Subscriptions
	shared        bool
	logger        *slog.Logger
	rearmed       prometheus.Counter

	loaded   atomic.Bool   // all workflows have been read once
	complete chan struct{} // closed then
	loading  sync.Mutex
	revision int64      // of the last change that was read; guarded by loading
	syncing  sync.Mutex // one sync at a time: the last one sees the latest state

	mu    sync.RWMutex
	known map[workflows.ID]*Workflow // guarded by mu
}

var _ workflows.Listener = (*Follower)(nil)

// New returns a follower that knows no workflow until Load.
func New(o Options) *Follower {
	return &Follower{
		catalog: o.Catalog, planner: o.Planner, routes: o.Routes, subscriptions: o.Subscriptions,
		shared: o.Shared, logger: o.Logger,
		rearmed: prometheus.NewCounter(prometheus.CounterOpts{
			Name: "keyflow_schedules_rearmed_total", Help: "Enabled schedules that had no plan and got one again.",
		}),
		complete: make(chan struct{}), known: make(map[workflows.ID]*Workflow),
	}
}

// Collectors are the metrics of the follower.
func (f *Follower) Collectors() []prometheus.Collector { return []prometheus.Collector{f.rearmed} }

// Loaded reports whether all workflows have been read once.
func (f *Follower) Loaded() bool { return f.loaded.Load() }

// Workflow returns what has been loaded of a workflow; nil when it is not known.
func (f *Follower) Workflow(id workflows.ID) *Workflow {
	f.mu.RLock()
	defer f.mu.RUnlock()
	return f.known[id]
}

// Select returns the workflows that match, in order.
func (f *Follower) Select(matches func(workflows.ID, *Workflow) bool) []workflows.ID {
	f.mu.RLock()
	defer f.mu.RUnlock()
	var ids []workflows.ID
	for id, w := range f.known {
		if matches(id, w) {
			ids = append(ids, id)
		}
	}
	slices.Sort(ids)
	return ids
}
