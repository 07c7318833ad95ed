package ownership_test

import (
	"context"
	"errors"
	"maps"
	"slices"
	"sync"
	"sync/atomic"
	"testing"
	"testing/synctest"
	"time"

	"github.com/google/go-cmp/cmp"

	"keyflow/engine/ownership"
	"keyflow/engine/runs"
)

// register is the table of owners; the test decides how it answers.
type register struct {
	mu     sync.Mutex
	fail   error         // of Beat
	delay  time.Duration // of Beat
	slow   time.Duration // of Beats
	beats  int
	left   []runs.OwnerID
	others map[runs.OwnerID]int64 // the last beats of the others, each with one run
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

func (r *register) Beats(context.Context) (map[runs.OwnerID]int64, error) {
	r.mu.Lock()
	beats, slow := maps.Clone(r.others), r.slow
	r.mu.Unlock()
	time.Sleep(slow)
	return beats, nil
}

func (r *register) OwnedBy(_ context.Context, owners []runs.OwnerID, _ int) ([]runs.Orphan, error) {
	var orphans []runs.Orphan
	for _, owner := range owners {
		orphans = append(orphans, runs.Orphan{Run: runs.ID(owner), Owner: owner})
	}
	return orphans, nil
}

// other sets the last beat of another process.
func (r *register) other(owner byte, beat int64) {
	r.mu.Lock()
	defer r.mu.Unlock()
	r.others[runs.OwnerID{owner}] = beat
}

func (r *register) Leave(_ context.Context, owner runs.OwnerID) error {
	r.mu.Lock()
	defer r.mu.Unlock()
	if r.others[owner] != 0 {
		r.others[owner] = 0
	}
	r.left = append(r.left, owner)
	return nil
}

// seen returns copies of what was recorded.
func (r *register) seen() (beats int, left []runs.OwnerID) {
	r.mu.Lock()
	defer r.mu.Unlock()
	return r.beats, slices.Clone(r.left)
}

func (r *register) set(fail error, delay time.Duration) {
	r.mu.Lock()
	defer r.mu.Unlock()
	r.fail, r.delay = fail, delay
}

// beating is an Ownership under a fake clock, half a second out of step with its beats.
type beating struct {
	*ownership.Ownership
	*register
	reports atomic.Int64                  // calls of the callback
	orphans atomic.Pointer[[]runs.Orphan] // of the last
	stop    func()
}

// beat begins beside a process that does not beat any more.
func beat(t *testing.T, o ownership.Options) *beating {
	t.Helper()
	return beatAmong(t, o, map[runs.OwnerID]int64{{2}: 7})
}

func beatAmong(t *testing.T, o ownership.Options, others map[runs.OwnerID]int64) *beating {
	t.Helper()
	b := &beating{register: &register{others: others}}
	start := time.Now()
	o.Clock = func() time.Duration { return time.Since(start) }
	o.Orphans = func(_ context.Context, orphans []runs.Orphan) {
		b.reports.Add(1)
		b.orphans.Store(&orphans)
	}
	b.Ownership = ownership.New(b.register, o)
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
		b := beat(t, ownership.Options{})
		if !b.Confirmed() {
			t.Error("not confirmed after a stored beat")
		}
		b.pass(time.Minute)
		if beats, _ := b.seen(); !b.Confirmed() || beats != 61 {
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
		_, left := b.seen()
		if diff := cmp.Diff([]runs.OwnerID{b.ID()}, left); diff != "" {
			t.Errorf("rows withdrawn at the end (-want +got):\n%s", diff)
		}
	})
}

// TestSlowBeatCountsFromItsSending: the database may have recorded the beat right away.
func TestSlowBeatCountsFromItsSending(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		b := beat(t, ownership.Options{})
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
		b := beat(t, ownership.Options{})
		b.pass(4 * time.Second) // 4.5 s
		if b.reports.Load() != 0 {
			t.Error("orphans were reported within the first 5 s")
		}
		b.pass(time.Second)
		if b.reports.Load() != 1 {
			t.Errorf("after 5 s of beats: %d reports", b.reports.Load())
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

// TestSilenceIsAnUnchangedBeat: the numbers of the beats are compared with nothing but themselves,
// so that no step of a clock, forward or back, makes a process silent or keeps a dead one alive.
func TestSilenceIsAnUnchangedBeat(t *testing.T) {
	t.Parallel()
	const hour = int64(time.Hour / time.Microsecond)
	tests := map[string]struct {
		beats []int64 // of the other process, a second apart
		want  []int   // the seconds in which its runs are reported
	}{
		"it beats":                           {[]int64{1, 2, 3, 4, 5, 6, 7, 8, 9, 10}, nil},
		"its beats jump ahead":               {[]int64{1, 2, 3, 4, 5, 6, 7 + hour, 8 + hour, 9 + 2*hour, 10 + 2*hour}, nil},
		"one more than before after a step":  {[]int64{hour, hour + 1, hour + 2, hour + 3, hour + 4, hour + 5, hour + 6, hour + 7}, nil},
		"silent from the beginning":          {[]int64{7, 7, 7, 7, 7, 7, 7}, []int{5, 6}},
		"silent with a beat from the future": {[]int64{1, 2, hour, hour, hour, hour, hour, hour, hour}, []int{7, 8}},
		"it beats every four seconds":        {[]int64{1, 1, 1, 1, 2, 2, 2, 2, 3, 3, 3, 3, 4}, nil},
		"it is back":                         {[]int64{7, 7, 7, 7, 7, 7, 8, 8}, []int{5}},
		"it has left":                        {[]int64{1, 2, 3, 4, 5, 6, 0, 0}, []int{6, 7}},
	}
	for name, tt := range tests {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			synctest.Test(t, func(t *testing.T) {
				var got []int
				b := beatAmong(t, ownership.Options{}, map[runs.OwnerID]int64{{2}: tt.beats[0]})
				for second, number := range tt.beats[1:] {
					b.other(2, number)
					before := b.reports.Load()
					b.pass(time.Second)
					if b.reports.Load() > before {
						got = append(got, second+1)
						if o := *b.orphans.Load(); len(o) != 1 || o[0].Beat != number {
							t.Errorf("second %d: reported %+v, want the beat %d", second+1, o, number)
						}
					}
				}
				b.stop()
				if diff := cmp.Diff(tt.want, got); diff != "" {
					t.Errorf("seconds with a report (-want +got):\n%s", diff)
				}
			})
		})
	}
}

// TestSlowLookCountsFromItsAnswer: a beat may have been read at any time between question and
// answer.
func TestSlowLookCountsFromItsAnswer(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		b := &register{others: map[runs.OwnerID]int64{{2}: 7}, slow: 900 * time.Millisecond}
		var reported atomic.Int64
		start := time.Now()
		o := ownership.New(b, ownership.Options{
			Clock:   func() time.Duration { return time.Since(start) },
			Orphans: func(context.Context, []runs.Orphan) { reported.CompareAndSwap(0, int64(time.Since(start))) },
		})
		ctx, cancel := context.WithTimeout(t.Context(), 10*time.Second)
		defer cancel()
		if err := o.Serve(ctx); err != nil {
			t.Error(err)
		}
		// Answered at 0.9 s; asked again at 5 s and 6 s, answered at 6.9 s.
		if got := time.Duration(reported.Load()); got != 6900*time.Millisecond {
			t.Errorf("reported after %s, want 6.9s", got)
		}
	})
}

// TestOwnRunsAreNoOrphans: a process whose beat of the moment is unchanged is not its own heir.
func TestOwnRunsAreNoOrphans(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		b := beatAmong(t, ownership.Options{}, map[runs.OwnerID]int64{})
		b.mu.Lock()
		b.others[b.ID()] = 7
		b.mu.Unlock()
		b.pass(time.Minute)
		if b.reports.Load() != 0 {
			t.Error("a process reported its own runs")
		}
		b.stop()
	})
}

func TestAloneInheritsAtOnce(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		b := beat(t, ownership.Options{Alone: true})
		if b.reports.Load() != 1 {
			t.Errorf("%d reports after the first beat, want 1", b.reports.Load())
		}
		_, left := b.seen()
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
	a, b := ownership.New(&register{}, ownership.Options{}), ownership.New(&register{}, ownership.Options{})
	if a.ID() == b.ID() || a.ID() == (runs.OwnerID{}) {
		t.Errorf("ids %v and %v", a.ID(), b.ID())
	}
}
