package enginetest

import (
	"encoding/json"
	"errors"
	"fmt"
	"sync"
	"time"

	"github.com/google/uuid"

	"keyflow/engine/runs"
	"keyflow/internal/fault"
)

func (s *suite) claim() {
	r := s.queued()
	r.Input = json.RawMessage(`{"a":1}`)
	s.commit(create(r))
	s.commit(signal(r.ID, "approval"))
	out := s.commit(claimBy(r.ID, 1))[0]

	r.Status, r.Owner, r.Fence, r.StartedAt = runs.Running, owner(1), 1, s.at(0)
	s.equal("loaded run", out.Loaded.Run, r)
	if len(out.Loaded.Steps) != 0 || len(out.Loaded.Signals) != 1 || out.Loaded.Signals[0].Kind != "approval" {
		s.Errorf("loaded %d steps, signals %v", len(out.Loaded.Steps), out.Loaded.Signals)
	}
	s.equal("stored run", s.run(r.ID), r)
	s.refused(claimBy(r.ID, 2), fault.Conflict, fmt.Sprintf("run %s has been taken by another process", r.ID))
	s.refused(claimBy(r.ID, 1), fault.Conflict, fmt.Sprintf("run %s has been taken by another process", r.ID))

	// A later claim keeps the start time and loads the steps.
	s.commit(progress(r, &runs.Change{Status: runs.Queued, Release: true},
		runs.Step{Node: "a", Index: runs.NoIndex, Status: runs.StepSucceeded, StartedAt: s.at(0), Output: json.RawMessage(`1`)}))
	s.now = s.now.Add(time.Minute)
	again := s.commit(claimBy(r.ID, 2))[0].Loaded
	if again.Run.Fence != 2 || !again.Run.StartedAt.Equal(*r.StartedAt) || len(again.Steps) != 1 {
		s.Errorf("claimed again: %+v with %d steps", again.Run, len(again.Steps))
	}

	s.commit(progress(again.Run, &runs.Change{Status: runs.Succeeded}))
	s.refused(claimBy(r.ID, 1), fault.Conflict, fmt.Sprintf("run %s has ended", r.ID))
	unknown := s.id()
	s.refused(claimBy(unknown, 1), fault.NotFound, fmt.Sprintf("run %s does not exist", unknown))
	s.refused(runs.Entry{Claim: &runs.Claim{Run: r.ID}}, fault.Invalid, "a claim needs an owner")
}

func (s *suite) claimsRace() {
	const count = 40
	ids := make([]runs.ID, count)
	for i := range ids {
		r := s.queued()
		ids[i] = r.ID
		s.commit(create(r))
	}
	if out := s.try(claimBy(ids[0], 1), claimBy(ids[0], 2), claimBy(ids[0], 1)); out[0].Err != nil || out[1].Err == nil || out[2].Err == nil {
		s.Fatalf("claims of one batch: %v, %v, %v", out[0].Err, out[1].Err, out[2].Err)
	}
	stores := []runs.Store{s.Store, s.Other}
	if s.Other == nil {
		stores = stores[:1] // the database has one process; its journal has one goroutine
	}
	won := make([]int, count)
	var mu sync.Mutex
	var group sync.WaitGroup
	for n, store := range stores {
		group.Go(func() {
			for i := 1; i < count; i++ {
				out, err := store.Commit(s.ctx, []runs.Entry{claimBy(ids[i], byte(n+1)), claimBy(ids[count-i], byte(n+1))}, s.now)
				if err != nil {
					s.Errorf("commit: %v", err)
					return
				}
				mu.Lock()
				for k, run := range []int{i, count - i} {
					if out[k].Err == nil {
						won[run]++
					}
				}
				mu.Unlock()
			}
		})
	}
	group.Wait()
	for i := 1; i < count; i++ {
		if won[i] != 1 {
			s.Errorf("run %d was given to %d claims", i, won[i])
		}
	}
}

func (s *suite) claimWrittenAgain() {
	r := s.queued()
	s.commit(create(r), claimBy(r.ID, 1))
	again := claimBy(r.ID, 1)
	again.Claim.Again = true
	out := s.commit(again)[0]
	if out.Loaded == nil || out.Loaded.Run.Fence != 1 {
		s.Fatalf("claim written again: %+v", out)
	}
	if out := s.try(again, again); out[0].Err != nil || !fault.Is(out[1].Err, fault.Conflict) {
		s.Errorf("two claims of a batch written again: %v, %v; want one to win", out[0].Err, out[1].Err)
	}
	again.Claim.Owner = owner(2)
	s.refused(again, fault.Conflict, fmt.Sprintf("run %s has been taken by another process", r.ID))
}

func (s *suite) takeover() {
	old := s.owned(1)
	s.commit(create(old), progress(old, nil, runs.Step{Node: "a", Index: runs.NoIndex, Status: runs.StepRunning, StartedAt: s.at(0)}))
	from, wrong := owner(1), owner(9)
	s.refused(runs.Entry{Claim: &runs.Claim{Run: old.ID, Owner: owner(2), TakeoverFrom: &wrong}}, fault.Conflict,
		fmt.Sprintf("run %s has been taken by another process", old.ID))
	out := s.commit(runs.Entry{Claim: &runs.Claim{Run: old.ID, Owner: owner(2), TakeoverFrom: &from}})[0]
	if got := out.Loaded; got.Run.Fence != 2 || got.Run.Owner != owner(2) || len(got.Steps) != 1 {
		s.Fatalf("taken over: %+v with %d steps", got.Run, len(got.Steps))
	}
	late := progress(old, &runs.Change{Status: runs.Succeeded, Output: json.RawMessage(`"late"`)},
		runs.Step{Node: "a", Index: runs.NoIndex, Status: runs.StepSucceeded, StartedAt: s.at(0)})
	sameOwnerOldFence := progress(runs.Run{ID: old.ID, Owner: owner(2), Fence: 1}, nil)
	for i, out := range s.try(late, sameOwnerOldFence) {
		if !errors.Is(out.Err, runs.ErrFenced) {
			s.Errorf("entry %d of the old owner: %v, want ErrFenced", i, out.Err)
		}
	}
	steps, err := s.Store.Steps(s.ctx, old.ID)
	if err != nil || len(steps) != 1 || steps[0].Status != runs.StepRunning {
		s.Errorf("a fenced entry left a trace: %v, %v", steps, err)
	}
	if got := s.run(old.ID); got.Status != runs.Running || got.Output != nil {
		s.Errorf("a fenced entry changed the run: %+v", got)
	}
}

func (s *suite) finalStateEndsOwnership() {
	for _, status := range []runs.Status{runs.Succeeded, runs.Failed, runs.Canceled} {
		r := s.owned(1)
		s.commit(create(r))
		end := &runs.Change{Status: status, FinishedAt: s.at(time.Second)}
		if status == runs.Succeeded {
			end.Output = json.RawMessage(`{"sum":3}`)
		} else {
			end.Error = &runs.RunError{Node: "a", Code: "timeout", Message: "too slow"}
		}
		s.commit(progress(r, end))
		r.Status, r.Owner, r.FinishedAt, r.Output, r.Error = status, runs.OwnerID{}, end.FinishedAt, end.Output, end.Error
		s.equal("run", s.run(r.ID), r)
		if out := s.try(progress(runs.Run{ID: r.ID, Owner: owner(1), Fence: 1}, nil)); !errors.Is(out[0].Err, runs.ErrFenced) {
			s.Errorf("progress after the end: %v, want ErrFenced", out[0].Err)
		}
	}
	unknown := runs.Run{ID: s.id(), Owner: owner(1), Fence: 1}
	s.refused(progress(unknown, nil), fault.NotFound, fmt.Sprintf("run %s does not exist", unknown.ID))
	s.refused(progress(runs.Run{ID: unknown.ID}, nil), fault.Invalid, "progress needs an owner")
	s.refused(progress(unknown, &runs.Change{Status: "done"}), fault.Invalid, `the run has the unknown status "done"`)
}

func (s *suite) progressWrittenAgain() {
	r := s.owned(1)
	end := progress(r, &runs.Change{Status: runs.Succeeded, Output: json.RawMessage(`1`)},
		runs.Step{Node: "a", Index: runs.NoIndex, Status: runs.StepSucceeded, StartedAt: s.at(0)})
	s.commit(create(r), end)
	s.commit(create(r), end)
	if got := s.run(r.ID); got.Status != runs.Succeeded || string(got.Output) != "1" {
		s.Errorf("run: %+v", got)
	}
}

func (s *suite) handBack() {
	r := s.owned(1)
	s.commit(create(r), progress(r, &runs.Change{Status: runs.Queued, Release: true}))
	if got := s.run(r.ID); got.Status != runs.Queued || got.Owner != (runs.OwnerID{}) || got.Fence != 1 {
		s.Errorf("handed back: %+v", got)
	}
	if due, err := s.Store.Due(s.ctx, s.now, 10); err != nil || len(due) != 1 {
		s.Errorf("due: %v, %v", due, err)
	}
	if out := s.commit(claimBy(r.ID, 1))[0]; out.Loaded.Run.Fence != 2 {
		s.Errorf("fence after hand-back and claim: %d", out.Loaded.Run.Fence)
	}
	s.refused(progress(runs.Run{ID: r.ID, Owner: owner(1), Fence: 2}, &runs.Change{Status: runs.Queued}),
		fault.Invalid, "a queued run has no owner: release it")
}

func (s *suite) owners() {
	mine, dead := s.owned(1), s.owned(2)
	ended := s.owned(2)
	s.commit(create(mine), create(dead), create(ended), progress(ended, &runs.Change{Status: runs.Succeeded}))
	if err := s.Owners.Beat(s.ctx, owner(1)); err != nil {
		s.Fatal(err)
	}
	beats := s.beats()
	if beats[owner(1)] == 0 || len(beats) != 2 {
		s.Errorf("beats %v, want one of owner 1 and none of owner 2", beats)
	}
	if err := s.Owners.Beat(s.ctx, owner(2)); err != nil {
		s.Fatal(err)
	}
	for range 3 { // faster than any clock ticks
		before := s.beats()
		if err := s.Owners.Beat(s.ctx, owner(1)); err != nil {
			s.Fatal(err)
		}
		after := s.beats()
		if after[owner(1)] <= before[owner(1)] || after[owner(2)] != before[owner(2)] || after[owner(2)] == 0 {
			s.Errorf("beats %v and then %v, want only the first to grow", before, after)
		}
	}
	ownedBy := func(limit int, of ...runs.OwnerID) []runs.Orphan {
		s.Helper()
		orphans, err := s.Owners.OwnedBy(s.ctx, of, limit)
		if err != nil {
			s.Fatal(err)
		}
		return orphans
	}
	both := []runs.Orphan{{Run: mine.ID, Owner: owner(1)}, {Run: dead.ID, Owner: owner(2)}}
	s.equal("runs of both", ownedBy(10, owner(1), owner(2)), both)
	s.equal("runs of one", ownedBy(10, owner(2), owner(9)), both[1:])
	s.equal("at most one", ownedBy(1, owner(1), owner(2)), both[:1])
	if err := s.Owners.Leave(s.ctx, owner(1)); err != nil {
		s.Fatal(err)
	}
	if beats := s.beats(); beats[owner(1)] != 0 || len(beats) != 2 {
		s.Errorf("beats %v, want none of owner 1, which has left", beats)
	}
}

func (s *suite) beats() map[runs.OwnerID]int64 {
	s.Helper()
	beats, err := s.Owners.Beats(s.ctx)
	if err != nil {
		s.Fatal(err)
	}
	return beats
}

// Of two signals with one id only the first is stored, also if both are written again because the
// answer to their COMMIT was lost.
func (s *suite) signalsWrittenAgain() {
	r := s.owned(1)
	s.commit(create(r))
	id := uuid.New()
	decision := func(data string, again bool) runs.Entry {
		return runs.Entry{Signal: &runs.Signal{Run: r.ID, Kind: "decision", Data: []byte(data), ID: id, Again: again}}
	}
	for _, again := range []bool{false, true, true} {
		out := s.try(decision("approve", again), decision("reject", again))
		if out[0].Err != nil || out[1].Err != nil || out[0].Duplicate || !out[1].Duplicate {
			s.Errorf("written again %t: %+v, want only the first to be stored", again, out)
		}
	}
}
