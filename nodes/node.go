// Package nodes says how one step behaves: the contract of a node type, its
// specification beside its constructor, and the registry of the types that exist.
//
// A node gets evaluated parameters and an [Env]; it returns data and the engine acts on
// it. A node never sees a credential, only an *http.Client that authenticates. This
// package must not know workflows, credentials, the engine or a database; the types
// themselves live in nodes/standard, one file and one test each.
package nodes

import (
	"context"
	"log/slog"
	"net/http"
	"slices"
	"strings"
	"time"

	"keyflow/internal/suggest"
)

// Node is one configured step. Run may be called again for the same step after a crash
// or for a retry; it must return soon after ctx is done.
type Node interface {
	Run(ctx context.Context, env Env, in Input) (Result, error)
}

// Input is what a step gets: With holds the evaluated parameters that were given (absent
// ones are absent; defaults are the node's business), already of the declared kind. Their
// maps and lists are shared with other steps and must not be changed.
type Input struct {
	With map[string]any
	Now  time.Time // when this attempt began, by the clock that due times are held against
}

// Env is what the engine lends to one attempt of one step.
type Env interface {
	// Client returns an HTTP client that authenticates as the node's credential (or not at
	// all when it has none). Errors are *Error with a credential code.
	Client(o ClientOptions) (*http.Client, error)
	// Eval evaluates the bare expression given for the parameter, with extra variables
	// (for example response). ok is false when the parameter was not given.
	Eval(ctx context.Context, param string, vars map[string]any) (value any, ok bool, err error)
	// Act works on the node's credential itself: "test", "refresh", or "rotate" to the fields.
	// The answer is plain data and holds no secret. Errors are *Error.
	Act(ctx context.Context, action string, fields map[string]any) (map[string]any, error)
	// Has reports whether the expression was given for the parameter.
	Has(param string) bool
	// DeliveryID is the same over retries and restarts of this step: "run/node/index".
	DeliveryID() string
	// Attempt counts from 1.
	Attempt() int
	// ReadyAt is when the step could begin, the same over retries and restarts.
	ReadyAt() time.Time
	Log() *slog.Logger
}

// ClientOptions are the author's choices for outgoing requests.
type ClientOptions struct {
	MaxRedirects int    // 0: do not follow
	MaxBytes     int64  // of a decompressed answer body; more is too_large
	Charset      string // in which the author says that answers are; "" is what they declare
}

// Result is what a node asks the engine to do: Done, Park, Start, Respond or Emit.
type Result interface{ result() }

// Done ends the step with its raw output: plain data as in package jsonvalue.
type Done struct{ Output any }

func (Done) result() {}

// Park lets the step wait, for days if need be, without a goroutine: until a time, then the
// node runs again as the same attempt; or for an external result, which is the raw
// output; or for whichever comes first.
type Park struct {
	Until time.Time // zero: no end
	For   string    // CodeWaitsForCallback or CodeWaitsForApproval; "" for a time only
	// Message says what the step waits for; safe to show.
	Message string
}

func (Park) result() {}

// Start starts another workflow, in the same transaction that stores the step. With Wait the
// raw output is that run's output, its failure the step's; without it is {run_id}.
type Start struct {
	Workflow string
	Input    any
	Wait     bool
}

func (Start) result() {}

// Respond answers the inbound webhook that started the run, in the same transaction that
// stores the step: the first Respond of a run counts, and only while somebody waits for it.
// The raw output is {status, responded}, with a reason when it is not the answer.
type Respond struct {
	Status int // 200 to 599
	Header http.Header
	Body   []byte
}

func (Respond) result() {}

// Emit publishes an event, which is stored in the same transaction as the step; the raw output
// is {id}, the same over retries and restarts.
type Emit struct {
	Event string // its type
	Data  any
}

func (Emit) result() {}

// Error is a step's failure as it appears in the history and to expressions as `error`.
type Error struct {
	Code     string // one of the codes below
	Message  string // safe: names no secret, no raw URL
	Response any    // {status, headers, body} when an answer was received, else nil
	Status   int    // of the answer, 0 without
	// RetryAfter is what the answer asked for (Retry-After, RateLimit-Reset); 0 is nothing.
	RetryAfter time.Duration
	// Until, when not zero, says that the attempt did nothing: the step waits and it is made
	// again then, as the same attempt.
	Until time.Time
	// Hold, when not empty, says the same of a credential that a person must connect first; it
	// is the id.
	Hold string
	// Permanent failures are not retried, whatever the node's retry says.
	Permanent bool
	Err       error // cause, for the log only
}

// Error implements error.
func (e *Error) Error() string { return e.Code + ": " + e.Message }

// Unwrap returns the cause.
func (e *Error) Unwrap() error { return e.Err }

// TypeCredential is the type whose nodes work on a credential itself.
const TypeCredential = "credential"

// TypeRespond is the type whose nodes answer the webhook that started the run.
const TypeRespond = "respond"

// Error codes of steps. They are part of the public contract.
const (
	CodeHTTPStatus             = "http_status"
	CodeFailIf                 = "fail_if"
	CodeTimeout                = "timeout"
	CodeNetwork                = "network"
	CodeHostNotAllowed         = "host_not_allowed"
	CodeWorkflowNotAllowed     = "workflow_not_allowed"
	CodeCredentialUnknown      = "credential_unknown"
	CodeCredentialNeedsConnect = "credential_needs_connect"
	CodeCredentialRefused      = "credential_refused"
	CodeQuota                  = "quota"
	CodeCredentialLimit        = "credential_limit"    // only the reason of a step that waits
	CodeRotation               = "credential_rotation" // the new values were not promoted
	CodeExpression             = "expression"
	CodeInvalidParam           = "invalid_param"
	CodeTooLarge               = "too_large"
	CodeConcurrencyLimit       = "concurrency_limit" // on_limit skip: the other workflow was not started
	CodeCanceled               = "canceled"
	CodeInterrupted            = "interrupted"
	CodeInternal               = "internal"
	CodeFailed                 = "failed" // the fail node

	// Reasons of steps that wait; steps do not fail with them.
	CodeWaitsForTime     = "waits_for_time"
	CodeWaitsForCallback = "waits_for_callback"
	CodeWaitsForApproval = "waits_for_approval"
	CodeWaitsForWorkflow = "waits_for_workflow"
)

// Kind is the type of a parameter after its templates were evaluated.
type Kind string

// The kinds of parameters. An Expression is bare text, compiled when the workflow is
// applied and evaluated by the node through Env.Eval; all others are JSON with templates.
const (
	Any        Kind = "any"
	String     Kind = "string"
	Integer    Kind = "integer"
	Boolean    Kind = "boolean"
	Object     Kind = "object"   // map[string]any
	List       Kind = "list"     // []any
	Duration   Kind = "duration" // text; Input holds a time.Duration
	Expression Kind = "expression"
)

// Redacted is what a parameter does with redacted values, which people see as ***.
type Redacted int

// By default they are an error. A parameter that is handed on as data keeps them; one that is
// sent to a server uses their texts where the run has them, and they are masked in the answer.
const (
	RedactedRefused Redacted = iota
	RedactedKept
	RedactedUsed
)

// Param declares one parameter of a type: validation, JSON Schema and docs come from it.
type Param struct {
	Name     string
	Kind     Kind
	Required bool
	Enum     []string // of a String, and of each element of a List
	Literal  bool     // templates are refused: the value must be known when the workflow is applied
	Default  string   // for docs
	Help     string   // one line
	Scope    []string // extra names an Expression may read, for example "response"
	// Fields are the properties of an Object, or of the object that may be given in place of a
	// String; Input and Env.Eval know each as "param.field".
	Fields []Param
	// Sealed parameters see the outputs of sensitive nodes as they are; all others see "***".
	Sealed bool
	// Redacted says what becomes of redacted values in the parameter.
	Redacted Redacted
	Minimum  *int // of an Integer
	Maximum  *int
	// Check, when not nil, says what is wrong with a String; "" is nothing.
	Check func(text string) string
}

// ResponseMembers are the members of an HTTP answer as expressions see it: as response in a
// Scope and as error.response.
func ResponseMembers() []string { return []string{"status", "headers", "body"} }

// Type is a node type: its specification beside its constructor.
type Type struct {
	Name       string
	Aliases    []string // names that people try for it; they are suggestions only
	Summary    string   // one sentence
	Params     []Param
	Output     []string      // all members that the raw output can have; nil: it can be any value
	Credential bool          // whether nodes of the type may name a credential
	Acts       bool          // whether they work on the credential itself: then they must name one
	Timeout    time.Duration // default of one attempt; 0 is none
	Retry      RetryDefault  // default when the node states no retry
	// Check, when not nil, says what is wrong with which parameters are given; "" is nothing. Null
	// and false are not given.
	Check func(given func(name string) bool) string
	New   func() Node // called once per compiled node; the Node is used concurrently
}

// RetryDefault is a type's retry policy; the zero value is one attempt.
type RetryDefault struct {
	MaxAttempts  int
	Initial, Max time.Duration
	Factor       float64
}

// Registry finds types by name. It is immutable.
type Registry struct {
	types map[string]Type
	names []string
}

// NewRegistry returns a registry of the given types, in the given order.
func NewRegistry(types ...Type) *Registry {
	r := &Registry{types: make(map[string]Type, len(types))}
	for _, t := range types {
		if _, dup := r.types[t.Name]; !dup {
			r.names = append(r.names, t.Name)
		}
		r.types[t.Name] = t
	}
	return r
}

// Lookup returns the type with that name.
func (r *Registry) Lookup(name string) (Type, bool) {
	t, ok := r.types[name]
	return t, ok
}

// DidYouMean returns ` (did you mean "x"?)` for an unknown name that is an alias of a type or
// close to its name, "" when there is none.
func (r *Registry) DidYouMean(name string) string {
	for _, n := range r.names {
		if slices.Contains(r.types[n].Aliases, strings.ToLower(name)) {
			return suggest.DidYouMean(n, []string{n})
		}
	}
	return suggest.DidYouMean(name, r.names)
}

// Types returns all types in registration order.
func (r *Registry) Types() []Type {
	out := make([]Type, len(r.names))
	for i, n := range r.names {
		out[i] = r.types[n]
	}
	return out
}
