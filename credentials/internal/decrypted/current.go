package decrypted

import (
	"keyflow/credentials"
	"keyflow/credentials/authtype"
	"keyflow/credentials/internal/reach"
)

// Current opens the record that an edit starts from, as far as it opens.
func (rd *Reader) Current(r credentials.Record) (*Current, error) {
	if err := r.Damaged(); err != nil {
		return nil, err
	}
	o, broken, err := rd.sealer.unseal(r)
	if err != nil {
		return nil, err
	}
	return &Current{Record: r, Decrypted: o, Broken: broken}, nil
}

// Current is the record that an edit starts from, decrypted as far as it opens.
type Current struct {
	credentials.Record
	Decrypted *Credential
	Broken    map[string]error
}

// With is the credential with other fields and no secrets yet.
func (old *Current) With(fields map[string]any, secrets map[string]credentials.SecretInfo) *Credential {
	o := &Credential{
		Credential: old.Credential, AuthType: old.Decrypted.AuthType, Values: authtype.Values{Plain: authtype.Texts(old.Decrypted.AuthType, fields)}, Hosts: reach.ParseHosts(old.AllowedHosts),
		Key: old.Decrypted.Key, Grant: old.Grant,
	}
	o.Fields, o.Secrets = fields, secrets
	return o
}

// Trusted is Current for an edit that keeps what the record says, which must be what was written.
func (rd *Reader) Trusted(record credentials.Record) (*Current, error) {
	old, err := rd.Current(record)
	if err == nil && old.Broken[""] != nil {
		err = Damaged(record.ID, old.Broken)
	}
	return old, err
}
