package credentials

import (
	"net/http"
	"strings"
	"time"

	"keyflow/internal/charset"
	"keyflow/internal/fault"
	"keyflow/internal/jsonvalue"
	"keyflow/internal/secret"
)

// The codes of [Error]; they are the step error codes of the run history.
const (
	CodeUnknown            = "credential_unknown"
	CodeWorkflowNotAllowed = "workflow_not_allowed"
	CodeHostNotAllowed     = "host_not_allowed"
	CodeNeedsConnect       = "credential_needs_connect"
	CodeRefused            = "credential_refused"
	CodeQuota              = "quota"
	// CodeReference is a secret kept elsewhere that cannot be read there.
	CodeReference = "credential_reference"
	// CodeLimit is the reason of a step that waits; steps do not fail with it.
	CodeLimit = "credential_limit"
)

// Error says why a credential could not be used. Message names the credential and the
// remedy and is safe to show; Err is the cause, for logs. It never consumes a retry.
type Error struct {
	Code    string
	Message string
	ID      ID
	Err     error
	// Until, when not zero, says that nothing was done and that it may be done then: the step
	// waits. Only a Use with Park gets such errors.
	Until time.Time
	// Hold says that nothing was done and that it may be done once somebody has connected the
	// credential. Only a Use with Park gets such errors.
	Hold bool
	// Answer is what the upstream said when it refused the credential; nil without an answer.
	Answer *Answer
}

// Answer is an HTTP answer with every secret replaced. Body holds at most 1 MiB.
type Answer struct {
	Status int
	Header http.Header
	Body   []byte
}

// Data returns the answer as expressions and the run history see it: {status, headers, body} with
// header names in lower case, repeated ones separated by ", ", and the body decoded when it is
// JSON.
func (a *Answer) Data() map[string]any { return ResponseData(a.Status, a.Header, a.Body) }

// Error returns the message and the cause; it is for logs, not for answers.
func (e *Error) Error() string {
	if e.Err == nil {
		return e.Message
	}
	return e.Message + ": " + e.Err.Error()
}

// Unwrap returns the cause.
func (e *Error) Unwrap() error { return e.Err }

// Unknown is the error of a use of a credential that does not exist.
func Unknown(id ID) *Error {
	return &Error{
		Code: CodeUnknown, ID: id,
		Message: "credential \"" + string(id) + "\" does not exist; create it or correct the reference",
	}
}

// NotFound is the fault of an operation on a credential that does not exist, or that the caller
// may not see.
func NotFound(id ID) *fault.Error {
	return fault.New(fault.NotFound, "credential %q does not exist", id)
}

// ResponseData is an answer as expressions see it: header names in lower case with repeats
// joined, the body in UTF-8 and decoded when it is JSON. Cookies are hidden: they are secrets of a
// session that the credential began.
func ResponseData(status int, header http.Header, body []byte) map[string]any {
	headers := make(map[string]any, len(header))
	for name, values := range header {
		if name == "Set-Cookie" || name == "Set-Cookie2" {
			values = []string{secret.Mask}
		}
		headers[strings.ToLower(name)] = strings.Join(values, ", ")
	}
	if text, err := charset.Decode(body, charset.Declared{ContentType: header.Get("Content-Type")}); err == nil {
		body = text // otherwise it is binary, or cut
	}
	var decoded any = string(body)
	if v, err := jsonvalue.Decode(body); err == nil {
		decoded = v
	}
	return map[string]any{"status": status, "headers": headers, "body": decoded}
}

// ErrReceived refuses a signed request that was received before, as it is. Whoever sent it has
// proved to be the right caller, or to have heard him.
var ErrReceived error = fault.New(fault.Unauthenticated, "the request was received before")
