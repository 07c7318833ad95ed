package main

import (
	"context"
	"crypto/tls"
	"errors"
	"fmt"
	"log/slog"
	"net"
	"net/http"
	"net/netip"
	"net/url"
	"os"
	"strings"
	"time"

	"github.com/prometheus/client_golang/prometheus"
	"golang.org/x/sync/errgroup"

	"keyflow/credentials"
	"keyflow/credentials/masterkey"
	credentialstore "keyflow/credentials/sqlstore"
	"keyflow/credentials/vault"
	"keyflow/engine"
	"keyflow/engine/plan"
	runstore "keyflow/engine/sqlstore"
	"keyflow/engine/sqlstore/heartbeat"
	"keyflow/engine/sqlstore/retention"
	"keyflow/internal/database"
	"keyflow/internal/egress"
	"keyflow/internal/identity"
	"keyflow/internal/outbox"
	eventstore "keyflow/internal/outbox/sqlstore"
	"keyflow/nodes"
	"keyflow/nodes/standard"
	"keyflow/triggers"
	triggerstore "keyflow/triggers/sqlstore"
	"keyflow/triggers/webhook"
	"keyflow/web"
	"keyflow/web/access"
	webrequest "keyflow/web/request"
	"keyflow/web/session"
	sessionstore "keyflow/web/session/sqlstore"
	"keyflow/workflows"
	workflowstore "keyflow/workflows/sqlstore"
)

const shutdownTimeout = 30 * time.Second

// core runs workflows, with or without a web server around it.
type core struct {
	log    *slog.Logger
	db     *database.DB
	egress *egress.Transport
	// vaultEgress is nil without VAULT_ADDR.
	vaultEgress *egress.Transport
	vault       *vault.Vault
	catalog     *workflows.Catalog
	engine      *engine.Engine
	runs        *runstore.Store
	manager     *triggers.Manager
	events      *eventstore.Queue
	metrics     *prometheus.Registry
	public      *url.URL
	now         func() time.Time
	keep        retention.Keep
	// callbackURL is the URL before the token of a callback; "" without a server.
	callbackURL string
}

// newCore opens the database and wires the parts; own are this process's listening addresses.
func newCore(ctx context.Context, cfg config, log *slog.Logger, public *url.URL, own []netip.AddrPort) (*core, error) {
	c, err := openCore(ctx, cfg, log, public, own)
	if err != nil {
		return nil, err
	}
	if err := c.wire(cfg); err != nil {
		return nil, &exitError{exitCannotStart, errors.Join(err, c.close())}
	}
	return c, nil
}

// openCore is newCore without wire, which is the first to use the master key.
func openCore(ctx context.Context, cfg config, log *slog.Logger, public *url.URL, own []netip.AddrPort) (*core, error) {
	c := &core{log: log, public: public, metrics: access.NewRegistry(), keep: retention.Keep{For: time.Duration(cfg.keepFor), Runs: cfg.keepRuns}}
	var err error
	if c.now, err = testClock(cfg.clockOffset); err != nil {
		return nil, &exitError{exitUsage, err}
	}
	c.egress, err = egress.New(egress.Options{Allow: cfg.egressAllow, Proxy: cfg.egressProxy, Own: func() []netip.AddrPort { return own }, Logger: log})
	if err != nil {
		return nil, &exitError{exitUsage, err}
	}
	c.db, err = database.Open(ctx, database.Options{URL: cfg.databaseURL, Dir: cfg.dataDir, Logger: log})
	if err != nil {
		return nil, &exitError{exitCannotStart, err}
	}
	if len(own) > 0 {
		c.callbackURL = strings.TrimSuffix(public.String(), "/") + webhook.CallbacksPrefix
	}
	return c, nil
}

func (c *core) wire(cfg config) error {
	if err := c.openVault(cfg); err != nil {
		return err
	}
	types := nodes.NewRegistry(standard.Types()...)
	shared := c.db.Dialect() == database.Postgres
	var refresh time.Duration // of workflows that another process may have changed
	if shared {
		refresh = time.Second
	}
	c.catalog = workflows.NewCatalog(workflowstore.New(c.db), workflows.CatalogOptions{
		Checkers:    []workflows.Checker{plan.NewChecker(types), triggers.NewChecker(routes(func() *triggers.Manager { return c.manager })), plan.NewCredentialChecker(c.vault)},
		Listeners:   []workflows.Listener{changed(func(ctx context.Context, id workflows.ID) error { return c.manager.WorkflowChanged(ctx, id) })},
		Credentials: naming{c.vault}, Refresh: refresh, Now: c.now, Logger: c.log,
	})
	var err error
	if c.runs, err = runstore.New(c.db); err != nil {
		return fmt.Errorf("run store: %w", err)
	}
	c.runs.OnEvents(c.events.Notify)
	c.engine, err = engine.New(engine.Options{
		Store: c.runs, Owners: heartbeat.New(c.db), Catalog: c.catalog, Types: types, Credentials: c.vault.Resolver(), Connections: c.vault, Sealer: c.vault, Actor: c.vault,
		Wants:       func(eventType, folder string) bool { return c.manager.Wants(eventType, folder) },
		CallbackURL: c.callbackURL, Exclusive: !shared, Concurrency: cfg.concurrency, MaxOutput: int(cfg.maxOutput), Now: c.now, Logger: c.log,
	})
	if err != nil {
		return fmt.Errorf("engine: %w", err)
	}
	c.manager = triggers.New(triggers.Options{
		Store: triggerstore.New(c.db), Catalog: c.catalog, Starter: c.engine, Verifier: c.vault, Waiters: c.engine, Ready: c.engine.Ready,
		Shared: shared, PublicURL: c.public.String(), ClientIP: webrequest.ClientAddress(cfg.proxies), Now: c.now, Logger: c.log,
	})
	return c.manager.Register(c.metrics)
}

func (c *core) openVault(cfg config) error {
	keys, err := masterkey.Open(cfg.dataDir, cfg.masterKey)
	if err != nil {
		return err
	}
	from, err := c.openSources(cfg)
	if err != nil {
		return err
	}
	store := credentialstore.New(c.db)
	c.events = eventstore.New(c.db)
	store.OnEvents(c.events.Notify)
	c.vault, err = vault.New(vault.Options{
		Store: store, Tokens: store, Limits: store, Canary: store, Seen: store, Reminders: store, Keyset: keys,
		PublicURL: c.public.String(), Transport: c.egress, Now: c.now, Logger: c.log, Sources: from,
		Connected: func(id credentials.ID) { c.engine.CredentialConnected(id) },
		Usages: func(ctx context.Context, id credentials.ID) ([]credentials.Usage, error) {
			found, err := c.catalog.Usages(ctx, string(id))
			usages := make([]credentials.Usage, len(found))
			for i, u := range found {
				usages[i] = credentials.Usage{Workflow: string(u.Workflow), Node: string(u.Node), Trigger: u.Trigger}
			}
			return usages, err
		},
		Users: c.users,
	})
	return err
}

// users adapts the catalog to what the vault asks.
func (c *core) users(ctx context.Context, ids []credentials.ID, ran []string) (credentials.Users, error) {
	names := make([]string, len(ids))
	for i, id := range ids {
		names[i] = string(id)
	}
	candidates := make([]workflows.ID, len(ran))
	for i, id := range ran {
		candidates[i] = workflows.ID(id)
	}
	naming, existing, err := c.catalog.Users(ctx, names, candidates)
	users := credentials.Users{Naming: make(map[credentials.ID][]string), Existing: make(map[string]bool)}
	for id, list := range naming {
		for _, workflow := range list {
			users.Naming[credentials.ID(id)] = append(users.Naming[credentials.ID(id)], string(workflow))
		}
	}
	for _, id := range existing {
		users.Existing[string(id)] = true
	}
	return users, err
}

// serveEvents delivers events.
func (c *core) serveEvents(ctx context.Context) error {
	return outbox.Serve(ctx, c.events, newSubscriber(c.log, c.metrics, c.manager.Deliver).deliver, c.log)
}

// changed is a workflows.Listener as a function.
type changed func(ctx context.Context, id workflows.ID) error

// WorkflowChanged implements workflows.Listener.
func (f changed) WorkflowChanged(ctx context.Context, id workflows.ID) error { return f(ctx, id) }

// naming adapts the vault to workflows.CredentialRights.
type naming struct{ vault *vault.Vault }

// RequireUse implements workflows.CredentialRights.
func (n naming) RequireUse(ctx context.Context, caller identity.Caller, credential string) error {
	return n.vault.RequireUse(ctx, caller, credentials.ID(credential))
}

// routes returns the manager, which is created after the catalog that checks with it.
type routes func() *triggers.Manager

// Taken implements triggers.Routes.
func (r routes) Taken(path string, except workflows.ID) (workflows.ID, bool) {
	return r().Taken(path, except)
}

// serve runs the engine, the background work of the vault, the delivery of events, and fire beside
// them, until ctx is done. fire ends before the engine.
func (c *core) serve(ctx context.Context, fire func(context.Context) error) error {
	engineCtx, stopEngine := context.WithCancel(context.WithoutCancel(ctx))
	defer stopEngine()
	var inner, outer errgroup.Group
	failed, fail := context.WithCancelCause(ctx)
	defer fail(nil)
	for _, serve := range []func(context.Context) error{c.engine.Serve, c.vault.Serve, c.serveEvents, c.prune} {
		inner.Go(func() error {
			defer fail(errPartEnded) // ends the others
			return serve(engineCtx)
		})
	}
	outer.Go(func() error {
		defer fail(nil)
		return fire(failed)
	})
	err := outer.Wait()
	stopEngine()
	return errors.Join(err, inner.Wait())
}

func (c *core) close() error {
	c.egress.CloseIdleConnections()
	if c.vaultEgress != nil {
		c.vaultEgress.CloseIdleConnections()
	}
	return c.db.Close()
}

// server is a core with triggers, API and page.
type server struct {
	*core
	session  *session.Service
	listener net.Listener
	http     *http.Server
	tls      *tls.Config // nil: plain HTTP
	folder   *folder     // of workflow files; nil without
	setup    string      // one-time link; "" when an administrator exists
}

// newServer listens first: when the port is in use, nothing has been written.
func newServer(ctx context.Context, cfg config, log *slog.Logger) (*server, error) {
	config, err := cfg.tls(log)
	if err != nil {
		return nil, &exitError{exitUsage, err}
	}
	listener, err := (&net.ListenConfig{}).Listen(ctx, "tcp", cfg.listen)
	if err != nil {
		return nil, &exitError{exitCannotStart, fmt.Errorf("cannot listen on %s: %w; choose another --listen address", cfg.listen, plainNetError(err))}
	}
	s := &server{listener: listener, tls: config}
	if err := s.build(ctx, cfg, log); err != nil {
		if s.core != nil {
			err = errors.Join(err, s.close())
		}
		return nil, errors.Join(err, listener.Close())
	}
	return s, nil
}

// plainNetError drops the address, which the message has.
func plainNetError(err error) error {
	if op, ok := errors.AsType[*net.OpError](err); ok {
		return op.Err
	}
	return err
}

// makeDataDir makes the data folder, readable by this user alone. On Postgres it holds the admin
// token and, without KEYFLOW_MASTER_KEY, the master key.
func makeDataDir(dir string) error {
	if err := os.MkdirAll(dir, 0o700); err != nil {
		return fmt.Errorf("cannot make the data folder: %w; choose another --data-dir (KEYFLOW_DATA_DIR)", err)
	}
	return nil
}

func (s *server) build(ctx context.Context, cfg config, log *slog.Logger) error {
	public, err := cfg.public(s.listener.Addr())
	if err != nil {
		return &exitError{exitUsage, err}
	}
	var own []netip.AddrPort
	if tcp, ok := s.listener.Addr().(*net.TCPAddr); ok {
		own = append(own, tcp.AddrPort())
	}
	if s.core, err = openCore(ctx, cfg, log, public, own); err != nil {
		return err
	}
	if err := makeDataDir(cfg.dataDir); err != nil {
		return &exitError{exitCannotStart, err}
	}
	// The token is written under the folder's lock, and before anything is sealed: a start that
	// fails here leaves no database behind that is bound to this master key.
	token, err := session.AdminToken(cfg.dataDir, cfg.adminToken)
	if err != nil {
		return &exitError{exitCannotStart, err}
	}
	if err := s.wire(cfg); err != nil {
		return &exitError{exitCannotStart, err}
	}
	if cfg.folder != "" {
		s.folder = &folder{dir: cfg.folder, catalog: s.catalog, log: log}
	}
	s.session, err = session.New(session.Options{
		Accounts: sessionstore.NewAccounts(s.db), Tokens: sessionstore.NewTokens(s.db),
		Sessions: sessionstore.NewSessions(s.db, s.now), PublicURL: public, AdminToken: token, Now: s.now, Logger: log,
	})
	if err != nil {
		return &exitError{exitCannotStart, err}
	}
	if s.setup, err = s.session.OpenSetup(ctx, cfg.dataDir, cfg.adminPassword); err != nil {
		return &exitError{exitCannotStart, err}
	}
	stopping := make(chan struct{})
	handler, err := web.NewHandler(web.Deps{
		Session: s.session, Credentials: s.vault, Workflows: s.catalog, Runs: s.engine, Uses: s.runs, Triggers: s.manager,
		Hooks: s.manager.Hooks(), Callbacks: s.manager.Callbacks(), Ready: s.ready, Backup: s.db.Backup, PublicURL: public,
		Options: web.Options{Stopping: stopping, TrustedProxies: cfg.proxies, Metrics: s.metrics, Version: version, Logger: log},
	})
	if err != nil {
		return &exitError{exitCannotStart, err}
	}
	s.http = &http.Server{
		Handler:           handler,
		ReadHeaderTimeout: 10 * time.Second,
		IdleTimeout:       2 * time.Minute,
		MaxHeaderBytes:    64 << 10,
		ErrorLog:          slog.NewLogLogger(log.Handler(), slog.LevelDebug),
	}
	s.http.TLSConfig = s.tls
	s.http.RegisterOnShutdown(func() { close(stopping) })
	return nil
}

// accept serves the listener until the server is shut down.
func (s *server) accept() error {
	if s.http.TLSConfig != nil {
		return s.http.ServeTLS(s.listener, "", "")
	}
	return s.http.Serve(s.listener)
}

// ready is nil while work can be accepted and done.
func (s *server) ready(ctx context.Context) error {
	if err := s.db.SQL().PingContext(ctx); err != nil {
		return database.Translate(err, "database")
	}
	return s.engine.Ready()
}

// run serves until ctx is done. Then it accepts nothing new and finishes the work in progress.
func (s *server) run(ctx context.Context) error {
	err := s.serve(ctx, func(ctx context.Context) error {
		g, ctx := errgroup.WithContext(ctx)
		g.Go(func() error { return s.manager.Serve(ctx) })
		if s.folder != nil {
			g.Go(func() error { return s.folder.serve(ctx) })
		}
		g.Go(func() error {
			if err := s.accept(); !errors.Is(err, http.ErrServerClosed) {
				return fmt.Errorf("serve: %w", err)
			}
			return nil
		})
		g.Go(func() error { return shutDown(ctx, s.http) })
		return g.Wait()
	})
	return errors.Join(err, s.close())
}
