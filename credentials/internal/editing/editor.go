// Package editing turns an input into a record: it checks the input, joins it with the current
// record, refuses changes that could send a stored secret somewhere new, counts versions, and
// writes the result in one transaction. It must not know why an edit is made.
package editing

import (
	"context"
	"fmt"
	"maps"
	"reflect"
	"slices"
	"strconv"
	"strings"
	"time"

	"keyflow/credentials"
	"keyflow/credentials/authtype"
	"keyflow/credentials/document"
	"keyflow/credentials/internal/decrypted"
	"keyflow/credentials/internal/problem"
	"keyflow/credentials/internal/reach"
	"keyflow/credentials/internal/view"
	"keyflow/credentials/sources"
	"keyflow/internal/fault"
	"keyflow/internal/identity"
	"keyflow/internal/jsonvalue"
	"keyflow/internal/secret"
	"keyflow/internal/suggest"
)

// Compose checks an input against what is stored and joins both.
func (ed *Editor) Compose(caller identity.Caller, old *decrypted.Current, in credentials.Input) (*decrypted.Credential, error) {
	wrong := keepIdentity(old, &in)
	e := ed.Check(caller, in)
	e.Items = append(wrong.Items, e.Items...)
	o := e.Merge(old)
	return o, e.Err()
}

// Change runs one edit and drops the cached credential before it returns (promise P1).
func (ed *Editor) Change(ctx context.Context, id credentials.ID, fn func(old *credentials.Record, revision int64) (*credentials.Record, error)) (credentials.Credential, error) {
	var before credentials.State
	r, err := ed.Records.Change(ctx, id, func(old *credentials.Record, revision int64) (*credentials.Record, error) {
		if old != nil {
			before = old.State
		}
		r, err := fn(old, revision)
		if err == nil {
			err = ed.Sealer.Bind(r)
		}
		return r, err
	})
	ed.Reader.Changed(id)
	if err != nil {
		return credentials.Credential{}, err
	}
	if before.NeedsPerson() && !r.State.NeedsPerson() {
		ed.Connected(id)
	}
	ed.Plan()
	return ed.Viewer.Shown(ctx, r.Credential), nil
}

// Draft opens values that are not saved, for tests. Secrets that in leaves out come from the
// stored credential of the same id, unless the draft could send them somewhere new.
func (ed *Editor) Draft(ctx context.Context, caller identity.Caller, in credentials.Input) (*decrypted.Credential, error) {
	record, err := ed.Records.Get(ctx, in.ID)
	if err != nil && !fault.Is(err, fault.NotFound) {
		return nil, err
	}
	known := err == nil && caller.May(identity.View, record.Folder)
	if !known {
		if in.ID == "" {
			in.ID = "unsaved"
		}
		e := ed.Check(caller, in)
		if err := caller.Require(identity.ManageCredentials, e.In.Folder); err != nil {
			return nil, err
		}
		if e.Typ == nil {
			return nil, e.Err()
		}
		return finish(e.Merge(nil), &e.List)
	}
	if err := caller.Require(identity.ManageCredentials, record.Folder); err != nil {
		return nil, err
	}
	old, err := ed.Reader.Current(record)
	if err != nil {
		return nil, err
	}
	o, err := ed.Compose(caller, old, in)
	if err != nil {
		return nil, err
	}
	return finish(o, &problem.List{})
}

// keepIdentity fills in id and type of an edit; a change of them is a problem.
func keepIdentity(old *decrypted.Current, in *credentials.Input) (wrong problem.List) {
	if in.ID != "" && in.ID != old.ID {
		wrong.Add("/id", problem.Immutable, fmt.Sprintf("cannot change: workflows name %q; create another credential instead", old.ID))
	}
	if in.Type != "" && in.Type != old.Type {
		wrong.Add("/type", problem.Immutable, fmt.Sprintf("cannot change from %s; create another credential instead", old.Type))
	}
	in.ID, in.Type = old.ID, old.Type
	return wrong
}

// finish gives an unsaved credential what a saved one has.
func finish(o *decrypted.Credential, p *problem.List) (*decrypted.Credential, error) {
	o.Key = decrypted.NewFingerprintKey()
	if o.AllowedWorkflows == nil {
		o.AllowedWorkflows = reach.OwnFolder(o.Folder)
	}
	return o, p.Err()
}

// Record seals a checked edit into what is stored. old is nil at creation.
func (ed *Editor) Record(old *decrypted.Current, o *decrypted.Credential, by Author) (*credentials.Record, error) {
	r := &credentials.Record{Credential: o.Credential}
	r.Candidate, r.FallBack = nil, nil // they belong to a version
	r.Revision, r.UpdatedAt, r.UpdatedBy = by.Revision, by.At, by.Name
	key := decrypted.NewFingerprintKey()
	if old == nil {
		r.Version, r.Grant = 1, by.Revision
		r.CreatedAt, r.CreatedBy = by.At, by.Name
		r.State = initialState(o, by.At)
		r.Made = by.made()
	} else {
		if old.Decrypted.Key.IsSet() {
			key = old.Decrypted.Key
		}
		r.Version, r.Made, r.Grant, r.State = old.Version, old.Made, old.Grant, old.State
		r.CreatedAt, r.CreatedBy, r.LastUsedAt = old.CreatedAt, old.CreatedBy, old.LastUsedAt
		ed.advance(r, old, o, by)
	}
	r.Warnings = warnings(o)
	if old != nil && r.Version == old.Version {
		r.Fields, r.Secrets, r.Sealed, r.FingerprintKey = old.Fields, old.Secrets, old.Sealed, old.FingerprintKey
		r.Candidate, r.Staged, r.FallBack = old.Candidate, old.Staged, old.FallBack
		return r, nil
	}
	return r, ed.Sealer.SealFields(r, old, o, key)
}

// advance counts a change of fields as a version and decides what it means for tokens and state.
func (ed *Editor) advance(r *credentials.Record, old *decrypted.Current, o *decrypted.Credential, by Author) {
	changed := len(old.Broken) > 0 || !reflect.DeepEqual(decrypted.OrEmpty(old.Fields), decrypted.OrEmpty(o.Fields)) || !maps.EqualFunc(old.Decrypted.Secret, o.Secret, secret.Text.Equal) ||
		!maps.Equal(old.Decrypted.Refs, o.Refs)
	if changed {
		r.Version++
		r.Made = by.made()
	}
	regrant := old.Broken[""] != nil || len(Widenings(old.Decrypted, o)) > 0
	for _, f := range o.AuthType.Fields {
		regrant = regrant || f.Grants && (old.Decrypted.Text(f.Name) != o.Text(f.Name) || old.Decrypted.Refs[f.Name] != o.Refs[f.Name])
	}
	if regrant {
		r.Grant = by.Revision
	}
	if r.State.Status == credentials.Quota && !slices.EqualFunc(old.FailureRules, o.FailureRules, sameRule) {
		r.State = credentials.State{Status: credentials.OK, Since: by.At} // the rule that said so is another
	}
	switch {
	case o.Text("grant_type") != authtype.AuthorizationCode:
		if changed {
			r.State = initialState(o, by.At)
		}
	case old.Decrypted.Text("grant_type") != authtype.AuthorizationCode:
		r.State = initialState(o, by.At)
	case regrant && old.State.Status != credentials.NeedsConnect:
		r.State = credentials.State{Status: credentials.NeedsReconnect, Message: "changed since it was connected; connect it again", Since: by.At}
	}
}

// Still is the record as it is now, if no edit came in between.
func (ed *Editor) Still(now *credentials.Record, before *decrypted.Current) (*decrypted.Current, error) {
	if now == nil {
		return nil, credentials.NotFound(before.ID)
	}
	if now.Revision != before.Revision {
		return nil, fault.New(fault.Stale, "credential %q was changed in the meantime: look at it and try again", before.ID)
	}
	return &decrypted.Current{Record: *now, Decrypted: before.Decrypted, Broken: before.Broken}, nil
}

// Editor checks inputs and makes records of them. It is safe for concurrent use.
type Editor struct {
	Records   credentials.Store
	Reader    *decrypted.Reader
	Sealer    *decrypted.Sealer
	Sources   *sources.Sources
	Viewer    *view.Viewer
	Connected func(id credentials.ID)
	Plan      func() // is called after an edit, which may have planned a reminder
	Now       func() time.Time
}

// Check reads an input completely; nothing in the result may be used when it has problems.
// Type and id have been decided by the caller.
func (ed *Editor) Check(caller identity.Caller, in credentials.Input) *Edit {
	e := &Edit{
		In: in, plain: make(map[string]any), given: make(map[string]secret.Text), refs: make(map[string]string),
		caller: caller, sources: ed.Sources,
	}
	e.checkDescription()
	if e.Typ = ed.checkType(e, in.Type); e.Typ == nil {
		return e
	}
	e.checkReach()
	e.checkFields()
	e.checkTestURL()
	e.checkLimits()
	e.checkRules()
	e.checkRotation()
	return e
}

func (ed *Editor) checkType(e *Edit, name credentials.TypeName) *authtype.Type {
	if t := authtype.Named(name); t != nil {
		return t
	}
	known := authtype.Names()
	list := strings.Join(known, ", ")
	switch name {
	case "":
		e.Add("/type", problem.Required, "is required: one of "+list)
	case "aws_sigv4", "digest_auth":
		e.Add("/type", problem.NotSupported, fmt.Sprintf("%q is not supported yet; this release has %s", name, list))
	default:
		what := "this"
		if problem.IsName(string(name)) { // anything else could be a secret in the wrong place
			what = strconv.Quote(string(name))
		}
		e.Add("/type", problem.InvalidValue, fmt.Sprintf("%s is not an authentication type%s; there are %s", what, suggest.DidYouMean(string(name), known), list))
	}
	return nil
}

// ComposeFields checks new values for some of the fields.
func (ed *Editor) ComposeFields(caller identity.Caller, old *decrypted.Current, fields map[string]any) (*decrypted.Credential, error) {
	patch, err := jsonvalue.Encode(map[string]any{"fields": fields})
	if err != nil {
		return nil, fault.New(fault.Malformed, "the fields are no JSON values").Because(err)
	}
	in, err := document.ApplyPatch(old.Credential, patch)
	if err != nil {
		return nil, err
	}
	return ed.Compose(caller, old, in)
}
