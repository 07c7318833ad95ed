package decrypted

import (
	"cmp"
	"errors"
	"fmt"
	"maps"
	"net/url"
	"slices"

	"keyflow/credentials"
	"keyflow/credentials/authtype"
	"keyflow/credentials/internal/reach"
	"keyflow/credentials/internal/sealing"
	"keyflow/internal/fault"
	"keyflow/internal/secret"
)

// Credential is the current version of one credential with its secrets decrypted. It is
// immutable and shared by everyone who uses the credential.
type Credential struct {
	credentials.Credential
	AuthType *authtype.Type
	authtype.Values
	Hosts reach.Hosts
	Key   secret.Text // of fingerprints
	Grant int64       // see Record.Grant
}

// AllowsHost reports whether requests with this credential may go to u. A no_auth credential
// without allowed_hosts names no secret and may go anywhere.
func (o *Credential) AllowsHost(u *url.URL) bool {
	return o.Type == credentials.TypeNoAuth && len(o.AllowedHosts) == 0 || o.Hosts.Allow(u)
}

// AllowsWorkflow reports whether this workflow may use the credential.
func (o *Credential) AllowsWorkflow(folder, workflow string) bool {
	return reach.AllowWorkflow(o.AllowedWorkflows, folder, workflow)
}

// WithState returns a copy in another state.
func (o *Credential) WithState(s credentials.State) *Credential {
	c := *o
	c.State = s
	return &c
}

// unseal decrypts a record. Fields that do not open are listed in broken and missing from the
// result. "" in broken stands for the record as a whole: nothing that it says can be trusted,
// and all its secrets count as broken.
func (s *Sealer) unseal(r credentials.Record) (o *Credential, broken map[string]error, err error) {
	t := authtype.Named(r.Type)
	if t == nil {
		return nil, nil, fault.New(fault.Internal, "credential %q has the type %q, which this release does not know", r.ID, r.Type)
	}
	o = &Credential{
		Credential: Complete(r.Credential), AuthType: t, Hosts: reach.ParseHosts(r.AllowedHosts), Grant: r.Grant,
		Values: authtype.Values{Plain: authtype.Texts(t, r.Fields), Secret: make(map[string]secret.Text, len(r.Sealed))},
	}
	o.State = r.State // as stored: what is shown of one that ends soon is no state
	broken = make(map[string]error)
	if err := s.bound(&r); err != nil {
		broken[""] = err
	}
	if key, err := s.keys.Open(fingerprintKeyData(r.ID), r.FingerprintKey); err != nil {
		broken[""] = err
	} else {
		o.Key = secret.New(string(key))
	}
	for field, info := range r.Secrets {
		if !info.Set {
			continue
		}
		if info.Ref != "" && broken[""] == nil {
			o.SetReference(field, info.Ref)
			continue
		}
		at := FieldData(r.ID, r.Version, field)
		text, err := s.openField(at, r.Sealed[field], o.Key, info.Fingerprint)
		if err = cmp.Or(broken[""], err); err != nil {
			broken[field] = err
			continue
		}
		o.Secret[field] = text
	}
	for _, f := range t.Fields { // saved records have them all: this one was edited by hand
		if f.Required && broken[f.Name] == nil && o.Text(f.Name) == "" && o.Refs[f.Name] == "" && f.ShownIn(o.Plain) {
			broken[f.Name] = fmt.Errorf("field %s of credential %q is missing", f.Name, r.ID)
		}
	}
	return o, broken, nil
}

// Damaged is the error of a credential whose ciphertext does not open.
func Damaged(id credentials.ID, broken map[string]error) error {
	var errs []error
	for _, field := range slices.Sorted(maps.Keys(broken)) {
		errs = append(errs, broken[field])
	}
	if missing, ok := errors.AsType[*sealing.MissingKeyError](errors.Join(errs...)); ok {
		return fault.New(fault.Conflict, "credential %q is sealed with key %d, which is not in %s: put the key file that holds it there; "+
			"if there is no such key, the credential is damaged: enter its secret fields again, or restore the backup", id, missing.KeyID, missing.Source).
			Because(errors.Join(errs...))
	}
	return fault.New(fault.Conflict, "credential %q is damaged in the database: enter its secret fields again, or restore the backup", id).
		Because(errors.Join(errs...))
}

// Complete gives a record its defaults: no null where a list or object is meant.
func Complete(c credentials.Credential) credentials.Credential {
	if c.AllowedWorkflows == nil {
		c.AllowedWorkflows = reach.OwnFolder(c.Folder)
	}
	c.Labels, c.Fields, c.Secrets = OrEmpty(c.Labels), OrEmpty(c.Fields), OrEmpty(c.Secrets)
	for _, list := range []*[]string{&c.AllowedHosts, &c.RotatableBy} {
		if *list == nil {
			*list = []string{}
		}
	}
	if c.Candidate != nil {
		candidate := *c.Candidate
		candidate.Fields, candidate.Secrets = OrEmpty(candidate.Fields), OrEmpty(candidate.Secrets)
		c.Candidate = &candidate
	}
	if c.FailureRules == nil {
		c.FailureRules = []credentials.FailureRule{}
	}
	return c
}

// OrEmpty is m, or an empty map when it is nil.
func OrEmpty[V any](m map[string]V) map[string]V {
	if m == nil {
		return map[string]V{}
	}
	return m
}

// Hidden lists the secret texts of a credential.
func (o *Credential) Hidden() []string {
	var values []string
	for name, text := range o.Secret {
		values = append(values, o.SecretTexts(name, text)...)
	}
	return values
}

// SecretTexts lists what is secret in a field: the text, or each value of a map.
func (o *Credential) SecretTexts(name string, text secret.Text) []string {
	if f := o.AuthType.Field(name); f != nil && f.Kind == authtype.KindMap {
		return slices.Collect(maps.Values(o.Map(name)))
	}
	return []string{text.Reveal()}
}

// MainFingerprint names the secret that makes the credential what it is.
func (o *Credential) MainFingerprint() string {
	for _, f := range o.AuthType.Fields {
		if f.Secret && o.Secrets[f.Name].Set {
			return o.Secrets[f.Name].Fingerprint
		}
	}
	return ""
}

// Failed makes the error of a use of o.
func (o *Credential) Failed(code string, cause error, format string, args ...any) *credentials.Error {
	return &credentials.Error{Code: code, ID: o.ID, Message: fmt.Sprintf(format, args...), Err: cause}
}
