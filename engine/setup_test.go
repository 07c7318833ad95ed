package engine_test

import (
	"context"
	"maps"
	"net/http"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"go.uber.org/goleak"

	"keyflow/credentials"
	"keyflow/engine"
	"keyflow/engine/plan"
	"keyflow/engine/runs"
	"keyflow/engine/sqlstore"
	"keyflow/engine/sqlstore/heartbeat"
	"keyflow/internal/database"
	"keyflow/internal/database/databasetest"
	"keyflow/internal/fault"
	"keyflow/internal/identity"
	"keyflow/nodes"
	"keyflow/nodes/standard"
	"keyflow/workflows"
	workflowstore "keyflow/workflows/sqlstore"
)

func TestMain(m *testing.M) {
	goleak.VerifyTestMain(m, goleak.IgnoreTopFunction("database/sql.(*DB).connectionOpener"))
}

// world is a real engine on a real database; nodes of type "call" do what the test says.
type world struct {
	testing.TB
	db      *database.DB
	store   *flaky
	owners  *flakyOwners
	catalog *workflows.Catalog
	types   *nodes.Registry
	engine  *engine.Engine
	persons *persons
	stop    func() // ends Serve gracefully

	mu    sync.Mutex
	calls map[string]int // by "name" of the call
	do    func(ctx context.Context, env nodes.Env, call call) (any, error)
}

// call is what a node of type "call" was asked.
type call struct {
	name string
	arg  any
	n    int // how many calls with this name there were, this one included
}

type callNode struct{ *world }

func (c callNode) Run(ctx context.Context, env nodes.Env, in nodes.Input) (nodes.Result, error) {
	name, _ := in.With["name"].(string)
	c.mu.Lock()
	c.calls[name]++
	n, do := c.calls[name], c.do
	c.mu.Unlock()
	out, err := do(ctx, env, call{name: name, arg: in.With["arg"], n: n})
	if err != nil {
		return nil, err
	}
	return nodes.Done{Output: out}, nil
}

// actNode works on its credential.
type actNode struct{}

func (actNode) Run(ctx context.Context, env nodes.Env, in nodes.Input) (nodes.Result, error) {
	fields, _ := in.With["fields"].(map[string]any)
	out, err := env.Act(ctx, in.With["action"].(string), fields)
	return nodes.Done{Output: out}, err
}

type failNode struct{}

func (failNode) Run(_ context.Context, _ nodes.Env, in nodes.Input) (nodes.Result, error) {
	return nil, &nodes.Error{Code: nodes.CodeFailed, Message: in.With["message"].(string), Permanent: true}
}

// plainClients resolves no credential.
type plainClients struct{}

func (plainClients) Client(_ context.Context, use credentials.Use) (*http.Client, error) {
	if use.ID == "missing" {
		return nil, &credentials.Error{Code: credentials.CodeUnknown, Message: "credential \"missing\" does not exist", ID: use.ID}
	}
	return &http.Client{Transport: headed{&http.Transport{DisableKeepAlives: true}, use.Header}}, nil
}

// headed adds the headers of a use.
type headed struct {
	next   http.RoundTripper
	header http.Header
}

func (h headed) RoundTrip(req *http.Request) (*http.Response, error) {
	req = req.Clone(req.Context())
	maps.Copy(req.Header, h.header)
	return h.next.RoundTrip(req)
}

// flaky is a store that can be made to fail from one moment on, as when the process dies.
type flaky struct {
	runs.Store
	dead     atomic.Bool
	commits  atomic.Int64
	dueReads atomic.Int64 // for due runs of each origin
	mute     atomic.Int64 // how many questions for an answer are not answered
	around   atomic.Pointer[aroundCommit]
}

// aroundCommit stands between the journal and the store.
type aroundCommit func(entries []runs.Entry, commit func() ([]runs.Outcome, error)) ([]runs.Outcome, error)

func (f *flaky) DueOfEach(ctx context.Context, now time.Time, each int) ([]runs.DueRun, error) {
	defer f.dueReads.Add(1)
	return f.Store.DueOfEach(ctx, now, each)
}

func (f *flaky) Answer(ctx context.Context, id runs.ID) (*runs.Answer, error) {
	if f.mute.Add(-1) >= 0 {
		return nil, fault.New(fault.Unavailable, "the database does not answer")
	}
	return f.Store.Answer(ctx, id)
}

func (f *flaky) Commit(ctx context.Context, entries []runs.Entry, now time.Time) ([]runs.Outcome, error) {
	if f.dead.Load() {
		return nil, runs.ErrSync // the journal gives up at once
	}
	f.commits.Add(1)
	if around := f.around.Load(); around != nil {
		return (*around)(entries, func() ([]runs.Outcome, error) { return f.Store.Commit(ctx, entries, now) })
	}
	return f.Store.Commit(ctx, entries, now)
}

// flakyOwners is a heartbeat that can be made to fail.
type flakyOwners struct {
	runs.Owners
	dead     atomic.Bool
	orphaned atomic.Int64 // how often there were runs of silent processes
	beats    atomic.Int64 // that were stored
}

func (f *flakyOwners) OwnedBy(ctx context.Context, owners []runs.OwnerID, limit int) ([]runs.Orphan, error) {
	orphans, err := f.Owners.OwnedBy(ctx, owners, limit)
	if len(orphans) > 0 {
		f.orphaned.Add(1)
	}
	return orphans, err
}

func (f *flakyOwners) Beat(ctx context.Context, owner runs.OwnerID) error {
	if f.dead.Load() {
		return fault.New(fault.Unavailable, "the database does not answer this process")
	}
	err := f.Owners.Beat(ctx, owner)
	if err == nil {
		f.beats.Add(1)
	}
	return err
}

func setup(tb testing.TB) *world {
	tb.Helper()
	return setupOn(tb, databasetest.SQLite(tb))
}

func setupOn(tb testing.TB, db *database.DB) *world {
	tb.Helper()
	w := &world{TB: tb, db: db, calls: map[string]int{}, persons: &persons{absent: map[credentials.ID]bool{}}}
	w.do = func(_ context.Context, _ nodes.Env, c call) (any, error) { return c.arg, nil }
	waits := []nodes.Type{}
	for _, kind := range standard.Types() {
		if kind.Name == "wait" || kind.Name == "approval" || kind.Name == "workflow" || kind.Name == "emit" || kind.Name == "web_request" || kind.Name == "transform" || kind.Name == nodes.TypeRespond {
			waits = append(waits, kind)
		}
	}
	w.types = nodes.NewRegistry(append(waits,
		nodes.Type{
			Name: "call", Credential: true, New: func() nodes.Node { return callNode{w} },
			Params: []nodes.Param{
				{Name: "name", Kind: nodes.String}, {Name: "arg", Kind: nodes.Any, Redacted: nodes.RedactedKept}, {Name: "times", Kind: nodes.Integer},
				{Name: "when", Kind: nodes.Expression, Scope: []string{"response"}}, {Name: "mode", Kind: nodes.String, Enum: []string{"fast", "slow"}},
				{Name: "for", Kind: nodes.Duration}, {Name: "map", Kind: nodes.Object},
			},
		},
		nodes.Type{
			Name: "act", Credential: true, Acts: true, New: func() nodes.Node { return actNode{} },
			Params: []nodes.Param{{Name: "action", Kind: nodes.String}, {Name: "fields", Kind: nodes.Object, Sealed: true}},
		},
		nodes.Type{Name: "fail", New: func() nodes.Node { return failNode{} }, Params: []nodes.Param{{Name: "message", Kind: nodes.String, Required: true}}},
	)...)
	w.catalog = workflows.NewCatalog(workflowstore.New(w.db), workflows.CatalogOptions{Checkers: []workflows.Checker{plan.NewChecker(w.types)}})
	w.boot(engine.Options{Exclusive: true})
	return w
}

// boot starts an engine on the world's database, in the place of the one before.
func (w *world) boot(o engine.Options) {
	w.Helper()
	store, err := sqlstore.New(w.db)
	if err != nil {
		w.Fatal(err)
	}
	serving := &flaky{Store: store}
	w.store = serving
	w.owners = &flakyOwners{Owners: heartbeat.New(w.db)}
	o.Store, o.Owners, o.Types = w.store, w.owners, w.types
	if o.Catalog == nil {
		o.Catalog = w.catalog
	}
	o.Credentials, o.Connections = plainClients{}, w.persons
	if w.engine, err = engine.New(o); err != nil {
		w.Fatal(err)
	}
	ctx, cancel := context.WithCancel(context.Background())
	done := make(chan error, 1)
	e := w.engine
	go func() { done <- e.Serve(ctx) }()
	var once sync.Once
	w.stop = func() {
		once.Do(func() {
			cancel()
			if err := <-done; err != nil && !serving.dead.Load() {
				w.Errorf("Serve: %v", err)
			}
		})
	}
	w.Cleanup(w.stop)
	w.eventually("ready", func() bool { return e.Ready() == nil })
}

// kill lets the engine die as a process does: nothing is written any more.
func (w *world) kill() {
	w.store.dead.Store(true)
	_ = w.engine.Cancel(context.Background(), runs.ID{}) // meets the dead store
	w.stop()
}

// eventually waits for something that comes about without the test's doing.
func (w *world) eventually(what string, ok func() bool) {
	w.Helper()
	timeout := time.After(time.Minute)
	tick := time.NewTicker(2 * time.Millisecond)
	defer tick.Stop()
	for !ok() {
		select {
		case <-tick.C:
		case <-timeout:
			w.Fatalf("%s: not after a minute", what)
		}
	}
}

func (w *world) apply(definition string) workflows.ID {
	w.Helper()
	d, problems := workflows.Parse([]byte(definition))
	if len(problems) > 0 {
		w.Fatalf("definition: %v", problems)
	}
	if _, err := w.catalog.Apply(context.Background(), identity.System(), d.ID, []byte(definition), -1); err != nil {
		w.Fatalf("apply: %v %v", err, fault.ProblemsOf(err))
	}
	return d.ID
}

func (w *world) start(id workflows.ID, input string) runs.ID {
	w.Helper()
	s := engine.Start{Workflow: id}
	if input != "" {
		s.Input = []byte(input)
	}
	started, err := w.engine.Start(context.Background(), s)
	if err != nil {
		w.Fatalf("start: %v %v", err, fault.ProblemsOf(err))
	}
	return started.Run
}

func (w *world) wait(id runs.ID) (runs.Run, map[string]runs.Step) {
	w.Helper()
	ctx, cancel := context.WithTimeout(context.Background(), time.Minute)
	defer cancel()
	run, err := w.engine.Wait(ctx, id)
	if err != nil {
		w.Fatalf("wait: %v", err)
	}
	return run, w.steps(id)
}

// steps returns the stored steps by node, or node/index for elements.
func (w *world) steps(id runs.ID) map[string]runs.Step {
	w.Helper()
	_, steps, err := w.engine.Run(context.Background(), id)
	if err != nil {
		w.Fatalf("run: %v", err)
	}
	out := map[string]runs.Step{}
	for _, s := range steps {
		out[stepName(s)] = s
	}
	return out
}

func (w *world) count(name string) int {
	w.mu.Lock()
	defer w.mu.Unlock()
	return w.calls[name]
}
