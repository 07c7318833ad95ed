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

func (t *queues) of(id credentials.ID) *queue {
	t.mu.Lock()
	defer t.mu.Unlock()
	if t.byID == nil {
		t.byID = make(map[credentials.ID]*queue)
	}
	if t.byID[id] == nil {
		t.byID[id] = &queue{id: id, news: make(chan struct{}, 1)}
	}
	return t.byID[id]
}

// queue is the queue of one credential. While it has work, one goroutine serves it: it asks
// the store for as many permits as there are requests, so that permits come in blocks.
type queue struct {
	id   credentials.ID
	news chan struct{} // something changed; holds one

	mu      sync.Mutex
	limits  credentials.Limits
	queue   []*waiter
	busy    int           // permits in use
	slots   int           // of all processes' concurrency, held by this one
	serving bool          // a goroutine works
	holding time.Duration // how long permits are in use, smoothed

	turn     time.Time // when requests that were sent away may come back
	promised int       // how many were told so
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
	th := ts.throttles.of(id)
	w := &waiter{ready: make(chan error, 1), park: c.Park}
	if !th.join(limits, w, ts.Records.Shared()) {
		go ts.serveLimits(context.WithoutCancel(ctx), th)
	}
	var err error
	select {
	case err = <-w.ready:
	default:
		defer c.Idle()()
		err = ts.await(ctx, th, w)
	}
	if err != nil {
		return nil, err
	}
	start := ts.Now()
	return &Permit{before: w.before, Release: sync.OnceFunc(func() { th.release(ts.Now().Sub(start)) })}, nil
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
func (ts *Throttles) await(ctx context.Context, th *queue, w *waiter) error {
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
		if ahead, left := th.leave(w); left {
			return th.later(ts.Now(), th.estimate(ahead))
		}
	case <-ctx.Done():
		if _, left := th.leave(w); left {
			return ctx.Err()
		}
	}
	return <-w.ready // it was served at the same moment
}

// join queues w and reports whether the throttle is served. Without other processes and a rate
// there is nobody to ask: w is served at once when a slot is free.
func (th *queue) join(limits credentials.Limits, w *waiter, shared bool) (served bool) {
	th.mu.Lock()
	defer th.mu.Unlock()
	th.limits = limits
	if !shared && limits.Requests == 0 && len(th.queue) == 0 && th.busy < limits.Concurrency {
		th.busy++
		w.ready <- nil
		return true
	}
	th.queue = append(th.queue, w)
	th.tell()
	served, th.serving = th.serving, true
	return served
}

// tell wakes the goroutine that serves.
func (th *queue) tell() {
	select {
	case th.news <- struct{}{}:
	default:
	}
}

// leave takes w out of the queue; false when it was served already.
func (th *queue) leave(w *waiter) (ahead int, left bool) {
	th.mu.Lock()
	defer th.mu.Unlock()
	i := slices.Index(th.queue, w)
	if i < 0 {
		return 0, false
	}
	th.queue = slices.Delete(th.queue, i, i+1)
	return i, true
}

func (th *queue) release(took time.Duration) {
	th.mu.Lock()
	defer th.mu.Unlock()
	th.busy--
	if th.holding == 0 {
		th.holding = took
	}
	th.holding += (took - th.holding) / 8
	th.tell()
}

// estimate is when a slot may be free for a request with so many ahead of it.
func (th *queue) estimate(ahead int) time.Duration {
	th.mu.Lock()
	defer th.mu.Unlock()
	if th.holding == 0 || th.limits.Concurrency == 0 {
		return 2 * ParkAfter
	}
	wait := th.holding * time.Duration(ahead/th.limits.Concurrency+1)
	return min(max(wait, ParkAfter), longWait) + rand.N(ParkAfter) //nolint:gosec // spreads requests, hides nothing
}

// later is the error of a request that is to come back.
func (th *queue) later(now time.Time, wait time.Duration) *credentials.Error {
	until := now.Add(wait)
	return &credentials.Error{Code: credentials.CodeLimit, ID: th.id, Until: until, Message: fmt.Sprintf(
		"the limits of credential %q are used up; the step goes on at about %s", th.id, until.UTC().Format(time.RFC3339))}
}

// serveLimits gives out permits until there is nothing left to do.
func (ts *Throttles) serveLimits(ctx context.Context, th *queue) {
	for {
		pause := ts.serveOnce(ctx, th)
		if th.finished() {
			return
		}
		timer := time.NewTimer(pause)
		select {
		case <-th.news:
		case <-timer.C:
		}
		timer.Stop()
	}
}

// finished ends the service of a throttle without requests that wait or slots to give back.
func (th *queue) finished() bool {
	th.mu.Lock()
	defer th.mu.Unlock()
	th.serving = len(th.queue) > 0 || th.slots > 0
	return !th.serving
}

// serveOnce gives out what there is and returns how long nothing more is to be expected.
func (ts *Throttles) serveOnce(ctx context.Context, th *queue) time.Duration {
	ctx, cancel := context.WithTimeout(ctx, storeTimeout)
	defer cancel()
	free, err := ts.freeSlots(ctx, th)
	if err != nil {
		th.fail(err)
		return ParkAfter
	}
	th.mu.Lock()
	want, limits := min(free, len(th.queue)), th.limits
	th.mu.Unlock()
	pause, before := slotKeep, time.Time{}
	if r, limited := limits.Rate(); limited && want > 0 {
		now := ts.Now()
		granted, wait, err := ts.Store.TakeRequests(ctx, th.id, want, r, now)
		if err != nil {
			th.fail(err)
			return ParkAfter
		}
		if granted < want {
			pause = min(pause, wait)
			defer th.sendAway(now, wait, r)
		}
		if before = now.Add(credentials.PermitLife(r)); ts.Now().After(before) {
			return 0 // too late to use them: ask again
		}
		want = granted
	}
	if left := th.serve(want, before); left > 0 && limits.Concurrency > 0 && ts.Records.Shared() {
		return min(pause, slotPoll/2+rand.N(slotPoll)) //nolint:gosec // spreads questions, hides nothing
	}
	return pause
}

// freeSlots is how many more requests may be under way.
func (ts *Throttles) freeSlots(ctx context.Context, th *queue) (int, error) {
	th.mu.Lock()
	c := credentials.Claim{Holder: ts.Process, Busy: th.busy, Want: th.busy + len(th.queue), Limit: th.limits.Concurrency}
	th.mu.Unlock()
	switch {
	case c.Limit == 0 && th.slots == 0:
		return c.Want - c.Busy, nil
	case !ts.Records.Shared():
		return max(c.Limit-c.Busy, 0), nil
	}
	slots, err := ts.Store.HoldSlots(ctx, th.id, c, ts.Now())
	if err != nil {
		return 0, err
	}
	th.mu.Lock()
	defer th.mu.Unlock()
	th.slots = slots
	return max(slots-th.busy, 0), nil
}

// serve lets the first n requests go, to be sent before a time, and returns how many are left.
func (th *queue) serve(n int, before time.Time) (left int) {
	th.mu.Lock()
	defer th.mu.Unlock()
	n = min(n, len(th.queue)) // some may have left
	for _, w := range th.queue[:n] {
		th.busy++
		w.before = before
		w.ready <- nil
	}
	th.queue = slices.Delete(th.queue, 0, n)
	return len(th.queue)
}

// sendAway gives those that can come back a time to do so, when it is far enough. Each span
// takes as many as the limit allows.
func (th *queue) sendAway(now time.Time, wait time.Duration, r credentials.Rate) {
	if wait <= ParkAfter {
		return
	}
	th.mu.Lock()
	defer th.mu.Unlock()
	if now.After(th.turn) {
		th.turn, th.promised = now.Add(wait), 0
	}
	th.queue = slices.DeleteFunc(th.queue, func(w *waiter) bool {
		if w.park {
			turns := th.promised / r.Requests
			th.promised++
			w.ready <- th.later(th.turn, (r.Per+credentials.PermitLife(r))*time.Duration(turns))
		}
		return w.park
	})
}

// fail ends all requests that wait: the store does not answer.
func (th *queue) fail(err error) {
	th.mu.Lock()
	defer th.mu.Unlock()
	if th.busy == 0 || fault.Is(err, fault.NotFound) {
		th.slots = 0 // they end by themselves
	}
	if fault.Is(err, fault.NotFound) {
		err = credentials.Unknown(th.id)
	}
	for _, w := range th.queue {
		w.ready <- fmt.Errorf("limits of credential %q: %w", th.id, err)
	}
	th.queue = nil
}
