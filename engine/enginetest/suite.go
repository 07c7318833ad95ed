package enginetest

import (
	"context"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"
	"github.com/google/uuid"

	"keyflow/engine/runs"
	"keyflow/internal/fault"
)

// Stores is a fresh, empty database as two processes see it.
type Stores struct {
	Store  runs.Store
	Other  runs.Store // of another process on the same database; nil if there can be only one
	Owners runs.Owners
}

// epoch is the time at which every test begins.
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

// id returns the next run id: ids sort by creation.
func (s *suite) id() runs.ID {
	s.ids++
	ms := s.now.UnixMilli()
	id := uuid.UUID{6: 0x70, 8: 0x80, 15: byte(s.ids), 14: byte(s.ids >> 8)}
	for i := range 6 {
		id[i] = byte(ms >> (40 - 8*i))
	}
	return runs.ID(id)
}

// queued returns a new run without an owner.
func (s *suite) queued() runs.Run {
	return runs.Run{
		ID: s.id(), Workflow: "sync", Version: 3, Folder: "/partners/acme", Status: runs.Queued,
		Trigger: runs.TriggerRef{ID: "hourly", Type: "cron", FiredAt: s.now}, CreatedAt: s.now,
	}
}

// owned returns a new run that process n owns.
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

// try stores entries and returns the outcome of each.
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

// run reads a run.
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
