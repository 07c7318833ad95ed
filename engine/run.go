// Package engine decides when steps run and in what order, and loses none of it.
//
//	Compile  a definition becomes a Plan: every expression parsed, every reference checked
//	apply    the heart: deterministic (state, event) -> actions; no clock, no lock, no I/O
//	Engine   carries the actions out: runs nodes, waits, retries, cancels
//	Journal  stores what happened, many runs per transaction, before anyone depends on it
//
// It joins workflows, nodes and credentials. It must not know triggers, HTTP handlers or SQL.
// The states of a run are drawn in docs/explanation/run-states.md.
package engine

import (
	"encoding/json"
	"time"

	"github.com/google/uuid"

	"keyflow/workflows"
)

// RunID identifies a run: a UUIDv7, so that ids sort by creation.
type RunID uuid.UUID

// String returns the usual 36-character form.
func (id RunID) String() string { return uuid.UUID(id).String() }

// MarshalText implements encoding.TextMarshaler.
func (id RunID) MarshalText() ([]byte, error) { return uuid.UUID(id).MarshalText() }

// UnmarshalText implements encoding.TextUnmarshaler.
func (id *RunID) UnmarshalText(b []byte) error { return (*uuid.UUID)(id).UnmarshalText(b) }

// OwnerID identifies one start of one process.
type OwnerID uuid.UUID

// RunStatus is the state of a run.
type RunStatus string

// The states of a run. The last three are final.
const (
	RunQueued    RunStatus = "queued"
	RunRunning   RunStatus = "running"
	RunWaiting   RunStatus = "waiting"
	RunSucceeded RunStatus = "succeeded"
	RunFailed    RunStatus = "failed"
	RunCanceled  RunStatus = "canceled"
)

// Final reports whether nothing more will happen.
func (s RunStatus) Final() bool { return s == RunSucceeded || s == RunFailed || s == RunCanceled }

// Run is one execution of one version of a workflow, without its steps.
type Run struct {
	ID         RunID
	Workflow   workflows.ID
	Version    int
	Folder     string // the workflow's folder when the run was created
	Status     RunStatus
	Trigger    TriggerRef
	Input      json.RawMessage
	Output     json.RawMessage // nil until succeeded
	Error      *RunError       // of a failed run
	CreatedAt  time.Time
	StartedAt  *time.Time
	FinishedAt *time.Time

	RetryOf *RunID
	Parent  *StepRef // the step that started the run and waits for its end; nil without
	Depth   int      // how many workflow starts led here (Keyflow-Depth)

	// Owner is the process that runs it; zero when none. Fence grows with each change of owner.
	Owner  OwnerID
	Fence  int64
	WakeAt *time.Time // of a waiting run: when it is due again; nil waits for a signal
	// CancelRequested is set by the cancel signal.
	CancelRequested bool

	// Groups are those that the run needs a slot of, Above those of the runs that wait for its end.
	Groups, Above []GroupID
	// WaitsForSlot says of a queued run that it begins when a slot is free.
	WaitsForSlot bool
}

// StepRef names a step of a run.
type StepRef struct {
	Run   RunID            `json:"run"`
	Node  workflows.NodeID `json:"node"`
	Index int              `json:"index"`
}

// TriggerRef says why a run started: what expressions see as `trigger`.
type TriggerRef struct {
	ID          string          `json:"id"`
	Type        string          `json:"type"` // manual, cron, webhook, event
	FiredAt     time.Time       `json:"fired_at"`
	ScheduledAt *time.Time      `json:"scheduled_at,omitempty"`
	Request     json.RawMessage `json:"request,omitempty"` // {method, path, params, query, headers, body, raw_body}
	Event       json.RawMessage `json:"event,omitempty"`   // CloudEvent
}

// RunError is why a run failed; Node is empty when no single node is to blame.
type RunError struct {
	Node    workflows.NodeID `json:"node,omitempty"`
	Code    string           `json:"code"`
	Message string           `json:"message"`
}

// with returns the run after a change.
func (r Run) with(set *RunChange) Run {
	r.Status, r.Output, r.Error, r.WakeAt = set.Status, set.Output, set.Error, set.WakeAt
	if set.FinishedAt != nil {
		r.FinishedAt = set.FinishedAt
	}
	if set.Release || set.Status.Final() {
		r.Owner = OwnerID{}
	}
	return r
}

// frees is what the end of the run says about its slots.
func (r *Run) frees() workflows.ID {
	if len(r.Groups) == 0 {
		return ""
	}
	return r.Workflow
}
