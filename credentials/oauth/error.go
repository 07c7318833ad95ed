package oauth

import (
	"net/http"
	"strconv"
	"strings"
	"time"
)

// maxText is how much of a provider's own words is kept.
const maxText = 2 << 10

// Kind says what a failed token request means for the credential.
type Kind int

// The kinds of failure.
const (
	Transient Kind = iota // network, 408, 429, 5xx: nothing is known, try later
	Grant                 // invalid_grant: the code or refresh token is spent or revoked
	Rejected              // the provider refuses this client or this request
)

// Error is a failed token request. Message is safe to show: it is redacted and bounded.
type Error struct {
	Kind       Kind
	Code       string // the provider's error code (RFC 6749 section 5.2), "" without
	Status     int    // of the answer; 0 without
	Message    string
	RetryAfter time.Duration // what the answer asked for; 0 is nothing
	Err        error         // cause without an answer, for example an *egress.Error
}

// Error implements error.
func (e *Error) Error() string { return e.Message }

// Unwrap returns the cause.
func (e *Error) Unwrap() error { return e.Err }

// kindOf classifies an answer by status and error code.
func kindOf(status int, code string) Kind {
	switch {
	case status == http.StatusTooManyRequests, status == http.StatusRequestTimeout, status >= 500:
		return Transient
	case code == "temporarily_unavailable", code == "server_error", code == "slow_down":
		return Transient
	case code == "invalid_grant":
		return Grant
	default:
		return Rejected
	}
}

func retryAfter(h http.Header, now time.Time) time.Duration {
	value := strings.TrimSpace(h.Get("Retry-After"))
	if seconds, err := strconv.Atoi(value); err == nil && seconds > 0 {
		return time.Duration(min(seconds, 3600)) * time.Second
	}
	if at, err := http.ParseTime(value); err == nil && at.After(now) {
		return min(at.Sub(now), time.Hour)
	}
	return 0
}

// cut makes a provider's own words storable: it shortens them to maxText bytes without splitting
// a character and replaces what Postgres refuses in a text, NUL and what is not UTF-8.
func cut(text string) string {
	text = strings.ReplaceAll(strings.ToValidUTF8(text, "\uFFFD"), "\x00", "\uFFFD")
	if len(text) <= maxText {
		return text
	}
	return strings.ToValidUTF8(text[:maxText], "") + "..."
}
