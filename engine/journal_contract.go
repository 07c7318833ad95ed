package engine

import (
	"context"
	"time"

	"github.com/google/uuid"

	"keyflow/credentials"
	"keyflow/internal/outbox"
	"keyflow/workflows"
)

// Entry is one atomic change of one run; the journal commits the entries of many runs in
// one transaction. Exactly one field is set.
type Entry struct {
	Create   *NewRun
	Progress *Progress
	Claim    *Claim
	Signal   *Signal
	Admit    *Admit
}

// Outcome is the result of one entry. Err is a fault of that entry alone: one bad entry
// never fails the batch.
type Outcome struct {
	Run       RunID   // Create: the new run, or the one that has the dedupe key already
	Duplicate bool    // Create: Run is an earlier one. Signal: not stored, an earlier one counts
	Skipped   bool    // Create: the dedupe key was recorded without a run
	Loaded    *Loaded // Claim: the run and its steps
	// Unread, of a Claim without Err: the run is this owner's, and could not be read. The journal asks again.
	Unread bool
	// Waits, of a Create: the run is stored, and not the creator's to begin: it waits for a slot, or
	// another process took it before the Create was written again.
	Waits bool
	// Unstarted are Starts of a Progress that on_limit refused.
	Unstarted []RunID
	// Tell are other runs that are due because of the entry: they got a slot, or were canceled for one.
	Tell []DueRun
	Err  error
}

// NewRun creates a run. With Run.Owner set the creator runs it itself (accept and own):
// status, fence and times are then those of a running run, and are stored as they are.
// Dedupe nil: always a new run.
type NewRun struct {
	Run    Run
	Steps  []Step // that have ended already: of a run that this one retries
	Dedupe *DedupeKey
	// Slots are what the run needs, by Place. When they are not all free, the store makes of a run with an
	// owner a queued one without (Outcome.Waits), or, where OnLimit is skip, no run: a Conflict.
	Slots []Slot
	// RecordSkip records the dedupe key of a run that was skipped so (Outcome.Skipped) instead of a Conflict.
	RecordSkip bool
}

// DedupeKey makes a start idempotent. Kinds are separate name spaces.
type DedupeKey struct {
	Kind      string // "cron", "webhook", "event", "manual"
	Trigger   string // trigger id; "" for manual
	Key       string // hashed before it is stored
	ExpiresAt time.Time
	// InputHash, when set, must equal that of the first start (else Conflict): Idempotency-Key rule.
	InputHash string
}

// Progress is what the owner of a run reports: upserted steps and, when set, the run's own
// change. It is refused with ErrFenced when (Owner, Fence) are no longer those of the run.
type Progress struct {
	Run   RunID
	Owner OwnerID
	Fence int64
	Steps []Step     // replace the rows (run, node, index)
	Set   *RunChange // nil: only steps
	// Starts are runs that steps start: queued, without an owner. Signals go to other runs; one
	// to a run that has ended, or that is none, goes nowhere.
	Starts  []NewRun
	Signals []Signal
	// Answer is what a respond node says; the first of a run counts.
	Answer *Answer
	// Frees is the workflow of a run with slots, which its end gives to the next; "" without.
	Frees workflows.ID
	// Events go into the outbox; one that is there already stays as it is.
	Events []outbox.Event
	// ReadSignals: every signal of the run with Seq <= this has been applied and may go.
	ReadSignals int64
}

// RunChange is the run's own part of a Progress. A final Status or a Release also ends ownership.
type RunChange struct {
	Status     RunStatus
	Output     []byte
	Error      *RunError
	StartedAt  *time.Time
	FinishedAt *time.Time
	WakeAt     *time.Time // with RunWaiting: when due; nil waits for a signal
	// Release gives the run up: owner none. With RunWaiting the store refuses (ErrSignals)
	// while unread signals exist, so that none is slept through; nothing of the entry is
	// stored then. With RunQueued it is handed back.
	Release bool
}

// Claim takes a run that is queued (or waiting and due) and has no owner, or, with
// TakeoverFrom set, one whose owner is that process and has not beaten for Silence, which is
// looked at in the claim's own transaction. The fence grows by one and the
// run is running; a run that has no StartedAt yet gets Commit's now, because now() of its
// first steps is that instant, also after a crash.
// Outcome.Err is a Conflict fault when somebody else was first, or the owner beats again.
type Claim struct {
	Run          RunID
	Owner        OwnerID
	TakeoverFrom *OwnerID
	Silence      time.Duration // in the database's time; zero: whether the owner beats or not
	// Again is set by the journal when it writes the claim once more because the answer to
	// the first COMMIT was lost: then a run that Owner has already is its own.
	Again bool
}

// SignalCancel is the kind of the signal that ends a run; it sets Run.CancelRequested.
const SignalCancel = "cancel"

// SignalConnected is the kind of the signal that a credential can be used again; Data is its id.
const SignalConnected = "connected"

// SignalStep is the kind of the signal that brings a step what it waits for.
const SignalStep = "step"

// Signal is a fact from outside the owner of a run: cancel, a connected credential.
// An unowned waiting run is queued in the same transaction. Of signals with one ID the first
// counts, and none for a step that has ended or been brought something. NotFound and Conflict (the run is final) are faults.
type Signal struct {
	Run  RunID
	Kind string // SignalCancel, ...
	Data []byte
	Step *StepRef  // of a SignalStep: the step it is for; Run is that of the signal
	Seq  int64     // given by the store
	ID   uuid.UUID // makes the entry idempotent; Journal.Send fills it in
	// Again is set by the journal when it writes the signal once more because the answer to the
	// first COMMIT was lost: then one with this ID is its own.
	Again bool
}

// Loaded is a claimed run with all that is needed to go on.
type Loaded struct {
	Run     Run
	Steps   []Step
	Signals []Signal // unread, in order
	// Err says that something stored of the run cannot be read, which another try does not change.
	// It is claimed all the same, and Run has at least what its end needs.
	Err error
}

// Store keeps runs. Commit is the only writer of runs, steps, signals and dedupe keys; it
// is called by the journal's one goroutine. Reads see every committed entry.
type Store interface {
	// Commit stores all entries in one transaction, one outcome each, in order. An error
	// means that nothing is stored, or with ErrUnknown in its chain that it may be; writing
	// the same entries again is safe. An Unavailable fault blames the database, any other
	// error an entry of the batch. No entries: a trial whether the database can write.
	Commit(ctx context.Context, entries []Entry, now time.Time) ([]Outcome, error)

	Run(ctx context.Context, id RunID) (Run, error)
	Steps(ctx context.Context, id RunID) ([]Step, error)
	// Answer returns what a respond node of the run said; nil when none has said anything.
	Answer(ctx context.Context, id RunID) (*Answer, error)
	Runs(ctx context.Context, f RunFilter) ([]Run, error)         // newest first, without payloads
	Signals(ctx context.Context, owner OwnerID) ([]Signal, error) // unread, of runs this owner runs
	Delete(ctx context.Context, id RunID) error                   // of a final run, with its steps
	Sleepers
}

// Sleepers finds the runs that nobody has in memory.
type Sleepers interface {
	// Due returns unowned runs that are queued, or waiting with WakeAt <= now, oldest first.
	Due(ctx context.Context, now time.Time, limit int) ([]DueRun, error)
	// DueOfEach is Due with at most so many runs of each origin (workflow, folder and trigger). Its cost depends
	// on the number of origins that have such runs, not on how many they have.
	DueOfEach(ctx context.Context, now time.Time, each int) ([]DueRun, error)
	Holds
	Lines
}

// Lines finds what the end of runs has not handed on.
type Lines interface {
	// Lines returns groups with runs that wait for a slot, by workflow and group behind the given one.
	Lines(ctx context.Context, after Line, limit int) ([]Line, error)
	// Leaked looks at the slots of at most limit runs, by id behind the given one. It returns which of these
	// runs have ended, by workflow, and the last one that it looked at; the zero id is the end.
	Leaked(ctx context.Context, after RunID, limit int) (map[workflows.ID][]RunID, RunID, error)
}

// Holds finds the runs with steps that wait for a credential (Step.Hold).
type Holds interface {
	// Held returns the unfinished runs with a step that waits for the credential and without an
	// unread SignalConnected of it, by id after the given one, at most limit.
	Held(ctx context.Context, id credentials.ID, after RunID, limit int) ([]RunID, error)
	// HeldBy returns the credentials that steps wait for. It costs one look per credential,
	// however many runs there are.
	HeldBy(ctx context.Context) ([]credentials.ID, error)
}

// DueRun is a run that any process may claim now. The local queue is fair between workflows.
type DueRun struct {
	Run      RunID
	Workflow workflows.ID
}

// Owners keeps the heartbeat of processes. It uses its own connection and database time.
type Owners interface {
	// Beat stores that the owner is alive. A beat waits for a Claim that is taking runs from the owner.
	Beat(ctx context.Context, owner OwnerID) error
	// Silent returns the owners of unfinished runs that did not beat for the given time, with their runs.
	Silent(ctx context.Context, silence time.Duration, limit int) ([]Orphan, error)
	Leave(ctx context.Context, owner OwnerID) error
}

// Orphan is a run whose owner is silent.
type Orphan struct {
	Run   RunID
	Owner OwnerID
}

// RunFilter selects runs for a list page, newest first.
type RunFilter struct {
	Workflow workflows.ID
	Status   RunStatus
	Folder   string // this folder and below; "" is all
	Trigger  string // trigger id
	Since    time.Time
	Until    time.Time
	Before   RunID // exclusive cursor; zero is from the newest
	Limit    int   // 1..500
}
