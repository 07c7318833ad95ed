package rotation

import (
	"context"
	"errors"

	"keyflow/credentials"
	"keyflow/credentials/authtype"
	"keyflow/credentials/internal/decrypted"
	"keyflow/credentials/internal/editing"
	"keyflow/credentials/internal/problem"
	"keyflow/internal/fault"
	"keyflow/internal/identity"
)

// Stage puts fields beside the current ones, as the candidate; a former candidate is dropped.
// Absent fields are those of the current version, null clears one. The rules are those of an
// edit: what could send a stored secret somewhere new needs the secret. Errors: Invalid with
// every problem, NotFound, Forbidden, Conflict when the record is damaged.
func (rt *Rotation) Stage(ctx context.Context, caller identity.Caller, id credentials.ID, fields map[string]any) (credentials.Credential, error) {
	return rt.Editor.Change(ctx, id, func(record *credentials.Record, revision int64) (*credentials.Record, error) {
		old, err := rt.Gate.Trusted(caller, id, record)
		if err != nil {
			return nil, err
		}
		o, err := rt.Editor.ComposeFields(caller, old, fields)
		if err != nil {
			return nil, err
		}
		return rt.staged(old, o, editing.Author{Name: caller.Name, At: credentials.Moment(rt.Now()), Revision: revision})
	})
}

// Unstage drops the candidate, if there is one. Errors as Stage.
func (rt *Rotation) Unstage(ctx context.Context, caller identity.Caller, id credentials.ID) (credentials.Credential, error) {
	return rt.Editor.Change(ctx, id, func(record *credentials.Record, revision int64) (*credentials.Record, error) {
		old, err := rt.Gate.Trusted(caller, id, record)
		if err != nil {
			return nil, err
		}
		next := old.Record
		next.Candidate, next.Staged = nil, nil
		next.Revision, next.UpdatedAt, next.UpdatedBy = revision, credentials.Moment(rt.Now()), caller.Name
		return &next, nil
	})
}

// TestCandidate tries the candidate as TestInput tries values, and remembers the result in it.
// Errors: Conflict without a candidate, or when it could be sent to hosts that it was not
// meant for; NotFound, Forbidden.
func (rt *Rotation) TestCandidate(ctx context.Context, caller identity.Caller, id credentials.ID) (credentials.TestResult, error) {
	now, err := rt.Gate.Managed(ctx, caller, id)
	if err != nil {
		return credentials.TestResult{}, err
	}
	o, err := rt.candidate(now)
	if err != nil {
		return credentials.TestResult{}, err
	}
	return rt.tryCandidate(ctx, now, o)
}

// Promote makes the candidate the current version, in one step: requests go with the fields of
// before or with these. It is tested first, unless forced; a failed test, or nothing to test
// with, is a Conflict and nothing changes. Errors otherwise as TestCandidate, and Stale when it
// was replaced meanwhile.
func (rt *Rotation) Promote(ctx context.Context, caller identity.Caller, id credentials.ID, p credentials.Promotion) (credentials.Credential, error) {
	before, err := rt.Gate.Managed(ctx, caller, id)
	if err != nil {
		return credentials.Credential{}, err
	}
	o, err := rt.candidate(before)
	if err != nil {
		return credentials.Credential{}, err
	}
	if p.FallBack {
		if err := canFallBack(o); err != nil {
			return credentials.Credential{}, err
		}
	}
	if !p.Force {
		result, err := rt.tryCandidate(ctx, before, o)
		if err != nil {
			return credentials.Credential{}, err
		}
		if !result.OK {
			return credentials.Credential{}, failedTest(id, result)
		}
	}
	return rt.Editor.Change(ctx, id, func(record *credentials.Record, revision int64) (*credentials.Record, error) {
		old, err := rt.Gate.Trusted(caller, id, record)
		if err != nil {
			return nil, err
		}
		if old.Staged == nil || old.Staged.Revision != before.Staged.Revision {
			return nil, fault.New(fault.Stale, "the candidate of credential %q was changed in the meantime: look at it and try again", id)
		}
		if o, err = rt.candidate(old); err != nil { // hosts may have been changed
			return nil, err
		}
		old.Candidate, old.Staged = nil, nil
		by := editing.Author{Name: caller.Name, At: credentials.Moment(rt.Now()), Revision: revision, Origin: credentials.OriginPromotion}
		return rt.promoted(old, o, by, promotion{tested: !p.Force, fallBack: p.FallBack})
	})
}

// promotion says how a new version came about.
type promotion struct{ tested, fallBack bool }

// promoted makes tested fields the current version.
func (rt *Rotation) promoted(old *decrypted.Current, o *decrypted.Credential, by editing.Author, p promotion) (*credentials.Record, error) {
	next, err := rt.Editor.Record(old, o, by)
	if err != nil {
		return nil, err
	}
	if p.tested && next.State.Status == credentials.Untested {
		next.State = credentials.State{Status: credentials.OK, Since: by.At}
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

// staged is the record with o's fields as its candidate.
func (rt *Rotation) staged(old *decrypted.Current, o *decrypted.Credential, by editing.Author) (*credentials.Record, error) {
	next := old.Record
	next.Revision, next.UpdatedAt, next.UpdatedBy = by.Revision, by.At, by.Name
	o.Key = old.Decrypted.Key
	secrets, sealed, err := rt.Sealer.SealSecrets(old, o, decrypted.CandidateData(old.ID), by.At)
	if err != nil {
		return nil, err
	}
	next.Candidate = &credentials.Candidate{Fields: o.Fields, Secrets: secrets, CreatedAt: by.At, CreatedBy: by.Name}
	next.Staged = &credentials.Staged{Revision: by.Revision, Sealed: sealed, Reach: old.InForce()}
	return &next, nil
}

// candidate opens the candidate under the present rules of the credential.
func (rt *Rotation) candidate(now *decrypted.Current) (*decrypted.Credential, error) {
	if now.Broken[""] != nil {
		return nil, decrypted.Damaged(now.ID, now.Broken)
	}
	if now.Candidate == nil {
		return nil, fault.New(fault.Conflict, "credential %q has no candidate: stage new values first", now.ID)
	}
	o := now.With(now.Candidate.Fields, now.Candidate.Secrets)
	if err := rt.Sealer.OpenFields(o, decrypted.CandidateData(now.ID), now.Staged.Sealed); err != nil {
		return nil, fault.New(fault.Conflict, "the candidate of credential %q is damaged in the database: stage it again", now.ID).Because(err)
	}
	return o, within(o, now.Staged.Reach, "the candidate")
}

// tryCandidate tests the candidate of now and remembers the result, unless it is gone.
func (rt *Rotation) tryCandidate(ctx context.Context, now *decrypted.Current, o *decrypted.Credential) (credentials.TestResult, error) {
	result, err := rt.Prober.Draft(ctx, o)
	if err != nil {
		return result, err
	}
	_, err = rt.Editor.Change(ctx, now.ID, func(record *credentials.Record, revision int64) (*credentials.Record, error) {
		if record == nil || record.Staged == nil || record.Staged.Revision != now.Staged.Revision {
			return nil, errReplaced
		}
		old, err := rt.Reader.Trusted(*record)
		if err != nil {
			return nil, err
		}
		next, candidate := old.Record, *old.Candidate
		candidate.Test = &credentials.CandidateTest{OK: result.OK, Message: result.Message, Suggestion: result.Suggestion, At: credentials.Moment(rt.Now())}
		next.Candidate, next.Revision = &candidate, revision
		return &next, nil
	})
	if errors.Is(err, errReplaced) {
		err = nil
	}
	return result, err
}

// canFallBack refuses a promise that could not be kept: whether the former fields still work
// must be found out without a person.
func canFallBack(o *decrypted.Credential) error {
	var message string
	switch {
	case o.Text("grant_type") == authtype.AuthorizationCode:
		message = "a credential that a person connects cannot fall back: somebody has to connect it"
	case o.TestURL == "" && !o.AuthType.Renews:
		message = "falling back needs a test_url, where the former secret is tried first"
	default:
		return nil
	}
	f := fault.New(fault.Conflict, "credential %q cannot fall back: %s", o.ID, message)
	f.Problems = []fault.Problem{{Path: "/fall_back", Code: problem.NoFallBack, Message: message}}
	return f
}
