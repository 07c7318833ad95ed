package decrypted

import (
	"crypto/hmac"
	"crypto/rand"
	"crypto/sha256"
	"encoding/hex"

	"keyflow/internal/secret"
)

const fingerprintDigits = 12

// NewFingerprintKey returns a random key. Each credential has its own, so that equal secrets
// in two credentials do not show as equal.
func NewFingerprintKey() secret.Text {
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
