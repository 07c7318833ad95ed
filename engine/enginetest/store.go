// Package enginetest holds the conformance suite of engine.Store and engine.Owners: what
// every database must do, in the words of the contract.
package enginetest

import (
	"context"
	"encoding/json"
	"fmt"
	"strings"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"
	"github.com/google/uuid"

	"keyflow/credentials"
	"keyflow/engine/runs"
	"keyflow/internal/fault"
)

// Stores is one fresh, empty database seen by two processes.
type Stores struct {
	Store  runs.Store
	Other  runs.Store // of another process on the same database; nil when there can be none
	Owners runs.Owners
}

// TestStore runs the suite; open gives each test a database of its own.
func TestStore(t *testing.T, open func(t *testing.T) Stores) {
	t.Helper()
	tests := map[string]func(*suite){
		"create and read back":                     (*suite).createAndReadBack,
		"create is idempotent":                     (*suite).createIsIdempotent,
		"dedupe":                                   (*suite).dedupe,
		"dedupe within one batch":                  (*suite).dedupeWithinOneBatch,
		"dedupe keys expire":                       (*suite).dedupeKeysExpire,
		"skipped occurrences":                      (*suite).skippedOccurrences,
		"claim":                                    (*suite).claim,
		"claims race":                              (*suite).claimsRace,
		"claim written again":                      (*suite).claimWrittenAgain,
		"takeover fences the old owner":            (*suite).takeover,
		"takeover from one that is back":           (*suite).takeoverFromOneThatIsBack,
		"create written again after a takeover":    (*suite).createWrittenAgainAfterTakeover,
		"steps are replaced":                       (*suite).stepsAreReplaced,
		"final state ends ownership":               (*suite).finalStateEndsOwnership,
		"progress written again":                   (*suite).progressWrittenAgain,
		"hand back":                                (*suite).handBack,
		"park and wake":                            (*suite).parkAndWake,
		"park is refused while signals are unread": (*suite).parkWithSignals,
		"signals":                                  (*suite).signals,
		"signals written again":                    (*suite).signalsWrittenAgain,
		"signals to runs that have ended":          (*suite).signalsToEnded,
		"due order":                                (*suite).dueOrder,
		"due runs of each origin":                  (*suite).dueOfEach,
		"steps that wait for a credential":         (*suite).holds,
		"slots: queue":                             (*suite).slotsQueue,
		"slots: one batch":                         (*suite).slotsInOneBatch,
		"slots: skip":                              (*suite).slotsSkip,
		"a line has an end":                        (*suite).slotsLine,
		"slots: cancel who waits":                  (*suite).slotsCancelWaiting,
		"slots: cancel the oldest":                 (*suite).slotsCancelOldest,
		"slots: cancel nobody for a free one":      (*suite).slotsCancelNobody,
		"slots: of trigger and workflow":           (*suite).slotsOfTriggerAndWorkflow,
		"slots: swept":                             (*suite).slotsAreSwept,
		"slots: race":                              (*suite).slotsRace,
		"list":                                     (*suite).list,
		"list pages":                               (*suite).listPages,
		"steps in pages":                           (*suite).stepPages,
		"large values":                             (*suite).largeValues,
		"awkward bytes":                            (*suite).awkwardBytes,
		"one bad entry among two hundred":          (*suite).oneBadEntry,
		"entries of one run in one batch":          (*suite).oneRunOneBatch,
		"delete":                                   (*suite).deleteRun,
		"answers":                                  (*suite).answers,
		"no entries":                               (*suite).noEntries,
		"owners":                                   (*suite).owners,
	}
	for name, test := range tests {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			test(&suite{T: t, Stores: open(t), ctx: context.Background(), now: epoch})
		})
	}
}

// epoch is the beginning of every test.
var epoch = time.Date(2026, 11, 22, 14, 0, 0, 123456000, time.UTC)

// suite is one test on one database.
type suite struct {
	*testing.T
	Stores
	ctx context.Context
	now time.Time
	ids int
}

// owner returns the nth process.
func owner(n byte) runs.OwnerID { return runs.OwnerID{15: n} }

// id returns the next run id: ids sort in the order of their making.
func (s *suite) id() runs.ID {
	s.ids++
	ms := s.now.UnixMilli()
	id := uuid.UUID{6: 0x70, 8: 0x80, 15: byte(s.ids), 14: byte(s.ids >> 8)}
	for i := range 6 {
		id[i] = byte(ms >> (40 - 8*i))
	}
	return runs.ID(id)
}

// queued returns a new run that nobody owns.
func (s *suite) queued() runs.Run {
	return runs.Run{
		ID: s.id(), Workflow: "sync", Version: 3, Folder: "/partners/acme", Status: runs.Queued,
		Trigger: runs.TriggerRef{ID: "hourly", Type: "cron", FiredAt: s.now}, CreatedAt: s.now,
	}
}

// owned returns a new run that process n runs itself.
func (s *suite) owned(n byte) runs.Run {
	r := s.queued()
	r.Status, r.Owner, r.Fence, r.StartedAt = runs.Running, owner(n), 1, &s.now
	return r
}

// commit stores entries, each of which must succeed.
func (s *suite) commit(entries ...runs.Entry) []runs.Outcome {
	s.Helper()
	outcomes := s.try(entries...)
	for i, out := range outcomes {
		if out.Err != nil {
			s.Fatalf("entry %d: %v", i, out.Err)
		}
	}
	return outcomes
}

// try stores entries and returns what each got.
func (s *suite) try(entries ...runs.Entry) []runs.Outcome {
	s.Helper()
	outcomes, err := s.Store.Commit(s.ctx, entries, s.now)
	if err != nil {
		s.Fatalf("commit: %v", err)
	}
	if len(outcomes) != len(entries) {
		s.Fatalf("%d outcomes for %d entries", len(outcomes), len(entries))
	}
	return outcomes
}

// refused stores one entry, which must be refused with this kind and message.
func (s *suite) refused(e runs.Entry, kind fault.Kind, message string) {
	s.Helper()
	err := s.try(e)[0].Err
	if !fault.Is(err, kind) || fault.Message(err) != message {
		s.Errorf("got %v fault %q, want %v fault %q", fault.KindOf(err), fault.Message(err), kind, message)
	}
}

// run reads a run back.
func (s *suite) run(id runs.ID) runs.Run {
	s.Helper()
	r, err := s.Store.Run(s.ctx, id)
	if err != nil {
		s.Fatalf("read run: %v", err)
	}
	return r
}

func (s *suite) equal(what string, got, want any) {
	s.Helper()
	if diff := cmp.Diff(want, got); diff != "" {
		s.Errorf("%s (-want +got):\n%s", what, diff)
	}
}

func create(r runs.Run) runs.Entry { return runs.Entry{Create: &runs.NewRun{Run: r}} }

func createOnce(r runs.Run, k runs.DedupeKey) runs.Entry {
	return runs.Entry{Create: &runs.NewRun{Run: r, Dedupe: &k}}
}

func progress(r runs.Run, set *runs.Change, steps ...runs.Step) runs.Entry {
	return runs.Entry{Progress: &runs.Progress{Run: r.ID, Owner: r.Owner, Fence: r.Fence, Set: set, Steps: steps}}
}

func claimBy(id runs.ID, n byte) runs.Entry {
	return runs.Entry{Claim: &runs.Claim{Run: id, Owner: owner(n)}}
}

func signal(id runs.ID, kind string) runs.Entry {
	return runs.Entry{Signal: &runs.Signal{Run: id, Kind: kind, ID: uuid.New()}}
}

func (s *suite) at(d time.Duration) *time.Time {
	t := s.now.Add(d)
	return &t
}

func (s *suite) createAndReadBack() {
	of := s.id()
	r := s.owned(1)
	r.Input = json.RawMessage(`{"a":1}`)
	r.RetryOf, r.Depth = &of, 3
	r.Trigger = runs.TriggerRef{
		ID: "in", Type: "webhook", FiredAt: s.now.Add(-time.Second), ScheduledAt: s.at(-time.Minute),
		Request: json.RawMessage(`{"method":"POST","body":{"x":"\u0000"}}`),
	}
	out := s.commit(create(r))[0]
	s.equal("outcome", out, runs.Outcome{Run: r.ID})
	s.equal("run", s.run(r.ID), r)

	event := s.queued()
	event.Trigger.Event = json.RawMessage(`{"type":"thing.happened"}`)
	failed := s.queued()
	failed.Status, failed.FinishedAt = runs.Failed, s.at(0)
	failed.Error = &runs.RunError{Node: "n", Code: "bad_input", Message: "no"}
	s.commit(create(event), create(failed))
	s.equal("run with event", s.run(event.ID), event)
	s.equal("run that failed at once", s.run(failed.ID), failed)

	again := s.queued()
	kept := runs.Step{
		Node: "done", Index: runs.NoIndex, Status: runs.StepSucceeded, StartedAt: s.at(-time.Hour), FinishedAt: s.at(-time.Minute),
		Output: json.RawMessage(`{"big":"` + strings.Repeat("x", 64<<10) + `"}`),
	}
	s.commit(runs.Entry{Create: &runs.NewRun{Run: again, Steps: []runs.Step{kept}}})
	steps, err := s.Store.Steps(s.ctx, again.ID)
	if err != nil {
		s.Fatal(err)
	}
	s.equal("steps of a run that retries another", steps, []runs.Step{kept})

	if _, err := s.Store.Run(s.ctx, of); fault.Message(err) != fmt.Sprintf("run %s does not exist", of) {
		s.Errorf("unknown run: %v", err)
	}
}

func (s *suite) createIsIdempotent() {
	r := s.owned(1)
	s.commit(create(r))
	s.commit(progress(r, &runs.Change{Status: runs.Succeeded, FinishedAt: s.at(time.Second)}))
	out := s.commit(create(r))[0]
	s.equal("second outcome", out, runs.Outcome{Run: r.ID, Waits: true})
	if got := s.run(r.ID); got.Status != runs.Succeeded {
		s.Errorf("the second create changed the run to %s", got.Status)
	}
}

func (s *suite) stepsAreReplaced() {
	r := s.owned(1)
	s.commit(create(r))
	running := runs.Step{Node: "call", Index: runs.NoIndex, Status: runs.StepRunning, StartedAt: s.at(0)}
	element := runs.Step{Node: "each", Index: 7, Status: runs.StepPending}
	s.commit(progress(r, nil, running, element))

	done := running
	done.Status, done.FinishedAt, done.Output = runs.StepSucceeded, s.at(40*time.Millisecond), json.RawMessage(`{"ok":true}`)
	done.Calls = []credentials.Call{{
		Credential: "erp", Version: 2, Fingerprint: "a1b2", Host: "api.example", Method: "GET",
		URL: "https://api.example/v1/things?x=***", Status: 200, Duration: 12345 * time.Microsecond,
	}, {Host: "proxy.example:8443", Method: "POST", URL: "https://proxy.example:8443", Status: 503, Duration: time.Second}}
	done.Attempts = []runs.Attempt{
		{Attempt: 1, StartedAt: *s.at(0), FinishedAt: s.at(10 * time.Millisecond), Error: &runs.StepError{
			Code: "http_status", Message: "503", Attempt: 1, Response: json.RawMessage(`{"status":503}`),
		}, Request: &runs.Request{Method: "POST", URL: "https://elsewhere.example/", Status: 503, DurationMS: 5}},
		{Attempt: 2, StartedAt: *s.at(20 * time.Millisecond), FinishedAt: s.at(40 * time.Millisecond), Request: &runs.Request{
			Method: "GET", URL: "https://api.example/v1/things?x=***", Status: 200, DurationMS: 12,
		}},
		{Attempt: 3, StartedAt: *s.at(50 * time.Millisecond)},
	}
	waiting := element
	waiting.Status, waiting.DueAt, waiting.StartedAt = runs.StepWaiting, s.at(time.Minute), s.at(time.Millisecond)
	waiting.Error = &runs.StepError{Code: "network", Message: "refused", Attempt: 1}
	s.commit(progress(r, nil, done, waiting))

	got, err := s.Store.Steps(s.ctx, r.ID)
	if err != nil {
		s.Fatal(err)
	}
	s.equal("steps", got, []runs.Step{done, waiting})
	if none, err := s.Store.Steps(s.ctx, s.id()); err != nil || len(none) != 0 {
		s.Errorf("steps of an unknown run: %v, %v", none, err)
	}
}

func (s *suite) noEntries() {
	if out := s.try(); len(out) != 0 {
		s.Errorf("outcomes of nothing: %v", out)
	}
}
