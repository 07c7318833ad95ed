// Package workflows defines what a workflow is: the definition that people write as JSON, its
// immutable versions, the problems of a definition, and the contract of the store.
//
// It is pure data and structure. Package engine checks node types and package triggers checks
// schedules, each through the one-method [Checker]. It must not know nodes, credentials, HTTP or a
// database.
package workflows

import (
	"context"
	"crypto/sha256"
	"encoding/json"
	"time"

	"keyflow/internal/fault"
)

// ID names a workflow: [a-z0-9][a-z0-9_-]{0,62}. It never changes.
type ID string

// NodeID names a node within its workflow: [A-Za-z_][A-Za-z0-9_]{0,62}.
type NodeID string

// Problem is one thing wrong with a definition, with its place in the text.
type Problem = fault.Problem

// Definition is a workflow as written (docs/reference/workflow-format.md). After Parse it is
// complete (defaults filled in) and must not be changed: plans and caches share it.
type Definition struct {
	ID             ID                 `json:"id"`
	Name           string             `json:"name,omitempty"`
	Folder         string             `json:"folder,omitempty"`
	Description    string             `json:"description,omitempty"`
	Labels         map[string]string  `json:"labels,omitempty"`
	Enabled        *bool              `json:"enabled,omitempty"` // nil: not given, the workflow stays as it is
	Input          json.RawMessage    `json:"input,omitempty"`   // JSON Schema of the run's input
	Vars           map[string]any     `json:"vars,omitempty"`
	Triggers       map[string]Trigger `json:"triggers,omitempty"`
	Nodes          map[NodeID]*Node   `json:"nodes"`
	Output         any                `json:"output,omitempty"` // template value
	Timeout        Duration           `json:"timeout,omitempty"`
	Concurrency    *Concurrency       `json:"concurrency,omitempty"`
	OnFailure      ID                 `json:"on_failure,omitempty"`
	OnNeedsConnect string             `json:"on_needs_connect,omitempty"` // wait (default), fail
	// NeedsConnectTimeout is how long a step waits for its credential; 0 is the default.
	NeedsConnectTimeout Duration `json:"needs_connect_timeout,omitempty"`

	// Source is the definition exactly as written; NodeOrder the node ids in file order.
	Source    json.RawMessage `json:"-"`
	NodeOrder []NodeID        `json:"-"`
	// Positions finds the place of a JSON pointer in Source.
	Positions Positions `json:"-"`
	// Digest is equal for definitions that say the same: spacing, "$schema" and "enabled"
	// (which is no part of a version) do not count.
	Digest [sha256.Size]byte `json:"-"`
	// InputSchema is Input, compiled; nil when the workflow has none.
	InputSchema *InputSchema `json:"-"`
	// StartScope is the folder below which runs of this version may start the workflows that it
	// names: where the person who applied it may start workflows. "" is none. It is stored with
	// the version.
	StartScope string `json:"-"`
}

// Position is a 1-based place in a text, in bytes.
type Position struct{ Line, Column int }

// Positions maps JSON pointers of the source to where their value begins.
type Positions map[string]Position

// Trigger is one reason for runs to start. Which fields apply depends on Type.
type Trigger struct {
	Type  string `json:"type"`            // cron, webhook, event
	Input any    `json:"input,omitempty"` // template value; absent: the type's own input (HasInput)

	// cron
	Schedule string     `json:"schedule,omitempty"`
	Timezone string     `json:"timezone,omitempty"`
	Seconds  bool       `json:"seconds,omitempty"`
	Overlap  string     `json:"overlap,omitempty"`
	CatchUp  *Duration  `json:"catch_up,omitempty"`
	From     *time.Time `json:"from,omitempty"`
	Until    *time.Time `json:"until,omitempty"`

	// webhook (inbound)
	Path           string   `json:"path,omitempty"`
	Methods        []string `json:"methods,omitempty"`
	Credential     string   `json:"credential,omitempty"`
	Respond        string   `json:"respond,omitempty"`
	RespondTimeout Duration `json:"respond_timeout,omitempty"`
	Dedupe         string   `json:"dedupe,omitempty"`

	// event
	Event  string `json:"event,omitempty"`
	Filter string `json:"filter,omitempty"`

	HasInput bool `json:"-"` // an explicit "input": null differs from none
}

// Node is one step of a workflow.
type Node struct {
	Type        string         `json:"type"`
	Name        string         `json:"name,omitempty"`
	Description string         `json:"description,omitempty"`
	Needs       []NodeID       `json:"needs,omitempty"`
	RunOn       RunOn          `json:"run_on,omitempty"`
	If          string         `json:"if,omitempty"`
	ForEach     string         `json:"for_each,omitempty"`
	MaxParallel int            `json:"max_parallel,omitempty"`
	OnItemError string         `json:"on_item_error,omitempty"` // fail, continue
	Credential  string         `json:"credential,omitempty"`    // literal id or template
	With        map[string]any `json:"with,omitempty"`
	Output      any            `json:"output,omitempty"` // template over `this`; absent: raw output (HasOutput)
	Timeout     Duration       `json:"timeout,omitempty"`
	Sensitive   bool           `json:"sensitive,omitempty"`
	Retry       *Retry         `json:"retry,omitempty"`
	OnError     string         `json:"on_error,omitempty"` // fail, continue
	AtMostOnce  bool           `json:"at_most_once,omitempty"`

	HasOutput bool `json:"-"` // an explicit "output": null differs from none
}

// RunOn says after which results of its needs a node runs.
type RunOn string

// The values of run_on; the default is RunOnSuccess.
const (
	RunOnSuccess    RunOn = "success"
	RunOnAllSuccess RunOn = "all_success"
	RunOnFailure    RunOn = "failure"
	RunOnAlways     RunOn = "always"
)

// Retry is when and how often a failed attempt is repeated. Zero fields: the type's default.
type Retry struct {
	MaxAttempts int      `json:"max_attempts,omitempty"` // counts the first
	Initial     Duration `json:"initial,omitempty"`
	Factor      float64  `json:"factor,omitempty"`
	Max         Duration `json:"max,omitempty"`
	Jitter      bool     `json:"jitter,omitempty"`
	If          string   `json:"if,omitempty"` // expression over `error`
}

// Concurrency bounds the runs of a workflow at once, from their start to their end.
type Concurrency struct {
	Limit   int    `json:"limit"`              // 1 to MaxConcurrency
	Key     string `json:"key,omitempty"`      // template: runs with one value count together
	OnLimit string `json:"on_limit,omitempty"` // OnLimitQueue (the default), …
}

// Duration is a time.Duration written as Go syntax plus d for 24 hours ("1d12h").
type Duration time.Duration

// Version is one immutable version of a workflow; applying a changed definition makes the next.
type Version struct {
	Workflow   ID
	Number     int // from 1
	Definition *Definition
	CreatedAt  time.Time
	CreatedBy  string
}

// Summary is a workflow's current row: what lists show without reading definitions.
type Summary struct {
	ID        ID
	Name      string
	Folder    string
	Version   int
	Enabled   bool
	CreatedAt time.Time
	UpdatedAt time.Time
	UpdatedBy string
	Revision  int64 // grows with each change of any workflow: the latest change has the highest
}

// Change is the latest change of one workflow, which may be its deletion.
type Change struct {
	Summary
	Deleted bool
	Source  []byte // of the current version
}

// Filter selects workflows for a list page, ordered by id.
type Filter struct {
	Folder string // this folder and below; "" is all
	Query  string // part of id or name, in any case
	After  ID     // exclusive cursor
	Limit  int    // 1..500
}

// Store keeps workflows and their versions. Errors are faults: NotFound, Conflict, Stale.
type Store interface {
	// Put makes the next version, or the first; an unchanged source makes none and
	// returns changed=false. enabled nil keeps the switch (true for a new workflow).
	// expect is the version the caller saw: -1 any, 0 must not exist (else Stale).
	Put(ctx context.Context, d *Definition, enabled *bool, by string, expect int, now time.Time) (s Summary, changed bool, err error)
	Get(ctx context.Context, id ID) (Summary, error)
	History
	List(ctx context.Context, f Filter) ([]Summary, error)
	SetEnabled(ctx context.Context, id ID, enabled bool, by string, now time.Time) (Summary, error)
	Delete(ctx context.Context, id ID) error // versions stay readable for running runs and history
	ChangeLog
	CredentialIndex
}

// History keeps the versions of workflows, also of deleted ones.
type History interface {
	Version(ctx context.Context, id ID, number int) (Version, error) // number 0: the current one
	Versions(ctx context.Context, id ID) ([]Version, error)          // newest first, definitions not parsed beyond Source
}

// ChangeLog lists the changes after a revision.
type ChangeLog interface {
	// Changes returns workflows whose revision is higher than after, lowest first and at most
	// limit of them. A change that becomes visible later has a higher revision than all that
	// were visible before it, so that nobody who asks again from the last one misses any.
	Changes(ctx context.Context, after int64, limit int) ([]Change, error)
}

// CredentialIndex knows which current definitions name which credential literally.
type CredentialIndex interface {
	// Usages returns the places that name a credential, ordered by workflow, then as
	// Definition.Usages orders them.
	Usages(ctx context.Context, credential string) ([]Usage, error)
	// Users returns, in one query, the workflows that name each of the credentials, and which
	// of ids exist.
	Users(ctx context.Context, credentials []string, ids []ID) (naming map[string][]ID, existing []ID, err error)
}

// Checker adds meaning to a structurally valid definition: engine knows node types and
// expressions, triggers know schedules and paths, credentials know which ids exist.
// Problems are errors, warnings are shown but do not refuse.
type Checker interface {
	Check(ctx context.Context, d *Definition) (problems, warnings []Problem)
}

// Listener is told after a workflow's stored state changed (applied, switched, deleted).
type Listener interface {
	WorkflowChanged(ctx context.Context, id ID) error
}
