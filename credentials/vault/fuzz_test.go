package vault_test

import (
	"crypto/hmac"
	"crypto/sha256"
	"encoding/base64"
	"encoding/hex"
	"fmt"
	"net/http"
	"net/http/httptest"
	"strings"
	"testing"
	"time"

	"keyflow/credentials"
	"keyflow/credentials/document"
	"keyflow/credentials/masterkey"
	"keyflow/credentials/sqlstore"
	"keyflow/credentials/vault"
	"keyflow/internal/database"
	"keyflow/internal/database/databasetest"
)

// vaultOn opens a vault as a process that starts on this data.
func vaultOn(tb testing.TB, db *database.DB, dir string) *vault.Vault {
	tb.Helper()
	keys, err := masterkey.Open(dir, "")
	if err != nil {
		tb.Fatal(err)
	}
	store := sqlstore.New(db)
	v, err := vault.New(vault.Options{Store: store, Tokens: store, Limits: store, Canary: store, Keyset: keys, Now: func() time.Time { return fuzzNow }})
	if err != nil {
		tb.Fatal(err)
	}
	return v
}

// fuzzNow is when fuzz targets take place.
var fuzzNow = time.Date(2026, 3, 1, 12, 0, 0, 0, time.UTC)

func createOn(tb testing.TB, v *vault.Vault, text string) {
	tb.Helper()
	in, err := document.Parse([]byte(text))
	if err == nil {
		_, err = v.Create(tb.Context(), admin, in)
	}
	if err != nil {
		tb.Fatal(err)
	}
}

// storedColumn is a column that a damaged or hostile database may hold anything in.
type storedColumn struct{ table, key, column string }

func storedColumns() []storedColumn {
	var list []storedColumn
	for _, t := range []struct{ table, key, columns string }{
		{"credentials", "id", "details fingerprint_key binding candidate name folder type"},
		{"credential_versions", "credential", "fields secrets sealed reach binding"},
		{"credential_tokens", "credential", "sealed"},
	} {
		for column := range strings.FieldsSeq(t.columns) {
			list = append(list, storedColumn{t.table, t.key, column})
		}
	}
	return list
}

func (c storedColumn) read(t *testing.T, db *database.DB, id string) []byte {
	t.Helper()
	var row struct{ Held []byte }
	if err := db.Read().Raw("SELECT CAST("+c.column+" AS BLOB) AS held FROM "+c.table+" WHERE "+c.key+" = ?", id).Scan(&row).Error; err != nil {
		t.Fatal(err)
	}
	return row.Held
}

func (c storedColumn) write(t *testing.T, db *database.DB, id string, held []byte) {
	t.Helper()
	var value any = held
	if c.column == "name" || c.column == "folder" || c.column == "type" {
		value = string(held)
	}
	if err := db.Write().Exec("UPDATE "+c.table+" SET "+c.column+" = ? WHERE "+c.key+" = ?", value, id).Error; err != nil {
		t.Fatal(err)
	}
}

// inForce is what a use of the credential would go by, or "refused".
func inForce(t *testing.T, v *vault.Vault, id, field string) string {
	t.Helper()
	secret, err := v.OpenText(t.Context(), credentials.ID(id), field)
	if err != nil {
		return "refused"
	}
	token, err := v.StoredToken(t.Context(), credentials.ID(id))
	if err != nil {
		return "refused"
	}
	c, err := v.Get(t.Context(), admin, credentials.ID(id))
	if err != nil {
		return "refused"
	}
	return fmt.Sprint(secret, token, c.AllowedHosts, c.AllowedWorkflows, c.Fields, c.TestURL, c.Folder, c.Type, c.Name)
}

// FuzzStored flips bits of stored columns and swaps them between rows: the credentials that were
// touched are refused or as before, all others are as before.
func FuzzStored(f *testing.F) {
	db, dir := databasetest.SQLite(f), f.TempDir()
	v := vaultOn(f, db, dir)
	createOn(f, v, erp)
	createOn(f, v, strings.Replace(erp, `"id": "erp"`, `"id": "erp2", "folder": "/hr"`, 1))
	createOn(f, v, crm)
	if err := v.PutToken(f.Context(), "crm", "canary-Token-1"); err != nil {
		f.Fatal(err)
	}
	fields := map[string]string{"erp": "password", "erp2": "password", "crm": "client_secret"}
	ids := []string{"erp", "erp2", "crm"}
	columns := storedColumns()
	for i := range columns {
		f.Add(uint8(i), uint8(i), uint8(0), uint(7*i), byte(1<<(i%8)))
		f.Add(uint8(i), uint8(0), uint8(1), uint(0), byte(0))
	}
	f.Fuzz(func(t *testing.T, column, victim, other uint8, position uint, mask byte) {
		c := columns[int(column)%len(columns)]
		a, b := ids[int(victim)%len(ids)], ids[(int(victim)+int(other))%len(ids)]
		before := make(map[string]string)
		fresh := vaultOn(t, db, dir)
		for _, id := range ids {
			before[id] = inForce(t, fresh, id, fields[id])
		}
		one, two := c.read(t, db, a), c.read(t, db, b)
		if len(one) == 0 || a != b && len(two) == 0 {
			return // there is nothing
		}
		if a == b {
			changed := append([]byte(nil), one...)
			changed[position%uint(len(changed))] ^= mask
			c.write(t, db, a, changed)
		} else {
			c.write(t, db, a, two)
			c.write(t, db, b, one)
		}
		fresh = vaultOn(t, db, dir)
		for _, id := range ids {
			now := inForce(t, fresh, id, fields[id])
			if now != before[id] && (now != "refused" || id != a && id != b) {
				t.Errorf("%s.%s of %s and %s: %s gives %q, before %q", c.table, c.column, a, b, id, now, before[id])
			}
		}
		c.write(t, db, a, one)
		c.write(t, db, b, two)
		for _, id := range ids {
			if now := inForce(t, vaultOn(t, db, dir), id, fields[id]); now != before[id] || now == "refused" {
				t.Fatalf("fixed, %s gives %q", id, now)
			}
		}
	})
}

// FuzzSigning lets strangers send any headers and any body: what is accepted carries a
// signature of exactly that by the secret.
func FuzzSigning(f *testing.F) {
	db, dir := databasetest.SQLite(f), f.TempDir()
	v := vaultOn(f, db, dir)
	createOn(f, v, fmt.Sprintf(`{"id": "standard", "type": "signing", "fields": {"secret": %q}}`, whsec1))
	createOn(f, v, `{"id": "pairs", "type": "signing", "fields": {"scheme": "hmac", "header": "X-Signature", "header_form": "pairs", "timestamp_key": "t", "signature_key": "v1",
		"template": "{timestamp}.{body}", "secret": "canary-Signing-1"}}`)
	createOn(f, v, `{"id": "plain", "type": "signing", "fields": {"scheme": "hmac", "header": "X-Signature", "prefix": "sha256=", "template": "{body}", "secret": "canary-Signing-1"}}`)
	key, err := base64.StdEncoding.DecodeString(strings.TrimPrefix(whsec1, "whsec_"))
	if err != nil {
		f.Fatal(err)
	}
	mac := func(key []byte, text string) []byte {
		m := hmac.New(sha256.New, key)
		m.Write([]byte(text))
		return m.Sum(nil)
	}
	at := fmt.Sprint(fuzzNow.Unix())
	genuine := map[string]func(id, at, body string) string{
		"standard": func(id, at, body string) string {
			return "v1," + base64.StdEncoding.EncodeToString(mac(key, id+"."+at+"."+body))
		},
		"pairs": func(_, at, body string) string {
			return hex.EncodeToString(mac([]byte("canary-Signing-1"), at+"."+body))
		},
		"plain": func(_, _, body string) string {
			return "sha256=" + hex.EncodeToString(mac([]byte("canary-Signing-1"), body))
		},
	}
	verify := func(tb testing.TB, scheme, id, at, signature, body string) bool {
		tb.Helper()
		r := httptest.NewRequestWithContext(tb.Context(), http.MethodPost, "/hooks/x", http.NoBody)
		r.Header["Webhook-Id"], r.Header["Webhook-Timestamp"], r.Header["Webhook-Signature"], r.Header["X-Signature"] = []string{id}, []string{at}, []string{signature}, []string{signature}
		_, err := v.Verify(tb.Context(), credentials.ID(scheme), "w", "/", r, []byte(body))
		return err == nil
	}
	for scheme, sign := range genuine {
		signature := sign("m", at, "body")
		if scheme == "pairs" {
			signature = "t=" + at + ",v1=" + signature
		}
		if !verify(f, scheme, "m", at, signature, "body") {
			f.Fatalf("%s: a genuine request is refused", scheme)
		}
		f.Add(scheme, "m", at, signature, "body")
		f.Add(scheme, "m", at, signature+" "+signature, "body2")
		f.Add(scheme, "", "", "", "")
		f.Add(scheme, "m", "-1", "t=,v1=,=,,", "\x00")
		f.Add(scheme, "m", "99999999999999999999", "v1,"+strings.Repeat("A", 1000), "body")
	}
	f.Fuzz(func(t *testing.T, scheme, id, at, signature, body string) {
		sign, known := genuine[scheme]
		if !known {
			return
		}
		stated := at
		if scheme == "pairs" {
			for pair := range strings.SplitSeq(signature, ",") {
				if value, ok := strings.CutPrefix(strings.TrimSpace(pair), "t="); ok {
					stated = value
				}
			}
		}
		if verify(t, scheme, id, at, signature, body) && !strings.Contains(strings.ToLower(signature), strings.ToLower(sign(id, stated, body))) {
			t.Errorf("%s: forged: id %q, at %q, signature %q, body %q", scheme, id, at, signature, body)
		}
	})
}
