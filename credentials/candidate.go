package credentials

import (
	"context"
	"errors"
	"time"

	"keyflow/internal/fault"
	"keyflow/internal/identity"
	"keyflow/internal/jsonvalue"
)

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

// Stage puts fields beside the current ones, as the candidate; a former candidate is dropped.
// Absent fields are those of the current version, null clears one. The rules are those of an
// edit: what could send a stored secret somewhere new needs the secret. Errors: Invalid with
// every problem, NotFound, Forbidden, Conflict when the record is damaged.
func (v *Vault) Stage(ctx context.Context, caller identity.Caller, id ID, fields map[string]any) (Credential, error) {
	return v.change(ctx, id, func(record *Record, revision int64) (*Record, error) {
		old, err := v.trusted(caller, id, record)
		if err != nil {
			return nil, err
		}
		o, err := v.composeFields(caller, old, fields)
		if err != nil {
			return nil, err
		}
		return v.staged(old, o, author{name: caller.Name, at: v.moment(), revision: revision})
	})
}

// Unstage drops the candidate, if there is one. Errors as Stage.
func (v *Vault) Unstage(ctx context.Context, caller identity.Caller, id ID) (Credential, error) {
	return v.change(ctx, id, func(record *Record, revision int64) (*Record, error) {
		old, err := v.trusted(caller, id, record)
		if err != nil {
			return nil, err
		}
		next := old.Record
		next.Candidate, next.Staged = nil, nil
		next.Revision, next.UpdatedAt, next.UpdatedBy = revision, v.moment(), caller.Name
		return &next, nil
	})
}

// TestCandidate tries the candidate as TestInput tries values, and remembers the result in it.
// Errors: Conflict without a candidate, or when it could be sent to places that it was not
// meant for; NotFound, Forbidden.
func (v *Vault) TestCandidate(ctx context.Context, caller identity.Caller, id ID) (TestResult, error) {
	now, err := v.managed(ctx, caller, id)
	if err != nil {
		return TestResult{}, err
	}
	o, err := v.candidate(now)
	if err != nil {
		return TestResult{}, err
	}
	return v.tryCandidate(ctx, now, o)
}

// Promote makes the candidate the current version, in one step: requests go with the fields of
// before or with these. It is tested first, unless forced; a failed test, or nothing to test
// with, is a Conflict and nothing changes. Errors otherwise as TestCandidate, and Stale when it
// was replaced meanwhile.
func (v *Vault) Promote(ctx context.Context, caller identity.Caller, id ID, p Promotion) (Credential, error) {
	before, err := v.managed(ctx, caller, id)
	if err != nil {
		return Credential{}, err
	}
	o, err := v.candidate(before)
	if err != nil {
		return Credential{}, err
	}
	if p.FallBack {
		if err := o.canFallBack(); err != nil {
			return Credential{}, err
		}
	}
	if !p.Force {
		result, err := v.tryCandidate(ctx, before, o)
		if err != nil {
			return Credential{}, err
		}
		if !result.OK {
			return Credential{}, failedTest(id, result)
		}
	}
	return v.change(ctx, id, func(record *Record, revision int64) (*Record, error) {
		old, err := v.trusted(caller, id, record)
		if err != nil {
			return nil, err
		}
		if old.Staged == nil || old.Staged.Revision != before.Staged.Revision {
			return nil, fault.New(fault.Stale, "the candidate of credential %q was changed in the meantime: look at it and try again", id)
		}
		if o, err = v.candidate(old); err != nil { // hosts may have been changed
			return nil, err
		}
		old.Candidate, old.Staged = nil, nil
		by := author{caller.Name, v.moment(), revision, OriginPromotion}
		return v.promoted(old, o, by, promotion{tested: !p.Force, fallBack: p.FallBack})
	})
}

// promotion is what a new version brings along.
type promotion struct{ tested, fallBack bool }

// promoted makes tested fields the current version.
func (v *Vault) promoted(old *stored, o *opened, by author, p promotion) (*Record, error) {
	next, err := v.record(old, o, by)
	if err != nil {
		return nil, err
	}
	if p.tested && next.State.Status == Untested {
		next.State = State{Status: OK, Since: by.at}
	}
	if p.fallBack && next.Version != old.Version {
		next.FallBack = &FallBack{Version: old.Version, Until: next.graceEnd()}
	}
	return next, nil
}

// failedTest refuses a promotion. The result says nothing secret.
func failedTest(id ID, r TestResult) error {
	f := fault.New(fault.Conflict, "the candidate of credential %q did not pass its test and was not promoted: %s", id, r.Message)
	message := r.Message
	if r.Suggestion != "" {
		message += " " + r.Suggestion
	}
	f.Problems = []fault.Problem{{Path: "/candidate", Code: codeTestFailed, Message: message}}
	return f
}

// trusted opens the record of an edit that keeps what the record says, which must be what was
// written.
func (v *Vault) trusted(caller identity.Caller, id ID, record *Record) (*stored, error) {
	if record == nil {
		return nil, notFound(id)
	}
	if err := authorize(caller, identity.ManageCredentials, id, record.Folder); err != nil {
		return nil, err
	}
	return v.readTrusted(*record)
}

func (v *Vault) readTrusted(record Record) (*stored, error) {
	old, err := v.readStored(record)
	if err == nil && old.broken[""] != nil {
		err = damaged(record.ID, old.broken)
	}
	return old, err
}

// composeFields checks new values for some of the fields.
func (v *Vault) composeFields(caller identity.Caller, old *stored, fields map[string]any) (*opened, error) {
	patch, err := jsonvalue.Encode(map[string]any{"fields": fields})
	if err != nil {
		return nil, fault.New(fault.Malformed, "the fields are no JSON values").Because(err)
	}
	in, err := applyPatch(old.Credential, patch)
	if err != nil {
		return nil, err
	}
	return v.compose(caller, old, in)
}

// staged is the record with o's fields as its candidate.
func (v *Vault) staged(old *stored, o *opened, by author) (*Record, error) {
	next := old.Record
	next.Revision, next.UpdatedAt, next.UpdatedBy = by.revision, by.at, by.name
	o.key = old.opened.key
	secrets, sealed, err := v.sealSecrets(old, o, candidatePlace(old.ID), by.at)
	if err != nil {
		return nil, err
	}
	next.Candidate = &Candidate{Fields: o.Fields, Secrets: secrets, CreatedAt: by.at, CreatedBy: by.name}
	next.Staged = &Staged{Revision: by.revision, Sealed: sealed, Reach: old.reach()}
	return &next, nil
}

// candidate opens the candidate under the present rules of the credential.
func (v *Vault) candidate(now *stored) (*opened, error) {
	if now.broken[""] != nil {
		return nil, damaged(now.ID, now.broken)
	}
	if now.Candidate == nil {
		return nil, fault.New(fault.Conflict, "credential %q has no candidate: stage new values first", now.ID)
	}
	o := now.with(now.Candidate.Fields, now.Candidate.Secrets)
	if err := v.openFields(o, candidatePlace(now.ID), now.Staged.Sealed); err != nil {
		return nil, fault.New(fault.Conflict, "the candidate of credential %q is damaged in the database: stage it again", now.ID).Because(err)
	}
	return o, o.within(now.Staged.Reach, "the candidate")
}

// tryCandidate tests the candidate of now and remembers the result, unless it is gone.
func (v *Vault) tryCandidate(ctx context.Context, now *stored, o *opened) (TestResult, error) {
	result, err := v.try(ctx, o)
	if err != nil {
		return result, err
	}
	_, err = v.change(ctx, now.ID, func(record *Record, revision int64) (*Record, error) {
		if record == nil || record.Staged == nil || record.Staged.Revision != now.Staged.Revision {
			return nil, errReplaced
		}
		old, err := v.readTrusted(*record)
		if err != nil {
			return nil, err
		}
		next, candidate := old.Record, *old.Candidate
		candidate.Test = &CandidateTest{OK: result.OK, Message: result.Message, Suggestion: result.Suggestion, At: v.moment()}
		next.Candidate, next.Revision = &candidate, revision
		return &next, nil
	})
	if errors.Is(err, errReplaced) {
		err = nil
	}
	return result, err
}

var errReplaced = errors.New("replaced in the meantime")
