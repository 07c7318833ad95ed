package decrypted

import (
	"time"

	"keyflow/credentials"
	"keyflow/credentials/internal/sealing"
	"keyflow/internal/secret"
)

// SealFields encrypts all secrets of a new version, kept ones too: each is bound to its version.
func (s *Sealer) SealFields(r *credentials.Record, old *Current, o *Credential, key secret.Text) (err error) {
	r.FingerprintKey, err = s.keys.Seal(fingerprintKeyData(r.ID), []byte(key.Reveal()))
	if err != nil {
		return err
	}
	o.Key = key
	r.Secrets, r.Sealed, err = s.SealSecrets(old, o, FieldData(r.ID, r.Version, ""), r.UpdatedAt)
	return err
}

// SealSecrets encrypts the secrets of o for a place. Those that are known from before keep the
// time when they were entered.
func (s *Sealer) SealSecrets(old *Current, o *Credential, in sealing.AssociatedData, now time.Time) (infos map[string]credentials.SecretInfo, sealed map[string][]byte, err error) {
	infos, sealed = make(map[string]credentials.SecretInfo), make(map[string][]byte)
	for _, f := range o.AuthType.Fields {
		if !f.SecretIn(o.Fields) {
			continue
		}
		at, was := now, o.Secrets[f.Name]
		if ref := o.Refs[f.Name]; ref != "" {
			if old != nil && old.Decrypted.Refs[f.Name] == ref && old.Secrets[f.Name].UpdatedAt != nil {
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
		info := credentials.SecretInfo{Set: true, UpdatedAt: &at, Fingerprint: fingerprint(o.Key, text.Reveal())}
		if was.Set && was.Fingerprint == info.Fingerprint { // restored
			info = was
		} else if old != nil && old.Secrets[f.Name].Set && old.Decrypted.Secret[f.Name].Equal(text) {
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
