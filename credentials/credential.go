// Package credentials is the vault: the one place that decrypts secrets and the one
// place that attaches them to requests.
//
//	Vault     create, read, change, test credentials; every method takes the caller,
//	          authorizes and records in one function
//	Resolver  turns a reference (an id in a workflow) into an authenticated *http.Client
//	          at the moment of the call
//
// Nobody outside gets a secret: API and pages get fingerprints, nodes get clients. The
// package must not know workflows, nodes, runs or HTTP handlers; a Use names them as text.
package credentials

import (
	"context"
	"encoding/json"
	"fmt"
	"log/slog"
	"net/http"
	"time"
)

// ID names a credential: [a-z0-9][a-z0-9_-]{0,62}. It never changes.
type ID string

// TypeName names an authentication type, for example "basic_auth".
type TypeName string

// Credential is what anyone with the right to view may see: no secret is in it.
type Credential struct {
	ID          ID                    `json:"id"`
	Name        string                `json:"name"`
	Description string                `json:"description"`
	Labels      map[string]string     `json:"labels"`
	Folder      string                `json:"folder"`
	Type        TypeName              `json:"type"`
	Fields      map[string]any        `json:"fields"`  // non-secret fields as they are
	Secrets     map[string]SecretInfo `json:"secrets"` // one entry per secret field of the type

	AllowedHosts     []string      `json:"allowed_hosts"`
	AllowedWorkflows []string      `json:"allowed_workflows"`
	RotatableBy      []string      `json:"rotatable_by"`
	Limits           *Limits       `json:"limits"`
	FailureRules     []FailureRule `json:"failure_rules"`
	TestURL          string        `json:"test_url"`
	ExpiresAt        *time.Time    `json:"expires_at"`
	RotateEvery      string        `json:"rotate_every"`
	Grace            string        `json:"grace"`

	Candidate *Candidate `json:"candidate"` // fields that wait to be promoted
	FallBack  *FallBack  `json:"fall_back"` // the version that comes back by itself

	State      State      `json:"state"`
	Version    int        `json:"version"` // counts changes of fields
	Revision   int64      `json:"-"`       // counts every edit; the ETag
	CreatedAt  time.Time  `json:"created_at"`
	CreatedBy  string     `json:"created_by"`
	UpdatedAt  time.Time  `json:"updated_at"`
	UpdatedBy  string     `json:"updated_by"`
	LastUsedAt *time.Time `json:"last_used_at"`
	Expires    *Expires   `json:"expires"` // the sooner of expires_at and rotate_every
	// UsedBy counts the workflows that name it or used it when they ran.
	UsedBy int `json:"used_by"`
	// RedirectURL is set for oauth2 with grant authorization_code only.
	RedirectURL string `json:"redirect_url,omitempty"`
	// Warnings are advice about this record (any host allowed, very short secret).
	Warnings []string `json:"warnings,omitempty"`
}

// SecretInfo is all that is ever told about a secret field.
type SecretInfo struct {
	Set         bool       `json:"set"`
	UpdatedAt   *time.Time `json:"updated_at"`
	Fingerprint string     `json:"fingerprint"` // first 12 hex digits of a keyed hash; "" when not set, and of references
	// Ref is where the secret is kept, "env:NAME", "file:/path" or "vault:path#key", when the
	// field is a reference.
	Ref string `json:"ref,omitempty"`
}

// Status is the state of a credential.
type Status string

// The states.
const (
	OK             Status = "ok"
	Untested       Status = "untested"
	NeedsConnect   Status = "needs_connect"
	NeedsReconnect Status = "needs_reconnect"
	Refused        Status = "refused"
	Expiring       Status = "expiring"
	Expired        Status = "expired"
	// Quota is a used-up quota: nobody uses the credential before State.Until.
	Quota Status = "quota"
)

// State is a status with its reason.
type State struct {
	Status  Status    `json:"status"`
	Message string    `json:"message"`
	Since   time.Time `json:"since"`
	// Until is when the state ends by itself; only Quota has it.
	Until time.Time `json:"until,omitzero"`
}

// Limits bound the use of a credential by all workflows together.
type Limits struct {
	Requests    int    `json:"requests,omitempty"`    // in any span of Per; 0 is any number
	Per         string `json:"per,omitempty"`         // duration
	Concurrency int    `json:"concurrency,omitempty"` // requests at once; 0 is any number
}

// FailureRule says which answers mean that this credential was refused, and what to do.
// All given conditions must hold. The default rule, when none is given for 401, is renew
// for token types and refuse for the others.
type FailureRule struct {
	Status  []int             `json:"status,omitempty"`
	Headers map[string]string `json:"headers,omitempty"`
	Body    string            `json:"body,omitempty"` // expression over `response` {status, headers, body}
	Action  string            `json:"action"`         // renew, refuse, wait, quota
	// Until is how long wait and quota last: a duration or a time of day with its zone, "00:00 America/Chicago".
	Until       string `json:"until,omitempty"`
	NotExecuted bool   `json:"not_executed,omitempty"` // the upstream did not act: repeating is safe
}

// Input is a credential as written by a caller (POST, PUT, import). Fields holds plain
// and secret fields together; a secret field that is absent keeps its value on update,
// JSON null clears it.
type Input struct {
	ID               ID                `json:"id"`
	Name             string            `json:"name,omitempty"`
	Description      string            `json:"description,omitempty"`
	Labels           map[string]string `json:"labels,omitempty"`
	Folder           string            `json:"folder,omitempty"`
	Type             TypeName          `json:"type"`
	Fields           map[string]any    `json:"fields,omitempty"`
	AllowedHosts     []string          `json:"allowed_hosts,omitempty"`
	AllowedWorkflows []string          `json:"allowed_workflows,omitempty"`
	RotatableBy      []string          `json:"rotatable_by,omitempty"`
	Limits           *Limits           `json:"limits,omitempty"`
	FailureRules     []FailureRule     `json:"failure_rules,omitempty"`
	TestURL          string            `json:"test_url,omitempty"`
	ExpiresAt        *time.Time        `json:"expires_at,omitempty"`
	RotateEvery      string            `json:"rotate_every,omitempty"`
	Grace            string            `json:"grace,omitempty"`
}

// Format implements fmt.Formatter: an input holds secrets in clear, so it shows id and type only.
func (in Input) Format(f fmt.State, _ rune) {
	_, _ = fmt.Fprintf(f, "{%s %s}", string(in.ID), string(in.Type))
}

// LogValue implements slog.LogValuer and shows id and type only.
func (in Input) LogValue() slog.Value { return slog.StringValue(fmt.Sprint(in)) }

// Filter selects credentials for a list page, which is ordered by id.
type Filter struct {
	Folder string // this folder and below; "" is all
	Type   TypeName
	Status Status
	Query  string // part of id or name
	// Attention selects those that need a person now or expire within 30 days, Unused those
	// that nobody has used for 90 days.
	Attention, Unused bool
	KeptAlive         bool      // those with keep_alive
	Now               time.Time // what the last two and the statuses expiring and expired go by
	IDs               []ID      // only these; nil is all
	After             ID        // exclusive cursor
	Limit             int       // 1..500
}

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
	// Header is added to every request, redirect hops included; it is shared and not changed.
	Header http.Header
	// Park says that the caller can give the attempt up and make it again later: before anything
	// has been done, a wait of more than a second is an *Error with Until instead.
	Park bool
	// Idle, when not nil, is called when a request begins to wait for limits, rules or a renewal
	// by another process; it returns what to call at the end. It may be called concurrently.
	Idle func() (resume func())
	// Ready, when not nil, is called before each request, a repetition and a redirect hop too, and once
	// more right before it is sent: it returns when that may be done, or ctx is done.
	Ready func(ctx context.Context)
	// Record, when not nil, is told of each call after its answer or failure. It must not block.
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
