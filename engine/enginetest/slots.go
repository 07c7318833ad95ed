package enginetest

import (
	"fmt"
	"math/rand/v2"
	"sync"
	"time"

	"keyflow/engine"
	"keyflow/internal/fault"
	"keyflow/workflows"
)

// group returns the nth group.
func group(n byte) engine.GroupID { return engine.GroupID{1: 7, 15: n} }

func slot(n byte, limit int, onLimit string) engine.Slot {
	return engine.Slot{Group: group(n), Place: engine.PlaceWorkflow, Limit: limit, Version: 3, OnLimit: onLimit}
}

// overlap is the slot of a trigger of which one run goes on and one waits.
func overlap(n byte) engine.Slot {
	return engine.Slot{Group: group(n), Place: engine.PlaceTrigger, Limit: 1, OnLimit: workflows.OnLimitQueue, MaxWaiting: 1}
}

// needing returns the creation of a run that process 1 runs itself if it gets the slots.
func (s *suite) needing(slots ...engine.Slot) (engine.Run, engine.Entry) {
	r := s.owned(1)
	for _, slot := range slots {
		r.Groups = append(r.Groups, slot.Group)
	}
	return r, engine.Entry{Create: &engine.NewRun{Run: r, Slots: slots}}
}

// end is the end of a run with slots.
func end(r engine.Run, status engine.RunStatus) engine.Entry {
	e := progress(r, &engine.RunChange{Status: status})
	e.Progress.Frees = r.Workflow
	return e
}

// line creates so many runs of one group in one batch.
func (s *suite) line(n int, slots ...engine.Slot) []engine.Run {
	s.Helper()
	runs, entries := make([]engine.Run, n), make([]engine.Entry, n)
	for i := range runs {
		runs[i], entries[i] = s.needing(slots...)
	}
	for i, out := range s.commit(entries...) {
		got := s.run(runs[i].ID)
		waits := got.WaitsForSlot && got.Status == engine.RunQueued && got.Owner == engine.OwnerID{}
		holds := got.Status == engine.RunRunning && got.Owner == owner(1)
		if out.Run != runs[i].ID || out.Waits != waits || !waits && !holds {
			s.Errorf("run %d: %+v, %+v", i, out, got)
		}
	}
	return runs
}

// states says of each run how far it is: h holds its slots, w waits, d is due, e has ended.
func (s *suite) states(runs []engine.Run) string {
	s.Helper()
	var out []byte
	for _, r := range runs {
		switch got := s.run(r.ID); {
		case got.Status.Final():
			out = append(out, 'e')
		case got.WaitsForSlot:
			out = append(out, 'w')
		case got.Status == engine.RunQueued:
			out = append(out, 'd')
		default:
			out = append(out, 'h')
		}
	}
	return string(out)
}

func (s *suite) told(out engine.Outcome, runs ...engine.Run) {
	s.Helper()
	var want []engine.DueRun
	for _, r := range runs {
		want = append(want, engine.DueRun{Run: r.ID, Workflow: r.Workflow})
	}
	s.equal("told", out.Tell, want)
}

func (s *suite) slotsQueue() {
	runs := s.line(4, slot(1, 2, workflows.OnLimitQueue))
	s.equal("states", s.states(runs), "hhww")
	s.equal("nothing due", s.due(10), []engine.RunID{})
	s.refused(claimBy(runs[2].ID, 2), fault.Conflict, fmt.Sprintf("run %s waits for a slot", runs[2].ID))
	other := s.line(1, slot(2, 2, workflows.OnLimitQueue))
	s.equal("another group", s.states(other), "h")

	// Written again, as after a lost answer, nothing changes.
	again := engine.Entry{Create: &engine.NewRun{Run: runs[2], Slots: []engine.Slot{slot(1, 2, workflows.OnLimitQueue)}}}
	if out := s.commit(again)[0]; !out.Waits || out.Run != runs[2].ID {
		s.Errorf("created again: %+v", out)
	}
	last := end(runs[0], engine.RunFailed)
	s.told(s.commit(last)[0], runs[2])
	s.told(s.commit(last)[0])
	s.equal("states", s.states(runs), "ehdw")
	s.equal("due", s.due(10), []engine.RunID{runs[2].ID})
	if out := s.commit(again)[0]; !out.Waits {
		s.Errorf("created again, although it is not its creator's any more: %+v", out)
	}
	l := s.commit(claimBy(runs[2].ID, 2))[0].Loaded
	s.equal("groups", l.Run.Groups, []engine.GroupID{group(1)})
	// A hand-back and a wait keep the slot.
	s.commit(progress(l.Run, &engine.RunChange{Status: engine.RunQueued, Release: true}))
	l = s.commit(claimBy(runs[2].ID, 2))[0].Loaded
	s.commit(s.park(l.Run, nil))
	s.equal("states", s.states(runs), "ehhw")

	// Of one lost to another process nothing is freed.
	from := owner(1)
	taken := s.commit(engine.Entry{Claim: &engine.Claim{Run: runs[1].ID, Owner: owner(2), TakeoverFrom: &from}})[0].Loaded
	if out := s.try(end(runs[1], engine.RunSucceeded))[0]; out.Err == nil || len(out.Tell) > 0 {
		s.Errorf("the end by a process that lost the run: %+v", out)
	}
	s.told(s.commit(end(taken.Run, engine.RunSucceeded))[0], runs[3])
	s.equal("states", s.states(runs), "eehd")
}

func (s *suite) slotsInOneBatch() {
	runs := s.line(5, slot(1, 2, workflows.OnLimitQueue))
	next, create := s.needing(slot(1, 2, workflows.OnLimitQueue))
	out := s.commit(end(runs[0], engine.RunSucceeded), create, end(runs[1], engine.RunSucceeded))
	if !out[1].Waits {
		s.Error("who comes last was first")
	}
	s.equal("states", s.states(append(runs, next)), "eeddww")
}

func (s *suite) slotsSkip() {
	runs := s.line(1, slot(1, 1, workflows.OnLimitSkip))
	once := func(key string, record bool) (engine.Run, engine.Entry) {
		r, e := s.needing(slot(1, 1, workflows.OnLimitSkip))
		e.Create.Dedupe = &engine.DedupeKey{Kind: "webhook", Trigger: "in", Key: key, ExpiresAt: s.now.Add(time.Hour)}
		e.Create.RecordSkip = record
		return r, e
	}
	_, refused := once("a", false)
	_, same := once("a", false)
	_, recorded := once("b", true)
	out := s.try(refused, same, recorded)
	if !fault.Is(out[0].Err, fault.Conflict) || !fault.Is(out[1].Err, fault.Conflict) || out[2].Err != nil || !out[2].Skipped {
		s.Errorf("skipped: %+v", out)
	}
	if _, err := s.Store.Run(s.ctx, refused.Create.Run.ID); !fault.Is(err, fault.NotFound) {
		s.Errorf("a skipped run: %v", err)
	}
	s.commit(end(runs[0], engine.RunSucceeded))
	again, free := once("a", false)
	_, late := once("b", true)
	out = s.commit(free, late)
	if out[0].Run != again.ID || out[0].Duplicate || !out[1].Duplicate || !out[1].Skipped {
		s.Errorf("the same keys later: %+v", out)
	}
}

// slotsLine: a line takes so many and no more, which is not the end of its schedule's occurrence.
func (s *suite) slotsLine() {
	bounded := slot(1, 1, workflows.OnLimitQueue)
	bounded.MaxWaiting = 3
	runs := s.line(3, bounded)
	r, last := s.needing(bounded)
	_, over := s.needing(bounded)
	_, tick := s.needing(bounded)
	tick.Create.RecordSkip = true
	out := s.try(last, over, tick)
	if out[0].Err != nil || !fault.Is(out[1].Err, fault.Unavailable) || !fault.Is(out[2].Err, fault.Unavailable) || out[2].Skipped {
		s.Errorf("a full line: %+v", out)
	}
	s.commit(end(runs[0], engine.RunSucceeded))
	_, next := s.needing(bounded)
	if out := s.commit(next)[0]; !out.Waits {
		s.Errorf("after somebody's turn came: %+v", out)
	}
	s.equal("states", s.states(append(runs, r)), "edww")
}

func (s *suite) slotsCancelWaiting() {
	runs := s.line(4, slot(1, 1, workflows.OnLimitQueue))
	s.commit(signal(runs[1].ID, "callback")) // is no reason to begin
	s.equal("states", s.states(runs), "hwww")
	s.commit(signal(runs[1].ID, engine.SignalCancel))
	s.equal("states", s.states(runs), "hdww")
	l := s.commit(claimBy(runs[1].ID, 2))[0].Loaded
	if !l.Run.CancelRequested {
		s.Error("the run does not know that it is canceled")
	}
	s.told(s.commit(end(l.Run, engine.RunCanceled))[0])
	// In one batch with the end of the holder.
	out := s.commit(signal(runs[2].ID, engine.SignalCancel), end(runs[0], engine.RunSucceeded))
	s.told(out[1], runs[3])
	s.equal("states", s.states(runs), "eedd")
}

func (s *suite) slotsCancelOldest() {
	slots := slot(1, 2, workflows.OnLimitCancelOldest)
	runs := s.line(2, slots)
	third, create := s.needing(slots)
	s.told(s.commit(create)[0], runs[0])
	fourth, create := s.needing(slots)
	s.told(s.commit(create)[0], runs[1])
	fifth, create := s.needing(slots)
	s.told(s.commit(create)[0], third) // it waits: it ends without having begun
	runs = append(runs, third, fourth, fifth)
	s.equal("states", s.states(runs), "hhdww")
	for _, id := range []engine.Run{runs[0], runs[1], third} {
		if !s.run(id.ID).CancelRequested {
			s.Errorf("run %s is not canceled", id.ID)
		}
	}
	s.told(s.commit(end(runs[0], engine.RunCanceled))[0], fourth)
	s.told(s.commit(end(runs[1], engine.RunCanceled))[0], fifth)
	s.equal("states", s.states(runs), "eeddd")
}

// Who ends, or is canceled, in the same batch before a start makes room for it.
func (s *suite) slotsCancelNobody() {
	slots := slot(1, 2, workflows.OnLimitCancelOldest)
	runs := s.line(2, slots)
	third, create := s.needing(slots)
	s.told(s.commit(end(runs[1], engine.RunSucceeded), create)[1])
	runs = append(runs, third)
	s.equal("a slot was free", s.states(runs), "heh")
	fourth, create := s.needing(slots)
	s.told(s.commit(signal(third.ID, engine.SignalCancel), create)[1])
	runs = append(runs, fourth)
	s.equal("one was canceled", s.states(runs), "hehw")
	if s.run(runs[0].ID).CancelRequested {
		s.Error("the oldest was canceled for a slot that was free")
	}
	// The end of a canceled run makes room for the one that waits for it, and for nobody else.
	fifth, create := s.needing(slots)
	s.commit(end(third, engine.RunCanceled), create)
	s.equal("the canceled one has ended", s.states(append(runs, fifth)), "heedw")
	if !s.run(runs[0].ID).CancelRequested {
		s.Error("more go on than may")
	}
}

func (s *suite) slotsOfTriggerAndWorkflow() {
	both := []engine.Slot{overlap(1), slot(2, 1, workflows.OnLimitQueue)}
	manual := s.line(1, both[1])
	runs := s.line(2, both...) // the first has its trigger's slot and waits for its workflow's
	s.equal("states", s.states(append(manual, runs...)), "hww")
	_, third := s.needing(both...)
	s.refused(third, fault.Conflict, "the trigger's run before this one goes on")
	s.told(s.commit(end(manual[0], engine.RunSucceeded))[0], runs[0])
	s.equal("states", s.states(runs), "dw")
	later := s.line(1, both[1])
	l := s.commit(claimBy(runs[0].ID, 1))[0].Loaded
	// The end of the first gives both slots away: to the second one of the trigger, and, as it is older than
	// the one that was started by hand, that of the workflow.
	s.told(s.commit(end(l.Run, engine.RunSucceeded))[0], runs[1])
	s.equal("states", s.states(append(runs, later...)), "edw")
	// Canceled while it waits for the second slot, a run gives the first one back with its end.
	runs = append(runs, s.line(1, both...)...)
	l = s.commit(claimBy(runs[1].ID, 1))[0].Loaded
	s.told(s.commit(end(l.Run, engine.RunSucceeded))[0], later[0])
	s.equal("states", s.states(append(runs, later...)), "eewd")
	s.commit(signal(runs[2].ID, engine.SignalCancel))
	next := s.line(1, both...)
	l = s.commit(claimBy(runs[2].ID, 1))[0].Loaded
	s.commit(end(l.Run, engine.RunCanceled))
	l = s.commit(claimBy(later[0].ID, 1))[0].Loaded
	s.told(s.commit(end(l.Run, engine.RunSucceeded))[0], next[0])
}

func (s *suite) slotsAreSwept() {
	runs := s.line(4, slot(1, 1, workflows.OnLimitQueue))
	s.commit(progress(runs[0], &engine.RunChange{Status: engine.RunSucceeded})) // by a release that knows no slots
	ended, last, err := s.Store.Leaked(s.ctx, engine.RunID{}, 10)
	if err != nil || last != (engine.RunID{}) {
		s.Fatalf("leaked: %v, %v", last, err)
	}
	s.equal("leaked", ended, map[workflows.ID][]engine.RunID{"sync": {runs[0].ID}})
	if _, last, err = s.Store.Leaked(s.ctx, engine.RunID{}, 2); err != nil || last != runs[1].ID {
		s.Errorf("leaked page: %v, %v", last, err)
	}
	s.commit(engine.Entry{Admit: &engine.Admit{Workflow: "sync", Ended: []engine.RunID{runs[0].ID, runs[1].ID}}})
	s.equal("states", s.states(runs), "edww")

	lines, err := s.Store.SlotQueues(s.ctx, engine.Line{}, 10)
	if err != nil {
		s.Fatal(err)
	}
	want := engine.Line{Workflow: "sync", Group: group(1), Place: engine.PlaceWorkflow, Limit: 1, Version: 3, Held: 1}
	s.equal("lines", lines, []engine.Line{want})
	if lines, err = s.Store.SlotQueues(s.ctx, want, 10); err != nil || len(lines) > 0 {
		s.Errorf("lines behind the last: %v, %v", lines, err)
	}
	admit := &engine.Admit{Workflow: "sync", Group: group(1), Place: engine.PlaceWorkflow, Limit: 2, Version: 4}
	s.told(s.commit(engine.Entry{Admit: admit})[0], runs[2])
	s.told(s.commit(engine.Entry{Admit: admit})[0])
	s.equal("states", s.states(runs), "eddw")
	// An older definition does not change the limit.
	older := s.line(1, slot(1, 9, workflows.OnLimitQueue))
	s.equal("states", s.states(append(runs, older...)), "eddww")
}

// slotsRace has two processes start, end and cancel runs of one group at once.
func (s *suite) slotsRace() {
	const runs, limit = 60, 3
	stores := []engine.Store{s.Store, s.Other}
	if s.Other == nil {
		stores = stores[:1]
	}
	var makers sync.WaitGroup
	var mu sync.Mutex // of the suite's ids
	for n, store := range stores {
		makers.Go(func() {
			random := rand.New(rand.NewPCG(uint64(n), 1))
			for range runs {
				mu.Lock()
				r := s.owned(byte(n + 1))
				mu.Unlock()
				r.Groups = []engine.GroupID{group(1)}
				create := engine.Entry{Create: &engine.NewRun{Run: r, Slots: []engine.Slot{slot(1, limit, workflows.OnLimitQueue)}}}
				out, err := store.Commit(s.ctx, []engine.Entry{create}, s.now)
				if err == nil && random.IntN(4) == 0 {
					_, err = store.Commit(s.ctx, []engine.Entry{signal(r.ID, engine.SignalCancel)}, s.now)
				}
				if err == nil && !out[0].Waits && random.IntN(2) == 0 {
					_, err = store.Commit(s.ctx, []engine.Entry{end(r, engine.RunSucceeded)}, s.now)
				}
				if err != nil {
					s.Errorf("commit: %v", err)
				}
			}
		})
	}
	makers.Wait()
	s.drainLine(stores, limit)
}

// drainLine ends all runs, and looks at each step how many hold a slot.
func (s *suite) drainLine(stores []engine.Store, limit int) {
	s.Helper()
	for {
		all, err := s.Store.Runs(s.ctx, engine.RunFilter{Limit: 500})
		if err != nil {
			s.Fatal(err)
		}
		holders, left := 0, 0
		var group sync.WaitGroup
		for i, r := range all {
			if r.Status.Final() {
				continue
			}
			left++
			if r.WaitsForSlot {
				continue
			}
			if !r.CancelRequested {
				holders++
			}
			store := stores[i%len(stores)]
			group.Go(func() {
				if r.Status == engine.RunQueued {
					out, err := store.Commit(s.ctx, []engine.Entry{claimBy(r.ID, 1)}, s.now)
					if err != nil || out[0].Err != nil {
						s.Errorf("claim: %v", err)
						return
					}
					r = out[0].Loaded.Run
				}
				if out, err := store.Commit(s.ctx, []engine.Entry{end(r, engine.RunSucceeded)}, s.now); err != nil || out[0].Err != nil {
					s.Errorf("end: %v", err)
				}
			})
		}
		group.Wait()
		if holders > limit {
			s.Errorf("%d hold a slot; the limit is %d", holders, limit)
		}
		if left == 0 {
			return
		}
		if s.Failed() {
			s.FailNow()
		}
	}
}
