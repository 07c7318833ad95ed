package credentialstest

import (
	"context"
	"fmt"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"

	"keyflow/credentials"
)

// walk reads everything sealed, two rows at a time, as "kind credential version field: text".
func walk(t *testing.T, s Store) (texts []string, rows []credentials.SealedRow) {
	t.Helper()
	for _, kind := range s.SealedKinds() {
		for after := (*credentials.SealedRow)(nil); ; {
			page, err := s.SealedRows(t.Context(), kind, after, 2)
			if err != nil {
				t.Fatal(err)
			}
			for _, row := range page {
				for field, text := range row.Texts {
					texts = append(texts, fmt.Sprintf("%s %s %d %s: %q", row.Kind, row.Credential, row.Version, field, text))
				}
			}
			rows = append(rows, page...)
			if len(page) < 2 {
				break
			}
			after = &page[1]
		}
	}
	return texts, rows
}

// Whoever asks how far a rotation is does not wait until others have written.
func testSealedIsReadBesideWriters(t *testing.T, s Store) {
	t.Helper()
	create(t, s, "a", nil)
	ctx, cancel := context.WithTimeout(t.Context(), 5*time.Second)
	defer cancel()
	_, err := s.Change(t.Context(), "a", func(old *credentials.Record, revision int64) (*credentials.Record, error) {
		rows, err := s.SealedRows(ctx, "fingerprint_key", nil, 10)
		if len(rows) != 1 {
			t.Errorf("%d rows beside an edit", len(rows))
		}
		old.Revision = revision
		return old, err
	})
	if err != nil {
		t.Error(err)
	}
}

func testSealed(t *testing.T, s Store) {
	t.Helper()
	for _, id := range []credentials.ID{"a", "b", "c"} {
		create(t, s, id, func(r *credentials.Record) { r.Sealed = map[string][]byte{"password": []byte("pw-" + id)} })
	}
	if _, err := s.SwapToken(t.Context(), credentials.Token{Credential: "b", Generation: 3, Sealed: []byte("token")}, 0); err != nil {
		t.Fatal(err)
	}
	if _, err := s.SwapToken(t.Context(), credentials.Token{Credential: "c", Generation: 1}, 0); err != nil { // given up
		t.Fatal(err)
	}
	change(t, s, "b", func(r *credentials.Record) {
		r.Candidate = &credentials.Candidate{CreatedAt: at(1)}
		r.Staged = &credentials.Staged{Sealed: map[string][]byte{"password": []byte("next")}}
	})
	revision := get(t, s, "b").Revision
	connect := credentials.Connect{Hash: []byte{0, 1, 255}, Credential: "a", Sealed: []byte("verifier"), ExpiresAt: at(100)}
	if err := s.PutConnect(t.Context(), connect, at(0)); err != nil {
		t.Fatal(err)
	}
	want := []string{
		`fingerprint_key a 0 : "\t\x00\t"`, `fingerprint_key b 0 : "\t\x00\t"`, `fingerprint_key c 0 : "\t\x00\t"`,
		`field a 1 password: "pw-a"`, `field b 1 password: "pw-b"`, `field c 1 password: "pw-c"`,
		`candidate b 0 password: "next"`,
		`record a 1 : "\b\x00"`, fmt.Sprintf(`record b %d : "\b\x00"`, revision), `record c 3 : "\b\x00"`,
		`version a 1 : "\x00\b"`, `version b 1 : "\x00\b"`, `version c 1 : "\x00\b"`,
		`token b 3 : "token"`, `connect a 0 : "verifier"`,
	}
	texts, rows := walk(t, s)
	if diff := cmp.Diff(want, texts); diff != "" {
		t.Fatalf("before (-want +got):\n%s", diff)
	}
	if _, err := s.SwapToken(t.Context(), credentials.Token{Credential: "b", Generation: 4, Sealed: []byte("renewed")}, 3); err != nil {
		t.Fatal(err)
	}
	for i := range rows {
		next := make(map[string][]byte)
		for field, text := range rows[i].Texts {
			next[field] = append([]byte("new "), text...)
		}
		rows[i].Texts = next
	}
	if n, err := s.Reseal(t.Context(), rows); n != len(rows)-1 || err != nil {
		t.Errorf("written %d of %d, %v; want all but the token that was renewed meanwhile", n, len(rows), err)
	}
	want = []string{
		`fingerprint_key a 0 : "new \t\x00\t"`, `fingerprint_key b 0 : "new \t\x00\t"`, `fingerprint_key c 0 : "new \t\x00\t"`,
		`field a 1 password: "new pw-a"`, `field b 1 password: "new pw-b"`, `field c 1 password: "new pw-c"`,
		`candidate b 0 password: "new next"`,
		`record a 1 : "new \b\x00"`, fmt.Sprintf(`record b %d : "new \b\x00"`, revision), `record c 3 : "new \b\x00"`,
		`version a 1 : "new \x00\b"`, `version b 1 : "new \x00\b"`, `version c 1 : "new \x00\b"`,
		`token b 4 : "renewed"`, `connect a 0 : "new verifier"`,
	}
	if texts, _ = walk(t, s); cmp.Diff(want, texts) != "" {
		t.Errorf("after (-want +got):\n%s", cmp.Diff(want, texts))
	}
	if n, err := s.Reseal(t.Context(), rows); n != 0 || err != nil {
		t.Errorf("rows that were read before are written again: %d, %v", n, err)
	}
	testSwapCanary(t, s)
}

func testSwapCanary(t *testing.T, s Store) {
	t.Helper()
	if _, err := s.PutCanary(t.Context(), []byte("first")); err != nil {
		t.Fatal(err)
	}
	for i, want := range []bool{true, false} {
		if done, err := s.SwapCanary(t.Context(), []byte("first"), []byte("second")); done != want || err != nil {
			t.Errorf("swap %d of the canary: %v, %v", i, done, err)
		}
	}
	if got, err := s.Canary(t.Context()); string(got) != "second" || err != nil {
		t.Errorf("canary %q, %v", got, err)
	}
}
