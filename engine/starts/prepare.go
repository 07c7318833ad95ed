// Package starts prepares new runs: it finds and compiles the definition, checks the input and
// fills in its defaults, and says which slots the run needs.
//
// It must not know what a run does, and stores nothing.
package starts

import (
	"context"
	"encoding/json"
	"sync"
	"time"
	"unicode/utf8"

	"keyflow/engine/backoff"
	"keyflow/engine/concurrency"
	"keyflow/engine/plan"
	"keyflow/engine/runs"
	"keyflow/internal/fault"
	"keyflow/internal/jsonvalue"
	"keyflow/nodes"
	"keyflow/workflows"
)

// MaxDepth is how many workflows may start one another in a row.
const MaxDepth = 32

// MaxInput bounds the input of a run, in bytes of JSON.
const MaxInput = 10 << 20

// triggerManual is id and type of a manual start.
const triggerManual = "manual"

// Ask is what the caller of a new run gives.
type Ask struct {
	Input   json.RawMessage // nil is {}
	Trigger runs.TriggerRef // zero is a manual start; a zero FiredAt is now
	Depth   int             // how many workflow starts led here; over MaxDepth is refused
}

// Preparer makes new runs of definitions, compiled once. It is safe for concurrent use.
type Preparer struct {
	catalog plan.Catalog // nil: there is no stored workflow
	types   *nodes.Registry
	now     func() time.Time
	plans   *plan.Cache

	mu    sync.Mutex
	local map[runs.ID]*plan.Plan // of unfinished runs whose definition is not in the catalog
}

// New returns a preparer; without a catalog it prepares only runs of given definitions.
func New(catalog plan.Catalog, types *nodes.Registry, now func() time.Time) *Preparer {
	return &Preparer{catalog: catalog, types: types, now: now, plans: plan.NewCache(), local: map[runs.ID]*plan.Plan{}}
}

// HasCatalog reports whether there are stored workflows.
func (p *Preparer) HasCatalog() bool { return p.catalog != nil }

// Current returns a workflow's row and the plan of its current version.
func (p *Preparer) Current(ctx context.Context, id workflows.ID) (workflows.Summary, *plan.Plan, error) {
	if p.catalog == nil {
		return workflows.Summary{}, nil, fault.New(fault.NotFound, "no workflow %q", id)
	}
	summary, err := p.catalog.Summary(ctx, id)
	if err != nil {
		return summary, nil, err
	}
	of, err := p.Version(ctx, id, summary.Version)
	return summary, of, err
}

// Version returns the compiled version of a workflow; Invalid when this release refuses it.
func (p *Preparer) Version(ctx context.Context, id workflows.ID, version int) (*plan.Plan, error) {
	if of := p.plans.Get(id, version); of != nil {
		return of, nil
	}
	d, err := p.catalog.Definition(ctx, id, version)
	if err != nil {
		return nil, err
	}
	of, problems := plan.CompileStored(d, p.types)
	if len(problems) > 0 {
		return nil, fault.Problems("the stored workflow is not valid in this release", problems)
	}
	p.plans.Put(id, version, of)
	return of, nil
}

// PlanOf finds the plan of a stored run.
func (p *Preparer) PlanOf(ctx context.Context, run *runs.Run) (*plan.Plan, error) {
	if run.Version > 0 && p.catalog != nil {
		return p.Version(ctx, run.Workflow, run.Version)
	}
	p.mu.Lock()
	defer p.mu.Unlock()
	if of := p.local[run.ID]; of != nil {
		return of, nil
	}
	return nil, fault.New(fault.NotFound, "the definition of this run was known only to the process that started it")
}

// KeepLocal keeps the plan of an unfinished run whose definition is not in the catalog.
func (p *Preparer) KeepLocal(id runs.ID, of *plan.Plan) {
	p.mu.Lock()
	defer p.mu.Unlock()
	p.local[id] = of
}

// Forget drops the plan of a local run that has ended.
func (p *Preparer) Forget(id runs.ID) {
	p.mu.Lock()
	defer p.mu.Unlock()
	delete(p.local, id)
}

// Prepare prepares a run of a workflow's current version, to be stored with the progress of
// another run. It waits while the database cannot be read, which is no fault of either run, until
// ctx is done. Other faults as those of Start. With an error about the input, the run comes too.
func (p *Preparer) Prepare(ctx context.Context, id workflows.ID, input any, a Ask) (*runs.NewRun, error) {
	for failures := 1; ; failures++ {
		n, err := p.prepareOnce(ctx, id, input, a)
		if !fault.Is(err, fault.Unavailable) || ctx.Err() != nil {
			return n, err
		}
		backoff.Sleep(ctx, backoff.Delay(failures))
	}
}

func (p *Preparer) prepareOnce(ctx context.Context, id workflows.ID, input any, a Ask) (*runs.NewRun, error) {
	summary, of, err := p.Current(ctx, id)
	if err != nil {
		return nil, err
	}
	n := &runs.NewRun{Run: runs.Run{Workflow: id, Version: summary.Version, Folder: summary.Folder}}
	if input != nil {
		if a.Input, err = jsonvalue.Encode(input); err != nil {
			return n, fault.New(fault.Invalid, "the input cannot be written as JSON").Because(err)
		}
	}
	if err := p.Fill(&n.Run, of, a); err != nil {
		return n, err
	}
	return n, concurrency.Need(ctx, of, n)
}

// Fill completes a new run from what its caller asks for.
func (p *Preparer) Fill(run *runs.Run, of *plan.Plan, a Ask) error {
	if a.Depth > MaxDepth {
		return fault.New(fault.Conflict, "more than %d workflows have started one another in a row; this looks like a loop", MaxDepth)
	}
	input, err := fillInput(of.Definition, a.Input)
	if err != nil {
		return err
	}
	now := p.now()
	run.ID, run.CreatedAt, run.Status, run.Input, run.Depth = runs.NewID(now), now, runs.Queued, input, a.Depth
	run.Trigger = a.Trigger
	if run.Trigger.Type == "" {
		run.Trigger.ID, run.Trigger.Type = triggerManual, triggerManual
	}
	if run.Trigger.FiredAt.IsZero() {
		run.Trigger.FiredAt = now
	}
	run.Trigger.FiredAt = run.Trigger.FiredAt.UTC().Truncate(time.Microsecond) // as it comes back from the store
	return nil
}

// fillInput checks an input and completes it with the defaults of the workflow's schema.
func fillInput(d *workflows.Definition, input json.RawMessage) (json.RawMessage, error) {
	if err := checkInput(input); err != nil {
		return nil, err
	}
	if len(input) > 0 && (!utf8.Valid(input) || !json.Valid(input)) { // encoding/json lets wrong UTF-8 pass
		return nil, fault.New(fault.Malformed, "the input is not valid JSON in UTF-8")
	}
	if d.InputSchema == nil {
		if len(input) == 0 {
			input = json.RawMessage("{}")
		}
		return input, nil
	}
	input, problems := workflows.FillInput(d, input)
	if len(problems) > 0 {
		return nil, fault.Problems("the input does not match the workflow's schema", problems)
	}
	return input, checkInput(input) // the defaults count
}

// checkInput refuses an input that is too large to store.
func checkInput(input json.RawMessage) error {
	if len(input) <= MaxInput {
		return nil
	}
	return fault.New(fault.TooLarge, "the input has %d bytes; at most %d are allowed", len(input), MaxInput)
}
