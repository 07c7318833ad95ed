package enginetest

import (
	"errors"
	"fmt"
	"time"

	"keyflow/engine/runs"
	"keyflow/internal/fault"
)

func (s *suite) park(r runs.Run, wake *time.Time) runs.Entry {
	return progress(r, &runs.Change{Status: runs.Waiting, WakeAt: wake, Release: true})
}

func (s *suite) due(limit int) []runs.ID {
	s.Helper()
	due, err := s.Store.Due(s.ctx, s.now, limit)
	if err != nil {
		s.Fatal(err)
	}
	ids := []runs.ID{}
	for _, d := range due {
		if d.Workflow != "sync" {
			s.Errorf("due run of workflow %q", d.Workflow)
		}
		ids = append(ids, d.Run)
	}
	return ids
}

func (s *suite) parkAndWake() {
	r, forever := s.owned(1), s.owned(1)
	s.commit(create(r), create(forever), s.park(r, s.at(time.Minute)), s.park(forever, nil))
	got := s.run(r.ID)
	if got.Status != runs.Waiting || got.WakeAt == nil || !got.WakeAt.Equal(*s.at(time.Minute)) || got.Owner != (runs.OwnerID{}) {
		s.Errorf("parked: %+v", got)
	}
	s.equal("nothing due", s.due(10), []runs.ID{})
	s.refused(claimBy(r.ID, 2), fault.Conflict, fmt.Sprintf("run %s is not due", r.ID))
	s.now = s.now.Add(time.Minute)
	s.equal("due", s.due(10), []runs.ID{r.ID})
	s.refused(claimBy(forever.ID, 2), fault.Conflict, fmt.Sprintf("run %s is not due", forever.ID))
	if l := s.commit(claimBy(r.ID, 2))[0].Loaded; l.Run.WakeAt != nil || l.Run.Status != runs.Running {
		s.Errorf("woken: %+v", l.Run)
	}
	s.equal("claimed runs are not due", s.due(10), []runs.ID{})
}

func (s *suite) parkWithSignals() {
	r := s.owned(1)
	s.commit(create(r), signal(r.ID, "approval"))
	parkWithStep := s.park(r, nil)
	parkWithStep.Progress.Steps = []runs.Step{{Node: "a", Index: runs.NoIndex, Status: runs.StepWaiting, StartedAt: s.at(0)}}
	if err := s.try(parkWithStep)[0].Err; !errors.Is(err, runs.ErrSignals) {
		s.Fatalf("park with an unread signal: %v, want ErrSignals", err)
	}
	if steps, err := s.Store.Steps(s.ctx, r.ID); err != nil || len(steps) != 0 {
		s.Errorf("a refused park left steps: %v, %v", steps, err)
	}
	unread, err := s.Store.Signals(s.ctx, owner(1))
	if err != nil || len(unread) != 1 {
		s.Fatalf("unread: %v, %v", unread, err)
	}
	// One entry can read signals and park, but not if the same batch adds a signal.
	parkWithStep.Progress.ReadSignals = unread[0].Seq
	out := s.try(signal(r.ID, "callback"), parkWithStep)
	if !errors.Is(out[1].Err, runs.ErrSignals) {
		s.Fatalf("park after a signal of its batch: %v, want ErrSignals", out[1].Err)
	}
	unread, err = s.Store.Signals(s.ctx, owner(1))
	if err != nil || len(unread) != 2 || unread[0].Kind != "approval" || unread[1].Kind != "callback" || unread[0].Seq >= unread[1].Seq {
		s.Fatalf("unread: %v, %v", unread, err)
	}
	parkWithStep.Progress.ReadSignals = unread[1].Seq
	s.commit(parkWithStep)
	if got := s.run(r.ID); got.Status != runs.Waiting {
		s.Errorf("parked: %s", got.Status)
	}
}

func (s *suite) signals() {
	queued, waiting, running := s.queued(), s.owned(1), s.owned(1)
	s.commit(create(queued), create(waiting), create(running), s.park(waiting, s.at(time.Hour)))
	s.equal("due before", s.due(10), []runs.ID{queued.ID})

	wake := signal(waiting.ID, "callback")
	wake.Signal.Data = []byte(`{"answer":42}`)
	s.now = s.now.Add(time.Second)
	s.commit(signal(queued.ID, runs.SignalCancel), wake, signal(running.ID, "timeout"), wake)
	s.equal("due after", s.due(10), []runs.ID{queued.ID, waiting.ID})
	if got := s.run(waiting.ID); got.Status != runs.Queued || got.CancelRequested {
		s.Errorf("waiting run after a signal: %+v", got)
	}
	if got := s.run(queued.ID); got.Status != runs.Queued || !got.CancelRequested {
		s.Errorf("queued run after cancel: %+v", got)
	}
	unread, err := s.Store.Signals(s.ctx, owner(1))
	if err != nil || len(unread) != 1 || unread[0].Run != running.ID || unread[0].Kind != "timeout" {
		s.Errorf("signals for the owner: %v, %v", unread, err)
	}
	l := s.commit(claimBy(waiting.ID, 1))[0].Loaded
	if len(l.Signals) != 1 || string(l.Signals[0].Data) != `{"answer":42}` || l.Signals[0].ID != wake.Signal.ID {
		s.Fatalf("signals of the claimed run: %v; want one, although it was sent twice", l.Signals)
	}
	read := progress(l.Run, nil)
	read.Progress.ReadSignals = l.Signals[0].Seq
	s.commit(read)
	if unread, err := s.Store.Signals(s.ctx, owner(1)); err != nil || len(unread) != 1 {
		s.Errorf("signals after reading: %v, %v", unread, err)
	}
	// A number is never reused: otherwise an old "read up to" would delete a new signal.
	s.commit(signal(waiting.ID, "approval"), read)
	if unread, err := s.Store.Signals(s.ctx, owner(1)); err != nil || len(unread) != 2 {
		s.Errorf("signals after an old read: %v, %v", unread, err)
	}
}

func (s *suite) signalsToEnded() {
	r := s.owned(1)
	s.commit(create(r), progress(r, &runs.Change{Status: runs.Succeeded}))
	s.refused(signal(r.ID, runs.SignalCancel), fault.Conflict, fmt.Sprintf("run %s has ended", r.ID))
	unknown := s.id()
	s.refused(signal(unknown, runs.SignalCancel), fault.NotFound, fmt.Sprintf("run %s does not exist", unknown))
	if got := s.run(r.ID); got.CancelRequested {
		s.Error("cancel of an ended run was stored")
	}
}

func (s *suite) dueOrder() {
	first := s.queued()
	s.now = s.now.Add(time.Second)
	second, parked, owned := s.queued(), s.owned(1), s.owned(1)
	s.commit(create(second), create(parked), create(owned), create(first), s.park(parked, s.at(-500*time.Millisecond)))
	s.equal("oldest first", s.due(10), []runs.ID{first.ID, parked.ID, second.ID})
	s.equal("limit", s.due(2), []runs.ID{first.ID, parked.ID})
}

func (s *suite) dueOfEach() {
	flood, parked := []runs.Run{s.queued(), s.queued(), s.queued()}, s.owned(1)
	entries := []runs.Entry{create(flood[0]), create(flood[1]), create(flood[2]), create(parked), s.park(parked, s.at(time.Hour))}
	for i := range originsOfMany {
		r := s.queued()
		r.Trigger.ID = fmt.Sprintf("t%d", i)
		entries = append(entries, create(r))
	}
	s.commit(entries...)
	due, err := s.Store.DueOfEach(s.ctx, s.now, 2)
	if err != nil || len(due) != 2+originsOfMany {
		s.Fatalf("%d due, %v; want two of the flood and one of each other origin", len(due), err)
	}
	s.equal("the oldest of the flood", due[:2], []runs.DueRun{{Run: flood[0].ID, Workflow: "sync"}, {Run: flood[1].ID, Workflow: "sync"}})
}

// originsOfMany is more than one statement reads.
const originsOfMany = 70
