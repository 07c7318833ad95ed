// Package credentialstest is the suite that every implementation of the store contracts of
// package credentials has to pass.
package credentialstest

import (
	"errors"
	"fmt"
	"maps"
	"slices"
	"sync"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"
	"github.com/google/go-cmp/cmp/cmpopts"

	"keyflow/credentials"
	"keyflow/internal/fault"
)

// Store is all store contracts at once.
type Store interface {
	credentials.Store
	credentials.TokenStore
	credentials.LimitStore
	credentials.CanaryStore
	credentials.UsageStore
	credentials.ReminderStore
}

// TestStore runs the suite. open returns a fresh, empty store.
func TestStore(t *testing.T, open func(t *testing.T) Store) {
	t.Helper()
	for name, test := range map[string]func(t *testing.T, s Store){
		"round trip":         testRoundTrip,
		"change":             testChange,
		"change many":        testChangeAll,
		"change all or none": testChangeAllOrNone,
		"revisions":          testRevisions,
		"concurrent changes": testConcurrentChanges,
		"list":               testList,
		"versions":           testVersions,
		"candidates":         testCandidates,
		"state":              testState,
		"touch":              testTouch,
		"tokens":             testTokens,
		"connects":           testConnects,
		"failed tokens":      testFailToken,
		"leases":             testLeases,
		"requests":           testRequests,
		"slots":              testSlots,
		"turns":              testTurns,
		"usages":             testUsages,
		"list by impact":     testImpactList,
		"reminders":          testReminders,
		"racing reminders":   testConcurrentReminders,
		"delete takes along": testDelete,
		"canary":             testCanary,
		"sealed":             testSealed,
		"sealed and writers": testSealedIsReadBesideWriters,
		"state beside edit":  testStateBesideEdit,
		"reseal waits":       testResealWaitsForEdit,
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			test(t, open(t))
		})
	}
}

func at(seconds int) time.Time {
	return time.Date(2026, 3, 1, 12, 0, seconds, 123456000, time.UTC)
}

func record(id credentials.ID) credentials.Record {
	updated := at(1)
	expires := at(500)
	return credentials.Record{
		Credential: credentials.Credential{
			ID: id, Name: "Name of " + string(id), Description: "d <&>", Labels: map[string]string{"team": "it"}, Folder: "/partners/acme",
			Type: "basic_auth", Fields: map[string]any{"username": "u", "flag": true, "map": map[string]any{"a": "b"}},
			Secrets:      map[string]credentials.SecretInfo{"password": {Set: true, UpdatedAt: &updated, Fingerprint: "0123456789ab"}, "other": {}},
			AllowedHosts: []string{"api.example.com"}, AllowedWorkflows: []string{"/**"},
			FailureRules: []credentials.FailureRule{{Status: []int{403}, Headers: map[string]string{"x": "y"}, Action: "refuse"}},
			TestURL:      "https://api.example.com/", ExpiresAt: &expires, RotateEvery: "90d", RotatableBy: []string{"/it/*"}, Grace: "7d",
			FallBack: &credentials.FallBack{Version: 1, Until: &expires},
			State:    credentials.State{Status: credentials.Untested, Message: "m", Since: at(2)},
			Version:  1, CreatedAt: at(1), CreatedBy: "admin", UpdatedAt: at(1), UpdatedBy: "admin", Warnings: []string{"w"},
		},
		Sealed:         map[string][]byte{"password": {0, 1, 2, 255}},
		FingerprintKey: []byte{9, 0, 9},
		Grant:          7,
		Made:           credentials.Made{At: at(1), By: "admin", Origin: credentials.OriginImport},
		Binding:        []byte{8, 0},
		VersionBinding: []byte{0, 8},
	}
}

// create stores a record that edit has changed.
func create(t *testing.T, s Store, id credentials.ID, edit func(*credentials.Record)) credentials.Record {
	t.Helper()
	r := record(id)
	if edit != nil {
		edit(&r)
	}
	stored, err := s.Change(t.Context(), id, func(old *credentials.Record, revision int64) (*credentials.Record, error) {
		if old != nil {
			return nil, fmt.Errorf("%s exists", id)
		}
		r.Revision = revision
		return &r, nil
	})
	if err != nil {
		t.Fatal(err)
	}
	return *stored
}

// change edits a stored record.
func change(t *testing.T, s Store, id credentials.ID, edit func(r *credentials.Record)) {
	t.Helper()
	stored, err := s.Change(t.Context(), id, func(old *credentials.Record, revision int64) (*credentials.Record, error) {
		old.Revision = revision
		edit(old)
		return old, nil
	})
	if err != nil {
		t.Fatal(err)
	}
	equal(t, "record", get(t, s, id), *stored)
}

func remove(t *testing.T, s Store, id credentials.ID) {
	t.Helper()
	_, err := s.Change(t.Context(), id, func(*credentials.Record, int64) (*credentials.Record, error) { return nil, nil })
	if err != nil {
		t.Fatal(err)
	}
}

func get(t *testing.T, s Store, id credentials.ID) credentials.Record {
	t.Helper()
	r, err := s.Get(t.Context(), id)
	if err != nil {
		t.Fatal(err)
	}
	return r
}

func equal(t *testing.T, what string, got, want any) {
	t.Helper()
	if diff := cmp.Diff(want, got, cmpopts.EquateEmpty()); diff != "" {
		t.Errorf("%s (-want +got):\n%s", what, diff)
	}
}

func testRoundTrip(t *testing.T, s Store) {
	want := create(t, s, "erp", nil)
	equal(t, "record", get(t, s, "erp"), want)
	none := create(t, s, "none", func(r *credentials.Record) {
		*r = credentials.Record{Credential: credentials.Credential{
			ID: "none", Name: "n", Folder: "/", Type: "no_auth", Version: 1,
			State:     credentials.State{Status: credentials.OK, Since: at(0)},
			CreatedAt: at(0), UpdatedAt: at(0),
		}, Made: credentials.Made{At: at(0)}, FingerprintKey: []byte{1}}
	})
	got := get(t, s, "none")
	equal(t, "least record", got, none)
	if got.AllowedWorkflows != nil {
		t.Error("allowed_workflows nil (own folder) came back as an empty list (no workflow)")
	}
	create(t, s, "closed", func(r *credentials.Record) { r.AllowedWorkflows = []string{} })
	if get(t, s, "closed").AllowedWorkflows == nil {
		t.Error("allowed_workflows empty (no workflow) came back as nil (own folder)")
	}
	if _, err := s.Get(t.Context(), "missing"); !fault.Is(err, fault.NotFound) || fault.Message(err) != `credential "missing" does not exist` {
		t.Errorf("missing: %v", err)
	}
	if _, err := s.Stamp(t.Context(), "missing"); !fault.Is(err, fault.NotFound) {
		t.Errorf("stamp of a missing one: %v", err)
	}
}

func testChange(t *testing.T, s Store) {
	created := create(t, s, "erp", nil)
	later := at(60)
	stored, err := s.Change(t.Context(), "erp", func(old *credentials.Record, revision int64) (*credentials.Record, error) {
		equal(t, "old record", *old, created)
		next := *old
		next.Name, next.Labels, next.RotateEvery, next.ExpiresAt = "New", nil, "", nil
		next.Revision, next.UpdatedAt, next.UpdatedBy = revision, later, "token:ci"
		next.State = credentials.State{Status: credentials.OK, Since: later}
		return &next, nil
	})
	if err != nil {
		t.Fatal(err)
	}
	equal(t, "changed record", get(t, s, "erp"), *stored)

	stop := fault.New(fault.Stale, "stop")
	_, err = s.Change(t.Context(), "erp", func(old *credentials.Record, _ int64) (*credentials.Record, error) {
		old.Name = "lost"
		return old, stop
	})
	if !errors.Is(err, stop) {
		t.Errorf("error of the function: %v", err)
	}
	equal(t, "record after a refused change", get(t, s, "erp"), *stored)
}

func testRevisions(t *testing.T, s Store) {
	first := create(t, s, "a", nil)
	second := create(t, s, "b", nil)
	remove(t, s, "a")
	third := create(t, s, "a", nil)
	if first.Revision >= second.Revision || second.Revision+1 >= third.Revision {
		t.Errorf("revisions %d, %d, (delete), %d do not rise with every edit", first.Revision, second.Revision, third.Revision)
	}
	stamp, err := s.Stamp(t.Context(), "a")
	if err != nil {
		t.Fatal(err)
	}
	equal(t, "stamp", stamp, credentials.Stamp{Revision: third.Revision, State: third.State})
}

func testConcurrentChanges(t *testing.T, s Store) {
	create(t, s, "counter", func(r *credentials.Record) { r.Name = "" })
	const writers = 8
	var wg sync.WaitGroup
	errs := make(chan error, writers)
	for range writers {
		wg.Go(func() {
			_, err := s.Change(t.Context(), "counter", func(old *credentials.Record, revision int64) (*credentials.Record, error) {
				old.Name += "x"
				old.Revision = revision
				return old, nil
			})
			errs <- err
		})
	}
	wg.Wait()
	for range writers {
		if err := <-errs; err != nil {
			t.Fatal(err)
		}
	}
	if got := get(t, s, "counter").Name; len(got) != writers {
		t.Errorf("%d concurrent edits left %q: one was lost", writers, got)
	}
}

func testList(t *testing.T, s Store) {
	for id, folder := range map[credentials.ID]string{"a": "/", "b_1": "/hr", "b-2": "/hr/korea", "bx1": "/hrx", "c": "/it"} {
		create(t, s, id, func(r *credentials.Record) {
			r.Folder = folder
			if id == "c" {
				r.Type, r.Name, r.State.Status = "api_key", "50% OFF", credentials.Refused
			}
			if id == "b_1" {
				r.Fields = map[string]any{"username": "u", "keep_alive": "7d"}
			}
		})
	}
	tests := map[string]struct {
		filter credentials.Filter
		want   []credentials.ID
	}{
		"all":               {credentials.Filter{}, []credentials.ID{"a", "b-2", "b_1", "bx1", "c"}},
		"root":              {credentials.Filter{Folder: "/"}, []credentials.ID{"a", "b-2", "b_1", "bx1", "c"}},
		"folder and below":  {credentials.Filter{Folder: "/hr"}, []credentials.ID{"b-2", "b_1"}},
		"page":              {credentials.Filter{After: "b-2", Limit: 2}, []credentials.ID{"b_1", "bx1"}},
		"type":              {credentials.Filter{Type: "api_key"}, []credentials.ID{"c"}},
		"state":             {credentials.Filter{Status: credentials.Refused}, []credentials.ID{"c"}},
		"part of id":        {credentials.Filter{Query: "B_"}, []credentials.ID{"b_1"}},
		"part of name":      {credentials.Filter{Query: "0% o"}, []credentials.ID{"c"}},
		"nothing":           {credentials.Filter{Query: `\`}, nil},
		"all of them":       {credentials.Filter{Query: "of b", Folder: "/hr", Type: "basic_auth"}, []credentials.ID{"b-2", "b_1"}},
		"kept alive":        {credentials.Filter{KeptAlive: true}, []credentials.ID{"b_1"}},
		"these":             {credentials.Filter{IDs: []credentials.ID{"c", "a", "missing"}}, []credentials.ID{"a", "c"}},
		"none of them":      {credentials.Filter{IDs: []credentials.ID{}}, nil},
		"folder with a dot": {credentials.Filter{Folder: "/h_"}, nil},
	}
	for name, tt := range tests {
		t.Run(name, func(t *testing.T) { listed(t, s, tt.filter, tt.want) })
	}
}

// listed requires a list to hold these credentials, in this order.
func listed(t *testing.T, s Store, f credentials.Filter, want []credentials.ID) {
	t.Helper()
	records, err := s.List(t.Context(), f)
	if err != nil {
		t.Fatal(err)
	}
	var got []credentials.ID
	for _, r := range records {
		got = append(got, r.ID)
	}
	equal(t, "ids", got, want)
}

func testVersions(t *testing.T, s Store) {
	first := create(t, s, "erp", nil)
	edit := func(fn func(r *credentials.Record)) {
		t.Helper()
		_, err := s.Change(t.Context(), "erp", func(old *credentials.Record, revision int64) (*credentials.Record, error) {
			old.Revision, old.UpdatedAt, old.UpdatedBy = revision, at(int(revision)), "token:ci"
			fn(old)
			return old, nil
		})
		if err != nil {
			t.Fatal(err)
		}
	}
	edit(func(r *credentials.Record) { // of the same version
		r.AllowedHosts, r.VersionBinding = []string{"last.example.com"}, []byte("last")
	})
	kept := get(t, s, "erp")
	former := kept.CurrentVersion()
	edit(func(r *credentials.Record) {
		r.Version, r.AllowedHosts, r.VersionBinding = 2, nil, nil
		r.Made = credentials.Made{At: at(70), By: "token:ci", Origin: credentials.OriginPromotion}
		r.Fields = map[string]any{"username": "u2"}
		r.Sealed = map[string][]byte{}
		r.Secrets = map[string]credentials.SecretInfo{"password": {}}
	})
	second := get(t, s, "erp")
	got, err := s.Versions(t.Context(), "erp")
	if err != nil {
		t.Fatal(err)
	}
	equal(t, "versions", got, []credentials.VersionInfo{
		{Version: 2, CreatedAt: at(70), CreatedBy: "token:ci", Origin: "promotion", Fields: second.Fields, Current: true, Fingerprints: map[string]string{}},
		{Version: 1, CreatedAt: at(1), CreatedBy: "admin", Origin: "import", Fields: first.Fields, Fingerprints: map[string]string{"password": "0123456789ab"}},
	})
	for number, want := range map[int]credentials.Version{1: former, 2: second.CurrentVersion()} {
		got, err := s.Version(t.Context(), "erp", number)
		if err != nil {
			t.Fatal(err)
		}
		equal(t, fmt.Sprint("version ", number), got, want)
	}
	if _, err := s.Version(t.Context(), "erp", 3); !fault.Is(err, fault.NotFound) || fault.Message(err) != `version 3 of credential "erp" does not exist` {
		t.Errorf("missing version: %v", err)
	}
	if _, err := s.Versions(t.Context(), "missing"); !fault.Is(err, fault.NotFound) {
		t.Errorf("versions of a missing one: %v", err)
	}
}

func testCandidates(t *testing.T, s Store) {
	create(t, s, "erp", nil)
	changed := at(3)
	change(t, s, "erp", func(r *credentials.Record) {
		r.Candidate = &credentials.Candidate{
			Fields: map[string]any{"username": "next", "map": map[string]any{"a": "b"}}, CreatedAt: at(4), CreatedBy: "admin",
			Secrets: map[string]credentials.SecretInfo{"password": {Set: true, UpdatedAt: &changed, Fingerprint: "ba9876543210"}, "other": {}},
		}
		r.Staged = &credentials.Staged{
			Revision: r.Revision, Sealed: map[string][]byte{"password": {3, 0}},
			Reach: credentials.Reach{AllowedHosts: []string{"*.example.com"}, TestURL: "https://a.example.com/"},
		}
	})
	change(t, s, "erp", func(r *credentials.Record) {
		r.Candidate.Test = &credentials.CandidateTest{OK: true, Message: "m", Suggestion: "s", At: at(5)}
	})
	change(t, s, "erp", func(r *credentials.Record) { r.Candidate, r.Staged, r.FallBack = nil, nil, nil })
}

func testState(t *testing.T, s Store) {
	r := create(t, s, "erp", nil)
	refused := credentials.State{Status: credentials.Refused, Message: "401 from api.example.com", Since: at(90)}
	stored, err := s.SetState(t.Context(), "erp", r.Revision-1, refused)
	if err != nil || stored {
		t.Errorf("state of another revision: stored %v, %v", stored, err)
	}
	equal(t, "record", get(t, s, "erp"), r)
	stored, err = s.SetState(t.Context(), "erp", r.Revision, refused)
	if err != nil || !stored {
		t.Fatalf("state of this revision: stored %v, %v", stored, err)
	}
	r.State = refused
	equal(t, "record", get(t, s, "erp"), r)
	if stored, err := s.SetState(t.Context(), "missing", 1, refused); err != nil || stored {
		t.Errorf("state of a missing one: stored %v, %v", stored, err)
	}
}

func testTouch(t *testing.T, s Store) {
	create(t, s, "a", nil)
	create(t, s, "b", nil)
	for _, used := range []map[credentials.ID]time.Time{
		{"a": at(10), "missing": at(10)}, {"a": at(5), "b": at(20)}, {},
	} {
		if err := s.Touch(t.Context(), used); err != nil {
			t.Fatal(err)
		}
	}
	a, b := get(t, s, "a").LastUsedAt, get(t, s, "b").LastUsedAt
	if a == nil || !a.Equal(at(10)) || b == nil || !b.Equal(at(20)) {
		t.Errorf("last used %v and %v, want %v and %v", a, b, at(10), at(20))
	}
	_, err := s.Change(t.Context(), "a", func(old *credentials.Record, revision int64) (*credentials.Record, error) {
		old.Revision, old.LastUsedAt = revision, nil
		return old, nil
	})
	if err != nil {
		t.Fatal(err)
	}
	if a := get(t, s, "a").LastUsedAt; a == nil || !a.Equal(at(10)) {
		t.Errorf("an edit changed last_used_at to %v", a)
	}
}

func testTokens(t *testing.T, s Store) {
	create(t, s, "crm", nil)
	read := func() credentials.Token {
		t.Helper()
		token, err := s.Token(t.Context(), "crm")
		if err != nil {
			t.Fatal(err)
		}
		return token
	}
	swap := func(next credentials.Token, seen int64) bool {
		t.Helper()
		done, err := s.SwapToken(t.Context(), next, seen)
		if err != nil {
			t.Fatal(err)
		}
		return done
	}
	equal(t, "no token", read(), credentials.Token{Credential: "crm"})
	begun := credentials.Token{Credential: "crm", RenewalStarted: at(1)}
	for range 2 {
		if !swap(begun, 0) {
			t.Fatal("the marker of a first renewal was not stored")
		}
	}
	equal(t, "marker", read(), begun)
	first := credentials.Token{Credential: "crm", Generation: 1, Grant: 7, Sealed: []byte{0, 255}}
	if !swap(first, 0) {
		t.Fatal("the first token was not stored")
	}
	equal(t, "first token", read(), first)
	late := credentials.Token{Credential: "crm", Generation: 1, Sealed: []byte("late")}
	if swap(late, 0) || swap(late, 2) {
		t.Error("a token of another generation was overwritten")
	}
	gone := credentials.Token{Credential: "crm", Generation: 2}
	if !swap(gone, 1) {
		t.Fatal("the token was not given up")
	}
	equal(t, "given up", read(), gone)
	if done, err := s.SwapToken(t.Context(), credentials.Token{Credential: "missing", Generation: 1}, 0); err != nil || done {
		t.Errorf("token of a missing credential: stored %v, %v", done, err)
	}

	const racers = 8
	wins := make(chan bool, racers)
	var wg sync.WaitGroup
	for i := range racers {
		wg.Go(func() {
			done, err := s.SwapToken(t.Context(), credentials.Token{Credential: "crm", Generation: 3, Sealed: []byte{byte(i)}}, 2)
			wins <- err == nil && done
		})
	}
	wg.Wait()
	close(wins)
	won := 0
	for w := range wins {
		if w {
			won++
		}
	}
	if won != 1 {
		t.Errorf("%d of %d concurrent renewals were stored, want 1", won, racers)
	}
}

func testConnects(t *testing.T, s Store) {
	create(t, s, "crm", nil)
	connect := func(name string, expires time.Time) credentials.Connect {
		return credentials.Connect{
			Hash: []byte("hash of " + name), Credential: "crm", Session: "session", Grant: 7, Sealed: []byte{1, 0}, ExpiresAt: expires,
		}
	}
	one, old := connect("one", at(600)), connect("old", at(60))
	for _, c := range []credentials.Connect{old, one} {
		if err := s.PutConnect(t.Context(), c, at(0)); err != nil {
			t.Fatal(err)
		}
	}
	unknown := func(what string, hash []byte, now time.Time) {
		t.Helper()
		if _, err := s.TakeConnect(t.Context(), hash, now); !fault.Is(err, fault.NotFound) {
			t.Errorf("%s: %v", what, err)
		}
	}
	unknown("unknown", []byte("hash of nothing"), at(1))
	unknown("expired", old.Hash, at(60))

	const racers = 8
	takes := make(chan credentials.Connect, racers)
	var wg sync.WaitGroup
	for range racers {
		wg.Go(func() {
			if c, err := s.TakeConnect(t.Context(), one.Hash, at(1)); err == nil {
				takes <- c
			}
		})
	}
	wg.Wait()
	close(takes)
	var got []credentials.Connect
	for c := range takes {
		got = append(got, c)
	}
	equal(t, "connects taken", got, []credentials.Connect{one})
	unknown("used", one.Hash, at(1))

	if err := s.PutConnect(t.Context(), connect("next", at(1000)), at(700)); err != nil {
		t.Fatal(err)
	}
	unknown("expired and forgotten", old.Hash, at(0))
	lost := connect("lost", at(1000))
	lost.Credential = "missing"
	if err := s.PutConnect(t.Context(), lost, at(0)); !fault.Is(err, fault.NotFound) {
		t.Errorf("connect of a missing credential: %v", err)
	}
}

func testDelete(t *testing.T, s Store) {
	create(t, s, "crm", nil)
	if done, err := s.SwapToken(t.Context(), credentials.Token{Credential: "crm", Generation: 4, Sealed: []byte("t")}, 0); err != nil || !done {
		t.Fatal(done, err)
	}
	c := credentials.Connect{Hash: []byte("h"), Credential: "crm", Sealed: []byte{1}, ExpiresAt: at(600)}
	if err := s.PutConnect(t.Context(), c, at(0)); err != nil {
		t.Fatal(err)
	}
	remove(t, s, "crm")
	remove(t, s, "crm") // nothing left to delete
	if _, err := s.Get(t.Context(), "crm"); !fault.Is(err, fault.NotFound) {
		t.Errorf("deleted: %v", err)
	}
	create(t, s, "crm", nil)
	token, err := s.Token(t.Context(), "crm")
	if err != nil {
		t.Fatal(err)
	}
	equal(t, "token of a new credential with an old id", token, credentials.Token{Credential: "crm"})
	if _, err := s.TakeConnect(t.Context(), []byte("h"), at(1)); !fault.Is(err, fault.NotFound) {
		t.Errorf("connect of the deleted credential: %v", err)
	}
	infos, err := s.Versions(t.Context(), "crm")
	if err != nil || len(infos) != 1 {
		t.Errorf("versions of a new credential with an old id: %v, %v", infos, err)
	}
}

func testCanary(t *testing.T, s Store) {
	sealed, err := s.Canary(t.Context())
	if err != nil || sealed != nil {
		t.Fatalf("canary of a new database: %q, %v", sealed, err)
	}
	empty, err := s.Empty(t.Context())
	if err != nil || !empty {
		t.Fatalf("empty: %v, %v", empty, err)
	}
	const racers = 4
	results := make([]string, racers)
	var wg sync.WaitGroup
	for i := range racers {
		wg.Go(func() {
			got, err := s.PutCanary(t.Context(), []byte{1, byte(i)})
			results[i] = fmt.Sprint(got, err)
		})
	}
	wg.Wait()
	distinct := make(map[string]int)
	for _, r := range results {
		distinct[r]++
	}
	if len(distinct) != 1 {
		t.Errorf("concurrent starts see different canaries: %v", slices.Sorted(maps.Keys(distinct)))
	}
	create(t, s, "a", nil)
	if empty, err := s.Empty(t.Context()); err != nil || empty {
		t.Errorf("empty with a credential: %v, %v", empty, err)
	}
}
