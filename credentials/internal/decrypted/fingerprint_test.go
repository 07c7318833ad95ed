package decrypted

import (
	"testing"

	"keyflow/internal/secret"
)

func TestFingerprint(t *testing.T) {
	t.Parallel()
	one, two := NewFingerprintKey(), NewFingerprintKey()
	if a, b := fingerprint(one, "canary"), fingerprint(one, "canary"); a != b || len(a) != 12 {
		t.Errorf("one secret has the fingerprints %q and %q", a, b)
	}
	if fingerprint(one, "canary") == fingerprint(one, "canarx") || fingerprint(one, "canary") == fingerprint(two, "canary") {
		t.Error("different secrets or keys have one fingerprint")
	}
	// RFC 4231 section 4.3, test case 2.
	if got := fingerprint(secret.New("Jefe"), "what do ya want for nothing?"); got != "5bdcc146bf60" {
		t.Errorf("HMAC-SHA-256 test vector gives %q", got)
	}
}
