package runs

import (
	"time"

	"github.com/google/uuid"

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
	Run       ID      // Create: the new run, or the one that has the dedupe key already
	Duplicate bool    // Create: Run is an earlier one. Signal: not stored, an earlier one counts
	Skipped   bool    // Create: the dedupe key was recorded without a run
	Loaded    *Loaded // Claim: the run and its steps
	// Unread, of a Claim without Err: the owner has the run, but it could not be read. The journal
	// asks again.
	Unread bool
	// Waits, of a Create: the run is stored, and not the creator's to begin: it waits for a slot,
	// or another process took it before the Create was written again.
	Waits bool
	// Unstarted are Starts of a Progress that on_limit refused.
	Unstarted []ID
	// Woken are other runs that are due because of the entry: they got a slot, or were canceled
	// for one.
	Woken []DueRun
	Err   error
}

// NewRun creates a run. With Run.Owner set the creator runs it itself (accept and own):
// status, fence and times are then those of a running run, and are stored as they are.
// Dedupe nil: always a new run.
type NewRun struct {
	Run    Run
	Steps  []Step // that have ended already: of a run that this one retries
	Dedupe *DedupeKey
	// Slots are what the run needs, by Place. When one is taken, the run is stored as queued and
	// without an owner (Outcome.Waits), or, where OnLimit is skip, refused with a Conflict.
	Slots []Slot
	// RecordSkip records the dedupe key of such a skipped run (Outcome.Skipped) instead of
	// answering with a Conflict.
	RecordSkip bool
}

// DedupeKey makes a start idempotent. Kinds are separate name spaces.
type DedupeKey struct {
	Kind      string // "cron", "webhook", "event", "manual"
	Trigger   string // trigger id; "" for manual
	Key       string // hashed before it is stored
	ExpiresAt time.Time
	// InputHash, when set, must equal that of the first start (else Conflict): Idempotency-Key
	// rule.
	InputHash string
}

// Progress is what the owner of a run reports: upserted steps and, when set, the run's own
// change. It is refused with ErrFenced when (Owner, Fence) are no longer those of the run.
type Progress struct {
	Run   ID
	Owner OwnerID
	Fence int64
	Steps []Step  // replace the rows (run, node, index)
	Set   *Change // nil: only steps
	// Starts are runs that steps start: queued, without an owner. Signals go to other runs; one
	// to a run that has ended or does not exist is dropped.
	Starts  []NewRun
	Signals []Signal
	// Answer is what a respond node answers; the first of a run counts.
	Answer *Answer
	// Frees is the workflow of a run with slots, which its end gives to the next; "" without.
	Frees workflows.ID
	// Events go into the outbox; one that is there already stays as it is.
	Events []outbox.Event
	// ReadSignals: every signal of the run with Seq <= this has been applied and may go.
	ReadSignals int64
}

// Claim takes a run that is queued (or waiting and due) and has no owner, or, with
// TakeoverFrom set, one whose owner is that process and whose last beat is still Beat, which is
// checked in the claim's own transaction. The fence grows by one and the
// run is running; a run that has no StartedAt yet gets Commit's now, because now() of its
// first steps is that instant, also after a crash.
// Outcome.Err is a Conflict fault when somebody else was first, or the owner beats again.
type Claim struct {
	Run          ID
	Owner        OwnerID
	TakeoverFrom *OwnerID
	Beat         int64 // see Orphan
	// Again is set by the journal when it writes the claim once more because the answer to
	// the first COMMIT was lost: then a run that Owner has already is its own.
	Again bool
}

// SignalCancel is the kind of the signal that ends a run; it sets Run.CancelRequested.
const SignalCancel = "cancel"

// SignalConnected is the kind of the signal that a credential can be used again; Data is its id.
const SignalConnected = "connected"

// SignalStep is the kind of the signal that delivers the external result a step waits for.
const SignalStep = "step"

// Signal is a fact from outside the owner of a run: cancel, a connected credential.
// An unowned waiting run is queued in the same transaction. Of signals with one ID the first
// counts, and none for a step that has ended or has its external result. NotFound and Conflict (the
// run is final) are faults.
type Signal struct {
	Run  ID
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

// DueRun is a run that any process may claim now. The local queue is fair between workflows.
type DueRun struct {
	Run      ID
	Workflow workflows.ID
}
