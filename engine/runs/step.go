package runs

import (
	"encoding/json"
	"time"

	"keyflow/credentials"
	"keyflow/workflows"
)

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
	// NeedsConnect is the credential that a waiting step needs somebody to connect; DueAt is until
	// when it waits for that.
	NeedsConnect credentials.ID
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
