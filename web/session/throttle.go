package session

import (
	"sync"
	"time"

	"keyflow/internal/fault"
)

// ThrottledError is a RateLimited fault that says when to try again.
type ThrottledError struct {
	After time.Duration
	Fault *fault.Error
}

// Error implements error.
func (e *ThrottledError) Error() string { return e.Fault.Error() }

// Unwrap returns the fault.
func (e *ThrottledError) Unwrap() error { return e.Fault }

// RetryAfter is how long the caller should wait.
func (e *ThrottledError) RetryAfter() time.Duration { return e.After }

// limit is a token bucket: burst failures at once, then one per interval.
type limit struct {
	burst    float64
	interval time.Duration
}

// perAccount bounds failed sign-ins of one account, in any spelling that names it.
func perAccount() limit { return limit{burst: 10, interval: 6 * time.Second} }

// perSource bounds failed sign-ins from one address.
func perSource() limit { return limit{burst: 20, interval: 3 * time.Second} }

// maxBuckets bounds the memory of a throttle.
const maxBuckets = 10_000

type bucket struct {
	left float64
	at   time.Time
}

// throttle counts failures per key. An attempt takes from the buckets before its result is
// known, so that parallel guesses cannot overtake the count; a success gives back.
type throttle struct {
	mu      sync.Mutex
	limit   limit
	buckets map[string]*bucket
}

func newThrottle(l limit) *throttle {
	return &throttle{limit: l, buckets: make(map[string]*bucket)}
}

// take books one attempt, or returns a *ThrottledError.
func (t *throttle) take(key string, now time.Time) error {
	t.mu.Lock()
	defer t.mu.Unlock()
	b := t.bucket(key, now)
	if b.left < 1 {
		after := time.Duration((1 - b.left) * float64(t.limit.interval)).Round(time.Second)
		after = max(after, time.Second)
		return &ThrottledError{After: after, Fault: fault.New(fault.RateLimited,
			"too many failed attempts: try again in %s", after)}
	}
	b.left--
	return nil
}

// giveBack undoes one take after a success.
func (t *throttle) giveBack(key string, now time.Time) {
	t.mu.Lock()
	defer t.mu.Unlock()
	b := t.bucket(key, now)
	b.left = min(b.left+1, t.limit.burst)
}

// bucket returns the key's bucket, refilled up to now.
func (t *throttle) bucket(key string, now time.Time) *bucket {
	b, ok := t.buckets[key]
	if !ok {
		t.makeRoom(now)
		b = &bucket{left: t.limit.burst, at: now}
		t.buckets[key] = b
	}
	if passed := now.Sub(b.at); passed > 0 {
		b.left = min(b.left+float64(passed)/float64(t.limit.interval), t.limit.burst)
		b.at = now
	}
	return b
}

// makeRoom drops full buckets, and any one when all are in use.
func (t *throttle) makeRoom(now time.Time) {
	if len(t.buckets) < maxBuckets {
		return
	}
	full := time.Duration(t.limit.burst * float64(t.limit.interval))
	for key, b := range t.buckets {
		if now.Sub(b.at) >= full {
			delete(t.buckets, key)
		}
	}
	for key := range t.buckets {
		if len(t.buckets) < maxBuckets {
			return
		}
		delete(t.buckets, key)
	}
}
