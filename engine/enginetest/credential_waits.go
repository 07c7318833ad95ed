package enginetest

import (
	"time"

	"keyflow/credentials"
	"keyflow/engine/runs"
)

// waitFor makes a run wait for credentials, with one step for each.
func (s *suite) waitFor(r runs.Run, by ...credentials.ID) runs.Entry {
	e := s.park(r, s.at(time.Hour))
	for i, id := range by {
		e.Progress.Steps = append(e.Progress.Steps, runs.Step{
			Node: "a", Index: i, Status: runs.StepWaiting, DueAt: s.at(time.Hour), NeedsConnect: id, Sealed: []byte{1, byte(i)},
		})
	}
	return e
}

func (s *suite) waitingFor(id credentials.ID, after runs.ID, limit int) []runs.ID {
	s.Helper()
	found, err := s.Store.WaitingForCredential(s.ctx, id, after, limit)
	if err != nil {
		s.Fatal(err)
	}
	return found
}

func (s *suite) awaited() []credentials.ID {
	s.Helper()
	ids, err := s.Store.AwaitedCredentials(s.ctx)
	if err != nil {
		s.Fatal(err)
	}
	return ids
}

func (s *suite) credentialWaits() {
	if ids := s.awaited(); len(ids) != 0 {
		s.Errorf("credentials that runs of a new database wait for: %v", ids)
	}
	first, second, third := s.owned(1), s.owned(1), s.owned(1)
	s.commit(create(first), create(second), create(third))
	s.commit(s.waitFor(first, "crm", "crm"), s.waitFor(second, "erp", "crm"), s.waitFor(third, "mkto"))
	none := runs.ID{}
	s.equal("credentials", s.awaited(), []credentials.ID{"crm", "erp", "mkto"})
	s.equal("runs, each once", s.waitingFor("crm", none, 10), []runs.ID{first.ID, second.ID})
	s.equal("first page", s.waitingFor("crm", none, 1), []runs.ID{first.ID})
	s.equal("second page", s.waitingFor("crm", first.ID, 1), []runs.ID{second.ID})
	s.equal("a credential whose id is the prefix of another", s.waitingFor("cr", none, 10), []runs.ID{})

	steps, err := s.Store.Steps(s.ctx, second.ID)
	if err != nil || len(steps) != 2 || steps[0].NeedsConnect != "erp" || string(steps[1].Sealed) != "\x01\x01" || !steps[1].DueAt.Equal(*s.at(time.Hour)) {
		s.Errorf("steps read back: %+v, %v", steps, err)
	}

	// A run with an unread signal about a credential is not listed for that credential again.
	connected := signal(first.ID, runs.SignalConnected)
	connected.Signal.Data = []byte("crm")
	other := signal(second.ID, runs.SignalConnected)
	other.Signal.Data = []byte("erp")
	s.commit(connected, other)
	s.equal("after a signal", s.waitingFor("crm", none, 10), []runs.ID{second.ID})
	s.equal("after a signal about another credential", s.waitingFor("erp", none, 10), []runs.ID{})
	s.equal("due", s.due(10), []runs.ID{first.ID, second.ID})

	// A finished step and an ended run no longer wait.
	l := s.commit(claimBy(first.ID, 1))[0].Loaded
	done := progress(l.Run, nil)
	done.Progress.ReadSignals = l.Signals[0].Seq
	for i := range 2 {
		done.Progress.Steps = append(done.Progress.Steps, runs.Step{Node: "a", Index: i, Status: runs.StepSucceeded, Output: []byte("1"), StartedAt: s.at(0), FinishedAt: s.at(0)})
	}
	claimed := s.commit(done, claimBy(second.ID, 1))[1].Loaded
	s.commit(progress(claimed.Run, &runs.Change{Status: runs.Canceled, FinishedAt: s.at(0)}))
	s.equal("after the ends", s.waitingFor("crm", none, 10), []runs.ID{})
}
