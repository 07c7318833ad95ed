package sealing

import (
	"bytes"
	"encoding/base64"
	"slices"
	"testing"
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
	at := AssociatedData{Kind: "field", ID: "erp", Version: 12, Field: "password"}
	sealed, err := k.Seal(at, []byte("canary-Pw-1"))
	if err != nil {
		t.Fatal(err)
	}
	if text, err := k.Open(at, sealed); err != nil || string(text) != "canary-Pw-1" {
		t.Fatalf("opened %q, %v", text, err)
	}
	if bytes.Contains(sealed, []byte("canary")) {
		t.Error("the sealed text shows the secret")
	}
	for bit := range len(sealed) * 8 {
		flipped := slices.Clone(sealed)
		flipped[bit/8] ^= 1 << (bit % 8)
		if text, err := k.Open(at, flipped); err == nil {
			t.Errorf("bit %d flipped: opened %q", bit, text)
		}
	}
	for n := range sealed {
		if text, err := k.Open(at, sealed[:n]); err == nil {
			t.Errorf("cut to %d bytes: opened %q", n, text)
		}
	}
	for name, other := range map[string]AssociatedData{
		"kind":                     {Kind: "token", ID: "erp", Version: 12, Field: "password"},
		"id":                       {Kind: "field", ID: "erp2", Version: 12, Field: "password"},
		"version":                  {Kind: "field", ID: "erp", Version: 13, Field: "password"},
		"field":                    {Kind: "field", ID: "erp", Version: 12, Field: "username"},
		"border between the parts": {Kind: "field", ID: "erp1", Version: 2, Field: "password"},
	} {
		if text, err := k.Open(other, sealed); err == nil {
			t.Errorf("other %s: opened %q", name, text)
		}
	}
	if text, err := testKeyset(t, 2).Open(at, sealed); err == nil {
		t.Errorf("other key: opened %q", text)
	}
}

// FuzzSealedRecord feeds what a damaged or hostile database could hold: any bytes, and a
// genuine record with any of its bytes changed.
func FuzzSealedRecord(f *testing.F) {
	k := testKeyset(f, 1)
	at := AssociatedData{Kind: "field", ID: "erp", Version: 1, Field: "password"}
	sealed, err := k.Seal(at, []byte("canary-Pw-1"))
	if err != nil {
		f.Fatal(err)
	}
	f.Add([]byte(nil), uint(0), byte(1))
	f.Add(sealed[:5], uint(5), byte(0x80))
	f.Add(bytes.Repeat([]byte{1}, 64), uint(44), byte(0xff))
	f.Fuzz(func(t *testing.T, data []byte, position uint, mask byte) {
		if text, err := k.Open(at, data); err == nil {
			t.Errorf("opened %q from %x", text, data)
		}
		changed := slices.Clone(sealed)
		changed[position%uint(len(sealed))] ^= mask
		if text, err := k.Open(at, changed); (err == nil) != (mask == 0) {
			t.Errorf("byte %d changed by %x: %q, %v", position%uint(len(sealed)), mask, text, err)
		}
	})
}
