package triggers_test

import (
	"context"
	"encoding/json"
	"net/http"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"github.com/google/uuid"

	"keyflow/credentials"
	"keyflow/engine"
	"keyflow/engine/runs"
	"keyflow/internal/database"
	"keyflow/internal/database/databasetest"
	"keyflow/internal/fault"
	"keyflow/internal/identity"
	"keyflow/triggers"
	"keyflow/triggers/sqlstore"
	"keyflow/workflows"
	workflowstore "keyflow/workflows/sqlstore"
)

// recorder is a Starter that keeps what it is asked to start, with the engine's rule for
// dedupe keys.
type recorder struct {
	mu         sync.Mutex
	starts     []engine.Start
	runs       map[string]runs.ID // by workflow, kind, trigger, key
	err        error              // answered instead, when set
	wait       func(context.Context, runs.ID) (runs.Run, error)
	answer     *runs.Answer // what every run says
	failAnswer error
	full       bool   // no start gets a slot
	during     func() // called by Start
	goal       int    // with so many starts, reached is closed
	reached    chan struct{}
	large      chan struct{} // when set, inputs over 64 KiB are not stored before it is closed
}

func (r *recorder) Start(ctx context.Context, s engine.Start) (engine.Started, error) {
	if r.during != nil {
		r.during()
	}
	if ctx.Err() != nil {
		return engine.Started{}, fault.New(fault.Unavailable, "not in time")
	}
	if r.large != nil && len(s.Input) > 64<<10 {
		<-r.large
	}
	r.mu.Lock()
	defer r.mu.Unlock()
	if r.err != nil {
		return engine.Started{}, r.err
	}
	key := ""
	if s.Dedupe != nil {
		key = string(s.Workflow) + "|" + s.Dedupe.Kind + "|" + s.Dedupe.Trigger + "|" + s.Dedupe.Key
		if id, ok := r.runs[key]; ok {
			return engine.Started{Run: id, Workflow: s.Workflow, Duplicate: true, Skipped: id == runs.ID{}}, nil
		}
		if r.full {
			r.runs[key] = runs.ID{}
			return engine.Started{Workflow: s.Workflow, Skipped: true}, nil
		}
	}
	id := runs.ID(uuid.Must(uuid.NewV7()))
	if key != "" {
		r.runs[key] = id
	}
	if r.starts = append(r.starts, s); r.goal > 0 && len(r.starts) == r.goal {
		close(r.reached)
	}
	return engine.Started{Run: id, Workflow: s.Workflow, Status: runs.Running}, nil
}

func (r *recorder) Answer(ctx context.Context, id runs.ID) (*runs.Answer, runs.Run, error) {
	if r.answer != nil || r.failAnswer != nil {
		return r.answer, runs.Run{}, r.failAnswer
	}
	if r.wait != nil {
		run, err := r.wait(ctx, id)
		return nil, run, err
	}
	return nil, runs.Run{ID: id, Status: runs.Succeeded, Output: json.RawMessage(`{"ok":true}`)}, nil
}

// Runs knows of none that wait.
func (r *recorder) Runs(context.Context, runs.Filter) ([]runs.Run, error) { return nil, nil }

func (r *recorder) fail(err error) {
	r.mu.Lock()
	defer r.mu.Unlock()
	r.err = err
}

// forget drops what was started; dedupe keys stay.
func (r *recorder) forget() {
	r.mu.Lock()
	defer r.mu.Unlock()
	r.starts = nil
}

func (r *recorder) all() []engine.Start {
	r.mu.Lock()
	defer r.mu.Unlock()
	return append([]engine.Start(nil), r.starts...)
}

// planned returns the planned instants of all starts of a workflow, as local clock text.
func (r *recorder) planned(id workflows.ID) []string {
	var out []string
	for _, s := range r.all() {
		if s.Workflow == id {
			out = append(out, s.Trigger.ScheduledAt.Format("15:04:05"))
		}
	}
	return out
}

// keyVerifier wants the header X-Key to be "right-key-123"; the credential "broken" cannot verify.
type keyVerifier struct{ unverified atomic.Int32 }

// Unverify counts.
func (v *keyVerifier) Unverify(context.Context, credentials.ID, *http.Request, []byte) {
	v.unverified.Add(1)
}

func (*keyVerifier) Verify(_ context.Context, id credentials.ID, _, _ string, r *http.Request, _ []byte) ([]string, error) {
	switch {
	case id == "away":
		return nil, fault.New(fault.Unavailable, "the vault is away")
	case id == "broken":
		return nil, fault.New(fault.Invalid, "credential of a type that cannot verify")
	case id == "query" && r.URL.Query().Get("token") == "right-key-123":
		return []string{"token"}, nil
	case id == "basic" && r.Header.Get("Authorization") != "":
		return []string{"Authorization"}, nil
	case r.Header.Get("X-Key") == "right-key-123":
		return []string{"X-Key"}, nil
	default:
		return nil, fault.New(fault.Unauthenticated, "no")
	}
}

// house is a manager on a real database with what surrounds it.
type house struct {
	manager  *triggers.Manager
	catalog  *workflows.Catalog
	store    *sqlstore.Store
	starter  *recorder
	verifier *keyVerifier
	database *database.DB
}

func setup(tb testing.TB) *house {
	tb.Helper()
	return setupOn(databasetest.SQLite(tb), time.Now)
}

func setupOn(db *database.DB, now func() time.Time) *house {
	h := &house{starter: &recorder{runs: map[string]runs.ID{}}, verifier: &keyVerifier{}, store: sqlstore.New(db), database: db}
	h.catalog = workflows.NewCatalog(workflowstore.New(db), workflows.CatalogOptions{Now: now})
	h.manager = triggers.New(triggers.Options{
		Store: h.store, Catalog: h.catalog, Starter: h.starter, Verifier: h.verifier,
		PublicURL: "https://flow.example.com", Now: now,
	})
	h.catalog.AddChecker(triggers.NewChecker(h.manager))
	h.catalog.AddListener(h.manager)
	return h
}

// apply stores a workflow with the given triggers.
func (h *house) apply(tb testing.TB, id, triggersJSON string, extra ...string) {
	tb.Helper()
	source := `{"id": "` + id + `", "folder": "/team", "nodes": {"n": {"type": "transform"}}, "triggers": {` + triggersJSON + `}`
	for _, e := range extra {
		source += ", " + e
	}
	if _, err := h.catalog.Apply(tb.Context(), identity.System(), workflows.ID(id), []byte(source+"}"), -1); err != nil {
		tb.Fatalf("apply %s: %v %v", id, err, fault.ProblemsOf(err))
	}
}
