package vault_test

import (
	"context"
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"

	"keyflow/credentials"
	"keyflow/credentials/masterkey"
	"keyflow/credentials/sqlstore"
	"keyflow/credentials/vault"
	"keyflow/internal/database"
	"keyflow/internal/database/databasetest"
	"keyflow/internal/fault"
	"keyflow/internal/identity"
)

// stocked makes credentials with everything that is sealed: two versions, a token, a connect.
func stocked(t *testing.T, k *keep) {
	t.Helper()
	k.create(t, erp)
	k.patch(t, "erp", `{"fields": {"password": "canary-Pw-2"}}`)
	k.create(t, crm)
	if err := k.PutToken(t.Context(), "crm", "canary-Token-1"); err != nil {
		t.Fatal(err)
	}
	if _, err := k.Connect(t.Context(), admin, "crm", "session"); err != nil {
		t.Fatal(err)
	}
}

// stockedTexts is how many texts stocked seals.
const stockedTexts = 2 + 2 + 1 + 1 + 1 + 2 + 3 // fingerprint keys, passwords, client secret, token, connect; bindings of records and of versions

// readable fails unless everything that stocked made opens.
func readable(t *testing.T, k *keep) {
	t.Helper()
	if got := k.text(t, "erp", "password"); got != "canary-Pw-2" {
		t.Errorf("password %q", got)
	}
	if got := k.text(t, "crm", "client_secret"); got != "canary-Secret-1" {
		t.Errorf("client secret %q", got)
	}
	if got, err := k.StoredToken(t.Context(), "crm"); got != "canary-Token-1" || err != nil {
		t.Errorf("token %q, %v", got, err)
	}
	var first sealedRow
	if err := k.db.Read().Raw("SELECT sealed FROM credential_versions WHERE credential = 'erp' AND version = 1").Scan(&first).Error; err != nil {
		t.Fatal(err)
	}
	if got, err := vault.OpenVersion(k.keys, "erp", 1, "password", first.ciphertext(t)["password"]); got != "canary-Pw-1" || err != nil {
		t.Errorf("password of version 1 %q, %v", got, err)
	}
}

func (k *keep) status(t *testing.T) credentials.KeyStatus {
	t.Helper()
	s, err := k.Keys(t.Context(), admin)
	if err != nil {
		t.Fatal(err)
	}
	return s
}

// sealedBy is how many texts each key sealed, oldest key first.
func sealedBy(s credentials.KeyStatus) []int {
	var n []int
	for _, key := range s.Keys {
		n = append(n, key.Sealed)
	}
	return n
}

func (k *keep) rotate(t *testing.T) credentials.KeyStatus {
	t.Helper()
	s, err := k.RotateKeys(t.Context(), admin)
	if err != nil {
		t.Fatal(err)
	}
	return s
}

func TestMissingKeysAreListedInOrder(t *testing.T) {
	t.Parallel()
	k := setup(t)
	for id := byte(9); id > 1; id-- {
		k.create(t, strings.Replace(erp, `"erp"`, fmt.Sprintf(`"erp-%d"`, id), 1))
		k.exec(t, "UPDATE credentials SET fingerprint_key = ? WHERE id = ?", []byte{1, 0, 0, 0, id, 0}, fmt.Sprintf("erp-%d", id))
	}
	var missing []uint32
	for _, key := range k.status(t).Keys {
		if key.Missing {
			missing = append(missing, key.ID)
		}
	}
	if diff := cmp.Diff([]uint32{2, 3, 4, 5, 6, 7, 8, 9}, missing); diff != "" {
		t.Error(diff)
	}
}

func TestRotationSealsEverythingAgain(t *testing.T) {
	t.Parallel()
	k := setup(t)
	stocked(t, k)
	before, err := k.Get(t.Context(), admin, "erp")
	if err != nil {
		t.Fatal(err)
	}
	first := k.status(t)
	if diff := cmp.Diff([]int{stockedTexts}, sealedBy(first)); diff != "" {
		t.Fatalf("before (-want +got):\n%s", diff)
	}
	begun := k.rotate(t)
	if !begun.Rotation.Running || begun.Primary == first.Primary || begun.Rotation.Pending != stockedTexts {
		t.Errorf("after rotate: %+v", begun)
	}
	if again := k.rotate(t); len(again.Keys) != 2 {
		t.Errorf("a second rotate while the first runs adds a key: %+v", again)
	}
	if err := k.FinishRotation(t.Context()); err != nil {
		t.Fatal(err)
	}
	want := credentials.KeyStatus{Source: "file", Primary: begun.Primary, Keys: []credentials.KeyInfo{
		{ID: first.Primary}, {ID: begun.Primary, Primary: true, Sealed: stockedTexts},
	}, Rotation: credentials.KeyRotation{Done: stockedTexts}}
	if diff := cmp.Diff(want, k.status(t)); diff != "" {
		t.Errorf("at the end (-want +got):\n%s", diff)
	}
	if diff := cmp.Diff([]string{"master.key -rw-------"}, files(t, k.dir)); diff != "" {
		t.Errorf("files (-want +got):\n%s", diff)
	}
	readable(t, k)
	readable(t, k.reopened(t))
	after, err := k.Get(t.Context(), admin, "erp")
	if err != nil {
		t.Fatal(err)
	}
	if diff := cmp.Diff(before, after); diff != "" {
		t.Errorf("the rotation shows in the credential (-before +after):\n%s", diff)
	}
	if err := k.FinishRotation(t.Context()); err != nil || k.status(t).Rotation.Done != stockedTexts {
		t.Errorf("a finished rotation is run again: %+v, %v", k.status(t).Rotation, err)
	}
}

// stumbling is a store that fails when it has re-encrypted a number of rows.
type stumbling struct {
	*sqlstore.Store
	left   int
	before func() // each write
}

var errStumbled = errors.New("stumbled")

func (s *stumbling) Reseal(ctx context.Context, rows []credentials.SealedRow) (int, error) {
	if s.before != nil {
		s.before()
	}
	for _, row := range rows {
		if s.left--; s.left < 0 {
			return 0, errStumbled
		}
		if _, err := s.Store.Reseal(ctx, []credentials.SealedRow{row}); err != nil {
			return 0, err
		}
	}
	return len(rows), nil
}

// over is a vault on k's data with another store for the walk.
func (k *keep) over(t *testing.T, canary credentials.CanaryStore) *keep {
	t.Helper()
	keys, err := masterkey.Open(k.dir, "")
	if err != nil {
		t.Fatal(err)
	}
	store := sqlstore.New(k.db)
	v, err := vault.New(vault.Options{Store: store, Tokens: store, Limits: store, Canary: canary, Keyset: keys})
	if err != nil {
		t.Fatal(err)
	}
	return &keep{Vault: v, db: k.db, dir: k.dir}
}

func TestRotationGoesOnWhereItStopped(t *testing.T) {
	t.Parallel()
	databasetest.Each(t, func(t *testing.T, open func() *database.DB) {
		k := setupOn(t, open(), t.TempDir())
		stocked(t, k)
		k.rotate(t)
		for rows := range 6 {
			stopped := k.over(t, &stumbling{Store: sqlstore.New(k.db), left: rows % 3})
			stopped.rotate(t) // with a shared database the first only adds the key
			if err := stopped.FinishRotation(t.Context()); err != nil && !errors.Is(err, errStumbled) {
				t.Fatal(err)
			}
			readable(t, k.reopened(t))
		}
		last := k.reopened(t)
		if n := len(last.status(t).Keys); n != 2 {
			t.Errorf("an interrupted rotation was begun anew: %d keys", n)
		}
		if err := last.FinishRotation(t.Context()); err != nil {
			t.Fatal(err)
		}
		if diff := cmp.Diff([]int{0, stockedTexts}, sealedBy(last.status(t))); diff != "" {
			t.Errorf("at the end (-want +got):\n%s", diff)
		}
		readable(t, last.reopened(t))
	})
}

func TestEditsDuringARotationStay(t *testing.T) {
	t.Parallel()
	databasetest.Each(t, func(t *testing.T, open func() *database.DB) {
		k := setupOn(t, open(), t.TempDir())
		stocked(t, k)
		k.rotate(t)
		edits, store := 0, &stumbling{Store: sqlstore.New(k.db), left: 1000}
		other := k.over(t, store)
		store.before = func() { // what was read is not what is stored any more
			if edits++; edits > 2 {
				return
			}
			k.patch(t, "erp", fmt.Sprintf(`{"fields": {"password": "canary-Edit-%d"}}`, edits))
			if err := k.PutToken(t.Context(), "crm", fmt.Sprintf("canary-Renewed-%d", edits)); err != nil {
				t.Error(err)
			}
		}
		other.rotate(t)
		if err := other.FinishRotation(t.Context()); err != nil {
			t.Fatal(err)
		}
		k = k.reopened(t)
		if got := k.text(t, "erp", "password"); got != "canary-Edit-2" {
			t.Errorf("password %q after %d edits", got, edits)
		}
		if got, err := k.StoredToken(t.Context(), "crm"); got != "canary-Renewed-2" || err != nil {
			t.Errorf("token %q, %v", got, err)
		}
		if s := k.status(t); s.Rotation.Pending != 0 {
			t.Errorf("left with the old key: %+v", s)
		}
	})
}

func TestDamagedTextsDoNotStopARotation(t *testing.T) {
	t.Parallel()
	k := setup(t)
	stocked(t, k)
	row := k.sealedRow(t, "erp")
	bad := row
	bad.set(t, map[string][]byte{"password": append(row.ciphertext(t)["password"], 0)})
	k.exec(t, "UPDATE credential_versions SET sealed = ? WHERE credential = 'erp' AND version = 2", bad.Sealed)
	k.exec(t, "UPDATE credential_versions SET sealed = ? WHERE credential = 'erp' AND version = 1", []byte("no JSON"))
	k.rotate(t)
	if err := k.FinishRotation(t.Context()); err != nil {
		t.Fatal(err)
	}
	s := k.status(t)
	if s.Rotation.Pending != 1 || !strings.HasPrefix(s.Rotation.Message, "1 sealed texts do not open") {
		t.Errorf("%+v", s.Rotation)
	}
	if err := k.reopened(t).FinishRotation(t.Context()); err != nil {
		t.Fatal(err)
	}
	k.exec(t, "UPDATE credential_versions SET sealed = ? WHERE credential = 'erp' AND version = 2", row.Sealed)
	if got := k.reopened(t).text(t, "erp", "password"); got != "canary-Pw-2" {
		t.Errorf("the restored row of before the rotation gives %q", got)
	}
}

// Processes on different machines have a key file each.
func TestSharedDatabaseRotatesInTwoSteps(t *testing.T) {
	t.Parallel()
	db := databasetest.Postgres(t)
	here, there := setupOn(t, db, t.TempDir()), t.TempDir()
	copyKey := func() {
		text, err := os.ReadFile(filepath.Join(here.dir, masterkey.FileName))
		if err == nil {
			err = os.WriteFile(filepath.Join(there, masterkey.FileName), text, 0o600)
		}
		if err != nil {
			t.Fatal(err)
		}
	}
	copyKey()
	stocked(t, here)
	other := setupOn(t, db, there)
	first := here.rotate(t)
	if first.Rotation.Running || len(first.Keys) != 2 || first.Keys[1].Primary ||
		!strings.Contains(first.Rotation.Message, "seals nothing yet. Other processes use this database: put the file into the data folder of each") {
		t.Fatalf("the first step: %+v", first)
	}
	if err := here.FinishRotation(t.Context()); err != nil || here.status(t).Keys[1].Sealed != 0 {
		t.Fatalf("the first step seals: %+v, %v", here.status(t), err)
	}
	here.rotate(t)
	if err := here.FinishRotation(t.Context()); err != nil {
		t.Fatal(err)
	}
	other = setupOnFails(t, db, other)
	_, err := other.OpenText(t.Context(), "erp", "password")
	want := fmt.Sprintf(`credential "erp" is sealed with key %d, which is not in %s: put the key file`, here.status(t).Primary, filepath.Join(there, masterkey.FileName))
	if !fault.Is(err, fault.Conflict) || !strings.HasPrefix(fault.Message(err), want) {
		t.Errorf("a process without the key: %v", err)
	}
	copyKey()
	readable(t, other)
	other.create(t, `{"id": "new", "type": "bearer_token", "fields": {"token": "canary-New-1"}, "allowed_hosts": ["a.example"]}`)
	if s := here.status(t); s.Rotation.Pending != 0 {
		t.Errorf("the other process goes on to seal with the old key: %+v", s)
	}
}

// setupOnFails sees that a process that starts without the key is refused, and gives back the
// one that runs.
func setupOnFails(t *testing.T, db *database.DB, running *keep) *keep {
	t.Helper()
	_, err := start(t, db, running.dir, "")
	if e, ok := errors.AsType[*masterkey.KeyError](err); !ok || e.KeyID == 0 || !strings.Contains(e.Message, "wrong master key") {
		t.Errorf("a start without the new key: %v", err)
	}
	return running
}

func TestKeysFromTheEnvironmentRotateToTheirPrimary(t *testing.T) {
	t.Parallel()
	k := setup(t)
	stocked(t, k)
	path := filepath.Join(k.dir, masterkey.FileName)
	old, err := os.ReadFile(path)
	if err != nil {
		t.Fatal(err)
	}
	v, err := start(t, k.db, t.TempDir(), string(old))
	if err != nil {
		t.Fatal(err)
	}
	_, err = v.RotateKeys(t.Context(), admin)
	if want := "KEYFLOW_MASTER_KEY holds the master key, so no key can be added here, and everything is sealed with its primary key already. "; !fault.Is(err, fault.Conflict) || !strings.HasPrefix(fault.Message(err), want) {
		t.Errorf("rotate: %v", err)
	}
	k.rotate(t)
	both, err := os.ReadFile(path)
	if err != nil {
		t.Fatal(err)
	}
	if v, err = start(t, k.db, t.TempDir(), string(both)); err != nil {
		t.Fatal(err)
	}
	s, err := v.RotateKeys(t.Context(), admin)
	if err != nil || s.Source != "environment" || s.Rotation.Pending != stockedTexts {
		t.Fatalf("%+v, %v", s, err)
	}
	if err := v.FinishRotation(t.Context()); err != nil {
		t.Fatal(err)
	}
	if s, err = v.Keys(t.Context(), admin); err != nil || s.Rotation.Pending != 0 {
		t.Errorf("%+v, %v", s, err)
	}
}

func TestKeyFilesThatCannotBeReplaced(t *testing.T) {
	t.Parallel()
	tests := map[string]struct {
		change func(path string) error
		want   string
	}{
		"gone":    {os.Remove, "is not the file that this process read its master key from: restore it before you rotate"},
		"damaged": {func(path string) error { return os.Truncate(path, 10) }, "is not the file that this process read its master key from"},
		"a link": {func(path string) error {
			return errors.Join(os.Rename(path, path+".real"), os.Symlink(path+".real", path))
		}, "is a link or no file, so it cannot be replaced"},
	}
	for name, tt := range tests {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			k := setup(t)
			stocked(t, k)
			if err := tt.change(filepath.Join(k.dir, masterkey.FileName)); err != nil {
				t.Fatal(err)
			}
			if _, err := k.RotateKeys(t.Context(), admin); !fault.Is(err, fault.Conflict) || !strings.Contains(fault.Message(err), tt.want) {
				t.Errorf("rotate: %v", err)
			}
			if s := k.status(t); len(s.Keys) != 1 || s.Rotation.Pending != 0 {
				t.Errorf("%+v", s)
			}
			readable(t, k)
		})
	}
}

func TestKeysAreForAdministrators(t *testing.T) {
	t.Parallel()
	k := setup(t)
	for _, caller := range []identity.Caller{
		{Name: "manager", Role: identity.CredentialManager, Folder: "/"}, {Name: "admin below", Role: identity.Admin, Folder: "/hr"}, {},
	} {
		if _, err := k.Keys(t.Context(), caller); !fault.Is(err, fault.Forbidden) {
			t.Errorf("%s sees keys: %v", caller.Name, err)
		}
		if _, err := k.RotateKeys(t.Context(), caller); !fault.Is(err, fault.Forbidden) {
			t.Errorf("%s rotates: %v", caller.Name, err)
		}
	}
}

// A rotation is finished by the next start.
func TestServeFinishesARotation(t *testing.T) {
	t.Parallel()
	k := setup(t)
	stocked(t, k)
	k.rotate(t)
	next := k.reopened(t)
	ctx, stop := context.WithCancel(t.Context())
	served := make(chan error, 1)
	go func() { served <- next.Serve(ctx) }()
	for tick := time.NewTicker(time.Millisecond); next.status(t).Rotation.Pending > 0 && ctx.Err() == nil; {
		<-tick.C
	}
	stop()
	if err := <-served; err != nil {
		t.Fatal(err)
	}
	readable(t, next.reopened(t))
}
