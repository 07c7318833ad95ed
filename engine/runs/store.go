package runs

import (
	"context"
	"errors"
	"time"

	"keyflow/credentials"
	"keyflow/internal/fault"
	"keyflow/workflows"
)

// Store keeps runs. Commit is the only writer of runs, steps, signals and dedupe keys; it
// is called by the journal's one goroutine. Reads see every committed entry.
type Store interface {
	// Commit stores all entries in one transaction, one outcome each, in order. An error
	// means that nothing is stored, or with ErrUnknown in its chain that it may be; writing
	// the same entries again is safe. An Unavailable fault blames the database, any other
	// error an entry of the batch. No entries: a trial whether the database can write.
	Commit(ctx context.Context, entries []Entry, now time.Time) ([]Outcome, error)

	// Run and Steps return, with an error that is ErrDamaged, what can be read.
	Run(ctx context.Context, id ID) (Run, error)
	Steps(ctx context.Context, id ID) ([]Step, error)
	StepPages
	// Answer returns the answer of the run's respond node; nil without one.
	Answer(ctx context.Context, id ID) (*Answer, error)
	Runs(ctx context.Context, f Filter) ([]Run, error)            // newest first, without payloads
	Signals(ctx context.Context, owner OwnerID) ([]Signal, error) // unread, of runs this owner runs
	Delete(ctx context.Context, id ID) error                      // of a final run, with its steps
	Sleepers
}

// Sleepers finds the runs that nobody has in memory.
type Sleepers interface {
	// Due returns unowned runs that are queued, or waiting with WakeAt <= now, oldest first.
	Due(ctx context.Context, now time.Time, limit int) ([]DueRun, error)
	// DueOfEach is Due with at most so many runs of each origin (workflow, folder and trigger). Its
	// cost depends on the number of origins that have such runs, not on how many they have.
	DueOfEach(ctx context.Context, now time.Time, each int) ([]DueRun, error)
	CredentialWaits
	SlotQueues
}

// SlotQueues finds slots that the end of a run has not handed on.
type SlotQueues interface {
	// SlotQueues returns groups with runs that wait for a slot, by workflow and group behind the
	// given one.
	SlotQueues(ctx context.Context, after SlotQueue, limit int) ([]SlotQueue, error)
	// Leaked reads the slots of at most limit runs, by id behind the given one. It returns which
	// of these runs have ended, by workflow, and the last run read; the zero id is the end.
	Leaked(ctx context.Context, after ID, limit int) (map[workflows.ID][]ID, ID, error)
}

// CredentialWaits finds the runs with steps that wait for a credential (Step.NeedsConnect).
type CredentialWaits interface {
	// WaitingForCredential returns the unfinished runs with a step that waits for the credential
	// and without an unread SignalConnected of it, by id after the given one, at most limit.
	WaitingForCredential(ctx context.Context, id credentials.ID, after ID, limit int) ([]ID, error)
	// AwaitedCredentials returns the credentials that steps wait for. It costs one index lookup
	// per credential, however many runs there are.
	AwaitedCredentials(ctx context.Context) ([]credentials.ID, error)
}

// Owners keeps the heartbeat of processes. It uses its own connection and database time.
type Owners interface {
	// Beat stores that the owner is alive, as a number greater than that of its last beat. It waits
	// for a Claim that is taking runs from the owner.
	Beat(ctx context.Context, owner OwnerID) error
	// Beats returns the number of the last beat of each owner of unfinished runs; 0 of one that has
	// left. A number that stays the same is a process that does not beat; no clock is compared.
	Beats(ctx context.Context) (map[OwnerID]int64, error)
	// OwnedBy returns unfinished runs of the owners.
	OwnedBy(ctx context.Context, owners []OwnerID, limit int) ([]Orphan, error)
	Leave(ctx context.Context, owner OwnerID) error
}

// Orphan is a run whose owner is silent.
type Orphan struct {
	Run   ID
	Owner OwnerID
	Beat  int64 // the owner's last; 0 when it has left
}

// Filter selects runs for a list page, newest first.
type Filter struct {
	Workflow workflows.ID
	Status   Status
	Folder   string // this folder and below; "" is all
	Trigger  string // trigger id
	Since    time.Time
	Until    time.Time
	Before   ID  // exclusive cursor; zero is from the newest
	Limit    int // 1..500
}

// Refusals of a Store that callers tell apart with errors.Is. Both are Conflict faults.
var (
	// ErrFenced refuses a Progress whose owner or fence is no longer that of the run: the
	// sender has lost the run and must drop it.
	ErrFenced error = fault.New(fault.Conflict, "the run belongs to another process now")
	// ErrSignals refuses to park a run that has signals its owner has not read; nothing of
	// the entry is stored. Read them and go on.
	ErrSignals error = fault.New(fault.Conflict, "the run has signals that were not read")
)

// Marks in the chain of an error of Store.Commit that decide what becomes of its entries.
var (
	// ErrUnknown: the answer to COMMIT was lost, so the entries may be stored.
	ErrUnknown = errors.New("it is unknown whether the transaction was stored")
	// ErrSync: the disk did not confirm a write. What it holds is unknown until the
	// database is opened again, so the process must stop.
	ErrSync = errors.New("the disk did not confirm a write")
)
