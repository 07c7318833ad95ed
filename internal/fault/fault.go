// Package fault classifies errors once, where they occur, so that they can be rendered once,
// where they leave the process (HTTP, command line, run history).
//
// A fault has a kind (what the caller can do about it), a message that is safe to show to anyone
// who may see the object, an optional list of problems, and a cause that is only logged. An error
// that is not a fault is [Internal] and its text is not shown.
// The package knows no domain type, no HTTP status and no exit code.
package fault

import (
	"errors"
	"fmt"
)

// Kind says what the caller can do about an error.
type Kind int

// The kinds. The zero value is Internal: the text of an unclassified error is not shown.
const (
	Internal        Kind = iota // a bug or a broken dependency; details are in the log only
	Invalid                     // the input is wrong; Problems say where (HTTP 422)
	Malformed                   // the input could not be parsed at all (HTTP 400)
	NotFound                    // the object does not exist, or the caller may not see it
	Conflict                    // the object exists, is in use, or is in another state
	Stale                       // the caller's If-Match names an older revision (HTTP 412)
	Unauthenticated             // the caller is unknown
	Forbidden                   // the caller has no right to do this
	TooLarge                    // over a documented size limit
	RateLimited                 // too many attempts; try later
	Unavailable                 // cannot accept work now (queue full, database away); try again
)

var kindNames = [...]string{
	"internal", "invalid", "malformed", "not_found", "conflict", "stale", "unauthenticated",
	"forbidden", "too_large", "rate_limited", "unavailable",
}

// String returns the kind as a stable snake_case word.
func (k Kind) String() string {
	if k < 0 || int(k) >= len(kindNames) {
		return kindNames[Internal]
	}
	return kindNames[k]
}

// Problem is one thing wrong with an input. Path is a JSON pointer (RFC 6901) into the
// input, Code a stable snake_case word, Message what is wrong and how to fix it.
// Line and Column are 1-based and 0 when the text of the input is not available.
type Problem struct {
	Path    string `json:"path"`
	Code    string `json:"code"`
	Message string `json:"message"`
	Line    int    `json:"line,omitempty"`
	Column  int    `json:"column,omitempty"`
}

// Error is a classified error. Message and Problems are safe to show; Err is not.
type Error struct {
	Kind     Kind
	Message  string
	Problems []Problem
	Err      error
}

// Error returns the safe message and the cause; it is for logs, not for responses.
func (e *Error) Error() string {
	if e.Err == nil {
		return e.Message
	}
	return e.Message + ": " + e.Err.Error()
}

// Unwrap returns the cause.
func (e *Error) Unwrap() error { return e.Err }

// New returns a fault with a formatted safe message.
func New(kind Kind, format string, args ...any) *Error {
	return &Error{Kind: kind, Message: fmt.Sprintf(format, args...)}
}

// Problems returns an Invalid fault that carries every problem found.
func Problems(message string, problems []Problem) *Error {
	return &Error{Kind: Invalid, Message: message, Problems: problems}
}

// Because attaches the cause and returns e.
func (e *Error) Because(err error) *Error {
	e.Err = err
	return e
}

// KindOf returns the kind of the outermost fault in err's chain; Internal when there is none.
func KindOf(err error) Kind {
	if f, ok := errors.AsType[*Error](err); ok {
		return f.Kind
	}
	return Internal
}

// Is reports whether err is a fault of the given kind.
func Is(err error, kind Kind) bool { return err != nil && KindOf(err) == kind }

// Message returns the safe message of err, "internal error" when it is not a fault.
func Message(err error) string {
	if f, ok := errors.AsType[*Error](err); ok && f.Kind != Internal {
		return f.Message
	}
	return "internal error"
}

// ProblemsOf returns the problems carried by err, nil when there are none.
func ProblemsOf(err error) []Problem {
	if f, ok := errors.AsType[*Error](err); ok {
		return f.Problems
	}
	return nil
}
