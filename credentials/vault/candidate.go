package vault

import (
	"context"
	"errors"

	"keyflow/credentials"
	"keyflow/credentials/document"
	"keyflow/credentials/internal/problem"
	"keyflow/internal/fault"
	"keyflow/internal/identity"
	"keyflow/internal/jsonvalue"
)

// Stage puts fields beside the current ones, as the candidate; a former candidate is dropped.
// Absent fields are those of the current version, null clears one. The rules are those of an
// edit: what could send a stored secret somewhere new needs the secret. Errors: Invalid with
// every problem, NotFound, Forbidden, Conflict when the record is damaged.
func (v *Vault) Stage(ctx context.Context, caller identity.Caller, id credentials.ID, fields map[string]any) (credentials.Credential, error) {
	return v.change(ctx, id, func(record *credentials.Record, revision int64) (*credentials.Record, error) {
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
func (v *Vault) Unstage(ctx context.Context, caller identity.Caller, id credentials.ID) (credentials.Credential, error) {
	return v.change(ctx, id, func(record *credentials.Record, revision int64) (*credentials.Record, error) {
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
func (v *Vault) TestCandidate(ctx context.Context, caller identity.Caller, id credentials.ID) (credentials.TestResult, error) {
	now, err := v.managed(ctx, caller, id)
	if err != nil {
		return credentials.TestResult{}, err
	}
	o, err := v.candidate(now)
	if err != nil {
		return credentials.TestResult{}, err
	}
	return v.tryCandidate(ctx, now, o)
}

// Promote makes the candidate the current version, in one step: requests go with the fields of
// before or with these. It is tested first, unless forced; a failed test, or nothing to test
// with, is a Conflict and nothing changes. Errors otherwise as TestCandidate, and Stale when it
// was replaced meanwhile.
func (v *Vault) Promote(ctx context.Context, caller identity.Caller, id credentials.ID, p credentials.Promotion) (credentials.Credential, error) {
	before, err := v.managed(ctx, caller, id)
	if err != nil {
		return credentials.Credential{}, err
	}
	o, err := v.candidate(before)
	if err != nil {
		return credentials.Credential{}, err
	}
	if p.FallBack {
		if err := o.canFallBack(); err != nil {
			return credentials.Credential{}, err
		}
	}
	if !p.Force {
		result, err := v.tryCandidate(ctx, before, o)
		if err != nil {
			return credentials.Credential{}, err
		}
		if !result.OK {
			return credentials.Credential{}, failedTest(id, result)
		}
	}
	return v.change(ctx, id, func(record *credentials.Record, revision int64) (*credentials.Record, error) {
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
		by := author{caller.Name, v.moment(), revision, credentials.OriginPromotion}
		return v.promoted(old, o, by, promotion{tested: !p.Force, fallBack: p.FallBack})
	})
}

// promotion is what a new version brings along.
type promotion struct{ tested, fallBack bool }

// promoted makes tested fields the current version.
func (v *Vault) promoted(old *stored, o *opened, by author, p promotion) (*credentials.Record, error) {
	next, err := v.record(old, o, by)
	if err != nil {
		return nil, err
	}
	if p.tested && next.State.Status == credentials.Untested {
		next.State = credentials.State{Status: credentials.OK, Since: by.at}
	}
	if p.fallBack && next.Version != old.Version {
		next.FallBack = &credentials.FallBack{Version: old.Version, Until: next.GraceEnd()}
	}
	return next, nil
}

// failedTest refuses a promotion. The result says nothing secret.
func failedTest(id credentials.ID, r credentials.TestResult) error {
	f := fault.New(fault.Conflict, "the candidate of credential %q did not pass its test and was not promoted: %s", id, r.Message)
	message := r.Message
	if r.Suggestion != "" {
		message += " " + r.Suggestion
	}
	f.Problems = []fault.Problem{{Path: "/candidate", Code: problem.TestFailed, Message: message}}
	return f
}

// trusted opens the record of an edit that keeps what the record says, which must be what was
// written.
func (v *Vault) trusted(caller identity.Caller, id credentials.ID, record *credentials.Record) (*stored, error) {
	if record == nil {
		return nil, credentials.NotFound(id)
	}
	if err := authorize(caller, identity.ManageCredentials, id, record.Folder); err != nil {
		return nil, err
	}
	return v.readTrusted(*record)
}

func (v *Vault) readTrusted(record credentials.Record) (*stored, error) {
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
	in, err := document.ApplyPatch(old.Credential, patch)
	if err != nil {
		return nil, err
	}
	return v.compose(caller, old, in)
}

// staged is the record with o's fields as its candidate.
func (v *Vault) staged(old *stored, o *opened, by author) (*credentials.Record, error) {
	next := old.Record
	next.Revision, next.UpdatedAt, next.UpdatedBy = by.revision, by.at, by.name
	o.key = old.opened.key
	secrets, sealed, err := v.sealSecrets(old, o, candidatePlace(old.ID), by.at)
	if err != nil {
		return nil, err
	}
	next.Candidate = &credentials.Candidate{Fields: o.Fields, Secrets: secrets, CreatedAt: by.at, CreatedBy: by.name}
	next.Staged = &credentials.Staged{Revision: by.revision, Sealed: sealed, Reach: old.InForce()}
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
func (v *Vault) tryCandidate(ctx context.Context, now *stored, o *opened) (credentials.TestResult, error) {
	result, err := v.try(ctx, o)
	if err != nil {
		return result, err
	}
	_, err = v.change(ctx, now.ID, func(record *credentials.Record, revision int64) (*credentials.Record, error) {
		if record == nil || record.Staged == nil || record.Staged.Revision != now.Staged.Revision {
			return nil, errReplaced
		}
		old, err := v.readTrusted(*record)
		if err != nil {
			return nil, err
		}
		next, candidate := old.Record, *old.Candidate
		candidate.Test = &credentials.CandidateTest{OK: result.OK, Message: result.Message, Suggestion: result.Suggestion, At: v.moment()}
		next.Candidate, next.Revision = &candidate, revision
		return &next, nil
	})
	if errors.Is(err, errReplaced) {
		err = nil
	}
	return result, err
}

var errReplaced = errors.New("replaced in the meantime")
