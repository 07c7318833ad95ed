package session

import (
	"fmt"
	"strings"
	"testing"
	"time"

	"keyflow/internal/secret"
)

func TestPasswordHashesAreStoredWithTheirCost(t *testing.T) {
	t.Parallel()
	cheap := newPasswords(Cost{MemoryKiB: 64, Time: 1, Threads: 1})
	dear := newPasswords(Cost{MemoryKiB: 128, Time: 2, Threads: 2})
	phc, err := cheap.hash(t.Context(), secret.New("canary"))
	if err != nil {
		t.Fatal(err)
	}
	if !strings.HasPrefix(phc, "$argon2id$v=19$m=64,t=1,p=1$") || strings.Contains(phc, "canary") {
		t.Errorf("PHC string %q", phc)
	}
	twin, err := cheap.hash(t.Context(), secret.New("canary"))
	if err != nil || twin == phc {
		t.Errorf("two hashes of one password are equal, %v: no salt", err)
	}
	for password, want := range map[string]bool{"canary": true, "Canary": false, "": false} {
		if got, err := dear.verify(t.Context(), phc, secret.New(password)); err != nil || got != want {
			t.Errorf("verify %q after the cost rose = %v, %v; want %v", password, got, err, want)
		}
	}
}

func TestBrokenPasswordHashesAreErrors(t *testing.T) {
	t.Parallel()
	p := newPasswords(Cost{MemoryKiB: 64, Time: 1, Threads: 1})
	good, err := p.hash(t.Context(), secret.New("x"))
	if err != nil {
		t.Fatal(err)
	}
	for _, phc := range []string{
		"x", "$argon2i$v=19$m=64,t=1,p=1$AAAA$AAAA", strings.Replace(good, "v=19", "v=18", 1),
		strings.Replace(good, "t=1", "t=0", 1), strings.Replace(good, "p=1", "p=0", 1),
		strings.Replace(good, "m=64", "m=99999999", 1), strings.Replace(good, "t=1", "t=65", 1),
		good[:len(good)-30], good + "$",
	} {
		if ok, err := p.verify(t.Context(), phc, secret.New("x")); ok || err == nil {
			t.Errorf("verify against %q = %v, %v; want an error", phc, ok, err)
		}
	}
}

// An unknown account costs one hash at the same parameters, like a known one.
func TestUnknownAccountCostsTheSameWork(t *testing.T) {
	t.Parallel()
	cost := Cost{MemoryKiB: 64, Time: 1, Threads: 1}
	p := newPasswords(cost)
	got, _, key, err := parsePHC(p.unknown)
	if err != nil || got != cost || len(key) != keySize {
		t.Errorf("stand-in hash: cost %+v, key of %d bytes, %v; want %+v and %d", got, len(key), err, cost, keySize)
	}
	if ok, err := p.verify(t.Context(), "", secret.New("anything")); ok || err != nil {
		t.Errorf("verify for an unknown account = %v, %v; want false", ok, err)
	}
}

func TestThrottleForgetsAndStaysSmall(t *testing.T) {
	t.Parallel()
	th := newThrottle(limit{burst: 1, interval: time.Second})
	now := time.Unix(0, 0)
	for i := range maxBuckets + 500 {
		if err := th.take(fmt.Sprint(i), now); err != nil {
			t.Fatalf("key %d: %v", i, err)
		}
	}
	if len(th.buckets) > maxBuckets {
		t.Errorf("%d buckets, want at most %d", len(th.buckets), maxBuckets)
	}
	now = now.Add(time.Minute)
	if err := th.take("new", now); err != nil {
		t.Fatal(err)
	}
	if len(th.buckets) != 1 {
		t.Errorf("%d buckets after a minute of silence, want only the new one", len(th.buckets))
	}
	if err := th.take("new", now); err == nil {
		t.Error("the second failure at once was let through")
	}
}
