package web

import (
	"context"
	"encoding/json"
	"log/slog"
	"slices"
	"sync"
	"testing"
	"time"

	"github.com/google/uuid"

	"keyflow/credentials"
	"keyflow/credentials/masterkey"
	credentialssql "keyflow/credentials/sqlstore"
	"keyflow/credentials/vault"
	"keyflow/engine"
	"keyflow/engine/live"
	"keyflow/engine/runs"
	"keyflow/internal/cloudevent"
	"keyflow/internal/database"
	"keyflow/internal/egress"
	"keyflow/internal/fault"
	"keyflow/triggers"
	"keyflow/triggers/event"
	"keyflow/web/api/credential"
	"keyflow/web/api/run"
	"keyflow/workflows"
)

// newVault is a real vault that may call loopback addresses.
func newVault(t *testing.T, db *database.DB, publicURL string, catalog *workflows.Catalog) *vault.Vault {
	t.Helper()
	keys, err := masterkey.Open(t.TempDir(), "")
	if err != nil {
		t.Fatal(err)
	}
	transport, err := egress.New(egress.Options{Allow: []string{"private"}})
	if err != nil {
		t.Fatal(err)
	}
	store := credentialssql.New(db)
	vault, err := vault.New(vault.Options{
		Store: store, Tokens: store, Limits: store, Canary: store, Keyset: keys, PublicURL: publicURL, Transport: transport, Logger: slog.New(slog.DiscardHandler),
		Usages: func(ctx context.Context, id credentials.ID) (list []credentials.Usage, err error) {
			used, err := catalog.Usages(ctx, string(id))
			for _, u := range used {
				list = append(list, credentials.Usage{Workflow: string(u.Workflow), Node: string(u.Node), Trigger: u.Trigger})
			}
			return list, err
		},
	})
	if err != nil {
		t.Fatal(err)
	}
	return vault
}

// fakeRuns keeps runs in memory: a run is running until finish is called. It stands in for
// the engine, whose own tests cover what runs do; here only the HTTP side is of interest.
type fakeRuns struct {
	mu     sync.Mutex
	runs   map[runs.ID]*fakeRun
	order  []runs.ID
	keys   map[string]runs.ID
	starts []engine.Start
}

type fakeRun struct {
	run   runs.Run
	steps []runs.Step
	done  chan struct{}
}

var (
	_ run.Engine      = (*fakeRuns)(nil)
	_ credential.Uses = (*fakeRuns)(nil)
)

// Uses finds none: the tests of the real engine have some.
func (f *fakeRuns) Uses(context.Context, runs.UseFilter) ([]runs.CredentialUse, error) {
	return nil, nil
}

func newFakeRuns() *fakeRuns {
	return &fakeRuns{runs: make(map[runs.ID]*fakeRun), keys: make(map[string]runs.ID)}
}

func (f *fakeRuns) Start(_ context.Context, s engine.Start) (engine.Started, error) {
	f.mu.Lock()
	defer f.mu.Unlock()
	f.starts = append(f.starts, s)
	if s.Dedupe != nil {
		if id, ok := f.keys[s.Dedupe.Key+s.Dedupe.InputHash]; ok {
			return engine.Started{Run: id, Duplicate: true}, nil
		}
	}
	id := runs.ID(uuid.Must(uuid.NewV7()))
	if s.Dedupe != nil {
		f.keys[s.Dedupe.Key+s.Dedupe.InputHash] = id
	}
	f.runs[id] = &fakeRun{done: make(chan struct{}), run: runs.Run{
		ID: id, Workflow: s.Workflow, Version: 1, Folder: "/", Status: runs.Running, Trigger: s.Trigger,
		Input: s.Input, CreatedAt: time.Date(2026, 3, 1, 9, 0, 0, 0, time.FixedZone("KST", 9*3600)),
	}}
	f.order = append(f.order, id)
	return engine.Started{Run: id, Workflow: s.Workflow, Version: 1, Status: runs.Running}, nil
}

// finish ends a run.
func (f *fakeRuns) finish(id runs.ID, output string, steps ...runs.Step) {
	f.mu.Lock()
	defer f.mu.Unlock()
	r := f.runs[id]
	r.run.Status, r.run.Output, r.steps = runs.Succeeded, json.RawMessage(output), steps
	close(r.done)
}

// move puts a run into another folder.
func (f *fakeRuns) move(id runs.ID, folder string) {
	f.mu.Lock()
	defer f.mu.Unlock()
	f.runs[id].run.Folder = folder
}

func (f *fakeRuns) last() runs.ID {
	f.mu.Lock()
	defer f.mu.Unlock()
	return f.order[len(f.order)-1]
}

func (f *fakeRuns) find(id runs.ID) (*fakeRun, error) {
	f.mu.Lock()
	defer f.mu.Unlock()
	r, ok := f.runs[id]
	if !ok {
		return nil, fault.New(fault.NotFound, "no run %s", id)
	}
	return r, nil
}

func (f *fakeRuns) Wait(ctx context.Context, id runs.ID) (runs.Run, error) {
	r, err := f.find(id)
	if err != nil {
		return runs.Run{}, err
	}
	select {
	case <-r.done:
		return r.run, nil
	case <-ctx.Done():
		return runs.Run{}, ctx.Err()
	}
}

func (f *fakeRuns) Find(_ context.Context, id runs.ID) (runs.Run, error) {
	r, err := f.find(id)
	if err != nil {
		return runs.Run{}, err
	}
	return r.run, nil
}

// Steps has all steps on one page.
func (f *fakeRuns) Steps(_ context.Context, filter runs.StepFilter) ([]runs.Step, error) {
	r, err := f.find(filter.Run)
	if err != nil {
		return nil, err
	}
	return r.steps, nil
}

func (f *fakeRuns) StepCounts(_ context.Context, id runs.ID) (map[runs.StepStatus]int, error) {
	r, err := f.find(id)
	if err != nil {
		return nil, err
	}
	counts := map[runs.StepStatus]int{}
	for _, s := range r.steps {
		counts[s.Status]++
	}
	return counts, nil
}

func (f *fakeRuns) Run(_ context.Context, id runs.ID) (runs.Run, []runs.Step, error) {
	r, err := f.find(id)
	if err != nil {
		return runs.Run{}, nil, err
	}
	return r.run, r.steps, nil
}

func (f *fakeRuns) Runs(_ context.Context, filter runs.Filter) (list []runs.Run, err error) {
	f.mu.Lock()
	defer f.mu.Unlock()
	for i := len(f.order) - 1; i >= 0 && len(list) < filter.Limit; i-- {
		r := f.runs[f.order[i]].run
		if filter.Before != (runs.ID{}) && r.ID.String() >= filter.Before.String() {
			continue
		}
		if filter.Workflow == "" || filter.Workflow == r.Workflow {
			r.Input, r.Output = nil, nil
			list = append(list, r)
		}
	}
	return list, nil
}

func (f *fakeRuns) Watch(context.Context, runs.ID) (<-chan live.Update, error) {
	return nil, fault.New(fault.Unavailable, "watching is tested with the engine")
}

func (f *fakeRuns) Retry(ctx context.Context, r engine.Retry) (engine.Started, error) {
	of, err := f.find(r.Run)
	if err != nil {
		return engine.Started{}, err
	}
	if !of.run.Status.Final() {
		return engine.Started{}, fault.New(fault.Conflict, "the run is %s", of.run.Status)
	}
	return f.Start(ctx, engine.Start{Workflow: of.run.Workflow, Input: of.run.Input, Trigger: of.run.Trigger})
}

func (f *fakeRuns) Deliver(context.Context, runs.ID, workflows.NodeID, string, any) error {
	return fault.New(fault.Conflict, "decisions are tested with the engine")
}

func (f *fakeRuns) Cancel(_ context.Context, id runs.ID) error {
	r, err := f.find(id)
	if err == nil && r.run.Status.Final() {
		err = fault.New(fault.Conflict, "the run is %s", r.run.Status)
	}
	return err
}

func (f *fakeRuns) Delete(_ context.Context, id runs.ID) error {
	r, err := f.find(id)
	if err == nil && !r.run.Status.Final() {
		err = fault.New(fault.Conflict, "the run is %s", r.run.Status)
	}
	if err == nil {
		f.mu.Lock()
		defer f.mu.Unlock()
		delete(f.runs, id)
		f.order = slices.DeleteFunc(f.order, func(other runs.ID) bool { return other == id })
	}
	return err
}

// fakeTriggers has three triggers of one workflow.
type fakeTriggers struct{}

// Receive takes the events of a request; with the type start they start a run where the sender may.
func (fakeTriggers) Receive(_ context.Context, in event.Sent) ([]event.Receipt, error) {
	received, err := cloudevent.Read(in.Header, in.Body)
	receipts := make([]event.Receipt, len(received))
	for i, r := range received {
		receipts[i].ID = r.Event.ID
		switch {
		case len(r.Problems) > 0:
			receipts[i].Problem = &r.Problems[0]
		case r.Event.Type == "busy":
			return nil, fault.New(fault.Unavailable, "too much")
		case r.Event.Type == "start" && in.May("/hr"):
			receipts[i].Runs = []runs.ID{{15: byte(i + 1)}}
		}
	}
	return receipts, err
}

func (fakeTriggers) List(_ context.Context, f triggers.Filter) (list []triggers.Trigger, err error) {
	for _, id := range []string{"a", "b", "c"} {
		if "sync/"+id > f.After && len(list) < f.Limit {
			list = append(list, triggers.Trigger{Workflow: "sync", ID: id, Type: "webhook", Enabled: true})
		}
	}
	return list, nil
}
