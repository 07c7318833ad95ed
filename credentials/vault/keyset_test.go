package vault_test

import (
	"encoding/base64"
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"

	"keyflow/credentials"
	"keyflow/credentials/masterkey"
	"keyflow/credentials/sqlstore"
	"keyflow/credentials/vault"
	"keyflow/internal/database"
	"keyflow/internal/database/databasetest"
	"keyflow/internal/fault"
)

func start(t *testing.T, db *database.DB, dir, env string) (*vault.Vault, error) {
	t.Helper()
	keys, err := masterkey.Open(dir, env)
	if err != nil {
		return nil, err
	}
	store := sqlstore.New(db)
	return vault.New(vault.Options{Store: store, Tokens: store, Limits: store, Canary: store, Keyset: keys})
}

// files lists a folder as "name mode".
func files(t *testing.T, dir string) []string {
	t.Helper()
	entries, err := os.ReadDir(dir)
	if err != nil {
		t.Fatal(err)
	}
	var names []string
	for _, e := range entries {
		info, err := e.Info()
		if err != nil {
			t.Fatal(err)
		}
		names = append(names, fmt.Sprintf("%s %v", e.Name(), info.Mode().Perm()))
	}
	return names
}

func TestFirstStartMakesTheKeyOnce(t *testing.T) {
	t.Parallel()
	databasetest.Each(t, func(t *testing.T, open func() *database.DB) {
		db, dir := open(), filepath.Join(t.TempDir(), "data")
		first := setupOn(t, db, dir)
		if diff := cmp.Diff([]string{"master.key -rw-------"}, files(t, dir)); diff != "" {
			t.Errorf("files after the first start (-want +got):\n%s", diff)
		}
		before, err := os.ReadFile(filepath.Join(dir, masterkey.FileName))
		if err != nil {
			t.Fatal(err)
		}
		first.create(t, erp)
		second := setupOn(t, db, dir)
		if text := second.text(t, "erp", "password"); text != "canary-Pw-1" {
			t.Errorf("after a restart the password is %q", text)
		}
		after, err := os.ReadFile(filepath.Join(dir, masterkey.FileName))
		if err != nil || string(after) != string(before) {
			t.Errorf("the second start changed the key file (%v)", err)
		}
	})
}

func TestKeyFromTheEnvironment(t *testing.T) {
	t.Parallel()
	raw := base64.StdEncoding.EncodeToString([]byte("0123456789abcdef0123456789abcdef"))
	dir := t.TempDir()
	setupOn(t, databasetest.SQLite(t), dir)
	file, err := os.ReadFile(filepath.Join(dir, masterkey.FileName))
	if err != nil {
		t.Fatal(err)
	}
	for name, env := range map[string]string{"32 bytes": raw + "\n", "text of a key file": string(file)} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			db, dir := databasetest.SQLite(t), t.TempDir()
			for range 2 {
				v, err := start(t, db, dir, env)
				if err != nil {
					t.Fatal(err)
				}
				if _, err := v.Replace(t.Context(), admin, "erp", input(t, erp), credentials.AnyRevision); err != nil {
					if _, err = v.Create(t.Context(), admin, input(t, erp)); err != nil {
						t.Fatal(err)
					}
				}
			}
			if got := files(t, dir); len(got) != 0 {
				t.Errorf("a key from the environment left files: %v", got)
			}
		})
	}
}

func TestWrongKeyWritesNothing(t *testing.T) {
	t.Parallel()
	other := t.TempDir()
	setupOn(t, databasetest.SQLite(t), other)
	otherKey := filepath.Join(other, masterkey.FileName)
	tests := map[string]struct {
		damage func(key string) error
		want   string // %d is the id of the missing key, FILE the key file
	}{
		"missing": {os.Remove, "the master key is missing: the database was sealed with key %d, but FILE does not exist; " +
			"restore that file from its backup, or set KEYFLOW_MASTER_KEY"},
		"another": {func(key string) error { return errors.Join(os.Remove(key), os.Link(otherKey, key)) },
			"wrong master key: the database was sealed with key %d, which is not in FILE; " +
				"restore the master.key that belongs to this database from its backup, or set KEYFLOW_MASTER_KEY"},
		"cut": {func(key string) error { return os.Truncate(key, 20) },
			"the master key in FILE is damaged or no key: restore it from its backup (a Tink keyset in JSON, or 32 bytes in base64)"},
		"empty": {func(key string) error { return os.Truncate(key, 0) },
			"the master key in FILE is damaged or no key: restore it from its backup (a Tink keyset in JSON, or 32 bytes in base64)"},
		"a folder": {func(key string) error { return errors.Join(os.Remove(key), os.Mkdir(key, 0o700)) },
			"the master key in FILE cannot be read; check owner and mode of the file"},
	}
	for name, tt := range tests {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			db, dir := databasetest.SQLite(t), t.TempDir()
			setupOn(t, db, dir).create(t, erp)
			key := filepath.Join(dir, masterkey.FileName)
			if err := tt.damage(key); err != nil {
				t.Fatal(err)
			}
			before := append(files(t, dir), rows(t, db)...)

			_, err := start(t, db, dir, "")
			keyError, ok := errors.AsType[*masterkey.KeyError](err)
			if !ok {
				t.Fatalf("start with a wrong key: %v", err)
			}
			want := strings.ReplaceAll(tt.want, "FILE", key)
			if strings.Contains(want, "%d") {
				want = fmt.Sprintf(want, keyError.KeyID)
				if keyError.KeyID == 0 {
					t.Error("the error does not name the missing key")
				}
			}
			if keyError.Message != want || fault.Message(err) != want {
				t.Errorf("message %q (fault %q), want %q", keyError.Message, fault.Message(err), want)
			}
			if diff := cmp.Diff(before, append(files(t, dir), rows(t, db)...)); diff != "" {
				t.Errorf("a refused start wrote something (-before +after):\n%s", diff)
			}
		})
	}
}

// rows dumps what the vault keeps in the database.
func rows(t *testing.T, db *database.DB) []string {
	t.Helper()
	var all []string
	for _, query := range []string{"SELECT * FROM credential_canary", "SELECT * FROM credentials", "SELECT * FROM credential_versions"} {
		var found []map[string]any
		if err := db.Read().Raw(query).Scan(&found).Error; err != nil {
			t.Fatal(err)
		}
		all = append(all, fmt.Sprint(found))
	}
	return all
}

func TestLostCanaryIsNotMadeAgainOverData(t *testing.T) {
	t.Parallel()
	db, dir := databasetest.SQLite(t), t.TempDir()
	setupOn(t, db, dir).create(t, erp)
	if err := db.Write().Exec("DELETE FROM credential_canary").Error; err != nil {
		t.Fatal(err)
	}
	_, err := start(t, db, dir, "")
	const want = "the database holds sealed credentials but lost the record that says which master key fits them; restore the database from its backup"
	if fault.Message(err) != want {
		t.Errorf("message %q, want %q", fault.Message(err), want)
	}
}

// Two processes with data folders of their own begin one Postgres database: one key wins, the
// other process says so and leaves no key that opens nothing.
func TestConcurrentFirstStarts(t *testing.T) {
	t.Parallel()
	db := databasetest.Postgres(t)
	dirs := []string{t.TempDir(), t.TempDir(), t.TempDir()}
	errs := make(chan error, len(dirs))
	for _, dir := range dirs {
		go func() {
			_, err := start(t, db, dir, "")
			errs <- err
		}()
	}
	started := 0
	for range dirs {
		err := <-errs
		if err == nil {
			started++
		} else if _, ok := errors.AsType[*masterkey.KeyError](err); !ok {
			t.Error(err)
		}
	}
	kept := 0
	for _, dir := range dirs {
		kept += len(files(t, dir))
	}
	if started != 1 || kept != 1 {
		t.Errorf("%d of %d processes started and %d key files are left, want 1 and 1", started, len(dirs), kept)
	}
}

func TestKeysetNeverPrints(t *testing.T) {
	t.Parallel()
	raw := "0123456789abcdef0123456789abcdef"
	keys, err := masterkey.Open("", base64.StdEncoding.EncodeToString([]byte(raw)))
	if err != nil {
		t.Fatal(err)
	}
	for _, verb := range []string{"%v", "%+v", "%#v", "%s", "%x", "%d"} {
		if got := fmt.Sprintf(verb, keys); got != "***" {
			t.Errorf("%s prints %q", verb, got)
		}
	}
}
