package engine

import (
	"context"
	"encoding/json"
	"log/slog"
	"net/http"
	"time"

	"keyflow/credentials"
	"keyflow/nodes"
	"keyflow/workflows"
)

// Catalog is where the engine finds definitions; *workflows.Catalog is one. Both methods
// are called for each start and must answer from memory when nothing changed.
type Catalog interface {
	// Summary returns the current row; NotFound for a deleted workflow.
	Summary(ctx context.Context, id workflows.ID) (workflows.Summary, error)
	// Definition returns one version, parsed; it is shared and is not changed.
	Definition(ctx context.Context, id workflows.ID, version int) (*workflows.Definition, error)
}

// Resolver turns a use of a credential into an HTTP client; *credentials.Resolver is one.
type Resolver interface {
	Client(ctx context.Context, use credentials.Use) (*http.Client, error)
}

// Options are what an engine is made of. Store, Owners, Types and Credentials are required.
type Options struct {
	Store       Store
	Owners      Owners
	Catalog     Catalog // nil: only StartDefinition works
	Types       *nodes.Registry
	Credentials Resolver
	// Exclusive says that no other process can run on the same store (SQLite): at boot every
	// unfinished run is taken over at once instead of after its owner was silent for 5 s.
	Exclusive   bool
	Concurrency int              // steps at once in this process; 0: 256
	QueueLimit  int              // runs that wait for their first step; more are refused; 0: 10,000
	MaxOutput   int              // bytes of one step's output as JSON; 0: 1 MiB
	StopTimeout time.Duration    // how long steps in flight may go on when Serve ends; 0: 30 s
	Now         func() time.Time // nil: time.Now
	Logger      *slog.Logger     // nil: discards
}

// Engine runs workflows. It is safe for concurrent use; Serve must run for anything to happen.
type Engine struct{}

// Start asks for one run.
type Start struct {
	Workflow workflows.ID    // ignored by StartDefinition
	Input    json.RawMessage // nil is {}
	Trigger  TriggerRef      // zero is a manual start; a zero FiredAt is now
	Dedupe   *DedupeKey      // nil: always a new run
	Depth    int             // how many workflow starts led here; over MaxDepth is refused
	SkipOnly bool            // record the dedupe key without making a run
}

// MaxDepth is how many workflows may start one another in a row.
const MaxDepth = 32

// Started tells what became of a Start, after it is on disk.
type Started struct {
	Run       RunID // zero when Skipped
	Workflow  workflows.ID
	Version   int
	Status    RunStatus // running or queued; of a duplicate: as it was first stored
	Duplicate bool      // Run is an earlier one with the same dedupe key
	Skipped   bool      // the key was recorded without a run, now or earlier
}

// Update is one change of a watched run; exactly one field is set.
type Update struct {
	Run  *Run
	Step *Step
}

// New returns an engine that does nothing until Serve runs.
func New(o Options) (*Engine, error) { panic("engine: unfinished") }

// Serve runs the journal, the heartbeat, the takeover of silent processes' runs and the
// local queue until ctx is done. Then it starts nothing more, lets steps in flight go on for
// StopTimeout, hands the rest back and returns nil. An error means that the process must end.
func (e *Engine) Serve(ctx context.Context) error { panic("engine: unfinished") }

// Ready is nil when runs can be accepted and worked on, else an Unavailable fault.
func (e *Engine) Ready() error { panic("engine: unfinished") }

// Start stores a run of the workflow's current version and returns once it is on disk.
// Faults: NotFound (no such workflow), Invalid with Problems (the input does not match the
// schema), Conflict (dedupe key with another input; depth), Unavailable (queue full,
// database away, stopping): then nothing was accepted. Whether a disabled workflow may
// start is the caller's decision.
func (e *Engine) Start(ctx context.Context, s Start) (Started, error) { panic("engine: unfinished") }

// StartDefinition is Start for a definition that is not in the catalog (`keyflow run FILE`).
// Its run has version 0 and cannot be resumed by another process.
func (e *Engine) StartDefinition(ctx context.Context, d *workflows.Definition, s Start) (Started, error) {
	panic("engine: unfinished")
}

// Wait returns the run once it is final, or ctx's error.
func (e *Engine) Wait(ctx context.Context, id RunID) (Run, error) { panic("engine: unfinished") }

// Run returns a run with its steps; steps that are running right now are included.
func (e *Engine) Run(ctx context.Context, id RunID) (Run, []Step, error) {
	panic("engine: unfinished")
}

// Runs lists runs, newest first, without payloads.
func (e *Engine) Runs(ctx context.Context, f RunFilter) ([]Run, error) { panic("engine: unfinished") }

// Cancel stops a run: nothing more starts, requests in flight are given up. It returns once
// the wish is on disk. Conflict when the run is final.
func (e *Engine) Cancel(ctx context.Context, id RunID) error { panic("engine: unfinished") }

// Delete removes a final run with its steps. Conflict when the run is not final.
func (e *Engine) Delete(ctx context.Context, id RunID) error { panic("engine: unfinished") }

// Watch sends the run and its steps as they are, then every change, and closes the channel
// after the final run or when ctx is done. A slow reader misses intermediate states only.
func (e *Engine) Watch(ctx context.Context, id RunID) (<-chan Update, error) {
	panic("engine: unfinished")
}
