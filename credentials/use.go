package credentials

import (
	"context"
	"encoding/json"
	"net/http"
	"time"
)

// CallbackPath is the path of the OAuth redirect URL below the public URL.
const CallbackPath = "/api/_/credentials/oauth_callback"

// Action is what a workflow wants done with a credential itself.
type Action struct {
	Name   string         // ActionTest, ActionRefresh or ActionRotate
	Fields map[string]any // of ActionRotate: the new values
	// Sealed are the fields whose values come from outputs of sensitive nodes alone: others can
	// hold no secret.
	Sealed []string
}

// What a workflow can do with a credential whose rotatable_by names it.
const (
	ActionTest    = "test"
	ActionRefresh = "refresh"
	ActionRotate  = "rotate"
)

// Use says for whom a credential is resolved; it is checked against allowed_workflows.
type Use struct {
	ID       ID
	Workflow string // workflow id
	Folder   string // the workflow's folder
	Run      string
	Node     string
	// AtMostOnce asks for a fresh connection and no repeat by any failure rule.
	AtMostOnce bool
	// MaxRedirects is how many redirects the client follows; 0 is none.
	MaxRedirects int
	// MaxBytes bounds a decompressed answer body; 0 is the egress default.
	MaxBytes int64
	// Charset is the encoding in which the caller reads answers; "" is what they declare.
	Charset string
	// Header is added to every request, redirects included; it is shared and not changed.
	Header http.Header
	// Park says that the caller can give the attempt up and make it again later: before anything
	// has been done, a wait of more than a second is an *Error with Until instead.
	Park bool
	// Idle, when not nil, is called when a request begins to wait for limits, rules or a renewal
	// by another process; it returns what to call at the end. It may be called concurrently.
	Idle func() (resume func())
	// Ready, when not nil, is called before each request, a repetition and a redirect too, and once
	// more right before it is sent: it returns when that may be done, or ctx is done.
	Ready func(ctx context.Context)
	// Record, when not nil, is called with each call after its answer or failure. It must not
	// block.
	Record func(Call)
}

// Call is one use of a credential on the wire, as the run history keeps it.
type Call struct {
	Credential  ID            `json:"credential,omitempty"`
	Version     int           `json:"version,omitempty"`
	Fingerprint string        `json:"fingerprint,omitempty"`
	Host        string        `json:"host"`
	Method      string        `json:"method"`
	URL         string        `json:"url"` // redacted
	Status      int           `json:"status"`
	Duration    time.Duration `json:"duration"`
}

// TestResult is the answer of a credential test; the trace is redacted.
type TestResult struct {
	OK         bool            `json:"ok"`
	Status     Status          `json:"status"`
	Message    string          `json:"message"`
	Suggestion string          `json:"suggestion"`
	Trace      json.RawMessage `json:"trace"`
}
