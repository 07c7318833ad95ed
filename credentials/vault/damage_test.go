package vault_test

import (
	"encoding/json"
	"errors"
	"fmt"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"

	"keyflow/credentials"
	"keyflow/internal/fault"
)

const damagedErp = `credential "erp" is damaged in the database: enter its secret fields again, or restore the backup`

// sealedRow is where a credential keeps ciphertext.
type sealedRow struct {
	Sealed         []byte
	FingerprintKey []byte
}

func (k *keep) sealedRow(t *testing.T, id string) (row sealedRow) {
	t.Helper()
	err := k.db.Read().Raw("SELECT v.sealed, c.fingerprint_key FROM credentials c JOIN credential_versions v ON v.credential = c.id AND v.version = c.version WHERE c.id = ?", id).Scan(&row).Error
	if err != nil {
		t.Fatal(err)
	}
	return row
}

func (k *keep) writeSealed(t *testing.T, id string, row sealedRow) {
	t.Helper()
	err := k.db.Write().Exec("UPDATE credential_versions SET sealed = ? WHERE credential = ?", row.Sealed, id).Error
	if err == nil {
		err = k.db.Write().Exec("UPDATE credentials SET fingerprint_key = ? WHERE id = ?", row.FingerprintKey, id).Error
	}
	if err != nil {
		t.Fatal(err)
	}
}

func (k *keep) exec(t *testing.T, statement string, args ...any) {
	t.Helper()
	if err := k.db.Write().Exec(statement, args...).Error; err != nil {
		t.Fatal(err)
	}
}

func (r sealedRow) ciphertext(t *testing.T) map[string][]byte {
	t.Helper()
	var m map[string][]byte
	if err := json.Unmarshal(r.Sealed, &m); err != nil {
		t.Fatal(err)
	}
	return m
}

func (r *sealedRow) set(t *testing.T, m map[string][]byte) {
	t.Helper()
	r.Sealed = []byte(encode(t, m))
}

// reopened is the same data after a restart, so that nothing comes from a cache.
func (k *keep) reopened(t *testing.T) *keep {
	t.Helper()
	return setupOn(t, k.db, k.dir)
}

func TestFlippedBitsAreErrorsOfThatCredentialOnly(t *testing.T) {
	t.Parallel()
	k := setup(t)
	k.create(t, erp)
	k.create(t, crm)
	good := k.sealedRow(t, "erp")
	password := good.ciphertext(t)["password"]
	k = k.reopened(t)
	for bit := 0; bit < len(password)*8; bit += 37 { // all of them: TestSealedTextOpensOnlyWhereItBelongs
		bad, flipped := good, append([]byte(nil), password...)
		flipped[bit/8] ^= 1 << (bit % 8)
		bad.set(t, map[string][]byte{"password": flipped})
		k.writeSealed(t, "erp", bad)
		text, err := k.OpenText(t.Context(), "erp", "password")
		if message := fault.Message(err); message != damagedErp && (bit/8 > 4 || !strings.Contains(message, "which is not in ")) { // bytes 1 to 4 name the key
			t.Fatalf("bit %d flipped: opened %q, %v", bit, text, err)
		}
	}
	for bit := 0; bit < len(good.FingerprintKey)*8; bit += 61 {
		bad := good
		bad.FingerprintKey = append([]byte(nil), good.FingerprintKey...)
		bad.FingerprintKey[bit/8] ^= 1 << (bit % 8)
		k.writeSealed(t, "erp", bad)
		if _, err := k.OpenText(t.Context(), "erp", "password"); fault.Message(err) != damagedErp {
			t.Fatalf("bit %d of the fingerprint key flipped: %v", bit, err)
		}
	}
	if text := k.text(t, "crm", "client_secret"); text != "canary-Secret-1" {
		t.Errorf("the other credential gives %q", text)
	}
	k.writeSealed(t, "erp", good)
	if text := k.text(t, "erp", "password"); text != "canary-Pw-1" {
		t.Errorf("the fixed credential gives %q", text)
	}
}

func TestMovedCiphertextDoesNotOpen(t *testing.T) {
	t.Parallel()
	const two = `{"id": "%s", "type": "basic_auth", "fields": {"username": "canary-Name-1", "password": "canary-Pw-1", "username_secret": true}, "allowed_hosts": ["a.example"]}`
	tests := map[string]func(t *testing.T, k *keep){
		"from another credential": func(t *testing.T, k *keep) {
			t.Helper()
			k.writeSealed(t, "erp", k.sealedRow(t, "other"))
		},
		"from another field": func(t *testing.T, k *keep) {
			t.Helper()
			row := k.sealedRow(t, "erp")
			m := row.ciphertext(t)
			m["username"], m["password"] = m["password"], m["username"]
			row.set(t, m)
			k.writeSealed(t, "erp", row)
		},
		"from another version": func(t *testing.T, k *keep) {
			t.Helper()
			old := k.sealedRow(t, "erp")
			k.patch(t, "erp", `{"fields": {"password": "canary-Pw-2"}}`)
			k.writeSealed(t, "erp", old)
		},
		"none": func(t *testing.T, k *keep) {
			t.Helper()
			row := k.sealedRow(t, "erp")
			row.set(t, map[string][]byte{})
			k.writeSealed(t, "erp", row)
		},
		"none, and not told of": func(t *testing.T, k *keep) {
			t.Helper()
			k.exec(t, "UPDATE credential_versions SET secrets = ?, sealed = ? WHERE credential = ?", []byte("{}"), []byte("{}"), "erp")
		},
		"under another type": func(t *testing.T, k *keep) {
			t.Helper()
			k.exec(t, "UPDATE credentials SET type = ? WHERE id = ?", "api_key", "erp")
		},
	}
	for name, move := range tests {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			k := setup(t)
			k.create(t, fmt.Sprintf(two, "erp"))
			k.create(t, fmt.Sprintf(two, "other"))
			move(t, k)
			k = k.reopened(t)
			if text, err := k.OpenText(t.Context(), "erp", "password"); fault.Message(err) != damagedErp {
				t.Errorf("opened %q, %v", text, err)
			}
			_, err := k.Resolver().Client(t.Context(), credentials.Use{ID: "erp", Workflow: "w", Folder: "/"})
			if e, ok := errors.AsType[*credentials.Error](err); !ok || e.Code != credentials.CodeRefused || e.Message != damagedErp {
				t.Errorf("in a run: %v", err)
			}
			if text := k.text(t, "other", "password"); text != "canary-Pw-1" {
				t.Errorf("the other credential gives %q", text)
			}
		})
	}
}

func TestDamagedCredentialIsMendedByEnteringItsSecretsAgain(t *testing.T) {
	t.Parallel()
	k := setup(t)
	k.create(t, erp)
	k.writeSealed(t, "erp", sealedRow{Sealed: []byte(`{"password": "AAAA"}`), FingerprintKey: []byte("x")})
	k = k.reopened(t)
	if c, err := k.Get(t.Context(), admin, "erp"); err != nil || !c.Secrets["password"].Set {
		t.Errorf("a damaged credential cannot be seen: %v", err)
	}
	_, err := k.Patch(t.Context(), admin, "erp", []byte(`{"fields": {"username": "n"}}`), credentials.AnyRevision)
	if got := problemLines(err); len(got) != 1 || got[0] != "/fields/password secret_required: the stored value is damaged: enter it again" {
		t.Errorf("edit that keeps a damaged secret: %v %v", err, got)
	}
	k.patch(t, "erp", `{"fields": {"password": "canary-Pw-2"}}`)
	if text := k.text(t, "erp", "password"); text != "canary-Pw-2" {
		t.Errorf("fixed credential gives %q", text)
	}
}

func TestDatabaseFileHoldsNoSecret(t *testing.T) {
	t.Parallel()
	k := setup(t)
	k.create(t, erp)
	k.create(t, crm)
	k.patch(t, "erp", `{"fields": {"password": "canary-Pw-2"}}`)
	dump := fmt.Sprint(rows(t, k.db))
	for _, secret := range []string{"canary-Pw-1", "canary-Pw-2", "canary-Secret-1"} {
		if contains(dump, secret) {
			t.Errorf("%s is in the database", secret)
		}
	}
}

// contains looks for text also in dumps that print bytes as decimal numbers.
func contains(dump, text string) bool {
	return strings.Contains(dump, text) || strings.Contains(dump, strings.Trim(fmt.Sprint([]byte(text)), "[]"))
}

func TestOneDamagedRowLeavesTheListAndTheOthers(t *testing.T) {
	t.Parallel()
	k := setup(t)
	k.create(t, erp)
	other := k.create(t, crm)
	k.exec(t, "UPDATE credentials SET details = ? WHERE id = 'erp'", []byte("{"))
	k = k.reopened(t)
	list, err := k.List(t.Context(), admin, credentials.Filter{})
	if err != nil || len(list) != 2 {
		t.Fatalf("list: %v, %v", list, err)
	}
	equalJSON(t, "the other", list[0], other)
	bad := list[1]
	want := credentials.State{Status: credentials.Refused, Message: credentials.MessageDamaged, Since: k.now}
	if bad.ID != "erp" || bad.Name != "ERP" || bad.State != want || len(bad.AllowedHosts)+len(bad.AllowedWorkflows)+len(bad.Fields)+len(bad.Secrets) > 0 {
		t.Errorf("the damaged one is shown as %+v", bad)
	}
	const message = `credential "erp" is ` + credentials.MessageDamaged
	for what, try := range map[string]func() error{
		"get":  func() error { _, err := k.Get(t.Context(), admin, "erp"); return err },
		"edit": func() error { _, err := k.Patch(t.Context(), admin, "erp", []byte("{}"), -1); return err },
		"test": func() error { _, err := k.Test(t.Context(), admin, "erp"); return err },
		"name": func() error { return k.Check(t.Context(), "erp", "w", "/") },
	} {
		if err := try(); !fault.Is(err, fault.Conflict) || fault.Message(err) != message {
			t.Errorf("%s: %v", what, err)
		}
	}
	_, err = k.Resolver().Client(t.Context(), credentials.Use{ID: "erp", Workflow: "w", Folder: "/"})
	if e, ok := errors.AsType[*credentials.Error](err); !ok || e.Code != credentials.CodeRefused || e.Message != message {
		t.Errorf("in a run: %v", err)
	}
	if err := k.Delete(t.Context(), admin, "erp", false); err != nil {
		t.Errorf("delete: %v", err)
	}
	k.create(t, erp)
}

func equalJSON(t *testing.T, what string, got, want any) {
	t.Helper()
	if diff := cmp.Diff(decode(t, encode(t, want)), decode(t, encode(t, got))); diff != "" {
		t.Errorf("%s (-want +got):\n%s", what, diff)
	}
}
