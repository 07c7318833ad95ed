package credentials

import "time"

// Candidate is a set of fields that waits to be tested and promoted. No run uses it. It belongs
// to the version beside which it was staged: a change of the fields drops it.
type Candidate struct {
	Fields    map[string]any        `json:"fields"`  // those that are not secret
	Secrets   map[string]SecretInfo `json:"secrets"` // one entry per secret field of the type
	CreatedAt time.Time             `json:"created_at"`
	CreatedBy string                `json:"created_by"`
	Test      *CandidateTest        `json:"test"` // null: not tested yet
}

// CandidateTest is the result of a candidate's last test.
type CandidateTest struct {
	OK         bool      `json:"ok"`
	Message    string    `json:"message"`
	Suggestion string    `json:"suggestion"`
	At         time.Time `json:"at"`
}

// Staged is the part of a candidate that nobody is told.
type Staged struct {
	Revision int64 // of the edit that staged it; tells it from any other
	Sealed   map[string][]byte
	Reach    Reach // see Version
}

// FallBack names the version whose fields come back by themselves when the current one is
// refused, and until when; nil is without limit.
type FallBack struct {
	Version int        `json:"version"`
	Until   *time.Time `json:"until"`
}

// Promotion says how to promote a candidate.
type Promotion struct {
	// FallBack lets the former fields come back by themselves when the new ones are refused.
	FallBack bool `json:"fall_back,omitempty" doc:"The former fields come back by themselves when the new ones are refused."`
	// Force promotes without a test.
	Force bool `json:"force,omitempty" doc:"Without a test."`
}

// Armed reports whether the former version comes back by itself at now.
func (f *FallBack) Armed(now time.Time) bool {
	return f != nil && (f.Until == nil || now.Before(*f.Until))
}
