// Package sealing holds the master key and seals secrets with it, each for the place where it
// is stored. Only the vault can reach it.
package sealing

import (
	"fmt"
	"strconv"
)

// AssociatedData binds a ciphertext to where it is stored: decrypting it anywhere else is an error.
type AssociatedData struct {
	Kind    string // what it is: "field", "token", "canary", …
	ID      string // of the credential, or what else owns it
	Version int64  // of the fields, generation of the token; 0 where there is one only
	Field   string
}

// encode encodes the place without ambiguity: each text with its length in front.
func (p AssociatedData) encode() []byte {
	b := []byte("keyflow/1")
	for _, s := range []string{p.Kind, p.ID, strconv.FormatInt(p.Version, 10), p.Field} {
		b = strconv.AppendInt(b, int64(len(s)), 10)
		b = append(append(b, ':'), s...)
	}
	return b
}

// Seal encrypts text for one place with the primary key.
func (k *Keyset) Seal(at AssociatedData, text []byte) ([]byte, error) {
	sealed, err := k.ring.Load().aead.Encrypt(text, at.encode())
	if err != nil {
		return nil, fmt.Errorf("seal %s %s of credential %q: %w", at.Kind, at.Field, at.ID, err)
	}
	return sealed, nil
}

// Open decrypts what Seal made for the same place. A ciphertext of a key that is not in memory
// makes the key file be read again; without the key the error is *MissingKeyError.
func (k *Keyset) Open(at AssociatedData, sealed []byte) ([]byte, error) {
	r, id := k.ring.Load(), KeyID(sealed)
	if !r.holds(id) {
		r = k.reload()
	}
	text, err := r.aead.Decrypt(sealed, at.encode())
	if err == nil {
		k.follow(id)
		return text, nil
	}
	if id != 0 && !r.holds(id) {
		err = &MissingKeyError{id, k.source}
	}
	return nil, fmt.Errorf("open %s %s of credential %q (key %d): %w", at.Kind, at.Field, at.ID, id, err)
}

// Reseal seals with the primary key what any key sealed for the same place.
func (k *Keyset) Reseal(at AssociatedData, sealed []byte) ([]byte, error) {
	text, err := k.Open(at, sealed)
	if err != nil {
		return nil, err
	}
	return k.Seal(at, text)
}

// MissingKeyError says that a ciphertext names a key that this process does not hold.
type MissingKeyError struct {
	KeyID  uint32
	Source string // that does not hold it: the file or the variable
}

// Error says which key is missing where.
func (e *MissingKeyError) Error() string {
	return fmt.Sprintf("key %d is not in %s", e.KeyID, e.Source)
}
