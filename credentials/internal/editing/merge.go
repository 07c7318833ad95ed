package editing

import (
	"reflect"
	"strings"
	"time"

	"keyflow/credentials"
	"keyflow/credentials/authtype"
	"keyflow/credentials/internal/decrypted"
	"keyflow/credentials/internal/problem"
	"keyflow/credentials/internal/reach"
	"keyflow/internal/secret"
)

// Merge joins an edit with what is stored (nil at creation) into the values that would be in
// force, and adds what is wrong with the whole. An absent secret keeps its value.
func (e *Edit) Merge(old *decrypted.Current) *decrypted.Credential {
	o := &decrypted.Credential{
		AuthType: e.Typ, Hosts: reach.ParseHosts(e.In.AllowedHosts), Values: authtype.Values{Plain: authtype.Texts(e.Typ, e.plain), Secret: make(map[string]secret.Text)},
		Credential: credentials.Credential{
			ID: e.In.ID, Name: e.In.Name, Description: e.In.Description, Labels: e.In.Labels, Folder: e.In.Folder,
			Type: e.In.Type, Fields: e.plain, AllowedHosts: e.In.AllowedHosts, AllowedWorkflows: e.In.AllowedWorkflows,
			RotatableBy: e.In.RotatableBy, Limits: e.In.Limits, FailureRules: e.In.FailureRules, TestURL: e.In.TestURL,
			ExpiresAt: e.In.ExpiresAt, RotateEvery: e.In.RotateEvery, Grace: e.In.Grace,
		},
	}
	for _, f := range e.Typ.Fields {
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
	for _, f := range e.Typ.Fields {
		if f.Required && o.Text(f.Name) == "" && o.Refs[f.Name] == "" && f.ShownIn(o.Plain) && !e.reported(f.Name) {
			e.Add(problem.Pointer("fields", f.Name), problem.Required, "is required")
		}
	}
	if e.Typ.Check != nil {
		for _, i := range e.Typ.Check(&o.Values) {
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
func (e *Edit) keep(old *decrypted.Current, o *decrypted.Credential, field string) {
	if _, damaged := old.Broken[field]; damaged {
		e.Add(problem.Pointer("fields", field), problem.SecretRequired, "the stored value is damaged: enter it again")
		return
	}
	if ref, ok := old.Decrypted.Refs[field]; ok {
		o.SetReference(field, ref)
	} else if text, ok := old.Decrypted.Secret[field]; ok {
		o.Secret[field] = text
	} else if text, ok := old.Fields[field].(string); ok {
		o.Secret[field] = secret.New(text)
	}
}

func (e *Edit) reported(field string) bool {
	path := problem.Pointer("fields", field)
	for _, p := range e.Items {
		if p.Path == path || strings.HasPrefix(p.Path, path+"/") {
			return true
		}
	}
	return false
}

// Author is who makes an edit, when, the revision that it gets, and what it is.
type Author struct {
	Name     string
	At       time.Time
	Revision int64
	Origin   credentials.Origin
}

func (a Author) made() credentials.Made {
	return credentials.Made{At: a.At, By: a.Name, Origin: a.Origin}
}

func sameRule(a, b credentials.FailureRule) bool { return reflect.DeepEqual(a, b) }

func initialState(o *decrypted.Credential, at time.Time) credentials.State {
	switch {
	case o.Type == credentials.TypeNoAuth:
		return credentials.State{Status: credentials.OK, Since: at}
	case o.Text("grant_type") == authtype.AuthorizationCode:
		return credentials.State{Status: credentials.NeedsConnect, Message: "connect it once to let a person agree", Since: at}
	default:
		return credentials.State{Status: credentials.Untested, Since: at}
	}
}
