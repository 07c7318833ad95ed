// Package throttle keeps requests within the limits of a credential, counted over all processes:
// a rate, and how many are under way at once. It must not know what a request is.
package throttle

import (
	"context"
	"fmt"
	"math/rand/v2"
	"slices"
	"sync"
	"time"

	"keyflow/credentials"
	"keyflow/internal/fault"
)

const (
	// ParkAfter is the longest wait that holds a goroutine when the caller can come back later.
	ParkAfter    = time.Second
	longWait     = time.Minute      // for slots, when nothing is known of how long requests take
	storeTimeout = 10 * time.Second // of one question
	slotPoll     = 40 * time.Millisecond
	slotKeep     = 10 * time.Second // how often a process confirms the slots it has; a third of their life

)

// Throttles keeps requests within the limits of credentials, for all processes together. It is
// safe for concurrent use.
type Throttles struct {
	Store   credentials.LimitStore
	Records credentials.Store
	Process string // names this process in claims
	Now     func() time.Time

	throttles queues
}

// queues keep the requests of this process within the limits of credentials. The zero value
// is ready.
type queues struct {
	mu   sync.Mutex
	byID map[credentials.ID]*queue
}

func (qs *queues) of(id credentials.ID) *queue {
	qs.mu.Lock()
	defer qs.mu.Unlock()
	if qs.byID == nil {
		qs.byID = make(map[credentials.ID]*queue)
	}
	if qs.byID[id] == nil {
		qs.byID[id] = &queue{id: id, changed: make(chan struct{}, 1)}
	}
	return qs.byID[id]
}

// queue is the queue of one credential. While it has work, one goroutine serves it: it asks
// the store for as many permits as there are requests, so that permits come in blocks.
type queue struct {
	id      credentials.ID
	changed chan struct{} // signals a change; buffers one

	mu      sync.Mutex
	limits  credentials.Limits
	waiters []*waiter
	busy    int           // permits in use
	slots   int           // of all processes' concurrency, held by this one
	serving bool          // a goroutine works
	holding time.Duration // how long permits are in use, smoothed

	turn     time.Time // when requests that were sent away may come back
	promised int       // how many got such a time
}

// waiter is one request that waits. ready holds its outcome; before is set with it.
type waiter struct {
	ready  chan error
	park   bool
	before time.Time // when the request must be sent; zero: any time will do
}

// Caller is who waits for a permit.
type Caller struct {
	Park bool                   // can come back later: a long wait is an error instead
	Idle func() (resume func()) // is called when a wait begins
}

// Take waits until a request may be sent with a credential that has limits.
func (ts *Throttles) Take(ctx context.Context, id credentials.ID, limits credentials.Limits, c Caller) (*Permit, error) {
	q := ts.throttles.of(id)
	w := &waiter{ready: make(chan error, 1), park: c.Park}
	if !q.join(limits, w, ts.Records.Shared()) {
		go ts.serveLimits(context.WithoutCancel(ctx), q)
	}
	var err error
	select {
	case err = <-w.ready:
	default:
		defer c.Idle()()
		err = ts.await(ctx, q, w)
	}
	if err != nil {
		return nil, err
	}
	start := ts.Now()
	return &Permit{before: w.before, Release: sync.OnceFunc(func() { q.release(ts.Now().Sub(start)) })}, nil
}

// Permit allows one request. It is given back when the answer has been read, or unused.
type Permit struct {
	before  time.Time // when the request must be sent; zero: any time will do
	Release func()
}

// Late reports whether nothing may be sent any more.
func (p *Permit) Late(now time.Time) bool {
	return p != nil && !p.before.IsZero() && now.After(p.before)
}

// Extend allows the time that reading references took: where that is longer than a permit lives,
// no request would ever be in time.
func (p *Permit) Extend(by time.Duration) {
	if p != nil && !p.before.IsZero() {
		p.before = p.before.Add(by)
	}
}

// await waits for the outcome of w, or sends it away when it can come back later.
func (ts *Throttles) await(ctx context.Context, q *queue, w *waiter) error {
	patience := make(<-chan time.Time)
	if w.park {
		timer := time.NewTimer(ParkAfter)
		defer timer.Stop()
		patience = timer.C
	}
	select {
	case err := <-w.ready:
		return err
	case <-patience:
		if ahead, left := q.withdraw(w); left {
			return q.later(ts.Now(), q.estimate(ahead))
		}
	case <-ctx.Done():
		if _, left := q.withdraw(w); left {
			return ctx.Err()
		}
	}
	return <-w.ready // it was served at the same moment
}

// join queues w and reports whether the throttle is served. Without other processes and a rate
// there is nobody to ask: w is served at once when a slot is free.
func (q *queue) join(limits credentials.Limits, w *waiter, shared bool) (served bool) {
	q.mu.Lock()
	defer q.mu.Unlock()
	q.limits = limits
	if !shared && limits.Requests == 0 && len(q.waiters) == 0 && q.busy < limits.Concurrency {
		q.busy++
		w.ready <- nil
		return true
	}
	q.waiters = append(q.waiters, w)
	q.signal()
	served, q.serving = q.serving, true
	return served
}

// signal wakes the goroutine that serves.
func (q *queue) signal() {
	select {
	case q.changed <- struct{}{}:
	default:
	}
}

// withdraw takes w out of the queue; false when it was served already.
func (q *queue) withdraw(w *waiter) (ahead int, left bool) {
	q.mu.Lock()
	defer q.mu.Unlock()
	i := slices.Index(q.waiters, w)
	if i < 0 {
		return 0, false
	}
	q.waiters = slices.Delete(q.waiters, i, i+1)
	return i, true
}

func (q *queue) release(took time.Duration) {
	q.mu.Lock()
	defer q.mu.Unlock()
	q.busy--
	if q.holding == 0 {
		q.holding = took
	}
	q.holding += (took - q.holding) / 8
	q.signal()
}

// estimate is when a slot may be free for a request with so many ahead of it.
func (q *queue) estimate(ahead int) time.Duration {
	q.mu.Lock()
	defer q.mu.Unlock()
	if q.holding == 0 || q.limits.Concurrency == 0 {
		return 2 * ParkAfter
	}
	wait := q.holding * time.Duration(ahead/q.limits.Concurrency+1)
	return min(max(wait, ParkAfter), longWait) + rand.N(ParkAfter) //nolint:gosec // spreads requests, hides nothing
}

// later is the error of a request that is to come back.
func (q *queue) later(now time.Time, wait time.Duration) *credentials.Error {
	until := now.Add(wait)
	return &credentials.Error{Code: credentials.CodeLimit, ID: q.id, Until: until, Message: fmt.Sprintf(
		"the limits of credential %q are used up; the step goes on at about %s", q.id, until.UTC().Format(time.RFC3339))}
}

// serveLimits gives out permits until there is nothing left to do.
func (ts *Throttles) serveLimits(ctx context.Context, q *queue) {
	for {
		pause := ts.serveOnce(ctx, q)
		if q.finished() {
			return
		}
		timer := time.NewTimer(pause)
		select {
		case <-q.changed:
		case <-timer.C:
		}
		timer.Stop()
	}
}

// finished ends the service of a throttle without requests that wait or slots to give back.
func (q *queue) finished() bool {
	q.mu.Lock()
	defer q.mu.Unlock()
	q.serving = len(q.waiters) > 0 || q.slots > 0
	return !q.serving
}

// serveOnce gives out what there is and returns how long nothing more is to be expected.
func (ts *Throttles) serveOnce(ctx context.Context, q *queue) time.Duration {
	ctx, cancel := context.WithTimeout(ctx, storeTimeout)
	defer cancel()
	free, err := ts.freeSlots(ctx, q)
	if err != nil {
		q.fail(err)
		return ParkAfter
	}
	q.mu.Lock()
	want, limits := min(free, len(q.waiters)), q.limits
	q.mu.Unlock()
	pause, before := slotKeep, time.Time{}
	if r, limited := limits.Rate(); limited && want > 0 {
		now := ts.Now()
		granted, wait, err := ts.Store.TakeRequests(ctx, q.id, want, r, now)
		if err != nil {
			q.fail(err)
			return ParkAfter
		}
		if granted < want {
			pause = min(pause, wait)
			defer q.sendAway(now, wait, r)
		}
		if before = now.Add(credentials.PermitLife(r)); ts.Now().After(before) {
			return 0 // too late to use them: ask again
		}
		want = granted
	}
	if left := q.serve(want, before); left > 0 && limits.Concurrency > 0 && ts.Records.Shared() {
		return min(pause, slotPoll/2+rand.N(slotPoll)) //nolint:gosec // spreads questions, hides nothing
	}
	return pause
}

// freeSlots is how many more requests may be under way.
func (ts *Throttles) freeSlots(ctx context.Context, q *queue) (int, error) {
	q.mu.Lock()
	c := credentials.Claim{Holder: ts.Process, Busy: q.busy, Want: q.busy + len(q.waiters), Limit: q.limits.Concurrency}
	q.mu.Unlock()
	switch {
	case c.Limit == 0 && q.slots == 0:
		return c.Want - c.Busy, nil
	case !ts.Records.Shared():
		return max(c.Limit-c.Busy, 0), nil
	}
	slots, err := ts.Store.HoldSlots(ctx, q.id, c, ts.Now())
	if err != nil {
		return 0, err
	}
	q.mu.Lock()
	defer q.mu.Unlock()
	q.slots = slots
	return max(slots-q.busy, 0), nil
}

// serve lets the first n requests go, to be sent before a time, and returns how many are left.
func (q *queue) serve(n int, before time.Time) (left int) {
	q.mu.Lock()
	defer q.mu.Unlock()
	n = min(n, len(q.waiters)) // some may have left
	for _, w := range q.waiters[:n] {
		q.busy++
		w.before = before
		w.ready <- nil
	}
	q.waiters = slices.Delete(q.waiters, 0, n)
	return len(q.waiters)
}

// sendAway gives those that can come back a time to do so, when it is far enough. Each span
// takes as many as the limit allows.
func (q *queue) sendAway(now time.Time, wait time.Duration, r credentials.Rate) {
	if wait <= ParkAfter {
		return
	}
	q.mu.Lock()
	defer q.mu.Unlock()
	if now.After(q.turn) {
		q.turn, q.promised = now.Add(wait), 0
	}
	q.waiters = slices.DeleteFunc(q.waiters, func(w *waiter) bool {
		if w.park {
			turns := q.promised / r.Requests
			q.promised++
			w.ready <- q.later(q.turn, (r.Per+credentials.PermitLife(r))*time.Duration(turns))
		}
		return w.park
	})
}

// fail ends all requests that wait: the store does not answer.
func (q *queue) fail(err error) {
	q.mu.Lock()
	defer q.mu.Unlock()
	if q.busy == 0 || fault.Is(err, fault.NotFound) {
		q.slots = 0 // they end by themselves
	}
	if fault.Is(err, fault.NotFound) {
		err = credentials.Unknown(q.id)
	}
	for _, w := range q.waiters {
		w.ready <- fmt.Errorf("limits of credential %q: %w", q.id, err)
	}
	q.waiters = nil
}
