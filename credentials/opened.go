package credentials

import (
	"cmp"
	"encoding/json"
	"errors"
	"fmt"
	"maps"
	"net/url"
	"slices"
	"strconv"

	"keyflow/credentials/internal/reach"
	"keyflow/credentials/internal/sealing"
	"keyflow/internal/fault"
	"keyflow/internal/jsonvalue"
	"keyflow/internal/secret"
)

// opened is the current version of one credential with its secrets decrypted. It is
// immutable and shared by everyone who uses the credential.
type opened struct {
	Credential
	typ     *Type
	plain   map[string]string // texts of the fields that are not secret, defaults included
	secrets map[string]secret.Text
	refs    map[string]string // references of secret fields; see Vault.resolved
	hosts   reach.Hosts
	key     secret.Text // of fingerprints
	grant   int64       // see Record.Grant
}

// text returns a field, secret or not, as text; "" when absent.
func (o *opened) text(field string) string {
	if s, ok := o.secrets[field]; ok {
		return s.Reveal()
	}
	return o.plain[field]
}

// flag reports whether a boolean field is true.
func (o *opened) flag(field string) bool { return o.text(field) == "true" }

// stringMap returns a field of kind map; nil when absent.
func (o *opened) stringMap(field string) map[string]string {
	text := o.text(field)
	if text == "" {
		return nil
	}
	var m map[string]string
	if err := json.Unmarshal([]byte(text), &m); err != nil {
		return nil
	}
	return m
}

// allowsHost reports whether requests with this credential may go to u. A no_auth credential
// without allowed_hosts names no secret and may go anywhere.
func (o *opened) allowsHost(u *url.URL) bool {
	return o.Type == TypeNoAuth && len(o.AllowedHosts) == 0 || o.hosts.Allow(u)
}

// allowsWorkflow reports whether this workflow may use the credential.
func (o *opened) allowsWorkflow(folder, workflow string) bool {
	return reach.AllowWorkflow(o.AllowedWorkflows, folder, workflow)
}

// withState returns a copy in another state.
func (o *opened) withState(s State) *opened {
	c := *o
	c.State = s
	return &c
}

// fieldTexts gives the plain fields as text, with the defaults of the type.
func fieldTexts(t *Type, fields map[string]any) map[string]string {
	texts := make(map[string]string, len(t.Fields))
	for _, f := range t.Fields {
		if f.Default != "" {
			texts[f.Name] = f.Default
		}
	}
	for name, value := range fields {
		switch value := value.(type) {
		case string:
			texts[name] = value
		case bool:
			texts[name] = strconv.FormatBool(value)
		default:
			if text, err := jsonvalue.Encode(value); err == nil {
				texts[name] = string(text)
			}
		}
	}
	return texts
}

// unseal decrypts a record. Fields that do not open are listed in broken and missing from the
// result. "" in broken stands for the record as a whole: nothing that it says can be trusted,
// and all its secrets count as broken.
func (v *Vault) unseal(r Record) (o *opened, broken map[string]error, err error) {
	t, ok := v.types[r.Type]
	if !ok {
		return nil, nil, fault.New(fault.Internal, "credential %q has the type %q, which this release does not know", r.ID, r.Type)
	}
	o = &opened{
		Credential: v.view(r.Credential), typ: t, plain: fieldTexts(t, r.Fields), hosts: reach.ParseHosts(r.AllowedHosts),
		secrets: make(map[string]secret.Text, len(r.Sealed)), grant: r.Grant,
	}
	o.State = r.State // as stored: what is shown of one that ends soon is no state
	broken = make(map[string]error)
	if err := v.bound(&r); err != nil {
		broken[""] = err
	}
	if key, err := v.keys.Open(fingerprintKeyPlace(r.ID), r.FingerprintKey); err != nil {
		broken[""] = err
	} else {
		o.key = secret.New(string(key))
	}
	for field, info := range r.Secrets {
		if !info.Set {
			continue
		}
		if info.Ref != "" && broken[""] == nil {
			o.setReference(field, info.Ref)
			continue
		}
		at := fieldPlace(r.ID, r.Version, field)
		text, err := v.openField(at, r.Sealed[field], o.key, info.Fingerprint)
		if err = cmp.Or(broken[""], err); err != nil {
			broken[field] = err
			continue
		}
		o.secrets[field] = text
	}
	for _, f := range t.Fields { // saved records have them all: this one was edited by hand
		if f.Required && broken[f.Name] == nil && o.text(f.Name) == "" && o.refs[f.Name] == "" && f.shownIn(o.plain) {
			broken[f.Name] = fmt.Errorf("field %s of credential %q is missing", f.Name, r.ID)
		}
	}
	return o, broken, nil
}

// damaged is the error of a credential whose ciphertext does not open.
func damaged(id ID, broken map[string]error) error {
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
