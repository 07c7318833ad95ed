package attempt

import (
	"encoding/json"
	"time"

	"keyflow/credentials"
	"keyflow/engine/runs"
	"keyflow/engine/state"
	"keyflow/engine/values"
	"keyflow/internal/outbox"
	"keyflow/nodes"
)

// Outcome is how an attempt ended.
type Outcome struct {
	Kind     state.EventKind // Succeeded, Failed, Postponed, Unwanted, Expanded or Cut
	Dropped  bool            // the process is stopping: nothing is recorded, the attempt runs again
	Output   json.RawMessage
	Sealed   []byte // of a sensitive node, or the marks of redacted values
	Value    any
	Err      *nodes.Error
	Wait     Wait             // of Postponed
	Start    *runs.NewRun     // the run that the step starts
	Answer   *runs.Answer     // what the step answers to the caller of the webhook
	Event    *outbox.Event    // that the step publishes
	Elements *values.Elements // of Expanded
	Attempt  *runs.Attempt    // nil when the node did not get to run
}

// Wait says how long a postponed step waits, and for what.
type Wait struct {
	Lasting time.Duration
	Forever bool           // without an end
	Idle    bool           // the attempt did nothing and does not count
	Connect credentials.ID // the credential that must be connected
	Awaits  string         // what else can end the wait, a nodes.CodeWaitsFor…
}
