// Package engine decides when steps run and in what order, and loses none of it. It is the front
// door: Start, Cancel, Deliver and the like, and Serve, which runs the packages behind it.
//
//	plan       a definition becomes a Plan: every expression parsed, every reference checked
//	state      the heart: deterministic (state, event) -> actions; no clock, no lock, no I/O
//	execution  carries the actions out, one run each; attempt makes one attempt of one step
//	dispatch   brings due runs and signals to where they are carried out, fairly
//	journal    stores what happened, many runs per transaction, before anyone depends on it
//
// It joins workflows, nodes and credentials. It must not know triggers, HTTP handlers or SQL.
// The states of a run are drawn in docs/explanation/run-states.md.
package engine

import (
	"cmp"
	"context"
	"errors"
	"fmt"
	"log/slog"
	"time"

	"keyflow/engine/attempt"
	"keyflow/engine/callback"
	"keyflow/engine/concurrency"
	"keyflow/engine/dispatch"
	"keyflow/engine/execution"
	"keyflow/engine/journal"
	"keyflow/engine/live"
	"keyflow/engine/ownership"
	"keyflow/engine/plan"
	"keyflow/engine/runs"
	"keyflow/engine/starts"
	"keyflow/engine/values"
	"keyflow/internal/fault"
	"keyflow/nodes"
)

// Options are what an engine is made of. Store, Owners, Types and Credentials are required.
type Options struct {
	Store       runs.Store
	Owners      runs.Owners
	Catalog     plan.Catalog // nil: only StartDefinition works
	Types       *nodes.Registry
	Credentials attempt.Resolver
	// Connections, when not nil, lets steps wait for a credential that must be connected.
	Connections dispatch.Connections
	// Sealer is needed by sensitive nodes and callback URLs, Actor by those that work on
	// credentials.
	Sealer values.Sealer
	Actor  attempt.Actor
	// CallbackURL is what stands before the token, "https://keyflow.example.com/callbacks/".
	CallbackURL string
	// Wants reports whether anybody may be waiting for internal events of a type about something
	// in a folder; nil: nobody. It is asked at the end of every run, and must answer from memory.
	Wants func(eventType, folder string) bool
	// Exclusive says that no other process can run on the same store (SQLite): at boot every
	// unfinished run is taken over at once instead of after its owner was silent for 5 s.
	Exclusive   bool
	Concurrency int              // steps at once in this process; 0: 256
	QueueLimit  int              // runs that wait for their first step; above it, a workflow's share; 0: 10,000
	MaxOutput   int              // bytes of one step's output as JSON; 0: 1 MiB
	StopTimeout time.Duration    // how long steps in flight may go on when Serve ends; 0: 30 s
	Now         func() time.Time // nil: time.Now
	Logger      *slog.Logger     // nil: discards
}

// Engine runs workflows. It is safe for concurrent use; nothing runs before Serve does.
type Engine struct {
	o          Options
	journal    *journal.Journal
	owner      *ownership.Ownership
	queue      *dispatch.Queue
	live       *dispatch.Registry
	dispatcher *dispatch.Dispatcher
	checks     *dispatch.CredentialChecks
	slots      *concurrency.Sweep
	starts     *starts.Preparer
	execution  *execution.Process
	hub        *live.Hub
	kill       context.CancelCauseFunc // interrupts all steps
}

// Defaults of Options.
const (
	defaultConcurrency = 256
	defaultQueueLimit  = 10_000
	defaultMaxOutput   = 1 << 20
	defaultStopTimeout = 30 * time.Second
)

// New returns an engine that does nothing until Serve runs.
func New(o Options) (*Engine, error) {
	if o.Store == nil || o.Owners == nil || o.Types == nil || o.Credentials == nil {
		return nil, errors.New("an engine needs Store, Owners, Types and Credentials")
	}
	o.Concurrency = cmp.Or(o.Concurrency, defaultConcurrency)
	o.QueueLimit = cmp.Or(o.QueueLimit, defaultQueueLimit)
	o.MaxOutput = cmp.Or(o.MaxOutput, defaultMaxOutput)
	o.StopTimeout = cmp.Or(o.StopTimeout, defaultStopTimeout)
	if o.Now == nil {
		o.Now = time.Now
	}
	if o.Logger == nil {
		o.Logger = slog.New(slog.DiscardHandler)
	}
	e := &Engine{
		o: o, queue: dispatch.NewQueue(o.Concurrency), live: dispatch.NewRegistry(), hub: live.NewHub(),
		journal: journal.New(o.Store, journal.Options{Now: o.Now, Logger: o.Logger}),
	}
	steps, kill := context.WithCancelCause(context.Background())
	e.kill = kill
	e.owner = ownership.New(o.Owners, ownership.Options{Alone: o.Exclusive, Orphans: e.adopt, Logger: o.Logger})
	e.dispatcher = dispatch.NewDispatcher(dispatch.Options{
		Store: o.Store, Journal: e.journal, Ownership: e.owner, Queue: e.queue, QueueLimit: o.QueueLimit, Live: e.live,
		Resume: e.resume, Context: steps, Now: e.now, Logger: o.Logger,
	})
	e.checks = dispatch.NewCredentialChecks(e.dispatcher, o.Connections)
	e.slots = &concurrency.Sweep{Store: o.Store, Catalog: o.Catalog, Journal: e.journal, Woken: e.dispatcher.Woken, Logger: o.Logger}
	e.starts = starts.New(o.Catalog, o.Types, e.now)
	e.execution = &execution.Process{
		Attempts: &attempt.Process{
			Now: e.now, Logger: o.Logger, MaxOutput: o.MaxOutput, Sealer: o.Sealer, Credentials: o.Credentials, Actor: o.Actor,
			CanConnect: o.Connections != nil, Callbacks: callback.URLs{Sealer: o.Sealer, Base: o.CallbackURL}, Starts: e.starts, Children: e.dispatcher,
		},
		Dispatcher: e.dispatcher, Checks: e.checks, Queue: e.queue, Live: e.live, Ownership: e.owner,
		Store: o.Store, Hub: e.hub, Wants: o.Wants, Context: steps,
	}
	return e, nil
}

// adopt takes over runs of silent processes.
func (e *Engine) adopt(ctx context.Context, orphans []runs.Orphan) { e.dispatcher.Adopt(ctx, orphans) }

// resume goes on with a run that was claimed.
func (e *Engine) resume(l *runs.Loaded, gaps int64) bool { return e.execution.Resume(l, gaps) }

// now is the current time in the precision of the store.
func (e *Engine) now() time.Time { return e.o.Now().UTC().Truncate(time.Microsecond) }

// Serve runs the journal, the heartbeat, the takeover of silent processes' runs and the
// local queue until ctx is done. Then it starts nothing more, lets steps in flight go on for
// StopTimeout, hands the rest back and returns nil. An error means that the process must end.
func (e *Engine) Serve(ctx context.Context) error {
	// The journal outlives the runs, and the heartbeat both: what is handed back is stored.
	lasting := context.WithoutCancel(ctx)
	journal := serve(lasting, e.journal.Serve)
	owner := serve(lasting, e.owner.Serve)
	feeding := serve(ctx, func(ctx context.Context) error {
		e.dispatcher.Serve(ctx, e.checks.Sweep, e.slots.Run)
		return nil
	})

	select {
	case <-ctx.Done():
	case <-journal.done: // nothing can be stored any more
	}
	e.drain(journal.done)
	e.kill(attempt.ErrLeaving)
	_ = feeding.end()
	err := journal.end()
	_ = owner.end()
	if err != nil {
		return fmt.Errorf("journal: %w", err)
	}
	return nil
}

// service is a Serve function at work.
type service struct {
	cancel context.CancelFunc
	done   chan struct{}
	err    error // once done is closed
}

func serve(ctx context.Context, run func(context.Context) error) *service {
	ctx, cancel := context.WithCancel(ctx)
	s := &service{cancel: cancel, done: make(chan struct{})}
	go func() {
		defer close(s.done)
		s.err = run(ctx)
	}()
	return s
}

// end stops the service and returns its error.
func (s *service) end() error {
	s.cancel()
	<-s.done
	return s.err
}

// unresponsive is how long a node may ignore that its context is done.
const unresponsive = 5 * time.Second

// drain lets steps in flight end, interrupts those that take too long, and hands runs back.
// When the journal is down, it does not wait for what cannot be stored.
func (e *Engine) drain(down <-chan struct{}) {
	e.close()
	stop := time.NewTimer(e.o.StopTimeout)
	defer stop.Stop()
	select {
	case <-e.live.Drained():
		return
	case <-down:
		return
	case <-stop.C:
	}
	e.kill(attempt.ErrLeaving)
	last := time.NewTimer(unresponsive)
	defer last.Stop()
	select {
	case <-e.live.Drained():
	case <-down:
	case <-last.C:
		e.o.Logger.Error("steps did not stop; their runs are resumed by the next process")
	}
}

// close accepts and starts nothing more, and makes every run leave as soon as it can.
func (e *Engine) close() {
	carriers := e.live.Close()
	e.queue.Close()
	for _, c := range carriers {
		go c.Stop()
	}
}

// running returns the run as this process carries it out, or nil.
func (e *Engine) running(id runs.ID) *execution.Run {
	r, _ := e.live.Get(id).(*execution.Run)
	return r
}

// Ready is nil when runs can be accepted and worked on, else an Unavailable fault.
func (e *Engine) Ready() error {
	switch err := e.journal.Err(); {
	case e.live.Stopping():
		return errUnavailable("the process is stopping")
	case err != nil:
		return err
	case !e.owner.Confirmed():
		return errUnavailable("the heartbeat of this process is not confirmed by the database")
	case e.queue.Queued() >= e.o.QueueLimit:
		return errUnavailable("the queue is full")
	}
	return nil
}

func errUnavailable(why string) error {
	return fault.New(fault.Unavailable, "%s; try again", why)
}
