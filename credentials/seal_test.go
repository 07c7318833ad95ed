package credentials

import (
	"bytes"
	"encoding/base64"
	"slices"
	"testing"

	"keyflow/internal/secret"
)

func testKeyset(tb testing.TB, seed byte) *Keyset {
	tb.Helper()
	k, err := OpenKeyset("", base64.StdEncoding.EncodeToString(bytes.Repeat([]byte{seed}, 32)))
	if err != nil {
		tb.Fatal(err)
	}
	return k
}

func TestSealedTextOpensOnlyWhereItBelongs(t *testing.T) {
	t.Parallel()
	k := testKeyset(t, 1)
	at := place{kind: "field", id: "erp", version: 12, field: "password"}
	sealed, err := k.seal(at, []byte("canary-Pw-1"))
	if err != nil {
		t.Fatal(err)
	}
	if text, err := k.unseal(at, sealed); err != nil || string(text) != "canary-Pw-1" {
		t.Fatalf("opened %q, %v", text, err)
	}
	if bytes.Contains(sealed, []byte("canary")) {
		t.Error("the sealed text shows the secret")
	}
	for bit := range len(sealed) * 8 {
		flipped := slices.Clone(sealed)
		flipped[bit/8] ^= 1 << (bit % 8)
		if text, err := k.unseal(at, flipped); err == nil {
			t.Errorf("bit %d flipped: opened %q", bit, text)
		}
	}
	for n := range sealed {
		if text, err := k.unseal(at, sealed[:n]); err == nil {
			t.Errorf("cut to %d bytes: opened %q", n, text)
		}
	}
	for name, other := range map[string]place{
		"kind":                     {kind: "token", id: "erp", version: 12, field: "password"},
		"id":                       {kind: "field", id: "erp2", version: 12, field: "password"},
		"version":                  {kind: "field", id: "erp", version: 13, field: "password"},
		"field":                    {kind: "field", id: "erp", version: 12, field: "username"},
		"border between the parts": {kind: "field", id: "erp1", version: 2, field: "password"},
	} {
		if text, err := k.unseal(other, sealed); err == nil {
			t.Errorf("other %s: opened %q", name, text)
		}
	}
	if text, err := testKeyset(t, 2).unseal(at, sealed); err == nil {
		t.Errorf("other key: opened %q", text)
	}
}

func TestFingerprint(t *testing.T) {
	t.Parallel()
	one, two := newFingerprintKey(), newFingerprintKey()
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

// FuzzSealedRecord feeds what a damaged or hostile database could hold: any bytes, and a
// genuine record with any of its bytes changed.
func FuzzSealedRecord(f *testing.F) {
	k := testKeyset(f, 1)
	at := place{kind: "field", id: "erp", version: 1, field: "password"}
	sealed, err := k.seal(at, []byte("canary-Pw-1"))
	if err != nil {
		f.Fatal(err)
	}
	f.Add([]byte(nil), uint(0), byte(1))
	f.Add(sealed[:5], uint(5), byte(0x80))
	f.Add(bytes.Repeat([]byte{1}, 64), uint(44), byte(0xff))
	f.Fuzz(func(t *testing.T, data []byte, position uint, mask byte) {
		if text, err := k.unseal(at, data); err == nil {
			t.Errorf("opened %q from %x", text, data)
		}
		changed := slices.Clone(sealed)
		changed[position%uint(len(sealed))] ^= mask
		if text, err := k.unseal(at, changed); (err == nil) != (mask == 0) {
			t.Errorf("byte %d changed by %x: %q, %v", position%uint(len(sealed)), mask, text, err)
		}
	})
}
