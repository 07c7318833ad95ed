// Package journal stores the entries of all runs of a process, many per transaction, and gives each
// sender its outcome once that is on disk.
//
// It must not know what the entries mean beyond which may be refused and which may be repeated.
package journal

import (
	"cmp"
	"context"
	"log/slog"
	"sync"
	"time"

	"github.com/google/uuid"

	"keyflow/engine/runs"
	"keyflow/internal/fault"
)

// Defaults of Options.
const (
	defaultMaxPending    = 8192
	defaultMaxBatch      = 512
	defaultCommitTimeout = 10 * time.Second
	defaultDrainTimeout  = 10 * time.Second
	maxBatchBytes        = 8 << 20 // payloads of one transaction; a larger single entry goes alone
	// claimPayload stands for what a claim makes the store read, within the same time: it is not
	// known before.
	claimPayload = maxBatchBytes / 128
)

// How a failed transaction is repeated: at once and soon, while entries wait; then the
// database counts as down and is asked again at growing distances.
const (
	quickTries = 3
)

// Options sets the bounds of a journal; zero fields take the defaults.
type Options struct {
	// MaxPending bounds the entries accepted and not yet stored; 8,192. Over it, Create and
	// Signal entries are refused; Progress and Claim are bounded by the runs of the process.
	MaxPending int
	// MaxBatch bounds the entries of one transaction; 512.
	MaxBatch int
	// CommitTimeout bounds one transaction; 10 s. DrainTimeout bounds the writing of what is
	// left when Serve is told to stop; 10 s.
	CommitTimeout time.Duration
	DrainTimeout  time.Duration
	Now           func() time.Time // nil: time.Now
	Logger        *slog.Logger     // nil: discards
}

// Journal stores the entries of all runs of a process, many per transaction: one writer
// takes what came in while it was writing and commits it at once (group commit, no
// artificial delay). Every entry gets its own outcome, which arrives only once it is known
// whether the entry is on disk.
//
// While the database cannot write, Create and Signal entries are refused with an
// Unavailable fault. Progress and Claim entries, and all whose COMMIT was not answered,
// stay with the journal and are written again until their fate is known: a run simply goes
// on when the database is back. Entries are idempotent, so writing twice changes nothing.
type Journal struct {
	store runs.Store
	o     Options

	mu      sync.Mutex
	pending []pendingEntry // in the order of Send
	down    error          // why nothing can be stored now; nil when it can
	closed  bool           // Serve is at its end: nothing more is taken

	wake chan struct{} // holds a token when pending grew
}

// pendingEntry is an entry whose outcome is not known yet.
type pendingEntry struct {
	entry   runs.Entry
	done    chan<- runs.Outcome // buffered; receives once
	unknown bool                // a COMMIT with it was not answered: it may be stored
}

// refusable reports whether the entry may be refused for the database's sake: its sender
// is outside, nothing depends on it yet, and it is certain that it was not stored.
func (p *pendingEntry) refusable() bool {
	return !p.unknown && (p.entry.Create != nil || p.entry.Signal != nil)
}

// New returns a journal over store. Entries sent before Serve runs wait.
func New(store runs.Store, o Options) *Journal {
	o.MaxPending, o.MaxBatch = cmp.Or(o.MaxPending, defaultMaxPending), cmp.Or(o.MaxBatch, defaultMaxBatch)
	o.CommitTimeout, o.DrainTimeout = cmp.Or(o.CommitTimeout, defaultCommitTimeout), cmp.Or(o.DrainTimeout, defaultDrainTimeout)
	o.Logger = cmp.Or(o.Logger, slog.New(slog.DiscardHandler))
	if o.Now == nil {
		o.Now = time.Now
	}
	return &Journal{store: store, o: o, wake: make(chan struct{}, 1)}
}

// Write sends an entry and waits for its outcome. The error is that of the outcome, or an
// Unavailable fault when ctx ended first: then the entry may still be stored. Whoever is
// bound by the outcome (a Claim, a Create with an owner) must use Send and keep the channel.
func (j *Journal) Write(ctx context.Context, e runs.Entry) (runs.Outcome, error) {
	select {
	case out := <-j.Send(e):
		return out, out.Err
	case <-ctx.Done():
		return runs.Outcome{}, fault.New(fault.Unavailable, "the database did not answer in time").Because(ctx.Err())
	}
}

// Send hands an entry to the writer and never blocks. The channel receives one outcome.
// Entries of one run are stored in the order in which they were sent. What the entry
// points to must not change until then.
func (j *Journal) Send(e runs.Entry) <-chan runs.Outcome {
	done := make(chan runs.Outcome, 1)
	if e.Signal != nil && e.Signal.ID == uuid.Nil {
		named := *e.Signal
		named.ID = uuid.New()
		e.Signal = &named
	}
	p := pendingEntry{entry: e, done: done}
	if err := j.accept(p); err != nil {
		done <- runs.Outcome{Err: err}
	}
	return done
}

// accept queues p or says why not.
func (j *Journal) accept(p pendingEntry) error {
	j.mu.Lock()
	defer j.mu.Unlock()
	switch {
	case j.closed:
		return errStopping
	case !p.refusable():
	case j.down != nil:
		return refusal(j.down)
	case len(j.pending) >= j.o.MaxPending:
		return fault.New(fault.Unavailable, "too much is waiting to be stored: try again")
	}
	j.pending = append(j.pending, p)
	select {
	case j.wake <- struct{}{}:
	default:
	}
	return nil
}

var errStopping error = fault.New(fault.Unavailable, "the process is stopping: try again")

// refusal is what senders hear while the database cannot write.
func refusal(cause error) error {
	return fault.New(fault.Unavailable, "the database cannot store anything now: try again").Because(cause)
}

// Err is nil while the journal can write, else an Unavailable fault with the cause.
func (j *Journal) Err() error {
	j.mu.Lock()
	defer j.mu.Unlock()
	if j.down == nil {
		return nil
	}
	return refusal(j.down)
}

// close ends the journal: whatever is left gets err.
func (j *Journal) close(err error) {
	j.mu.Lock()
	left := j.pending
	j.closed, j.pending = true, nil
	j.mu.Unlock()
	for _, p := range left {
		p.done <- runs.Outcome{Err: err}
	}
}

// waiting is the number of entries not stored yet.
func (j *Journal) waiting() int {
	j.mu.Lock()
	defer j.mu.Unlock()
	return len(j.pending)
}

// take cuts the next batch from the queue and keeps the token when something is left.
func (j *Journal) take() []pendingEntry {
	j.mu.Lock()
	defer j.mu.Unlock()
	n, size := 0, 0
	for n < len(j.pending) && n < j.o.MaxBatch {
		size += payload(&j.pending[n].entry)
		if n > 0 && size > maxBatchBytes {
			break
		}
		n++
	}
	batch := j.pending[:n:n]
	if j.pending = j.pending[n:]; len(j.pending) == 0 {
		j.pending = nil // lets go of what was stored
		return batch
	}
	select {
	case j.wake <- struct{}{}:
	default:
	}
	return batch
}

// payload is the size of what the entry wants to store, near enough to bound a batch.
func payload(e *runs.Entry) int {
	switch {
	case e.Create != nil:
		t := &e.Create.Run.Trigger
		return len(e.Create.Run.Input) + len(t.Request) + len(t.Event)
	case e.Progress != nil:
		n := 0
		for i := range e.Progress.Steps {
			n += len(e.Progress.Steps[i].Output)
		}
		if e.Progress.Set != nil {
			n += len(e.Progress.Set.Output)
		}
		for i := range e.Progress.Starts {
			n += len(e.Progress.Starts[i].Run.Input)
		}
		if e.Progress.Answer != nil {
			n += len(e.Progress.Answer.Body)
		}
		for i := range e.Progress.Signals {
			n += len(e.Progress.Signals[i].Data)
		}
		for i := range e.Progress.Events {
			n += len(e.Progress.Events[i].Data)
		}
		return n
	case e.Claim != nil:
		return claimPayload
	default:
		return 0
	}
}
