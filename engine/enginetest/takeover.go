package enginetest

import (
	"fmt"

	"keyflow/engine/runs"
	"keyflow/internal/fault"
	"keyflow/workflows"
)

// takeoverBy is the takeover by process n of a run of process from, which was found silent after
// the given beat.
func takeoverBy(run runs.ID, n, from byte, beat int64) runs.Entry {
	silent := owner(from)
	return runs.Entry{Claim: &runs.Claim{Run: run, Owner: owner(n), TakeoverFrom: &silent, Beat: beat}}
}

// A claim may be applied long after the owner was found silent. It is refused if the owner has
// beaten since.
func (s *suite) takeoverAfterNewBeat() {
	back, gone, left := s.owned(1), s.owned(2), s.owned(3)
	s.commit(create(back), create(gone), create(left))
	for _, n := range []byte{1, 3} {
		if err := s.Owners.Beat(s.ctx, owner(n)); err != nil {
			s.Fatal(err)
		}
	}
	before := s.beats()[owner(1)]
	if err := s.Owners.Leave(s.ctx, owner(3)); err != nil {
		s.Fatal(err)
	}
	if err := s.Owners.Beat(s.ctx, owner(1)); err != nil {
		s.Fatal(err)
	}
	out := s.try(takeoverBy(back.ID, 4, 1, before), takeoverBy(gone.ID, 4, 2, 0), takeoverBy(left.ID, 4, 3, 0), takeoverBy(back.ID, 4, 1, 0))
	for i, refused := range []bool{true, false, false, true} {
		if refused != fault.Is(out[i].Err, fault.Conflict) || !refused && out[i].Loaded == nil {
			s.Errorf("takeover %d: %v, want a conflict: %t", i, out[i].Err, refused)
		}
	}
	s.equal("run of the owner with a newer beat", s.run(back.ID), back)
	s.refused(takeoverBy(back.ID, 4, 1, before), fault.Conflict, fmt.Sprintf("run %s keeps its owner, which is alive again", back.ID))
	s.refused(takeoverBy(left.ID, 5, 3, 0), fault.Conflict, fmt.Sprintf("run %s has been taken by another process", left.ID))
	s.commit(progress(back, nil)) // it is still the owner

	if loaded := s.commit(takeoverBy(back.ID, 4, 1, s.beats()[owner(1)]))[0].Loaded; loaded.Run.Fence != 2 || loaded.Run.Owner != owner(4) {
		s.Errorf("taken over: %+v", loaded.Run)
	}
}

// A creator that learns late that its run is stored must not start it if another process has owned
// it, whatever the result.
func (s *suite) createWrittenAgainAfterTakeover() {
	for name, slots := range map[string][]runs.Slot{"without slots": nil, "with slots": {slot(1, 9, workflows.OnLimitQueue)}} {
		r := s.owned(1)
		again := runs.Entry{Create: &runs.NewRun{Run: r, Slots: slots}}
		for range 2 {
			if s.commit(again)[0].Waits {
				s.Errorf("%s: want the run to belong to its creator", name)
			}
		}
		taken := s.commit(takeoverBy(r.ID, 2, 1, 0))[0].Loaded.Run
		states := map[string]func(){
			"taken": func() {},
			"handed back": func() {
				s.commit(progress(taken, &runs.Change{Status: runs.Queued, Release: true}))
			},
			"claimed by the creator": func() { taken = s.commit(claimBy(r.ID, 1))[0].Loaded.Run },
			"ended":                  func() { s.commit(progress(taken, &runs.Change{Status: runs.Succeeded, FinishedAt: s.at(0)})) },
		}
		for _, state := range []string{"taken", "handed back", "claimed by the creator", "ended"} {
			states[state]()
			if out := s.try(again)[0]; out.Err != nil || out.Run != r.ID || !out.Waits {
				s.Errorf("%s, %s: %+v, want the creator to wait", name, state, out)
			}
		}
	}
}
