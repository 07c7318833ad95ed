package engine

import (
	"context"
	"errors"
	"log/slog"
	"sync"
	"time"

	"keyflow/internal/fault"
)

// Refusals of a Store that callers tell apart with errors.Is. Both are Conflict faults.
var (
	// ErrFenced refuses a Progress whose owner or fence is no longer that of the run: the
	// sender has lost the run and must drop it.
	ErrFenced error = fault.New(fault.Conflict, "the run belongs to another process now")
	// ErrSignals refuses to park a run that has signals its owner has not read; nothing of
	// the entry is stored. Read them and go on.
	ErrSignals error = fault.New(fault.Conflict, "the run has signals that were not read")
)

// Faults of a Commit that decide what becomes of its entries.
var (
	// ErrUnknown in the chain of an error of Store.Commit says that the answer to COMMIT was
	// lost: the entries may be stored.
	ErrUnknown = errors.New("it is unknown whether the transaction was stored")
	// ErrSync in the chain of an error of Store.Commit says that the disk did not confirm a
	// write. What it holds is unknown until the database is opened again: the process must stop.
	ErrSync = errors.New("the disk did not confirm a write")
)

// JournalOptions sets the bounds of a journal; zero fields take the defaults.
type JournalOptions struct {
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
// takes what has come in while it was writing and commits it at once (group commit, no
// artificial delay). Every entry gets its own outcome, which arrives only once it is known
// whether the entry is on disk.
//
// While the database cannot write, Create and Signal entries are refused with an
// Unavailable fault. Progress and Claim entries, and those whose commit was answered by
// silence, stay with the journal and are written again until their fate is known: a run
// simply goes on when the database is back. All entries are idempotent.
type Journal struct {
	store Store
	o     JournalOptions

	mu      sync.Mutex
	pending []pendingEntry
	down    error // why the last transaction failed; nil when it did not
	closed  bool

	wake chan struct{} // holds one token when pending or closed changed
}

type pendingEntry struct {
	entry Entry
	done  chan Outcome // buffered, receives once
	tried bool         // its commit has failed at least once, with an unknown result
}

// NewJournal returns a journal over store. Entries sent before Serve runs are held.
func NewJournal(store Store, o JournalOptions) *Journal {
	return &Journal{store: store, o: o, wake: make(chan struct{}, 1)}
}

// Write sends an entry and waits for its outcome. The error is that of the outcome, or
// ctx's: then the entry may still be stored. Whoever is bound by the outcome (a Claim, a
// Create with an owner) must use Send and keep the channel.
func (j *Journal) Write(ctx context.Context, e Entry) (Outcome, error) {
	select {
	case out := <-j.Send(e):
		return out, out.Err
	case <-ctx.Done():
		return Outcome{}, fault.New(fault.Unavailable, "the database did not answer in time").Because(ctx.Err())
	}
}

// Send hands an entry to the writer and never blocks. The channel receives one outcome.
// Entries of one run are stored in the order in which they were sent.
func (j *Journal) Send(e Entry) <-chan Outcome {
	panic("journal: unfinished")
}

// Serve writes until ctx is done, then stores what is left and returns. Only one may run.
// An error is a disk that did not confirm a write (ErrSync).
func (j *Journal) Serve(ctx context.Context) error {
	panic("journal: unfinished")
}

// Err is nil while the journal can write, else an Unavailable fault that says why not.
func (j *Journal) Err() error {
	panic("journal: unfinished")
}
