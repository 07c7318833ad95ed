package outbox_test

import (
	"context"
	"errors"
	"log/slog"
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
	wake    chan struct{}
	shared  bool
	takes   int
	holder  string
}

var _ outbox.Queue = (*queue)(nil)

func newQueue(shared bool) *queue { return &queue{wake: make(chan struct{}, 1), shared: shared} }

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
	if len(q.entries) > 0 {
		q.holder = holder
	}
	return append([]outbox.Entry(nil), q.entries[:min(limit, len(q.entries))]...), nil
}

// Remove implements outbox.Queue.
func (q *queue) Remove(_ context.Context, seq int64) error {
	q.mu.Lock()
	defer q.mu.Unlock()
	if len(q.entries) == 0 || q.entries[0].Seq != seq {
		return errors.New("not the first")
	}
	q.entries = q.entries[1:]
	return nil
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
		stop := serve(t, q, func(_ context.Context, e outbox.Event) error {
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
				stop := serve(t, q, func(context.Context, outbox.Event) error { return nil })
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
		stop := serve(t, q, func(_ context.Context, e outbox.Event) error {
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
