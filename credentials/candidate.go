package credentials

import (
	"fmt"
	"time"
)

// Candidate is a set of fields that waits to be tested and promoted. No run uses it.
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

// checkRotation checks by whom and within which time the fields may be changed for others.
func (e *edit) checkRotation() {
	if len(e.in.RotatableBy) > maxEntries {
		e.add("/rotatable_by", codeTooLong, fmt.Sprintf("can hold at most %d patterns", maxEntries))
	}
	for i, pattern := range e.in.RotatableBy {
		if err := checkWorkflowPattern(pattern); err != nil {
			e.add(fmt.Sprintf("/rotatable_by/%d", i), codeInvalidValue, err.Error())
		}
	}
	if e.in.Grace != "" {
		if _, err := parseDuration(e.in.Grace); err != nil {
			e.add("/grace", codeInvalidValue, err.Error())
		}
	}
}
