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

	"keyflow/credentials"
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

// StepStatus is the state of a step.
type StepStatus string

// The states of a step. The last four are final.
const (
	StepPending   StepStatus = "pending"
	StepRunning   StepStatus = "running"
	StepWaiting   StepStatus = "waiting"
	StepSucceeded StepStatus = "succeeded"
	StepFailed    StepStatus = "failed"
	StepSkipped   StepStatus = "skipped"
	StepCanceled  StepStatus = "canceled"
)

// Final reports whether the step has ended.
func (s StepStatus) Final() bool {
	return s == StepSucceeded || s == StepFailed || s == StepSkipped || s == StepCanceled
}

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

// NoIndex is the index of a step without for_each, and of the aggregate of one with it.
const NoIndex = -1

// Step is one node's execution in a run; with for_each there is one per element and one
// aggregate (Index NoIndex) whose output is the list of theirs.
type Step struct {
	Node       workflows.NodeID
	Index      int
	Status     StepStatus
	Output     json.RawMessage // nil unless succeeded
	Error      *StepError      // of the last failed attempt
	Attempts   []Attempt
	StartedAt  *time.Time
	FinishedAt *time.Time
	DueAt      *time.Time // of a waiting step: its next attempt
	// Hold is the credential that a waiting step needs somebody to connect; DueAt is until when
	// it waits for that.
	Hold credentials.ID
	// Sealed is the output of a sensitive node; Output says nothing then.
	Sealed []byte
	Calls  []credentials.Call
}

// Attempt is one try of a step.
type Attempt struct {
	Attempt    int        `json:"attempt"` // from 1
	StartedAt  time.Time  `json:"started_at"`
	FinishedAt *time.Time `json:"finished_at,omitempty"`
	Error      *StepError `json:"error,omitempty"`
	Request    *Request   `json:"request,omitempty"`
}

// Request is the summary of the last HTTP request of an attempt; the URL is redacted.
type Request struct {
	Method     string `json:"method"`
	URL        string `json:"url"`
	Status     int    `json:"status"`
	DurationMS int64  `json:"duration_ms"`
}

// StepError is a failure as stored and as expressions see it.
type StepError struct {
	Code     string          `json:"code"`
	Message  string          `json:"message"`
	Attempt  int             `json:"attempt,omitempty"`
	Response json.RawMessage `json:"response,omitempty"`
}
