// Package outbox hands out what has happened: events are stored in the transaction of the
// change they tell of, and Serve gives each, at least once, to one subscriber.
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
	"sync"
	"time"

	"github.com/google/uuid"
)

// Event is something that happened, in the terms of CloudEvents. No secret is in it.
type Event struct {
	ID      uuid.UUID       // makes a repetition known: whoever acts on an event does so once per id
	Source  string          // who tells, a URI reference; "" is "/" and the subject
	Type    string          // for example keyflow.credential.rotated
	Subject string          // what it is about, for example credentials/erp
	Folder  string          // of the subject
	Depth   int             // how many starts of workflows led to it
	Time    time.Time       // when it happened
	Data    json.RawMessage // any JSON
}

// Entry is an event in the queue.
type Entry struct {
	Seq int64 // grows; events of one subject are in the order in which they happened
	Event
	Attempts int      // how often it was postponed
	Left     []string // of the last Postponed
}

// Postponed is the error of a subscriber that cannot handle one event now: that one is handed
// over again later, at growing distances, and those behind it do not wait.
type Postponed struct {
	Left []string // in the subscriber's words: what is still to be done
	Err  error    // why
}

// Error implements error.
func (p *Postponed) Error() string { return "postponed: " + p.Err.Error() }

// Unwrap returns the reason.
func (p *Postponed) Unwrap() error { return p.Err }

// Queue keeps events until they have been handed out. It is safe for concurrent use.
type Queue interface {
	// Take returns the oldest entries that are due, at most limit, if holder alone may hand them out
	// for life from now; none when another may. Their data together is some megabytes, or one entry.
	// It costs an indexed query or two while none are stored.
	Take(ctx context.Context, holder string, life time.Duration, limit int) ([]Entry, error)
	Remove(ctx context.Context, seqs []int64) error
	// Postpone makes an entry due again after a pause.
	Postpone(ctx context.Context, seq int64, pause time.Duration, left []string) error
	// Next is how long it takes until a postponed entry is due; ok is false when none is.
	Next(ctx context.Context) (pause time.Duration, ok bool, err error)
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
	noteTime  = 5 * time.Second  // for noting what became of a batch
	batchSize = 100
	parallel  = 32               // subjects whose events are handed out at once
	pollEvery = time.Second      // for events of other processes
	maxPause  = time.Minute      // after a subscriber has failed
	maxDelay  = 10 * time.Minute // between two attempts of a postponed event
)

// Deliver hands an event to the subscriber; those of different subjects are handed over side by
// side. An error means that it is handed over again later: *[Postponed] this one alone, any other
// error means that everything waits. Whatever can never be handled must be dropped by the
// subscriber. ctx ends before another process may hand out the same event.
type Deliver func(ctx context.Context, e Entry) error

// Serve hands out events until ctx is done; it returns nil then.
func Serve(ctx context.Context, q Queue, deliver Deliver, log *slog.Logger) error {
	s := server{q: q, deliver: deliver, holder: rand.Text(), log: log}
	failures := 0
	for ctx.Err() == nil {
		idle, err := s.drain(ctx)
		switch {
		case ctx.Err() != nil:
		case err != nil:
			failures++
			log.WarnContext(ctx, "events are not handed out; they are kept", "error", err)
			wait(ctx, nil, min(time.Second<<min(failures-1, 10), maxPause))
		default:
			failures = 0
			wait(ctx, q.Wake(), idle)
		}
	}
	return s.release(ctx)
}

type server struct {
	q       Queue
	deliver Deliver
	holder  string
	holding bool
	log     *slog.Logger
}

// drain hands out what is due and returns how long to wait for more at most; 0 is no limit.
func (s *server) drain(ctx context.Context) (idle time.Duration, err error) {
	for {
		n, err := s.batch(ctx)
		if err != nil || n == 0 {
			return s.idle(ctx, errors.Join(err, s.release(ctx)))
		}
	}
}

func (s *server) idle(ctx context.Context, err error) (time.Duration, error) {
	if err != nil || s.q.Shared() {
		return pollEvery, err
	}
	pause, ok, err := s.q.Next(ctx)
	if err != nil || !ok {
		return 0, err
	}
	return max(pause, time.Millisecond), nil
}

// batch hands out some entries and notes what became of them. An error is that of an entry that
// keeps everything waiting.
func (s *server) batch(ctx context.Context) (int, error) {
	inTime, cancel := context.WithTimeout(ctx, batchTime)
	defer cancel()
	entries, err := s.q.Take(inTime, s.holder, leaseLife, batchSize)
	if err != nil {
		return 0, fmt.Errorf("take events: %w", err)
	}
	s.holding = s.holding || len(entries) > 0
	results := s.handOut(inTime, entries)
	note, done := context.WithTimeout(context.WithoutCancel(ctx), noteTime)
	defer done()
	return s.note(note, entries, results)
}

// errLeft says of an entry that it was not handed out in this batch.
var errLeft = errors.New("not in time")

// handOut hands entries out, those of one subject in order.
func (s *server) handOut(ctx context.Context, entries []Entry) []error {
	results := make([]error, len(entries))
	subjects := map[string][]int{}
	var order []string
	for i, e := range entries {
		if subjects[e.Subject] == nil {
			order = append(order, e.Subject)
		}
		subjects[e.Subject] = append(subjects[e.Subject], i)
		results[i] = errLeft
	}
	var wg sync.WaitGroup
	slots := make(chan struct{}, parallel)
	for _, subject := range order {
		slots <- struct{}{}
		wg.Go(func() {
			defer func() { <-slots }()
			for n, i := range subjects[subject] {
				if n > 0 && ctx.Err() != nil {
					return // the rest with a new lease
				}
				results[i] = s.deliver(ctx, entries[i])
				if _, alone := errors.AsType[*Postponed](results[i]); results[i] != nil && !alone {
					return
				}
			}
		})
	}
	wg.Wait()
	return results
}

// note removes what was handled and postpones what is to come again.
func (s *server) note(ctx context.Context, entries []Entry, results []error) (handled int, failed error) {
	var done []int64
	for i, e := range entries {
		err := results[i]
		later, alone := errors.AsType[*Postponed](err)
		switch {
		case err == nil:
			done = append(done, e.Seq)
		case alone:
			delay := min(time.Second<<min(e.Attempts, 20), maxDelay)
			s.log.WarnContext(ctx, "an event is handed out again later", "type", e.Type, "id", e.ID, "in", delay, "error", later.Err)
			if err := s.q.Postpone(ctx, e.Seq, delay, later.Left); err != nil {
				return handled, fmt.Errorf("postpone event %s: %w", e.ID, err)
			}
			handled++
		case failed == nil && !errors.Is(err, errLeft):
			failed = fmt.Errorf("hand out %s %s: %w", e.Type, e.ID, err)
		}
	}
	if err := s.q.Remove(ctx, done); err != nil {
		return handled, fmt.Errorf("remove events: %w", err)
	}
	return handled + len(done), failed
}

// release gives the right to hand out back, if this process has it.
func (s *server) release(ctx context.Context) error {
	if !s.holding {
		return nil
	}
	s.holding = false
	ctx, cancel := context.WithTimeout(context.WithoutCancel(ctx), noteTime)
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
