// Package outbox hands out what has happened: events are stored in the transaction of the
// change they tell of, and Serve gives each, in order and at least once, to one subscriber.
//
// It owns the queue and who may empty it. It must not know what events mean or what
// subscribers do with them.
package outbox

import (
	"context"
	"crypto/rand"
	"encoding/json"
	"errors"
	"fmt"
	"log/slog"
	"time"

	"github.com/google/uuid"
)

// Event is something that happened, in the terms of CloudEvents. No secret is in it.
type Event struct {
	ID      uuid.UUID       // makes a repetition known: whoever acts on an event does so once per id
	Type    string          // for example keyflow.credential.rotated
	Subject string          // what it is about, for example credentials/erp
	Folder  string          // of the subject
	Time    time.Time       // when it happened
	Data    json.RawMessage // a JSON object
}

// Entry is an event in the queue.
type Entry struct {
	Seq int64 // grows; events of one subject are in the order in which they happened
	Event
}

// Queue keeps events until they have been handed out. It is safe for concurrent use.
type Queue interface {
	// Take returns the oldest entries, at most limit, if holder alone may hand them out for
	// life from now; none when another may. It costs one indexed query while none are stored.
	Take(ctx context.Context, holder string, life time.Duration, limit int) ([]Entry, error)
	Remove(ctx context.Context, seq int64) error
	// Release lets another holder take at once.
	Release(ctx context.Context, holder string) error
	// Wake gets a token after this process has stored events.
	Wake() <-chan struct{}
	// Shared reports whether other processes store events too.
	Shared() bool
}

// Bounds of handing out.
const (
	leaseLife = 30 * time.Second
	batchTime = 20 * time.Second // less than the lease: whoever hands out has the right to
	batchSize = 100
	pollEvery = time.Second // for events of other processes
	maxPause  = time.Minute // after a subscriber has failed
)

// Deliver hands an event to the subscriber. An error means that it is handed over again
// later, and those behind it wait; whatever can never be handled must be dropped by the
// subscriber. ctx ends before another process may hand out the same event.
type Deliver func(ctx context.Context, e Event) error

// Serve hands out events until ctx is done; it returns nil then.
func Serve(ctx context.Context, q Queue, deliver Deliver, log *slog.Logger) error {
	s := server{q: q, deliver: deliver, holder: rand.Text()}
	failures := 0
	for ctx.Err() == nil {
		err := s.drain(ctx)
		switch {
		case ctx.Err() != nil:
		case err != nil:
			failures++
			log.WarnContext(ctx, "events are not handed out; they are kept", "error", err)
			wait(ctx, nil, min(time.Second<<min(failures-1, 10), maxPause))
		case q.Shared():
			failures = 0
			wait(ctx, q.Wake(), pollEvery)
		default:
			failures = 0
			wait(ctx, q.Wake(), 0)
		}
	}
	return s.release(ctx)
}

type server struct {
	q       Queue
	deliver Deliver
	holder  string
	holding bool
}

// drain hands out what is stored.
func (s *server) drain(ctx context.Context) error {
	for {
		n, err := s.batch(ctx)
		if err != nil || n == 0 {
			return errors.Join(err, s.release(ctx))
		}
	}
}

func (s *server) batch(ctx context.Context) (int, error) {
	ctx, cancel := context.WithTimeout(ctx, batchTime)
	defer cancel()
	entries, err := s.q.Take(ctx, s.holder, leaseLife, batchSize)
	if err != nil {
		return 0, fmt.Errorf("take events: %w", err)
	}
	s.holding = s.holding || len(entries) > 0
	for i, e := range entries {
		if ctx.Err() != nil && i > 0 {
			return i, nil // the rest with a new lease
		}
		if err := s.deliver(ctx, e.Event); err != nil {
			return i, fmt.Errorf("hand out %s %s: %w", e.Type, e.ID, err)
		}
		if err := s.q.Remove(ctx, e.Seq); err != nil {
			return i, fmt.Errorf("remove event %s: %w", e.ID, err)
		}
	}
	return len(entries), nil
}

// release gives the right to hand out back, if this process has it.
func (s *server) release(ctx context.Context) error {
	if !s.holding {
		return nil
	}
	s.holding = false
	ctx, cancel := context.WithTimeout(context.WithoutCancel(ctx), 5*time.Second)
	defer cancel()
	if err := s.q.Release(ctx, s.holder); err != nil {
		return fmt.Errorf("release events: %w", err)
	}
	return nil
}

// wait returns after a token or the time, whichever comes first; 0 is no time limit.
func wait(ctx context.Context, wake <-chan struct{}, most time.Duration) {
	var over <-chan time.Time
	if most > 0 {
		timer := time.NewTimer(most)
		defer timer.Stop()
		over = timer.C
	}
	select {
	case <-wake:
	case <-over:
	case <-ctx.Done():
	}
}
