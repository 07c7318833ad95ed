package enginetest

import (
	"fmt"
	"math/rand/v2"
	"sync"
	"time"

	"keyflow/engine/runs"
	"keyflow/internal/fault"
	"keyflow/workflows"
)

// group returns the nth group.
func group(n byte) runs.GroupID { return runs.GroupID{1: 7, 15: n} }

func slot(n byte, limit int, onLimit string) runs.Slot {
	return runs.Slot{Group: group(n), Place: runs.PlaceWorkflow, Limit: limit, Version: 3, OnLimit: onLimit}
}

// overlap is the slot of a trigger that allows one active run and one waiting run.
func overlap(n byte) runs.Slot {
	return runs.Slot{Group: group(n), Place: runs.PlaceTrigger, Limit: 1, OnLimit: workflows.OnLimitQueue, MaxWaiting: 1}
}

// needing returns the creation of a run that process 1 owns if it gets the slots.
func (s *suite) needing(slots ...runs.Slot) (runs.Run, runs.Entry) {
	r := s.owned(1)
	for _, slot := range slots {
		r.Groups = append(r.Groups, slot.Group)
	}
	return r, runs.Entry{Create: &runs.NewRun{Run: r, Slots: slots}}
}

// end is the end of a run with slots.
func end(r runs.Run, status runs.Status) runs.Entry {
	e := progress(r, &runs.Change{Status: status})
	e.Progress.Frees = r.Workflow
	return e
}

// createAll creates n runs with the same slots in one batch.
func (s *suite) createAll(n int, slots ...runs.Slot) []runs.Run {
	s.Helper()
	all, entries := make([]runs.Run, n), make([]runs.Entry, n)
	for i := range all {
		all[i], entries[i] = s.needing(slots...)
	}
	for i, out := range s.commit(entries...) {
		got := s.run(all[i].ID)
		waits := got.WaitsForSlot && got.Status == runs.Queued && got.Owner == runs.OwnerID{}
		has := got.Status == runs.Running && got.Owner == owner(1)
		if out.Run != all[i].ID || out.Waits != waits || !waits && !has {
			s.Errorf("run %d: %+v, %+v", i, out, got)
		}
	}
	return all
}

// states returns a letter for each run: h has its slots, w waits, d is due, e has ended.
func (s *suite) states(all []runs.Run) string {
	s.Helper()
	var out []byte
	for _, r := range all {
		switch got := s.run(r.ID); {
		case got.Status.Final():
			out = append(out, 'e')
		case got.WaitsForSlot:
			out = append(out, 'w')
		case got.Status == runs.Queued:
			out = append(out, 'd')
		default:
			out = append(out, 'h')
		}
	}
	return string(out)
}

// woke compares the runs that an entry made due.
func (s *suite) woke(out runs.Outcome, all ...runs.Run) {
	s.Helper()
	var want []runs.DueRun
	for _, r := range all {
		want = append(want, runs.DueRun{Run: r.ID, Workflow: r.Workflow})
	}
	s.equal("woken", out.Woken, want)
}

func (s *suite) slotsQueue() {
	all := s.createAll(4, slot(1, 2, workflows.OnLimitQueue))
	s.equal("states", s.states(all), "hhww")
	s.equal("nothing due", s.due(10), []runs.ID{})
	s.refused(claimBy(all[2].ID, 2), fault.Conflict, fmt.Sprintf("run %s waits for a slot", all[2].ID))
	other := s.createAll(1, slot(2, 2, workflows.OnLimitQueue))
	s.equal("another group", s.states(other), "h")

	// Written again, as after a lost answer, nothing changes.
	again := runs.Entry{Create: &runs.NewRun{Run: all[2], Slots: []runs.Slot{slot(1, 2, workflows.OnLimitQueue)}}}
	if out := s.commit(again)[0]; !out.Waits || out.Run != all[2].ID {
		s.Errorf("created again: %+v", out)
	}
	last := end(all[0], runs.Failed)
	s.woke(s.commit(last)[0], all[2])
	s.woke(s.commit(last)[0])
	s.equal("states", s.states(all), "ehdw")
	s.equal("due", s.due(10), []runs.ID{all[2].ID})
	if out := s.commit(again)[0]; !out.Waits {
		s.Errorf("created again, want it to wait, as it may have another owner: %+v", out)
	}
	l := s.commit(claimBy(all[2].ID, 2))[0].Loaded
	s.equal("groups", l.Run.Groups, []runs.GroupID{group(1)})
	// A run that is handed back or waits keeps its slot.
	s.commit(progress(l.Run, &runs.Change{Status: runs.Queued, Release: true}))
	l = s.commit(claimBy(all[2].ID, 2))[0].Loaded
	s.commit(s.park(l.Run, nil))
	s.equal("states", s.states(all), "ehhw")

	// A process that has lost a run cannot free its slot.
	from := owner(1)
	taken := s.commit(runs.Entry{Claim: &runs.Claim{Run: all[1].ID, Owner: owner(2), TakeoverFrom: &from}})[0].Loaded
	if out := s.try(end(all[1], runs.Succeeded))[0]; out.Err == nil || len(out.Woken) > 0 {
		s.Errorf("the end by a process that lost the run: %+v", out)
	}
	s.woke(s.commit(end(taken.Run, runs.Succeeded))[0], all[3])
	s.equal("states", s.states(all), "eehd")
}

func (s *suite) slotsInOneBatch() {
	all := s.createAll(5, slot(1, 2, workflows.OnLimitQueue))
	next, create := s.needing(slot(1, 2, workflows.OnLimitQueue))
	out := s.commit(end(all[0], runs.Succeeded), create, end(all[1], runs.Succeeded))
	if !out[1].Waits {
		s.Error("the newest run got a slot before older ones")
	}
	s.equal("states", s.states(append(all, next)), "eeddww")
}

func (s *suite) slotsSkip() {
	all := s.createAll(1, slot(1, 1, workflows.OnLimitSkip))
	once := func(key string, record bool) (runs.Run, runs.Entry) {
		r, e := s.needing(slot(1, 1, workflows.OnLimitSkip))
		e.Create.Dedupe = &runs.DedupeKey{Kind: "webhook", Trigger: "in", Key: key, ExpiresAt: s.now.Add(time.Hour)}
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
	s.commit(end(all[0], runs.Succeeded))
	again, free := once("a", false)
	_, late := once("b", true)
	out = s.commit(free, late)
	if out[0].Run != again.ID || out[0].Duplicate || !out[1].Duplicate || !out[1].Skipped {
		s.Errorf("the same keys later: %+v", out)
	}
}

// slotsFullQueue: a start is refused while the queue is full. The occurrence of a schedule is not
// recorded as skipped, so that it is tried again.
func (s *suite) slotsFullQueue() {
	bounded := slot(1, 1, workflows.OnLimitQueue)
	bounded.MaxWaiting = 3
	all := s.createAll(3, bounded)
	r, last := s.needing(bounded)
	_, over := s.needing(bounded)
	_, tick := s.needing(bounded)
	tick.Create.RecordSkip = true
	out := s.try(last, over, tick)
	if out[0].Err != nil || !fault.Is(out[1].Err, fault.Unavailable) || !fault.Is(out[2].Err, fault.Unavailable) || out[2].Skipped {
		s.Errorf("a full queue: %+v", out)
	}
	s.commit(end(all[0], runs.Succeeded))
	_, next := s.needing(bounded)
	if out := s.commit(next)[0]; !out.Waits {
		s.Errorf("after a waiting run got its slot: %+v", out)
	}
	s.equal("states", s.states(append(all, r)), "edww")
}

func (s *suite) slotsCancelWaiting() {
	all := s.createAll(4, slot(1, 1, workflows.OnLimitQueue))
	s.commit(signal(all[1].ID, "callback")) // does not start it
	s.equal("states", s.states(all), "hwww")
	s.commit(signal(all[1].ID, runs.SignalCancel))
	s.equal("states", s.states(all), "hdww")
	l := s.commit(claimBy(all[1].ID, 2))[0].Loaded
	if !l.Run.CancelRequested {
		s.Error("the loaded run is not marked as canceled")
	}
	s.woke(s.commit(end(l.Run, runs.Canceled))[0])
	// In one batch with the end of the run that has the slot.
	out := s.commit(signal(all[2].ID, runs.SignalCancel), end(all[0], runs.Succeeded))
	s.woke(out[1], all[3])
	s.equal("states", s.states(all), "eedd")
}

func (s *suite) slotsCancelOldest() {
	slots := slot(1, 2, workflows.OnLimitCancelOldest)
	all := s.createAll(2, slots)
	third, create := s.needing(slots)
	s.woke(s.commit(create)[0], all[0])
	fourth, create := s.needing(slots)
	s.woke(s.commit(create)[0], all[1])
	fifth, create := s.needing(slots)
	s.woke(s.commit(create)[0], third) // it waits, and ends without starting
	all = append(all, third, fourth, fifth)
	s.equal("states", s.states(all), "hhdww")
	for _, id := range []runs.Run{all[0], all[1], third} {
		if !s.run(id.ID).CancelRequested {
			s.Errorf("run %s is not canceled", id.ID)
		}
	}
	s.woke(s.commit(end(all[0], runs.Canceled))[0], fourth)
	s.woke(s.commit(end(all[1], runs.Canceled))[0], fifth)
	s.equal("states", s.states(all), "eeddd")
}

// A run that ends or is canceled earlier in the same batch frees a slot for a start.
func (s *suite) slotsCancelNone() {
	slots := slot(1, 2, workflows.OnLimitCancelOldest)
	all := s.createAll(2, slots)
	third, create := s.needing(slots)
	s.woke(s.commit(end(all[1], runs.Succeeded), create)[1])
	all = append(all, third)
	s.equal("a slot was free", s.states(all), "heh")
	fourth, create := s.needing(slots)
	s.woke(s.commit(signal(third.ID, runs.SignalCancel), create)[1])
	all = append(all, fourth)
	s.equal("one was canceled", s.states(all), "hehw")
	if s.run(all[0].ID).CancelRequested {
		s.Error("the oldest was canceled for a slot that was free")
	}
	// The slot of a canceled run goes to the run that waits for it, and to no other.
	fifth, create := s.needing(slots)
	s.commit(end(third, runs.Canceled), create)
	s.equal("the canceled one has ended", s.states(append(all, fifth)), "heedw")
	if !s.run(all[0].ID).CancelRequested {
		s.Error("more runs than the limit are active")
	}
}

func (s *suite) slotsOfTriggerAndWorkflow() {
	both := []runs.Slot{overlap(1), slot(2, 1, workflows.OnLimitQueue)}
	manual := s.createAll(1, both[1])
	all := s.createAll(2, both...) // the first has its trigger's slot and waits for its workflow's
	s.equal("states", s.states(append(manual, all...)), "hww")
	_, third := s.needing(both...)
	s.refused(third, fault.Conflict, "the trigger's run before this one goes on")
	s.woke(s.commit(end(manual[0], runs.Succeeded))[0], all[0])
	s.equal("states", s.states(all), "dw")
	later := s.createAll(1, both[1])
	l := s.commit(claimBy(all[0].ID, 1))[0].Loaded
	// The second run gets both slots of the first: that of the trigger and, as it is older than the
	// manual run, that of the workflow.
	s.woke(s.commit(end(l.Run, runs.Succeeded))[0], all[1])
	s.equal("states", s.states(append(all, later...)), "edw")
	// A run that is canceled while it waits for its second slot frees the first when it ends.
	all = append(all, s.createAll(1, both...)...)
	l = s.commit(claimBy(all[1].ID, 1))[0].Loaded
	s.woke(s.commit(end(l.Run, runs.Succeeded))[0], later[0])
	s.equal("states", s.states(append(all, later...)), "eewd")
	s.commit(signal(all[2].ID, runs.SignalCancel))
	next := s.createAll(1, both...)
	l = s.commit(claimBy(all[2].ID, 1))[0].Loaded
	s.commit(end(l.Run, runs.Canceled))
	l = s.commit(claimBy(later[0].ID, 1))[0].Loaded
	s.woke(s.commit(end(l.Run, runs.Succeeded))[0], next[0])
}

func (s *suite) slotsLeaked() {
	all := s.createAll(4, slot(1, 1, workflows.OnLimitQueue))
	s.commit(progress(all[0], &runs.Change{Status: runs.Succeeded})) // by a release without slots
	ended, last, err := s.Store.Leaked(s.ctx, runs.ID{}, 10)
	if err != nil || last != (runs.ID{}) {
		s.Fatalf("leaked: %v, %v", last, err)
	}
	s.equal("leaked", ended, map[workflows.ID][]runs.ID{"sync": {all[0].ID}})
	if _, last, err = s.Store.Leaked(s.ctx, runs.ID{}, 2); err != nil || last != all[1].ID {
		s.Errorf("leaked page: %v, %v", last, err)
	}
	s.commit(runs.Entry{Admit: &runs.Admit{Workflow: "sync", Ended: []runs.ID{all[0].ID, all[1].ID}}})
	s.equal("states", s.states(all), "edww")

	queues, err := s.Store.SlotQueues(s.ctx, runs.SlotQueue{}, 10)
	if err != nil {
		s.Fatal(err)
	}
	want := runs.SlotQueue{Workflow: "sync", Group: group(1), Place: runs.PlaceWorkflow, Limit: 1, Version: 3, Taken: 1}
	s.equal("queues", queues, []runs.SlotQueue{want})
	if queues, err = s.Store.SlotQueues(s.ctx, want, 10); err != nil || len(queues) > 0 {
		s.Errorf("queues after the last: %v, %v", queues, err)
	}
	admit := &runs.Admit{Workflow: "sync", Group: group(1), Place: runs.PlaceWorkflow, Limit: 2, Version: 4}
	s.woke(s.commit(runs.Entry{Admit: admit})[0], all[2])
	s.woke(s.commit(runs.Entry{Admit: admit})[0])
	s.equal("states", s.states(all), "eddw")
	// An older definition does not change the limit.
	older := s.createAll(1, slot(1, 9, workflows.OnLimitQueue))
	s.equal("states", s.states(append(all, older...)), "eddww")
}

// slotsRace has two processes start, end and cancel runs of one group at once.
func (s *suite) slotsRace() {
	const all, limit = 60, 3
	stores := []runs.Store{s.Store, s.Other}
	if s.Other == nil {
		stores = stores[:1]
	}
	var creators sync.WaitGroup
	var mu sync.Mutex // of the suite's ids
	for n, store := range stores {
		creators.Go(func() {
			random := rand.New(rand.NewPCG(uint64(n), 1))
			for range all {
				mu.Lock()
				r := s.owned(byte(n + 1))
				mu.Unlock()
				r.Groups = []runs.GroupID{group(1)}
				create := runs.Entry{Create: &runs.NewRun{Run: r, Slots: []runs.Slot{slot(1, limit, workflows.OnLimitQueue)}}}
				out, err := store.Commit(s.ctx, []runs.Entry{create}, s.now)
				if err == nil && random.IntN(4) == 0 {
					_, err = store.Commit(s.ctx, []runs.Entry{signal(r.ID, runs.SignalCancel)}, s.now)
				}
				if err == nil && !out[0].Waits && random.IntN(2) == 0 {
					_, err = store.Commit(s.ctx, []runs.Entry{end(r, runs.Succeeded)}, s.now)
				}
				if err != nil {
					s.Errorf("commit: %v", err)
				}
			}
		})
	}
	creators.Wait()
	s.drain(stores, limit)
}

// drain ends all runs, and checks in each round how many have a slot.
func (s *suite) drain(stores []runs.Store, limit int) {
	s.Helper()
	for {
		all, err := s.Store.Runs(s.ctx, runs.Filter{Limit: 500})
		if err != nil {
			s.Fatal(err)
		}
		active, left := 0, 0
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
				active++
			}
			store := stores[i%len(stores)]
			group.Go(func() {
				if r.Status == runs.Queued {
					out, err := store.Commit(s.ctx, []runs.Entry{claimBy(r.ID, 1)}, s.now)
					if err != nil || out[0].Err != nil {
						s.Errorf("claim: %v", err)
						return
					}
					r = out[0].Loaded.Run
				}
				if out, err := store.Commit(s.ctx, []runs.Entry{end(r, runs.Succeeded)}, s.now); err != nil || out[0].Err != nil {
					s.Errorf("end: %v", err)
				}
			})
		}
		group.Wait()
		if active > limit {
			s.Errorf("%d runs have a slot; the limit is %d", active, limit)
		}
		if left == 0 {
			return
		}
		if s.Failed() {
			s.FailNow()
		}
	}
}
