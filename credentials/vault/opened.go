package vault

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
	"keyflow/credentials/presets"
	"keyflow/internal/fault"
	"keyflow/internal/secret"
)

// opened is the current version of one credential with its secrets decrypted. It is
// immutable and shared by everyone who uses the credential.
type opened struct {
	credentials.Credential
	typ *authtype.Type
	authtype.Values
	hosts reach.Hosts
	key   secret.Text // of fingerprints
	grant int64       // see Record.Grant
}

// allowsHost reports whether requests with this credential may go to u. A no_auth credential
// without allowed_hosts names no secret and may go anywhere.
func (o *opened) allowsHost(u *url.URL) bool {
	return o.Type == credentials.TypeNoAuth && len(o.AllowedHosts) == 0 || o.hosts.Allow(u)
}

// allowsWorkflow reports whether this workflow may use the credential.
func (o *opened) allowsWorkflow(folder, workflow string) bool {
	return reach.AllowWorkflow(o.AllowedWorkflows, folder, workflow)
}

// withState returns a copy in another state.
func (o *opened) withState(s credentials.State) *opened {
	c := *o
	c.State = s
	return &c
}

// unseal decrypts a record. Fields that do not open are listed in broken and missing from the
// result. "" in broken stands for the record as a whole: nothing that it says can be trusted,
// and all its secrets count as broken.
func (s *Sealer) unseal(r credentials.Record) (o *opened, broken map[string]error, err error) {
	t := authtype.Named(r.Type)
	if t == nil {
		return nil, nil, fault.New(fault.Internal, "credential %q has the type %q, which this release does not know", r.ID, r.Type)
	}
	o = &opened{
		Credential: complete(r.Credential), typ: t, hosts: reach.ParseHosts(r.AllowedHosts), grant: r.Grant,
		Values: authtype.Values{Plain: authtype.Texts(t, r.Fields), Secret: make(map[string]secret.Text, len(r.Sealed))},
	}
	o.State = r.State // as stored: what is shown of one that ends soon is no state
	broken = make(map[string]error)
	if err := s.bound(&r); err != nil {
		broken[""] = err
	}
	if key, err := s.keys.Open(fingerprintKeyPlace(r.ID), r.FingerprintKey); err != nil {
		broken[""] = err
	} else {
		o.key = secret.New(string(key))
	}
	for field, info := range r.Secrets {
		if !info.Set {
			continue
		}
		if info.Ref != "" && broken[""] == nil {
			o.SetReference(field, info.Ref)
			continue
		}
		at := fieldPlace(r.ID, r.Version, field)
		text, err := s.openField(at, r.Sealed[field], o.key, info.Fingerprint)
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

// damaged is the error of a credential whose ciphertext does not open.
func damaged(id credentials.ID, broken map[string]error) error {
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

// complete gives a record its defaults: no null where a list or object is meant.
func complete(c credentials.Credential) credentials.Credential {
	if c.AllowedWorkflows == nil {
		c.AllowedWorkflows = reach.OwnFolder(c.Folder)
	}
	c.Labels, c.Fields, c.Secrets = orEmpty(c.Labels), orEmpty(c.Fields), orEmpty(c.Secrets)
	for _, list := range []*[]string{&c.AllowedHosts, &c.RotatableBy} {
		if *list == nil {
			*list = []string{}
		}
	}
	if c.Candidate != nil {
		candidate := *c.Candidate
		candidate.Fields, candidate.Secrets = orEmpty(candidate.Fields), orEmpty(candidate.Secrets)
		c.Candidate = &candidate
	}
	if c.FailureRules == nil {
		c.FailureRules = []credentials.FailureRule{}
	}
	return c
}

func orEmpty[V any](m map[string]V) map[string]V {
	if m == nil {
		return map[string]V{}
	}
	return m
}

// Presets lists the presets, ordered by id.
func (v *Vault) Presets() []presets.Preset { return slices.Clone(v.presets) }
