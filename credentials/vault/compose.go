package vault

import (
	"fmt"
	"maps"
	"net/url"
	"reflect"
	"slices"
	"strings"
	"time"

	"keyflow/credentials"
	"keyflow/credentials/authtype"
	"keyflow/credentials/internal/problem"
	"keyflow/credentials/internal/reach"
	"keyflow/credentials/internal/sealing"
	"keyflow/internal/secret"
)

// stored is the record that an edit starts from, decrypted as far as it opens.
type stored struct {
	credentials.Record
	opened *opened
	broken map[string]error
}

// merge joins an edit with what is stored (nil at creation) into the values that would be in
// force, and adds what is wrong with the whole. An absent secret keeps its value.
func (e *edit) merge(old *stored) *opened {
	o := &opened{
		typ: e.typ, hosts: reach.ParseHosts(e.in.AllowedHosts), Values: authtype.Values{Plain: authtype.Texts(e.typ, e.plain), Secret: make(map[string]secret.Text)},
		Credential: credentials.Credential{
			ID: e.in.ID, Name: e.in.Name, Description: e.in.Description, Labels: e.in.Labels, Folder: e.in.Folder,
			Type: e.in.Type, Fields: e.plain, AllowedHosts: e.in.AllowedHosts, AllowedWorkflows: e.in.AllowedWorkflows,
			RotatableBy: e.in.RotatableBy, Limits: e.in.Limits, FailureRules: e.in.FailureRules, TestURL: e.in.TestURL,
			ExpiresAt: e.in.ExpiresAt, RotateEvery: e.in.RotateEvery, Grace: e.in.Grace,
		},
	}
	for _, f := range e.typ.Fields {
		if !f.SecretIn(e.plain) {
			continue
		}
		delete(o.Plain, f.Name)
		if text, given := e.given[f.Name]; given {
			if text.IsSet() {
				o.Secret[f.Name] = text
			}
		} else if _, refers := e.refs[f.Name]; refers {
			e.takeReference(old, o, f.Name)
		} else if old != nil {
			e.keep(old, o, f.Name)
		}
	}
	for _, f := range e.typ.Fields {
		if f.Required && o.Text(f.Name) == "" && o.Refs[f.Name] == "" && f.ShownIn(o.Plain) && !e.reported(f.Name) {
			e.Add(problem.Pointer("fields", f.Name), problem.Required, "is required")
		}
	}
	if e.typ.Check != nil {
		for _, i := range e.typ.Check(&o.Values) {
			if !e.reported(i.Field) && o.Refs[i.Field] == "" { // what a reference leads to is checked when it is used
				e.Add(problem.Pointer("fields", i.Field), i.Code, i.Message)
			}
		}
	}
	if old != nil {
		e.checkWidening(old, o)
		e.checkReferenceWidening(old, o)
	}
	return o
}

// keep takes the stored value of a secret field. One that was plain until now becomes secret.
func (e *edit) keep(old *stored, o *opened, field string) {
	if _, damaged := old.broken[field]; damaged {
		e.Add(problem.Pointer("fields", field), problem.SecretRequired, "the stored value is damaged: enter it again")
		return
	}
	if ref, ok := old.opened.Refs[field]; ok {
		o.SetReference(field, ref)
	} else if text, ok := old.opened.Secret[field]; ok {
		o.Secret[field] = text
	} else if text, ok := old.Fields[field].(string); ok {
		o.Secret[field] = secret.New(text)
	}
}

func (e *edit) reported(field string) bool {
	path := problem.Pointer("fields", field)
	for _, p := range e.Items {
		if p.Path == path || strings.HasPrefix(p.Path, path+"/") {
			return true
		}
	}
	return false
}

// checkWidening refuses a change that could send a stored secret somewhere new, unless every
// stored secret is given again: otherwise whoever may edit could read them.
func (e *edit) checkWidening(old *stored, o *opened) {
	var kept []string
	for name := range old.opened.Secret {
		if _, given := e.given[name]; !given && o.Secret[name].IsSet() {
			kept = append(kept, name)
		}
	}
	if len(kept) == 0 {
		return
	}
	slices.Sort(kept)
	for _, path := range widenings(old.opened, o) {
		e.Add(path, problem.SecretRequired, "this change could send the stored secret somewhere new: enter "+strings.Join(kept, " and ")+" again together with it")
	}
}

// widenings lists the changes from old to next after which a secret could go somewhere new.
func widenings(old, next *opened) []string {
	var paths []string
	for i, p := range next.hosts {
		if !slices.ContainsFunc(old.hosts, func(was reach.Host) bool { return was.Covers(p) }) {
			paths = append(paths, fmt.Sprintf("/allowed_hosts/%d", i))
		}
	}
	if next.TestURL != "" && next.TestURL != old.TestURL && !knownOrigin(old, next.TestURL) {
		paths = append(paths, "/test_url")
	}
	for _, f := range next.typ.Fields {
		if f.Steers && old.Text(f.Name) != next.Text(f.Name) {
			paths = append(paths, problem.Pointer("fields", f.Name))
		}
	}
	return paths
}

// knownOrigin reports whether those who set the secret named the host of text itself, as
// allowed host or in the former test_url. A pattern with * does not name a host.
func knownOrigin(old *opened, text string) bool {
	u, err := url.Parse(text)
	if err != nil {
		return false
	}
	if was, err := url.Parse(old.TestURL); err == nil && was.Scheme == u.Scheme && was.Host == u.Host {
		return true
	}
	return old.hosts.Named().Allow(u)
}

// author is who makes an edit, when, the revision that it gets, and what it is.
type author struct {
	name     string
	at       time.Time
	revision int64
	origin   credentials.Origin
}

// record seals a checked edit into what is stored. old is nil at creation.
func (ed *Editor) record(old *stored, o *opened, by author) (*credentials.Record, error) {
	r := &credentials.Record{Credential: o.Credential}
	r.Candidate, r.FallBack = nil, nil // they belong to a version
	r.Revision, r.UpdatedAt, r.UpdatedBy = by.revision, by.at, by.name
	key := newFingerprintKey()
	if old == nil {
		r.Version, r.Grant = 1, by.revision
		r.CreatedAt, r.CreatedBy = by.at, by.name
		r.State = initialState(o, by.at)
		r.Made = by.made()
	} else {
		if old.opened.key.IsSet() {
			key = old.opened.key
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
	return r, ed.sealer.sealFields(r, old, o, key)
}

// advance counts a change of fields as a version and settles what it means for tokens and state.
func (ed *Editor) advance(r *credentials.Record, old *stored, o *opened, by author) {
	changed := len(old.broken) > 0 || !reflect.DeepEqual(orEmpty(old.Fields), orEmpty(o.Fields)) || !maps.EqualFunc(old.opened.Secret, o.Secret, secret.Text.Equal) ||
		!maps.Equal(old.opened.Refs, o.Refs)
	if changed {
		r.Version++
		r.Made = by.made()
	}
	regrant := old.broken[""] != nil || len(widenings(old.opened, o)) > 0
	for _, f := range o.typ.Fields {
		regrant = regrant || f.Grants && (old.opened.Text(f.Name) != o.Text(f.Name) || old.opened.Refs[f.Name] != o.Refs[f.Name])
	}
	if regrant {
		r.Grant = by.revision
	}
	if r.State.Status == credentials.Quota && !slices.EqualFunc(old.FailureRules, o.FailureRules, sameRule) {
		r.State = credentials.State{Status: credentials.OK, Since: by.at} // the rule that said so is another
	}
	switch {
	case o.Text("grant_type") != authtype.AuthorizationCode:
		if changed {
			r.State = initialState(o, by.at)
		}
	case old.opened.Text("grant_type") != authtype.AuthorizationCode:
		r.State = initialState(o, by.at)
	case regrant && old.State.Status != credentials.NeedsConnect:
		r.State = credentials.State{Status: credentials.NeedsReconnect, Message: "changed since it was connected; connect it again", Since: by.at}
	}
}

func (a author) made() credentials.Made {
	return credentials.Made{At: a.at, By: a.name, Origin: a.origin}
}

func sameRule(a, b credentials.FailureRule) bool { return reflect.DeepEqual(a, b) }

func initialState(o *opened, at time.Time) credentials.State {
	switch {
	case o.Type == credentials.TypeNoAuth:
		return credentials.State{Status: credentials.OK, Since: at}
	case o.Text("grant_type") == authtype.AuthorizationCode:
		return credentials.State{Status: credentials.NeedsConnect, Message: "connect it once to let a person agree", Since: at}
	default:
		return credentials.State{Status: credentials.Untested, Since: at}
	}
}

// sealFields encrypts all secrets of a new version, kept ones too: each is bound to its version.
func (s *Sealer) sealFields(r *credentials.Record, old *stored, o *opened, key secret.Text) (err error) {
	r.FingerprintKey, err = s.keys.Seal(fingerprintKeyPlace(r.ID), []byte(key.Reveal()))
	if err != nil {
		return err
	}
	o.key = key
	r.Secrets, r.Sealed, err = s.sealSecrets(old, o, fieldPlace(r.ID, r.Version, ""), r.UpdatedAt)
	return err
}

// sealSecrets encrypts the secrets of o for a place. Those that are known from before keep the
// time when they were entered.
func (s *Sealer) sealSecrets(old *stored, o *opened, in sealing.Place, now time.Time) (infos map[string]credentials.SecretInfo, sealed map[string][]byte, err error) {
	infos, sealed = make(map[string]credentials.SecretInfo), make(map[string][]byte)
	for _, f := range o.typ.Fields {
		if !f.SecretIn(o.Fields) {
			continue
		}
		at, was := now, o.Secrets[f.Name]
		if ref := o.Refs[f.Name]; ref != "" {
			if old != nil && old.opened.Refs[f.Name] == ref && old.Secrets[f.Name].UpdatedAt != nil {
				at = *old.Secrets[f.Name].UpdatedAt
			}
			infos[f.Name] = credentials.SecretInfo{Set: true, UpdatedAt: &at, Ref: ref}
			continue
		}
		text, set := o.Secret[f.Name]
		if !set {
			infos[f.Name] = credentials.SecretInfo{}
			continue
		}
		info := credentials.SecretInfo{Set: true, UpdatedAt: &at, Fingerprint: fingerprint(o.key, text.Reveal())}
		if was.Set && was.Fingerprint == info.Fingerprint { // brought back
			info = was
		} else if old != nil && old.Secrets[f.Name].Set && old.opened.Secret[f.Name].Equal(text) {
			info.UpdatedAt = old.Secrets[f.Name].UpdatedAt
		}
		in.Field = f.Name
		infos[f.Name] = info
		if sealed[f.Name], err = s.keys.Seal(in, []byte(text.Reveal())); err != nil {
			return nil, nil, err
		}
	}
	return infos, sealed, nil
}
