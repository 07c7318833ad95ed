package decrypted

import (
	"crypto/sha256"
	"crypto/subtle"
	"encoding/json"
	"errors"
	"fmt"
	"maps"
	"slices"

	"keyflow/credentials"
	"keyflow/credentials/internal/sealing"
	"keyflow/internal/jsonvalue"
	"keyflow/internal/secret"
)

// Whoever can write the database must not thereby decide where a secret goes. So the digest of
// all that a row says in clear (hosts, workflows, URLs, plain fields, fingerprints ...) is
// sealed beside it, and what opens from a ciphertext must have the fingerprint that the row
// says. Ciphertexts are not part of the digest: their place binds them, and sealing them anew
// with another key changes nothing that is said.

// Sealer encrypts and decrypts what is stored, each text for the place where it is stored.
type Sealer struct{ keys *sealing.Keyset }

// NewSealer returns a sealer that uses the master key.
func NewSealer(keys *sealing.Keyset) *Sealer { return &Sealer{keys} }

var (
	errUnbound   = errors.New("the record has no proof of what it says")
	errRewritten = errors.New("the record does not say what was written")
)

// Bind seals what r says into r.
func (s *Sealer) Bind(r *credentials.Record) (err error) {
	version := r.CurrentVersion()
	if r.VersionBinding, err = s.sealDigest(versionData(r.ID, version.Number), func() ([]byte, error) { return versionDigest(version) }); err != nil {
		return err
	}
	r.Binding, err = s.sealDigest(recordData(r), func() ([]byte, error) { return recordDigest(r) })
	return err
}

// bound checks that r says what bind sealed.
func (s *Sealer) bound(r *credentials.Record) error {
	return s.checkDigest(recordData(r), r.Binding, func() ([]byte, error) { return recordDigest(r) })
}

// BoundVersion checks that a version says what was written.
func (s *Sealer) BoundVersion(id credentials.ID, w credentials.Version) error {
	return s.checkDigest(versionData(id, w.Number), w.Binding, func() ([]byte, error) { return versionDigest(w) })
}

func (s *Sealer) sealDigest(at sealing.AssociatedData, digest func() ([]byte, error)) ([]byte, error) {
	sum, err := digest()
	if err != nil {
		return nil, fmt.Errorf("digest of credential %q: %w", at.ID, err)
	}
	return s.keys.Seal(at, sum)
}

func (s *Sealer) checkDigest(at sealing.AssociatedData, sealed []byte, digest func() ([]byte, error)) error {
	if sealed == nil {
		return errUnbound
	}
	want, err := s.keys.Open(at, sealed)
	if err != nil {
		return err
	}
	sum, err := digest()
	if err != nil {
		return fmt.Errorf("digest of credential %q: %w", at.ID, err)
	}
	if subtle.ConstantTimeCompare(want, sum) == 0 {
		return errRewritten
	}
	return nil
}

// recordDigest is of all that the record says in clear but its state and last use.
func recordDigest(r *credentials.Record) ([]byte, error) {
	said := *r
	said.State, said.LastUsedAt = credentials.State{}, nil
	said.Sealed, said.FingerprintKey, said.Binding, said.VersionBinding = nil, nil, nil, nil
	if r.Staged != nil {
		staged := *r.Staged
		staged.Sealed = nil
		said.Staged = &staged
	}
	return digest(struct {
		Record    credentials.Record
		OwnFolder bool // null and [] differ here only
	}{said, r.AllowedWorkflows == nil})
}

// versionDigest is of all that the version says in clear.
func versionDigest(w credentials.Version) ([]byte, error) {
	w.Sealed, w.Binding = nil, nil
	return digest(w)
}

// digest is the SHA-256 of v as JSON without what is empty: a database does not distinguish null
// and empty.
func digest(v any) ([]byte, error) {
	text, err := json.Marshal(v)
	if err != nil {
		return nil, err
	}
	doc, err := jsonvalue.Decode(text)
	if err != nil {
		return nil, err
	}
	if text, err = jsonvalue.Encode(pruned(doc)); err != nil {
		return nil, err
	}
	sum := sha256.Sum256(text)
	return sum[:], nil
}

// pruned leaves out of objects what is null or empty. It changes v.
func pruned(v any) any {
	switch v := v.(type) {
	case map[string]any:
		for name, value := range v {
			if value = pruned(value); value == nil {
				delete(v, name)
			} else {
				v[name] = value
			}
		}
		if len(v) == 0 {
			return nil
		}
	case []any:
		for i := range v {
			v[i] = pruned(v[i])
		}
		if len(v) == 0 {
			return nil
		}
	}
	return v
}

// OpenFields decrypts the secrets that o says are set.
func (s *Sealer) OpenFields(o *Credential, at sealing.AssociatedData, sealed map[string][]byte) error {
	o.Secret = make(map[string]secret.Text, len(sealed))
	var errs []error
	for _, field := range slices.Sorted(maps.Keys(o.Secrets)) {
		info := o.Secrets[field]
		if !info.Set {
			continue
		}
		if info.Ref != "" { // the binding proves it
			o.SetReference(field, info.Ref)
			continue
		}
		at.Field = field
		text, err := s.openField(at, sealed[field], o.Key, info.Fingerprint)
		if err != nil {
			errs = append(errs, err)
			continue
		}
		o.Secret[field] = text
	}
	return errors.Join(errs...)
}

// openField decrypts one secret, which must be the one that the fingerprint names.
func (s *Sealer) openField(at sealing.AssociatedData, sealed []byte, key secret.Text, print string) (secret.Text, error) {
	text, err := s.keys.Open(at, sealed)
	if err != nil {
		return secret.Text{}, err
	}
	if subtle.ConstantTimeCompare([]byte(fingerprint(key, string(text))), []byte(print)) == 0 {
		return secret.Text{}, fmt.Errorf("open %s %s of credential %q: %w", at.Kind, at.Field, at.ID, errRewritten)
	}
	return secret.New(string(text)), nil
}
