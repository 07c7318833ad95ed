// Package runs holds the records of runs and their steps, and the contracts of the stores that
// keep them. Changes are entries: [Store.Commit] stores many at once, and answers each.
//
// It must not know plans, nodes, queues or SQL.
package runs

import (
	"encoding/json"
	"net/http"
	"time"

	"github.com/google/uuid"

	"keyflow/workflows"
)

// Change is the run's own part of a Progress. A final Status or a Release also ends ownership.
type Change struct {
	Status     Status
	Output     []byte
	Error      *RunError
	StartedAt  *time.Time
	FinishedAt *time.Time
	WakeAt     *time.Time // with RunWaiting: when due; nil waits for a signal
	// Release gives the run up: owner none. With RunWaiting the store refuses (ErrSignals)
	// while unread signals exist, so that none is slept through; nothing of the entry is
	// stored then. With RunQueued it is handed back.
	Release bool
}

// ID identifies a run: a UUIDv7, so that ids sort by creation.
type ID uuid.UUID

// String returns the usual 36-character form.
func (id ID) String() string { return uuid.UUID(id).String() }

// MarshalText implements encoding.TextMarshaler.
func (id ID) MarshalText() ([]byte, error) { return uuid.UUID(id).MarshalText() }

// UnmarshalText implements encoding.TextUnmarshaler.
func (id *ID) UnmarshalText(b []byte) error { return (*uuid.UUID)(id).UnmarshalText(b) }

// OwnerID identifies one start of one process.
type OwnerID uuid.UUID

// Status is the state of a run.
type Status string

// The states of a run. The last three are final.
const (
	Queued    Status = "queued"
	Running   Status = "running"
	Waiting   Status = "waiting"
	Succeeded Status = "succeeded"
	Failed    Status = "failed"
	Canceled  Status = "canceled"
)

// Final reports whether the run has ended.
func (s Status) Final() bool { return s == Succeeded || s == Failed || s == Canceled }

// Run is one execution of one version of a workflow, without its steps. Which places know a field:
// docs/contributing/add-a-column-to-runs.md.
type Run struct {
	ID         ID
	Workflow   workflows.ID
	Version    int
	Folder     string // the workflow's folder when the run was created
	Status     Status
	Trigger    TriggerRef
	Input      json.RawMessage
	Output     json.RawMessage // nil until succeeded
	Error      *RunError       // of a failed run
	CreatedAt  time.Time
	StartedAt  *time.Time
	FinishedAt *time.Time

	RetryOf *ID
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
	Run   ID               `json:"run"`
	Node  workflows.NodeID `json:"node"`
	Index int              `json:"index"`
}

// TriggerRef says why a run started: what expressions see as `trigger`.
type TriggerRef struct {
	ID          string          `json:"id"`
	Type        string          `json:"type"` // manual, cron, webhook, event
	FiredAt     time.Time       `json:"fired_at"`
	ScheduledAt *time.Time      `json:"scheduled_at,omitempty"`
	Request     json.RawMessage `json:"request,omitempty"` // {method, path, params, query, headers, body, raw_body, warning}
	Event       json.RawMessage `json:"event,omitempty"`   // CloudEvent
}

// RunError is why a run failed; Node is empty when no single node is to blame.
type RunError struct {
	Node    workflows.NodeID `json:"node,omitempty"`
	Code    string           `json:"code"`
	Message string           `json:"message"`
}

// With returns the run after a change.
func (r Run) With(set *Change) Run {
	r.Status, r.Output, r.Error, r.WakeAt = set.Status, set.Output, set.Error, set.WakeAt
	if set.FinishedAt != nil {
		r.FinishedAt = set.FinishedAt
	}
	if set.Release || set.Status.Final() {
		r.Owner = OwnerID{}
	}
	return r
}

// FreesSlotsOf is Progress.Frees of the end of the run.
func (r *Run) FreesSlotsOf() workflows.ID {
	if len(r.Groups) == 0 {
		return ""
	}
	return r.Workflow
}

// Answer is what a respond node answers to the caller of the webhook that started the run.
type Answer struct {
	Status int         `json:"status"`
	Header http.Header `json:"header,omitempty"`
	Body   []byte      `json:"body,omitempty"`
}

// GroupID names the runs that count together against one limit: those of a workflow with one
// value of its concurrency key, or those of a cron trigger.
type GroupID [16]byte
