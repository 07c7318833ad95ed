// Package sessiontest is the conformance suite of the stores behind package session:
// every implementation passes it on every database.
package sessiontest

import (
	"crypto/sha256"
	"fmt"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"github.com/alexedwards/scs/v2"
	"github.com/google/go-cmp/cmp"

	"keyflow/internal/fault"
	"keyflow/internal/identity"
	"keyflow/web/session"
)

// Stores are the three stores under test, fresh and empty.
type Stores struct {
	Accounts session.AccountStore
	Tokens   session.TokenStore
	Sessions scs.CtxStore
}

// TestStores runs the suite. Open is called once per test; the sessions it returns must
// take now as their clock.
func TestStores(t *testing.T, open func(t *testing.T, now func() time.Time) Stores) {
	tests := map[string]func(*testing.T, *setup){
		"first account":         testFirstAccount,
		"first account, racing": testFirstAccountRace,
		"tokens":                testTokens,
		"token pages":           testTokenPages,
		"sessions":              testSessions,
	}
	for name, test := range tests {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			s := &setup{}
			s.now.Store(time.Date(2026, 3, 1, 12, 0, 0, 123456000, time.UTC).UnixMicro())
			s.Stores = open(t, s.clock)
			test(t, s)
		})
	}
}

type setup struct {
	Stores
	now atomic.Int64 // microseconds
}

func (s *setup) clock() time.Time { return time.UnixMicro(s.now.Load()).UTC() }

func (s *setup) account(name string) session.Account {
	return session.Account{
		Name: name, PasswordHash: "$argon2id$" + name, Role: identity.Admin, Folder: "/", CreatedAt: s.clock(),
	}
}

func testFirstAccount(t *testing.T, s *setup) {
	ctx := t.Context()
	if done, err := s.Accounts.SetupDone(ctx); err != nil || done {
		t.Fatalf("SetupDone of an empty store = %v, %v", done, err)
	}
	if _, err := s.Accounts.Account(ctx, "kim"); !fault.Is(err, fault.NotFound) {
		t.Errorf("unknown account: %v, want NotFound", err)
	}
	want := s.account("kim")
	if err := s.Accounts.CreateFirst(ctx, want); err != nil {
		t.Fatal(err)
	}
	if done, err := s.Accounts.SetupDone(ctx); err != nil || !done {
		t.Errorf("SetupDone after the first account = %v, %v", done, err)
	}
	if err := s.Accounts.CreateFirst(ctx, s.account("lee")); !fault.Is(err, fault.Conflict) {
		t.Errorf("second first account: %v, want Conflict", err)
	}
	got, err := s.Accounts.Account(ctx, "kim")
	if err != nil {
		t.Fatal(err)
	}
	if diff := cmp.Diff(want, got); diff != "" {
		t.Errorf("account (-want +got):\n%s", diff)
	}
	if _, err := s.Accounts.Account(ctx, "lee"); !fault.Is(err, fault.NotFound) {
		t.Errorf("the loser's account exists: %v", err)
	}
}

func testFirstAccountRace(t *testing.T, s *setup) {
	const racers = 200
	var wg sync.WaitGroup
	var won atomic.Int32
	for i := range racers {
		wg.Go(func() {
			err := s.Accounts.CreateFirst(t.Context(), s.account(fmt.Sprintf("racer%d", i)))
			switch {
			case err == nil:
				won.Add(1)
			case !fault.Is(err, fault.Conflict):
				t.Errorf("racer %d: %v, want Conflict", i, err)
			}
		})
	}
	wg.Wait()
	if won.Load() != 1 {
		t.Errorf("%d first administrators, want exactly 1", won.Load())
	}
}

func testTokens(t *testing.T, s *setup) {
	ctx := t.Context()
	expires := s.clock().Add(time.Hour)
	want := session.Token{
		ID: "0197a", Name: "ci", Role: identity.Operator, Folder: "/hr",
		CreatedAt: s.clock(), CreatedBy: "admin", ExpiresAt: &expires,
	}
	hash := session.Hash(sha256.Sum256([]byte("kf_one")))
	if err := s.Tokens.Create(ctx, want, hash); err != nil {
		t.Fatal(err)
	}
	twin := want
	twin.ID = "0197b"
	if err := s.Tokens.Create(ctx, twin, session.Hash{1}); !fault.Is(err, fault.Conflict) || fault.Message(err) != `a token named "ci" already exists` {
		t.Errorf("same name again: %v", err)
	}
	if _, err := s.Tokens.ByHash(ctx, session.Hash{2}); !fault.Is(err, fault.NotFound) {
		t.Errorf("unknown hash: %v, want NotFound", err)
	}
	used := s.clock().Add(time.Minute)
	if err := s.Tokens.Touch(ctx, want.ID, used); err != nil {
		t.Fatal(err)
	}
	want.LastUsedAt = &used
	for name, load := range map[string]func() (session.Token, error){
		"by hash": func() (session.Token, error) { return s.Tokens.ByHash(ctx, hash) },
		"by id":   func() (session.Token, error) { return s.Tokens.Token(ctx, want.ID) },
	} {
		got, err := load()
		if err != nil {
			t.Fatalf("%s: %v", name, err)
		}
		if diff := cmp.Diff(want, got); diff != "" {
			t.Errorf("%s (-want +got):\n%s", name, diff)
		}
	}
	if err := s.Tokens.Delete(ctx, want.ID); err != nil {
		t.Fatal(err)
	}
	if err := s.Tokens.Delete(ctx, want.ID); !fault.Is(err, fault.NotFound) {
		t.Errorf("second delete: %v, want NotFound", err)
	}
	if _, err := s.Tokens.ByHash(ctx, hash); !fault.Is(err, fault.NotFound) {
		t.Errorf("deleted token by hash: %v, want NotFound", err)
	}
	if err := s.Tokens.Touch(ctx, want.ID, used); err != nil {
		t.Errorf("touch of a deleted token: %v, want nil", err)
	}
}

func testTokenPages(t *testing.T, s *setup) {
	ctx := t.Context()
	for i, folder := range []string{"/", "/hr", "/hr/seoul", "/hr_x", "/hrx", "/hr"} {
		token := session.Token{ID: fmt.Sprintf("0%d", i), Name: fmt.Sprintf("t%d", i), Folder: folder, CreatedAt: s.clock()}
		if err := s.Tokens.Create(ctx, token, session.Hash{byte(i)}); err != nil {
			t.Fatal(err)
		}
	}
	tests := map[string]struct {
		filter session.TokenFilter
		want   []string
	}{
		"all, newest first":      {session.TokenFilter{Limit: 10}, []string{"05", "04", "03", "02", "01", "00"}},
		"first page":             {session.TokenFilter{Limit: 2}, []string{"05", "04"}},
		"next page":              {session.TokenFilter{Before: "04", Limit: 2}, []string{"03", "02"}},
		"folder and below":       {session.TokenFilter{Folder: "/hr", Limit: 10}, []string{"05", "02", "01"}},
		"wildcards are literal":  {session.TokenFilter{Folder: "/h%", Limit: 10}, []string{}},
		"root is everywhere":     {session.TokenFilter{Folder: "/", Before: "01", Limit: 10}, []string{"00"}},
		"quotes are only quotes": {session.TokenFilter{Before: `0' OR '1'='1`, Folder: "/hr", Limit: 10}, []string{}},
	}
	for name, tt := range tests {
		got, err := s.Tokens.List(ctx, tt.filter)
		if err != nil {
			t.Fatalf("%s: %v", name, err)
		}
		ids := make([]string, len(got))
		for i, token := range got {
			ids[i] = token.ID
		}
		if diff := cmp.Diff(tt.want, ids); diff != "" {
			t.Errorf("%s (-want +got):\n%s", name, diff)
		}
	}
}

func testSessions(t *testing.T, s *setup) {
	ctx := t.Context()
	if _, found, err := s.Sessions.FindCtx(ctx, "none"); found || err != nil {
		t.Errorf("unknown session: found %v, error %v", found, err)
	}
	ends := s.clock().Add(time.Hour)
	for _, data := range []string{"one", "two"} { // the second replaces the first
		if err := s.Sessions.CommitCtx(ctx, "a", []byte(data), ends); err != nil {
			t.Fatal(err)
		}
	}
	if data, found, err := s.Sessions.FindCtx(ctx, "a"); string(data) != "two" || !found || err != nil {
		t.Errorf("session: %q, found %v, error %v", data, found, err)
	}
	if err := s.Sessions.DeleteCtx(ctx, "none"); err != nil {
		t.Errorf("delete of an unknown session: %v", err)
	}
	s.now.Store(ends.UnixMicro())
	if _, found, err := s.Sessions.FindCtx(ctx, "a"); found || err != nil {
		t.Errorf("session at its end: found %v, error %v", found, err)
	}
	if err := s.Sessions.CommitCtx(ctx, "b", []byte("new"), ends.Add(time.Hour)); err != nil {
		t.Fatal(err)
	}
	s.now.Store(ends.Add(-time.Minute).UnixMicro()) // the clock goes back: an ended session is gone, not hidden
	if _, found, err := s.Sessions.FindCtx(ctx, "a"); found || err != nil {
		t.Errorf("ended session after another began: found %v, error %v", found, err)
	}
	if err := s.Sessions.DeleteCtx(ctx, "b"); err != nil {
		t.Fatal(err)
	}
	if _, found, err := s.Sessions.FindCtx(ctx, "b"); found || err != nil {
		t.Errorf("deleted session: found %v, error %v", found, err)
	}
}
