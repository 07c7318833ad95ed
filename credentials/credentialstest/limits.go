package credentialstest

import (
	"sync"
	"testing"
	"time"

	"keyflow/credentials"
	"keyflow/internal/fault"
)

// soon asks until ok, for at most ten seconds: stores go by their own clock.
func soon(t *testing.T, what string, ok func() bool) {
	t.Helper()
	deadline := time.Now().Add(10 * time.Second)
	for !ok() {
		if time.Now().After(deadline) {
			t.Fatalf("not within ten seconds: %s", what)
		}
	}
}

func testFailToken(t *testing.T, s Store) {
	t.Helper()
	r := create(t, s, "crm", nil)
	state := credentials.State{Status: credentials.NeedsReconnect, Message: "spent", Since: at(3)}
	fail := func(generation, revision int64) bool {
		t.Helper()
		done, err := s.FailToken(t.Context(), "crm", generation, revision, state)
		if err != nil {
			t.Fatal(err)
		}
		return done
	}
	if fail(1, r.Revision) {
		t.Error("a state for a token that there is not was stored")
	}
	if _, err := s.SwapToken(t.Context(), credentials.Token{Credential: "crm", Generation: 2, Sealed: []byte("t")}, 0); err != nil {
		t.Fatal(err)
	}
	if fail(0, r.Revision) || fail(1, r.Revision) || fail(2, r.Revision+1) {
		t.Error("a state for another token or record was stored")
	}
	if stamp, err := s.Stamp(t.Context(), "crm"); err != nil || stamp.State.Status == state.Status {
		t.Errorf("stamp %+v, %v", stamp, err)
	}
	if !fail(2, r.Revision) {
		t.Error("the state was not stored")
	}
	if stamp, err := s.Stamp(t.Context(), "crm"); err != nil || stamp.State != state {
		t.Errorf("stamp %+v, %v", stamp, err)
	}
	quota := credentials.State{Status: credentials.Quota, Message: "used up", Since: at(4), Until: at(50)}
	if done, err := s.SetState(t.Context(), "crm", r.Revision, quota); err != nil || !done {
		t.Fatal(done, err)
	}
	if got, err := s.Get(t.Context(), "crm"); err != nil || got.State != quota {
		t.Errorf("state %+v, %v", got.State, err)
	}
}

func testLeases(t *testing.T, s Store) {
	t.Helper()
	create(t, s, "crm", nil)
	lease := func(holder string, life time.Duration) time.Duration {
		t.Helper()
		left, err := s.Lease(t.Context(), "crm", holder, life, time.Now())
		if err != nil {
			t.Fatal(err)
		}
		return left
	}
	if left := lease("a", time.Minute); left != 0 {
		t.Fatalf("a free lease is taken for %s", left)
	}
	if left := lease("b", time.Minute); left < 30*time.Second || left > time.Minute {
		t.Errorf("another's lease lasts %s", left)
	}
	if left := lease("a", 50*time.Millisecond); left != 0 {
		t.Errorf("the own lease is taken for %s", left)
	}
	soon(t, "the lease ends", func() bool { return lease("b", time.Minute) == 0 })
	if err := s.Release(t.Context(), "crm", "a"); err != nil {
		t.Fatal(err)
	}
	if lease("a", time.Minute) == 0 {
		t.Error("another's lease was released")
	}
	if err := s.Release(t.Context(), "crm", "b"); err != nil {
		t.Fatal(err)
	}
	const racers = 8
	var wg sync.WaitGroup
	got := make(chan string, racers)
	for i := range racers {
		wg.Go(func() {
			holder := string(rune('a' + i))
			if left, err := s.Lease(t.Context(), "crm", holder, time.Minute, time.Now()); err == nil && left == 0 {
				got <- holder
			}
		})
	}
	wg.Wait()
	if len(got) != 1 {
		t.Errorf("%d of %d got the lease, want 1", len(got), racers)
	}
	if _, err := s.Lease(t.Context(), "missing", "a", time.Minute, time.Now()); !fault.Is(err, fault.NotFound) {
		t.Errorf("lease of a missing credential: %v", err)
	}
}

func testRequests(t *testing.T, s Store) {
	t.Helper()
	create(t, s, "crm", nil)
	rate := credentials.Rate{Requests: 5, Per: time.Second}
	take := func(want int) (int, time.Duration) {
		t.Helper()
		granted, wait, err := s.TakeRequests(t.Context(), "crm", want, rate, time.Now())
		if err != nil {
			t.Fatal(err)
		}
		return granted, wait
	}
	first := time.Now()
	if granted, wait := take(3); granted != 3 || wait != 0 {
		t.Errorf("granted %d, wait %s; want 3 at once", granted, wait)
	}
	if granted, wait := take(3); granted != 2 || wait <= 0 || wait > 1200*time.Millisecond {
		t.Errorf("granted %d, wait %s; want 2 and about a second", granted, wait)
	}
	if granted, wait := take(1); granted != 0 || wait <= 0 {
		t.Errorf("granted %d, wait %s; want a wait", granted, wait)
	}
	soon(t, "the first requests no longer count", func() bool { granted, _ := take(1); return granted == 1 })
	if passed := time.Since(first); passed < rate.Per {
		t.Errorf("more than %d requests within %s", rate.Requests, passed)
	}
	if _, _, err := s.TakeRequests(t.Context(), "missing", 1, rate, time.Now()); !fault.Is(err, fault.NotFound) {
		t.Errorf("requests of a missing credential: %v", err)
	}
}

func holdSlots(t *testing.T, s Store, c credentials.Claim) int {
	t.Helper()
	n, err := s.HoldSlots(t.Context(), "crm", c, time.Now())
	if err != nil {
		t.Fatal(err)
	}
	return n
}

func testSlots(t *testing.T, s Store) {
	t.Helper()
	create(t, s, "crm", nil)
	claims := []struct {
		holder           string
		busy, want, gets int
	}{
		{"a", 0, 2, 2},
		{"b", 0, 9, 3}, // what is left of 5
		{"a", 2, 9, 2}, // none is free
		{"a", 0, 1, 1}, // gives one back
		{"b", 3, 9, 4},
		{"a", 0, 0, 0},
		{"b", 3, 9, 5},
		{"c", 0, 4, 0},
		{"b", 5, 9, 5}, // what is at work stays
		{"b", 3, 9, 3}, // c waits: an equal part of 5 is 3
		{"c", 0, 4, 2},
		{"b", 0, 0, 0},
		{"c", 2, 4, 4},
	}
	for i, c := range claims {
		got := holdSlots(t, s, credentials.Claim{Holder: c.holder, Busy: c.busy, Want: c.want, Limit: 5})
		if got != c.gets {
			t.Errorf("claim %d of %s (%d busy, %d wanted): %d slots, want %d", i, c.holder, c.busy, c.want, got, c.gets)
		}
	}
	if _, err := s.HoldSlots(t.Context(), "missing", credentials.Claim{Holder: "a", Want: 1, Limit: 1}, time.Now()); !fault.Is(err, fault.NotFound) {
		t.Errorf("slots of a missing credential: %v", err)
	}
}

// With one slot, whoever has it gives it to those who wait, in their order.
func testTurns(t *testing.T, s Store) {
	t.Helper()
	create(t, s, "crm", nil)
	claim := func(holder string, busy int) int {
		return holdSlots(t, s, credentials.Claim{Holder: holder, Busy: busy, Want: 3, Limit: 1})
	}
	for _, c := range []struct {
		holder string
		gets   int
	}{{"a", 1}, {"b", 0}, {"c", 0}} {
		if got := claim(c.holder, 0); got != c.gets {
			t.Fatalf("%s got %d slots, want %d", c.holder, got, c.gets)
		}
	}
	soon(t, "a's turn is over", func() bool { claim("b", 0); claim("c", 0); return claim("a", 0) == 0 })
	if claim("c", 0) != 0 || claim("a", 0) != 0 || claim("b", 0) != 1 {
		t.Error("b waited longest and did not get the slot")
	}
}
