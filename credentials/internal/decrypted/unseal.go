package decrypted

import (
	"cmp"
	"errors"
	"fmt"
	"maps"
	"slices"

	"keyflow/credentials"
	"keyflow/credentials/authtype"
	"keyflow/credentials/internal/reach"
	"keyflow/credentials/internal/sealing"
	"keyflow/internal/fault"
	"keyflow/internal/secret"
)

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
