// Package firingtest sets up a triggers.Manager on a real database, for the tests of the kinds of
// triggers.
package firingtest

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

// Recorder is a Starter that keeps what it is asked to start, with the engine's rule for
// dedupe keys.
type Recorder struct {
	Wait       func(context.Context, runs.ID) (runs.Run, error)
	Says       *runs.Answer // of every run
	FailAnswer error
	Full       bool   // no start gets a slot
	During     func() // called by Start
	Goal       int    // with so many starts, Reached is closed
	Reached    chan struct{}
	Large      chan struct{} // when set, inputs over 64 KiB are not stored before it is closed

	mu     sync.Mutex
	starts []engine.Start
	runs   map[string]runs.ID // by workflow, kind, trigger, key
	err    error              // answered instead, when set
}

// Start implements triggers.Starter.
func (r *Recorder) Start(ctx context.Context, s engine.Start) (engine.Started, error) {
	if r.During != nil {
		r.During()
	}
	if ctx.Err() != nil {
		return engine.Started{}, fault.New(fault.Unavailable, "not in time")
	}
	if r.Large != nil && len(s.Input) > 64<<10 {
		<-r.Large
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
		if r.Full {
			r.runs[key] = runs.ID{}
			return engine.Started{Workflow: s.Workflow, Skipped: true}, nil
		}
	}
	id := runs.ID(uuid.Must(uuid.NewV7()))
	if key != "" {
		r.runs[key] = id
	}
	if r.starts = append(r.starts, s); r.Goal > 0 && len(r.starts) == r.Goal {
		close(r.Reached)
	}
	return engine.Started{Run: id, Workflow: s.Workflow, Status: runs.Running}, nil
}

// Answer returns Says or FailAnswer, else what Wait returns, else success.
func (r *Recorder) Answer(ctx context.Context, id runs.ID) (*runs.Answer, runs.Run, error) {
	if r.Says != nil || r.FailAnswer != nil {
		return r.Says, runs.Run{}, r.FailAnswer
	}
	if r.Wait != nil {
		run, err := r.Wait(ctx, id)
		return nil, run, err
	}
	return nil, runs.Run{ID: id, Status: runs.Succeeded, Output: json.RawMessage(`{"ok":true}`)}, nil
}

// Runs knows of none that wait.
func (r *Recorder) Runs(context.Context, runs.Filter) ([]runs.Run, error) { return nil, nil }

// Fail makes Start return an error, or succeed again.
func (r *Recorder) Fail(err error) {
	r.mu.Lock()
	defer r.mu.Unlock()
	r.err = err
}

// Forget drops what was started; dedupe keys stay.
func (r *Recorder) Forget() {
	r.mu.Lock()
	defer r.mu.Unlock()
	r.starts = nil
}

// All returns what was started.
func (r *Recorder) All() []engine.Start {
	r.mu.Lock()
	defer r.mu.Unlock()
	return append([]engine.Start(nil), r.starts...)
}

// Planned returns the planned instants of all starts of a workflow, as local clock text.
func (r *Recorder) Planned(id workflows.ID) []string {
	var out []string
	for _, s := range r.All() {
		if s.Workflow == id {
			out = append(out, s.Trigger.ScheduledAt.Format("15:04:05"))
		}
	}
	return out
}

// Verifier wants the header X-Key to be "right-key-123"; the credential "broken" cannot verify.
type Verifier struct{ Unverified atomic.Int32 }

// Unverify counts.
func (v *Verifier) Unverify(context.Context, credentials.ID, *http.Request, []byte) {
	v.Unverified.Add(1)
}

// Verify implements webhook.Verifier.
func (*Verifier) Verify(_ context.Context, id credentials.ID, _, _ string, r *http.Request, _ []byte) ([]string, error) {
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

// Harness is a manager on a real database with what surrounds it.
type Harness struct {
	Manager  *triggers.Manager
	Catalog  *workflows.Catalog
	Store    *sqlstore.Store
	Starter  *Recorder
	Verifier *Verifier
	Database *database.DB
}

// Setup returns a harness on a fresh SQLite database.
func Setup(tb testing.TB) *Harness {
	tb.Helper()
	return SetupOn(databasetest.SQLite(tb), time.Now)
}

// SetupOn returns a harness on a database, with a clock.
func SetupOn(db *database.DB, now func() time.Time) *Harness {
	h := &Harness{Starter: &Recorder{runs: map[string]runs.ID{}}, Verifier: &Verifier{}, Store: sqlstore.New(db), Database: db}
	h.Catalog = workflows.NewCatalog(workflowstore.New(db), workflows.CatalogOptions{Now: now})
	h.Manager = triggers.New(triggers.Options{
		Store: h.Store, Catalog: h.Catalog, Starter: h.Starter, Verifier: h.Verifier,
		PublicURL: "https://flow.example.com", Now: now,
	})
	h.Catalog.AddChecker(triggers.NewChecker(h.Manager))
	h.Catalog.AddListener(h.Manager)
	return h
}

// Apply stores a workflow with the given triggers.
func (h *Harness) Apply(tb testing.TB, id, triggersJSON string, extra ...string) {
	tb.Helper()
	source := `{"id": "` + id + `", "folder": "/team", "nodes": {"n": {"type": "transform"}}, "triggers": {` + triggersJSON + `}`
	for _, e := range extra {
		source += ", " + e
	}
	if _, err := h.Catalog.Apply(tb.Context(), identity.System(), workflows.ID(id), []byte(source+"}"), -1); err != nil {
		tb.Fatalf("apply %s: %v %v", id, err, fault.ProblemsOf(err))
	}
}

// EveryMinute is a trigger that fires every minute.
const EveryMinute = `"tick": {"type": "cron", "schedule": "* * * * *"}`
