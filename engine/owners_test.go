package engine_test

import (
	"context"
	"errors"
	"slices"
	"sync"
	"sync/atomic"
	"testing"
	"testing/synctest"
	"time"

	"github.com/google/go-cmp/cmp"

	"keyflow/engine"
	"keyflow/engine/runs"
)

// register is the table of owners; the test decides how it answers.
type register struct {
	mu     sync.Mutex
	fail   error         // of Beat
	delay  time.Duration // of Beat
	beats  int
	left   []runs.OwnerID
	silent []runs.Orphan
	asked  []time.Duration // the silence given to Silent
}

func (r *register) Beat(ctx context.Context, _ runs.OwnerID) error {
	r.mu.Lock()
	fail, delay := r.fail, r.delay
	r.beats++
	r.mu.Unlock()
	select {
	case <-time.After(delay):
		return fail
	case <-ctx.Done():
		return ctx.Err()
	}
}

func (r *register) Silent(_ context.Context, silence time.Duration, _ int) ([]runs.Orphan, error) {
	r.mu.Lock()
	defer r.mu.Unlock()
	r.asked = append(r.asked, silence)
	return r.silent, nil
}

func (r *register) Leave(_ context.Context, owner runs.OwnerID) error {
	r.mu.Lock()
	defer r.mu.Unlock()
	r.left = append(r.left, owner)
	return nil
}

// seen returns copies of what was recorded.
func (r *register) seen() (beats int, asked []time.Duration, left []runs.OwnerID) {
	r.mu.Lock()
	defer r.mu.Unlock()
	return r.beats, slices.Clone(r.asked), slices.Clone(r.left)
}

func (r *register) set(fail error, delay time.Duration) {
	r.mu.Lock()
	defer r.mu.Unlock()
	r.fail, r.delay = fail, delay
}

// beating is an Ownership under a fake clock, half a second out of step with its beats.
type beating struct {
	*engine.Ownership
	*register
	reports atomic.Int64 // calls of the callback
	stop    func()
}

func beat(t *testing.T, o engine.OwnershipOptions) *beating {
	t.Helper()
	b := &beating{register: &register{silent: []runs.Orphan{{Run: runs.ID{1}, Owner: runs.OwnerID{2}}}}}
	start := time.Now()
	o.Clock = func() time.Duration { return time.Since(start) }
	o.Orphans = func(context.Context, []runs.Orphan) { b.reports.Add(1) }
	b.Ownership = engine.NewOwnership(b.register, o)
	if b.Confirmed() {
		t.Error("confirmed before the first beat")
	}
	ctx, cancel := context.WithCancel(t.Context())
	served := make(chan error)
	go func() { served <- b.Serve(ctx) }()
	b.stop = func() {
		cancel()
		if err := <-served; err != nil {
			t.Error(err)
		}
	}
	b.pass(500 * time.Millisecond)
	return b
}

// pass lets time go by.
func (b *beating) pass(d time.Duration) {
	time.Sleep(d)
	synctest.Wait()
}

func TestConfirmedFollowsStoredBeats(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		b := beat(t, engine.OwnershipOptions{})
		if !b.Confirmed() {
			t.Error("not confirmed after a stored beat")
		}
		b.pass(time.Minute)
		if beats, _, _ := b.seen(); !b.Confirmed() || beats != 61 {
			t.Errorf("after a minute: confirmed %v, %d beats", b.Confirmed(), beats)
		}
		b.set(errors.New("away"), 0)
		b.pass(2400 * time.Millisecond) // the last stored beat is 2.9 s old
		if !b.Confirmed() {
			t.Error("confirmation lost too early")
		}
		b.pass(100 * time.Millisecond)
		if b.Confirmed() {
			t.Error("confirmed by a beat of 3 s ago")
		}
		b.set(nil, 0)
		b.pass(time.Second)
		if !b.Confirmed() {
			t.Error("not confirmed again")
		}
		b.stop()
		_, _, left := b.seen()
		if diff := cmp.Diff([]runs.OwnerID{b.ID()}, left); diff != "" {
			t.Errorf("rows withdrawn at the end (-want +got):\n%s", diff)
		}
	})
}

// TestSlowBeatCountsFromItsSending: the database may have recorded the beat right away.
func TestSlowBeatCountsFromItsSending(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		b := beat(t, engine.OwnershipOptions{})
		b.set(nil, 2900*time.Millisecond) // sent at 1 s, stored at 3.9 s
		b.pass(3450 * time.Millisecond)   // 3.95 s
		if !b.Confirmed() {
			t.Error("not confirmed 2.95 s after the sending")
		}
		b.pass(50 * time.Millisecond)
		if b.Confirmed() {
			t.Error("confirmed 3 s after the sending")
		}
		b.set(nil, time.Hour) // hangs: the beat is given up
		b.pass(10 * time.Second)
		if b.Confirmed() {
			t.Error("confirmed by beats that hang")
		}
		b.set(nil, 0)
		b.pass(4 * time.Second)
		if !b.Confirmed() {
			t.Error("a hanging beat blocks those after it")
		}
		b.stop()
	})
}

func TestOnlyASteadyProcessJudgesOthers(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		b := beat(t, engine.OwnershipOptions{})
		b.pass(4 * time.Second) // 4.5 s
		if b.reports.Load() != 0 {
			t.Error("orphans were reported within the first 5 s")
		}
		b.pass(time.Second)
		if _, asked, _ := b.seen(); b.reports.Load() != 1 || asked[0] != 5*time.Second {
			t.Errorf("after 5 s of beats: %d reports, silences asked for %v", b.reports.Load(), asked)
		}
		b.set(errors.New("stalled"), 0)
		b.pass(30 * time.Second)
		if b.reports.Load() != 1 {
			t.Errorf("%d reports while the database was away", b.reports.Load()-1)
		}
		b.set(nil, 0) // everybody wakes; nobody may take everything
		b.pass(5 * time.Second)
		if b.reports.Load() != 1 {
			t.Error("orphans were reported right after a gap")
		}
		b.pass(time.Second)
		if b.reports.Load() != 2 {
			t.Errorf("%d reports after 5 s without a gap, want 1", b.reports.Load()-1)
		}
		b.stop()
	})
}

func TestAloneInheritsAtOnce(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		b := beat(t, engine.OwnershipOptions{Alone: true})
		if b.reports.Load() != 1 {
			t.Errorf("%d reports after the first beat, want 1", b.reports.Load())
		}
		_, _, left := b.seen()
		if diff := cmp.Diff([]runs.OwnerID{{2}}, left); diff != "" {
			t.Errorf("earlier owners withdrawn (-want +got):\n%s", diff)
		}
		b.set(errors.New("the disk is slow"), 0)
		time.Sleep(time.Minute) // of the bubble's clock
		if !b.Confirmed() {
			t.Error("nobody else can take its runs, yet a process that is alone stands still")
		}
		b.stop()
	})
}

func TestEveryStartIsAnotherOwner(t *testing.T) {
	t.Parallel()
	a, b := engine.NewOwnership(&register{}, engine.OwnershipOptions{}), engine.NewOwnership(&register{}, engine.OwnershipOptions{})
	if a.ID() == b.ID() || a.ID() == (runs.OwnerID{}) {
		t.Errorf("ids %v and %v", a.ID(), b.ID())
	}
}
