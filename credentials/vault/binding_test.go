package vault_test

import (
	"errors"
	"net/http"
	"strings"
	"testing"

	"keyflow/credentials"
	"keyflow/internal/fault"
)

// rewrite replaces text in a JSON column, as somebody can who may write the database.
func (k *keep) rewrite(t *testing.T, column, from, into string) {
	t.Helper()
	table, key := "credentials", "id"
	switch column {
	case "fields", "secrets", "reach":
		table, key = "credential_versions", "credential"
	}
	var before string
	if err := k.db.Read().Raw("SELECT " + column + " FROM " + table + " WHERE " + key + " = 'erp'").Scan(&before).Error; err != nil {
		t.Fatal(err)
	}
	after := strings.ReplaceAll(before, from, into)
	if before == after {
		t.Fatalf("%s does not hold %s: %s", column, from, before)
	}
	k.exec(t, "UPDATE "+table+" SET "+column+" = ? WHERE "+key+" = 'erp'", []byte(after))
}

// full has everything that decides where a secret goes and who may use it.
const full = `{"id": "erp", "type": "api_key", "folder": "/hr", "fields": {"key": "X-Key", "value": "canary-Pw-1"}, "grace": "1d",
	"allowed_hosts": ["a.example"], "allowed_workflows": ["/hr/**"], "rotatable_by": ["/hr/rotate"], "test_url": "https://a.example/me",
	"limits": {"requests": 5, "per": "1m"}, "failure_rules": [{"status": [403], "action": "refuse"}], "expires_at": "2027-01-01T00:00:00Z"}`

func TestRewrittenRowsAreErrorsOfThatCredentialOnly(t *testing.T) {
	t.Parallel()
	tests := map[string]func(t *testing.T, k *keep){
		"allowed_hosts": func(t *testing.T, k *keep) {
			t.Helper()
			k.rewrite(t, "details", `["a.example"]`, `["a.example","evil.example"]`)
		},
		"allowed_workflows": func(t *testing.T, k *keep) { t.Helper(); k.rewrite(t, "details", `["/hr/**"]`, `["/**"]`) },
		"own folder":        func(t *testing.T, k *keep) { t.Helper(); k.rewrite(t, "details", `["/hr/**"]`, `null`) },
		"rotatable_by":      func(t *testing.T, k *keep) { t.Helper(); k.rewrite(t, "details", `"/hr/rotate"`, `"/**"`) },
		"test_url": func(t *testing.T, k *keep) {
			t.Helper()
			k.rewrite(t, "details", `https://a.example/me`, `https://a.example/echo`)
		},
		"limits":            func(t *testing.T, k *keep) { t.Helper(); k.rewrite(t, "details", `"requests":5`, `"requests":5000`) },
		"failure_rules":     func(t *testing.T, k *keep) { t.Helper(); k.rewrite(t, "details", `403`, `200`) },
		"expires_at":        func(t *testing.T, k *keep) { t.Helper(); k.rewrite(t, "details", `2027`, `2099`) },
		"plain field":       func(t *testing.T, k *keep) { t.Helper(); k.rewrite(t, "fields", `X-Key`, `X-Echo`) },
		"plain field added": func(t *testing.T, k *keep) { t.Helper(); k.rewrite(t, "fields", `{`, `{"in":"query",`) },
		"fingerprint": func(t *testing.T, k *keep) {
			t.Helper()
			k.rewrite(t, "secrets", `"fingerprint":"`, `"fingerprint":"0`)
		},
		"folder": func(t *testing.T, k *keep) {
			t.Helper()
			k.exec(t, "UPDATE credentials SET folder = '/' WHERE id = 'erp'")
		},
		"grant": func(t *testing.T, k *keep) {
			t.Helper()
			k.exec(t, "UPDATE credentials SET grant_revision = 99 WHERE id = 'erp'")
		},
		"author": func(t *testing.T, k *keep) {
			t.Helper()
			k.exec(t, "UPDATE credentials SET created_by = 'x' WHERE id = 'erp'")
		},
		"revision": func(t *testing.T, k *keep) {
			t.Helper()
			k.exec(t, "UPDATE credentials SET revision = 99 WHERE id = 'erp'")
		},
		"no proof": func(t *testing.T, k *keep) {
			t.Helper()
			k.exec(t, "UPDATE credentials SET binding = NULL WHERE id = 'erp'")
		},
		"empty proof": func(t *testing.T, k *keep) {
			t.Helper()
			k.exec(t, "UPDATE credentials SET binding = ? WHERE id = 'erp'", []byte{})
		},
		"proof of another": func(t *testing.T, k *keep) {
			t.Helper()
			k.exec(t, "UPDATE credentials SET binding = (SELECT binding FROM credentials WHERE id = 'other') WHERE id = 'erp'")
		},
		"proof of the version": func(t *testing.T, k *keep) {
			t.Helper()
			k.exec(t, "UPDATE credentials SET binding = (SELECT binding FROM credential_versions WHERE credential = 'erp') WHERE id = 'erp'")
		},
		"proof of another revision": func(t *testing.T, k *keep) {
			t.Helper()
			var old string
			if err := k.db.Read().Raw("SELECT binding FROM credentials WHERE id = 'erp'").Scan(&old).Error; err != nil {
				t.Fatal(err)
			}
			k.patch(t, "erp", `{"allowed_workflows": ["/hr/one"]}`)
			k.exec(t, "UPDATE credentials SET binding = ? WHERE id = 'erp'", []byte(old))
		},
	}
	for name, tamper := range tests {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			k := setup(t)
			k.create(t, full)
			k.create(t, `{"id": "other", "type": "bearer_token", "fields": {"token": "canary-Pw-3"}, "allowed_hosts": ["a.example"]}`)
			tamper(t, k)
			k = k.reopened(t)
			if text, err := k.OpenText(t.Context(), "erp", "value"); fault.Message(err) != damagedErp {
				t.Fatalf("opened %q, %v", text, err)
			}
			_, err := k.Resolver().Client(t.Context(), credentials.Use{ID: "erp", Workflow: "w", Folder: "/hr"})
			if e, ok := errors.AsType[*credentials.Error](err); !ok || e.Code != credentials.CodeRefused {
				t.Errorf("in a run: %v", err)
			}
			if _, err := k.Test(t.Context(), admin, "erp"); fault.Message(err) != damagedErp {
				t.Errorf("test: %v", err)
			}
			if text := k.text(t, "other", "token"); text != "canary-Pw-3" {
				t.Errorf("the other credential gives %q", text)
			}
			// What was rewritten does not become good by an edit that looks harmless.
			_, err = k.Patch(t.Context(), admin, "erp", []byte(`{"name": "New"}`), credentials.AnyRevision)
			if got := problemLines(err); len(got) != 1 || got[0] != "/fields/value secret_required: the stored value is damaged: enter it again" {
				t.Errorf("edit without the secret: %v %v", err, got)
			}
			k.patch(t, "erp", `{"allowed_hosts": ["a.example"], "fields": {"value": "canary-Pw-2"}}`)
			if text := k.text(t, "erp", "value"); text != "canary-Pw-2" {
				t.Errorf("fixed credential gives %q", text)
			}
		})
	}
}

func TestStateAndLastUseAreNotBound(t *testing.T) {
	t.Parallel()
	k := setup(t)
	k.create(t, full)
	if _, err := k.SetState(t.Context(), "erp", credentials.Refused, "401"); err != nil {
		t.Fatal(err)
	}
	k.exec(t, "UPDATE credentials SET last_used_at = 1 WHERE id = 'erp'")
	if text := k.reopened(t).text(t, "erp", "value"); text != "canary-Pw-1" {
		t.Errorf("value %q", text)
	}
}

// A deleted credential's ciphertext fits the place of a new one with its id, but not what the
// new one says.
func TestCiphertextOfADeletedCredentialDoesNotOpen(t *testing.T) {
	t.Parallel()
	k := setup(t)
	k.create(t, erp)
	old := k.sealedRow(t, "erp")
	if err := k.Delete(t.Context(), admin, "erp", false); err != nil {
		t.Fatal(err)
	}
	k.create(t, `{"id": "erp", "type": "basic_auth", "fields": {"username": "u", "password": "mine-12345"}, "allowed_hosts": ["evil.example"]}`)
	mine := k.sealedRow(t, "erp")
	for name, row := range map[string]sealedRow{
		"ciphertext": {old.Sealed, mine.FingerprintKey},
		"and key":    old,
		"key":        {mine.Sealed, old.FingerprintKey},
	} {
		k.writeSealed(t, "erp", row)
		if text, err := k.reopened(t).OpenText(t.Context(), "erp", "password"); fault.Message(err) != damagedErp {
			t.Errorf("%s of the deleted credential: opened %q, %v", name, text, err)
		}
	}
}

func TestRewrittenVersionsDoNotComeBack(t *testing.T) {
	t.Parallel()
	const damaged = `version 1 of credential "erp" is damaged in the database, or from an older release: enter its secret fields again`
	tests := map[string]func(t *testing.T, k *keep){
		"reach":    func(t *testing.T, k *keep) { t.Helper(); k.rewrite(t, "reach", `a.example`, `evil.example`) },
		"fields":   func(t *testing.T, k *keep) { t.Helper(); k.rewrite(t, "fields", `X-Key`, `X-Echo`) },
		"no proof": func(t *testing.T, k *keep) { t.Helper(); k.exec(t, "UPDATE credential_versions SET binding = NULL") },
		"no reach": func(t *testing.T, k *keep) { t.Helper(); k.exec(t, "UPDATE credential_versions SET reach = NULL") },
		"sealed by another version": func(t *testing.T, k *keep) {
			t.Helper()
			k.exec(t, "UPDATE credential_versions SET sealed = (SELECT sealed FROM credential_versions WHERE version = 2) WHERE version = 1")
		},
		"another version": func(t *testing.T, k *keep) {
			t.Helper()
			k.exec(t, `UPDATE credential_versions SET (fields, secrets, sealed, reach, binding, created_at) =
				(SELECT fields, secrets, sealed, reach, binding, created_at FROM credential_versions WHERE version = 2) WHERE version = 1`)
		},
	}
	for name, tamper := range tests {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			k := setup(t)
			k.create(t, full)
			k.patch(t, "erp", `{"fields": {"value": "canary-Pw-2"}}`)
			var row credentialVersionBackup
			row.read(t, k, 2)
			tamper(t, k)
			row.write(t, k, 2)
			k = k.reopened(t)
			if _, err := k.Rollback(t.Context(), admin, "erp", 1); fault.Message(err) != damaged {
				t.Errorf("rollback: %v", err)
			}
			if text := k.text(t, "erp", "value"); text != "canary-Pw-2" {
				t.Errorf("the current version gives %q", text)
			}
		})
	}
}

// credentialVersionBackup is a row of credential_versions, to restore it after all rows were
// written over.
type credentialVersionBackup struct {
	Fields, Secrets, Sealed, Reach, Binding []byte
}

func (b *credentialVersionBackup) read(t *testing.T, k *keep, version int) {
	t.Helper()
	err := k.db.Read().Raw("SELECT fields, secrets, sealed, reach, binding FROM credential_versions WHERE version = ?", version).Scan(b).Error
	if err != nil {
		t.Fatal(err)
	}
}

func (b *credentialVersionBackup) write(t *testing.T, k *keep, version int) {
	t.Helper()
	k.exec(t, "UPDATE credential_versions SET fields = ?, secrets = ?, sealed = ?, reach = ?, binding = ? WHERE version = ?",
		b.Fields, b.Secrets, b.Sealed, b.Reach, b.Binding, version)
}

// A damaged current version does not hinder the way back; rewritten rules do.
func TestRollbackMendsDamagedSecrets(t *testing.T) {
	t.Parallel()
	k := setup(t)
	k.create(t, full)
	k.patch(t, "erp", `{"fields": {"value": "canary-Pw-2"}}`)
	k.exec(t, "UPDATE credential_versions SET sealed = ? WHERE version = 2", []byte(`{"value":"AAAA"}`))
	k = k.reopened(t)
	if _, err := k.OpenText(t.Context(), "erp", "value"); fault.Message(err) != damagedErp {
		t.Fatal(err)
	}
	k.rollback(t, "erp", 1)
	if text := k.text(t, "erp", "value"); text != "canary-Pw-1" {
		t.Errorf("value %q", text)
	}
	k.rewrite(t, "details", `["a.example"]`, `["evil.example"]`)
	if _, err := k.reopened(t).Rollback(t.Context(), admin, "erp", 2); fault.Message(err) != damagedErp {
		t.Errorf("rollback under rewritten rules: %v", err)
	}
}

// What says which configuration got a token is sealed with it.
func TestTokenOfAnotherGrantIsNotUsed(t *testing.T) {
	t.Parallel()
	n, p := online(t), provider(t)
	n.create(t, clientCredentials("crm", p, ""))
	mustGet(t, n, "crm", p.ResourceURL)
	n.patch(t, "crm", `{"fields": {"token_params": {"x": "y"}}}`)
	grant, err := n.OpenGrant(t.Context(), "crm")
	if err != nil {
		t.Fatal(err)
	}
	if err := n.db.Write().Exec("UPDATE credential_tokens SET grant_revision = ?", grant).Error; err != nil {
		t.Fatal(err)
	}
	if a := mustGet(t, onlineWith(t, n.db, n.dir), "crm", p.ResourceURL); a.status != http.StatusOK || len(p.TokenRequests()) != 2 {
		t.Errorf("status %d after %d token requests, want 2", a.status, len(p.TokenRequests()))
	}
}
