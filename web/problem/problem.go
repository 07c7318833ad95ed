// Package problem renders errors as application/problem+json (RFC 9457). It has the only table from
// kinds of faults to HTTP statuses, and never repeats what a client submitted.
//
// It must not know routes or resources.
package problem

import (
	"context"
	"encoding/json"
	"errors"
	"math"
	"net/http"
	"regexp"
	"strconv"
	"time"

	"github.com/danielgtaylor/huma/v2"

	"keyflow/credentials"
	"keyflow/internal/fault"
	"keyflow/web/request"
)

// Problem is an error answer: application/problem+json (RFC 9457). Errors lists what is
// wrong where; path is a JSON pointer into the body, or ?name for a query parameter.
type Problem struct {
	Type      string          `json:"type"`
	Title     string          `json:"title"`
	Status    int             `json:"status"`
	Detail    string          `json:"detail"`
	RequestID string          `json:"request_id"`
	Errors    []fault.Problem `json:"errors" nullable:"false"`
	// Usages lists what still uses the object that was to be deleted.
	Usages []credentials.Usage `json:"usages,omitempty" nullable:"false"`

	retryAfter time.Duration
}

var (
	_ huma.StatusError       = (*Problem)(nil)
	_ huma.ContentTypeFilter = (*Problem)(nil)
	_ huma.HeadersError      = (*Problem)(nil)
)

// Error returns the detail.
func (p *Problem) Error() string { return p.Detail }

// GetStatus implements huma.StatusError.
func (p *Problem) GetStatus() int { return p.Status }

// ContentType implements huma.ContentTypeFilter.
func (*Problem) ContentType(string) string { return "application/problem+json" }

// GetHeaders implements huma.HeadersError.
func (p *Problem) GetHeaders() http.Header {
	h := http.Header{}
	if p.Status == http.StatusUnauthorized {
		h.Set("WWW-Authenticate", "Bearer") // RFC 9110 section 15.5.2
	}
	if p.retryAfter > 0 {
		h.Set("Retry-After", strconv.Itoa(int(math.Ceil(p.retryAfter.Seconds()))))
	}
	return h
}

// statusOf is the one table from what went wrong to an HTTP status.
func statusOf(k fault.Kind) int {
	switch k {
	case fault.Invalid:
		return http.StatusUnprocessableEntity
	case fault.Malformed:
		return http.StatusBadRequest
	case fault.NotFound:
		return http.StatusNotFound
	case fault.Conflict:
		return http.StatusConflict
	case fault.Stale:
		return http.StatusPreconditionFailed
	case fault.Unauthenticated:
		return http.StatusUnauthorized
	case fault.Forbidden:
		return http.StatusForbidden
	case fault.TooLarge:
		return http.StatusRequestEntityTooLarge
	case fault.RateLimited:
		return http.StatusTooManyRequests
	case fault.Unavailable:
		return http.StatusServiceUnavailable
	case fault.Internal:
		return http.StatusInternalServerError
	}
	return http.StatusInternalServerError
}

// retryUnavailable is the Retry-After of a 503 without one of its own.
const retryUnavailable = 2 * time.Second

// From turns any error into its answer. An error that is no fault shows nothing.
func From(ctx context.Context, err error) *Problem {
	if p, ok := errors.AsType[*Problem](err); ok {
		return p
	}
	err = classify(err)
	kind := fault.KindOf(err)
	p := New(ctx, statusOf(kind), fault.Message(err))
	if list := fault.ProblemsOf(err); kind != fault.Internal && len(list) > 0 {
		p.Errors = list
	}
	if kind == fault.Unavailable {
		p.retryAfter = retryUnavailable
	}
	if later, ok := errors.AsType[interface {
		error
		RetryAfter() time.Duration
	}](err); ok {
		p.retryAfter = later.RetryAfter()
	}
	return p
}

// classify turns typed errors of other packages into faults.
func classify(err error) error {
	if e, ok := errors.AsType[*credentials.Error](err); ok {
		f := fault.Problems(e.Message, []fault.Problem{{Code: e.Code, Message: e.Message}}).Because(err)
		f.Kind = kindOf(e)
		return f
	}
	if _, ok := errors.AsType[*http.MaxBytesError](err); ok {
		return fault.New(fault.TooLarge, "the body is too large").Because(err)
	}
	if errors.Is(err, context.Canceled) || errors.Is(err, context.DeadlineExceeded) {
		return fault.New(fault.Unavailable, "the request ended before it was answered").Because(err)
	}
	return err
}

// kindOf is the kind of fault for a request that tried a credential that cannot be used. The
// request itself is valid.
func kindOf(e *credentials.Error) fault.Kind {
	switch e.Code {
	case credentials.CodeUnknown:
		return fault.NotFound
	case credentials.CodeNeedsConnect, credentials.CodeRefused:
		return fault.Conflict
	case credentials.CodeWorkflowNotAllowed, credentials.CodeHostNotAllowed:
		return fault.Invalid
	default: // the provider did not answer, or asked to wait
		return fault.Unavailable
	}
}

// New returns a problem without a list of errors.
func New(ctx context.Context, status int, detail string) *Problem {
	return &Problem{
		Type: "about:blank", Title: http.StatusText(status), Status: status, Detail: detail,
		RequestID: request.From(ctx).ID, Errors: []fault.Problem{},
	}
}

// Write renders a problem outside huma.
func Write(w http.ResponseWriter, p *Problem) {
	for name, values := range p.GetHeaders() {
		w.Header()[name] = values
	}
	w.Header().Set("Content-Type", p.ContentType(""))
	w.WriteHeader(p.Status)
	enc := json.NewEncoder(w)
	enc.SetEscapeHTML(false)
	_ = enc.Encode(p) // the client went away
}

// IsName reports whether an unknown key is clearly a name, so that an error may repeat it. Anything
// else could be a value in the wrong place.
func IsName(key string) bool {
	ok, _ := regexp.MatchString(`^[a-z][a-z_]{0,30}$`, key)
	return ok
}
