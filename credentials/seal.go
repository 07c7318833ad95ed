package credentials

import (
	"crypto/hmac"
	"crypto/rand"
	"crypto/sha256"
	"encoding/hex"
	"fmt"
	"strconv"

	"keyflow/internal/secret"
)

// The kinds of places.
const (
	placeField          = "field"           // of a version
	placeCandidate      = "candidate"       // field of the candidate
	placeFingerprintKey = "fingerprint_key" // one per credential
	placeRecord         = "record"          // binding of a record; its version is the revision
	placeVersion        = "version"         // binding of a version
)

// place binds a ciphertext to where it is stored; opened anywhere else it is an error.
type place struct {
	kind    string // placeField and so on, "token", "connect", "canary"
	id      ID
	version int64 // of the fields, generation of the token; 0 where there is one only
	field   string
}

// associated encodes the place without ambiguity: each text with its length in front.
func (p place) associated() []byte {
	b := []byte("keyflow/1")
	for _, s := range []string{p.kind, string(p.id), strconv.FormatInt(p.version, 10), p.field} {
		b = strconv.AppendInt(b, int64(len(s)), 10)
		b = append(append(b, ':'), s...)
	}
	return b
}

// seal encrypts text for one place.
func (k *Keyset) seal(at place, text []byte) ([]byte, error) {
	sealed, err := k.ring.Load().aead.Encrypt(text, at.associated())
	if err != nil {
		return nil, fmt.Errorf("seal %s %s of credential %q: %w", at.kind, at.field, at.id, err)
	}
	return sealed, nil
}

// unseal decrypts what seal made for the same place. A ciphertext of a key that is not held
// makes the key file be read again; without the key the error is *unheldKey.
func (k *Keyset) unseal(at place, sealed []byte) ([]byte, error) {
	r, id := k.ring.Load(), keyID(sealed)
	if !r.holds(id) {
		r = k.reload()
	}
	text, err := r.aead.Decrypt(sealed, at.associated())
	if err == nil {
		k.follow(id)
		return text, nil
	}
	if id != 0 && !r.holds(id) {
		err = &unheldKey{id, k.source}
	}
	return nil, fmt.Errorf("open %s %s of credential %q (key %d): %w", at.kind, at.field, at.id, id, err)
}

// unheldKey says that a ciphertext names a key that this process does not hold.
type unheldKey struct {
	id     uint32
	source string
}

// Error says which key is missing where.
func (e *unheldKey) Error() string { return fmt.Sprintf("key %d is not in %s", e.id, e.source) }

const fingerprintDigits = 12

// newFingerprintKey returns a random key. Each credential has its own, so that equal secrets
// in two credentials do not show as equal.
func newFingerprintKey() secret.Text {
	var key [32]byte
	_, _ = rand.Read(key[:]) // never fails
	return secret.New(string(key[:]))
}

// fingerprint is the first 12 hex digits of HMAC-SHA-256 with the credential's key.
func fingerprint(key secret.Text, text string) string {
	mac := hmac.New(sha256.New, []byte(key.Reveal()))
	mac.Write([]byte(text))
	return hex.EncodeToString(mac.Sum(nil))[:fingerprintDigits]
}
