package outbox_test

import (
	"context"
	"errors"
	"fmt"
	"log/slog"
	"slices"
	"sync"
	"testing"
	"testing/synctest"
	"time"

	"github.com/google/go-cmp/cmp"

	"keyflow/internal/outbox"
)

// queue is an outbox in memory that counts what it is asked.
type queue struct {
	mu      sync.Mutex
	entries []outbox.Entry
	seq     int64
	due     map[int64]time.Time // of those that were postponed
	wake    chan struct{}
	shared  bool
	takes   int
	holder  string
}

var _ outbox.Queue = (*queue)(nil)

func newQueue(shared bool) *queue {
	return &queue{due: map[int64]time.Time{}, wake: make(chan struct{}, 1), shared: shared}
}

func (q *queue) add(notify bool, types ...string) {
	q.mu.Lock()
	defer q.mu.Unlock()
	for _, typ := range types {
		q.seq++
		q.entries = append(q.entries, outbox.Entry{Seq: q.seq, Event: outbox.Event{Type: typ}})
	}
	if notify {
		q.wake <- struct{}{}
	}
}

// Take implements outbox.Queue.
func (q *queue) Take(_ context.Context, holder string, _ time.Duration, limit int) ([]outbox.Entry, error) {
	q.mu.Lock()
	defer q.mu.Unlock()
	q.takes++
	var due []outbox.Entry
	for _, e := range q.entries {
		if !q.due[e.Seq].After(time.Now()) && len(due) < limit {
			due = append(due, e)
		}
	}
	if len(due) > 0 {
		q.holder = holder
	}
	return due, nil
}

// Remove implements outbox.Queue.
func (q *queue) Remove(_ context.Context, seqs []int64) error {
	q.mu.Lock()
	defer q.mu.Unlock()
	q.entries = slices.DeleteFunc(q.entries, func(e outbox.Entry) bool { return slices.Contains(seqs, e.Seq) })
	return nil
}

// Postpone implements outbox.Queue.
func (q *queue) Postpone(_ context.Context, seq int64, pause time.Duration, left []string) error {
	q.mu.Lock()
	defer q.mu.Unlock()
	for i := range q.entries {
		if e := &q.entries[i]; e.Seq == seq {
			e.Attempts, e.Left = e.Attempts+1, left
			q.due[seq] = time.Now().Add(pause)
		}
	}
	return nil
}

// Next implements outbox.Queue.
func (q *queue) Next(context.Context) (pause time.Duration, ok bool, err error) {
	q.mu.Lock()
	defer q.mu.Unlock()
	for _, e := range q.entries {
		if at := q.due[e.Seq]; !at.IsZero() && (!ok || time.Until(at) < pause) {
			pause, ok = time.Until(at), true
		}
	}
	return pause, ok, nil
}

// Release implements outbox.Queue.
func (q *queue) Release(_ context.Context, holder string) error {
	q.mu.Lock()
	defer q.mu.Unlock()
	if q.holder != holder {
		return errors.New("not the holder")
	}
	q.holder = ""
	return nil
}

// Wake implements outbox.Queue.
func (q *queue) Wake() <-chan struct{} { return q.wake }

// Shared implements outbox.Queue.
func (q *queue) Shared() bool { return q.shared }

func (q *queue) taken() int {
	q.mu.Lock()
	defer q.mu.Unlock()
	return q.takes
}

// serve hands events out until stop is called.
func serve(t *testing.T, q outbox.Queue, deliver outbox.Deliver) (stop func()) {
	t.Helper()
	ctx, cancel := context.WithCancel(t.Context())
	done := make(chan error, 1)
	go func() { done <- outbox.Serve(ctx, q, deliver, slog.New(slog.DiscardHandler)) }()
	return func() {
		cancel()
		if err := <-done; err != nil {
			t.Error(err)
		}
	}
}

func TestServeHandsOutInOrder(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		q := newQueue(false)
		q.add(false, "before the start")
		var got []string
		failing := 2
		stop := serve(t, q, func(_ context.Context, e outbox.Entry) error {
			got = append(got, e.Type)
			if e.Type == "b" && failing > 0 {
				failing--
				return errors.New("the subscriber is down")
			}
			return nil
		})
		synctest.Wait()
		q.add(true, "a", "b", "c")
		time.Sleep(time.Minute) // of the bubble's clock
		synctest.Wait()
		stop()
		if diff := cmp.Diff([]string{"before the start", "a", "b", "b", "b", "c"}, got); diff != "" {
			t.Errorf("handed out (-want +got):\n%s", diff)
		}
		if q.holder != "" || len(q.entries) != 0 {
			t.Errorf("at the end %q holds %v", q.holder, q.entries)
		}
	})
}

func TestServeIsIdle(t *testing.T) {
	t.Parallel()
	for name, tt := range map[string]struct {
		shared bool
		most   int
	}{
		"alone":  {false, 1},
		"shared": {true, 61},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			synctest.Test(t, func(t *testing.T) {
				q := newQueue(tt.shared)
				stop := serve(t, q, func(context.Context, outbox.Entry) error { return nil })
				time.Sleep(time.Minute) // of the bubble's clock
				synctest.Wait()
				if n := q.taken(); n < 1 || n > tt.most {
					t.Errorf("asked %d times in a minute, want at most %d", n, tt.most)
				}
				stop()
			})
		})
	}
}

// What other processes have stored is found without being told.
func TestServeFindsEventsOfOthers(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		q := newQueue(true)
		var got []string
		stop := serve(t, q, func(_ context.Context, e outbox.Entry) error {
			got = append(got, e.Type)
			return nil
		})
		synctest.Wait()
		q.add(false, "a")
		time.Sleep(2 * time.Second) // of the bubble's clock
		synctest.Wait()
		stop()
		if diff := cmp.Diff([]string{"a"}, got); diff != "" {
			t.Errorf("handed out (-want +got):\n%s", diff)
		}
	})
}

// A postponed event comes again alone, at growing distances, with what is left of it.
func TestServePostpones(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		q := newQueue(false)
		q.add(false, "a", "slow", "b")
		began := time.Now()
		var got []string
		stop := serve(t, q, func(_ context.Context, e outbox.Entry) error {
			got = append(got, fmt.Sprintf("%s %d %v after %v", e.Type, e.Attempts, e.Left, time.Since(began)))
			if e.Type == "slow" && e.Attempts < 3 {
				return &outbox.Postponed{Left: []string{"w/t"}, Err: errors.New("not now")}
			}
			return nil
		})
		time.Sleep(time.Minute) // of the bubble's clock
		synctest.Wait()
		stop()
		want := []string{"a 0 [] after 0s", "slow 0 [] after 0s", "b 0 [] after 0s", "slow 1 [w/t] after 1s", "slow 2 [w/t] after 3s", "slow 3 [w/t] after 7s"}
		if diff := cmp.Diff(want, got); diff != "" {
			t.Errorf("handed out (-want +got):\n%s", diff)
		}
	})
}

// Events of one subject come one after the other, those of another do not wait for them.
func TestServeHandsSubjectsOutSideBySide(t *testing.T) {
	t.Parallel()
	q := newQueue(false)
	q.add(false, "first", "second", "other")
	q.entries[2].Subject = "other"
	other, second := make(chan struct{}), make(chan struct{})
	stop := serve(t, q, func(ctx context.Context, e outbox.Entry) error {
		switch e.Type {
		case "other":
			close(other)
		case "second":
			close(second)
		case "first":
			select {
			case <-other:
			case <-second:
				t.Error("the second event of a subject came while the first was handed out")
			case <-ctx.Done():
				t.Error("an event of another subject waits")
			}
		}
		return nil
	})
	<-second
	stop()
}
