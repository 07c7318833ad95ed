package vault_test

import (
	"context"
	"fmt"
	"strings"
	"sync"
	"sync/atomic"
	"testing"
	"testing/synctest"

	"github.com/google/go-cmp/cmp"

	"keyflow/credentials"
	"keyflow/credentials/document"
	"keyflow/credentials/masterkey"
	"keyflow/credentials/sqlstore"
	"keyflow/credentials/vault"
	"keyflow/internal/database"
	"keyflow/internal/database/databasetest"
)

// Promise P1: whoever begins after an edit has returned sees it, in every process.
func TestEveryUseAfterAnEditSeesIt(t *testing.T) {
	t.Parallel()
	databasetest.Each(t, func(t *testing.T, open func() *database.DB) {
		db, dir := open(), t.TempDir()
		editor := setupOn(t, db, dir)
		users := []*keep{editor}
		if db.Dialect() == database.Postgres {
			users = append(users, setupOn(t, db, dir), setupOn(t, db, dir))
		}
		editor.create(t, erp)
		var newest atomic.Int64
		newest.Store(1)
		ctx, stop := context.WithCancel(t.Context())
		var wg sync.WaitGroup
		for _, user := range users {
			for range 4 {
				wg.Go(func() {
					for ctx.Err() == nil {
						least := newest.Load()
						text, err := user.OpenText(t.Context(), "erp", "password")
						if err != nil {
							t.Error(err)
							return
						}
						var seen int64
						if _, err := fmt.Sscanf(text, "canary-Pw-%d", &seen); err != nil || seen < least {
							t.Errorf("edit %d had returned, but %q was used (%v)", least, text, err)
							return
						}
					}
				})
			}
		}
		for i := int64(2); i <= 40; i++ {
			editor.patch(t, "erp", fmt.Sprintf(`{"fields": {"password": "canary-Pw-%d"}}`, i))
			newest.Store(i)
		}
		stop()
		wg.Wait()
	})
}

func TestDeleteAndCreateAgainIsSeenByOtherProcesses(t *testing.T) {
	t.Parallel()
	db, dir := databasetest.Postgres(t), t.TempDir()
	a, b := setupOn(t, db, dir), setupOn(t, db, dir)
	a.create(t, erp)
	if text := b.text(t, "erp", "password"); text != "canary-Pw-1" {
		t.Fatalf("password %q", text)
	}
	if err := a.Delete(t.Context(), admin, "erp", false); err != nil {
		t.Fatal(err)
	}
	if _, err := b.OpenText(t.Context(), "erp", "password"); err == nil {
		t.Error("a deleted credential opens in another process")
	}
	a.create(t, strings.Replace(erp, "canary-Pw-1", "canary-Pw-2", 1))
	if text := b.text(t, "erp", "password"); text != "canary-Pw-2" {
		t.Errorf("created again, the other process uses %q", text)
	}
	if _, err := a.SetState(t.Context(), "erp", credentials.Refused, "401"); err != nil {
		t.Fatal(err)
	}
	if s, err := b.SetState(t.Context(), "erp", credentials.Refused, "401"); err != nil || s.Status != credentials.Refused {
		t.Errorf("the other process sees the state %+v, %v", s, err)
	}
}

// countingStore is a shared store that counts reads and, while gate is not nil, lets each
// read of a stamp wait for it.
type countingStore struct {
	*sqlstore.Store
	stamps, gets atomic.Int64
	begun        chan struct{}
	gate         chan struct{}
}

func (s *countingStore) Shared() bool { return true }

func (s *countingStore) Stamp(ctx context.Context, id credentials.ID) (credentials.Stamp, error) {
	s.stamps.Add(1)
	if s.gate != nil {
		s.begun <- struct{}{}
		<-s.gate
	}
	return s.Store.Stamp(ctx, id)
}

func (s *countingStore) Get(ctx context.Context, id credentials.ID) (credentials.Record, error) {
	s.gets.Add(1)
	return s.Store.Get(ctx, id)
}

func setupCounting(t *testing.T) (*vault.Vault, *countingStore) {
	t.Helper()
	store := &countingStore{Store: sqlstore.New(databasetest.SQLite(t)), begun: make(chan struct{})}
	keys, err := masterkey.Open(t.TempDir(), "")
	if err != nil {
		t.Fatal(err)
	}
	v, err := vault.New(vault.Options{Store: store, Tokens: store, Limits: store, Canary: store, Keyset: keys})
	if err != nil {
		t.Fatal(err)
	}
	if _, err := v.Create(t.Context(), admin, input(t, erp)); err != nil {
		t.Fatal(err)
	}
	if _, err := v.OpenText(t.Context(), "erp", "password"); err != nil {
		t.Fatal(err)
	}
	return v, store
}

// Many uses at once share reads: those who come while a read is under way share the next
// one, because the one under way may have begun before an edit that they must see.
func TestUsesShareTheReadOfTheRevision(t *testing.T) {
	t.Parallel()
	v, store := setupCounting(t)
	const users = 50
	synctest.Test(t, func(t *testing.T) {
		store.stamps.Store(0)
		store.begun, store.gate = make(chan struct{}), make(chan struct{})
		results := make(chan string, users+1)
		use := func() {
			text, err := v.OpenText(t.Context(), "erp", "password")
			results <- fmt.Sprint(text, err)
		}
		go use()
		<-store.begun // the first read is under way

		edited := strings.Replace(erp, "canary-Pw-1", "canary-Pw-2", 1)
		if _, err := v.Replace(t.Context(), admin, "erp", input(t, edited), credentials.AnyRevision); err != nil {
			t.Fatal(err)
		}
		for range users {
			go use()
		}
		synctest.Wait() // all of them have come
		store.gate <- struct{}{}
		<-store.begun
		store.gate <- struct{}{}
		got := make(map[string]int)
		for range users + 1 {
			got[<-results]++
		}
		want := map[string]int{"canary-Pw-2<nil>": users + 1} // the first one, too: its read went on after the edit
		if diff := cmp.Diff(want, got); diff != "" {
			t.Error(diff)
		}
	})
	if n := store.stamps.Load(); n != 2 {
		t.Errorf("%d uses made %d reads, want 2", users+1, n)
	}
}

func TestOneCallersEndDoesNotEndTheSharedRead(t *testing.T) {
	t.Parallel()
	v, store := setupCounting(t)
	store.gate = make(chan struct{})
	ctx, cancel := context.WithCancel(t.Context())
	first := make(chan error, 1)
	go func() {
		_, err := v.OpenText(ctx, "erp", "password")
		first <- err
	}()
	<-store.begun
	second := make(chan error, 1)
	go func() {
		_, err := v.OpenText(t.Context(), "erp", "password")
		second <- err
	}()
	cancel()
	if err := <-first; err == nil || !strings.Contains(err.Error(), "context canceled") {
		t.Errorf("the canceled use: %v", err)
	}
	store.gate <- struct{}{}
	<-store.begun
	store.gate <- struct{}{}
	if err := <-second; err != nil {
		t.Errorf("the other use: %v", err)
	}
}

func TestUnchangedCredentialIsDecryptedOnce(t *testing.T) {
	t.Parallel()
	v, store := setupCounting(t)
	store.gets.Store(0)
	for range 10 {
		if _, err := v.OpenText(t.Context(), "erp", "password"); err != nil {
			t.Fatal(err)
		}
	}
	if n := store.gets.Load(); n != 0 {
		t.Errorf("10 uses read the record %d times", n)
	}
}

func BenchmarkOpen(b *testing.B) {
	db := databasetest.SQLite(b)
	store := sqlstore.New(db)
	keys, err := masterkey.Open(b.TempDir(), "")
	if err != nil {
		b.Fatal(err)
	}
	v, err := vault.New(vault.Options{Store: store, Tokens: store, Limits: store, Canary: store, Keyset: keys})
	if err != nil {
		b.Fatal(err)
	}
	in, err := document.Parse([]byte(erp))
	if err != nil {
		b.Fatal(err)
	}
	if _, err := v.Create(b.Context(), admin, in); err != nil {
		b.Fatal(err)
	}
	b.ReportAllocs()
	for b.Loop() {
		if _, err := v.OpenText(b.Context(), "erp", "password"); err != nil {
			b.Fatal(err)
		}
	}
}
