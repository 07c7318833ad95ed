package sqlstore_test

import (
	"context"
	"slices"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"
	"github.com/google/uuid"
	"pgregory.net/rapid"

	"keyflow/engine/runs"
	"keyflow/engine/sqlstore"
	"keyflow/internal/database/databasetest"
	"keyflow/internal/fault"
	"keyflow/workflows"
)

// slotModel starts, claims, ends, cancels, parks and loses runs at random. It knows
// only the outcomes that the store has returned.
type slotModel struct {
	*rapid.T
	store  *sqlstore.Store
	limit  int
	now    time.Time
	owners byte
	runs   map[runs.ID]*runs.Run // that have not ended, as their owner knows them
	order  []runs.ID
	ids    byte
	// waiting are the runs that waited for a slot at the last check; idle those that were canceled
	// then, which end without a step.
	waiting, idle map[runs.ID]bool
}

func (m *slotModel) commit(entries ...runs.Entry) []runs.Outcome {
	m.now = m.now.Add(time.Millisecond)
	out, err := m.store.Commit(context.Background(), entries, m.now)
	if err != nil {
		m.Fatalf("commit: %v", err)
	}
	if rapid.IntRange(0, 9).Draw(m.T, "the answer is lost") == 0 {
		var again []runs.Entry
		for _, e := range entries {
			if e.Claim != nil {
				c := *e.Claim
				c.Again, e.Claim = true, &c
			}
			again = append(again, e)
		}
		if out, err = m.store.Commit(context.Background(), again, m.now); err != nil {
			m.Fatalf("commit again: %v", err)
		}
	}
	return out
}

// newRun prepares a start: half of them are occurrences, with the slot of their trigger too.
func (m *slotModel) newRun() (runs.Run, runs.Entry) {
	started := m.now
	m.ids++
	r := runs.Run{
		ID: runs.ID{6: 0x70, 8: 0x80, 15: m.ids}, Workflow: "w", Version: 1, Folder: "/", CreatedAt: m.now, StartedAt: &started,
		Status: runs.Running, Owner: runs.OwnerID{1, m.owners}, Fence: 1, Trigger: runs.TriggerRef{ID: "t", Type: "manual", FiredAt: m.now},
	}
	policy := rapid.SampledFrom([]string{workflows.OnLimitQueue, workflows.OnLimitQueue, workflows.OnLimitSkip, workflows.OnLimitCancelOldest})
	var slots []runs.Slot
	if rapid.Bool().Draw(m.T, "occurrence") {
		slots = append(slots, runs.Slot{Group: runs.GroupID{9}, Place: runs.PlaceTrigger, Limit: 1, OnLimit: policy.Draw(m.T, "overlap"), MaxWaiting: rapid.IntRange(0, 1).Draw(m.T, "waiting")})
	}
	key := byte(rapid.IntRange(1, 2).Draw(m.T, "key"))
	slots = append(slots, runs.Slot{Group: runs.GroupID{key}, Place: runs.PlaceWorkflow, Limit: m.limit, Version: 1, OnLimit: policy.Draw(m.T, "on_limit")})
	for _, s := range slots {
		r.Groups = append(r.Groups, s.Group)
	}
	return r, runs.Entry{Create: &runs.NewRun{Run: r, Slots: slots}}
}

func (m *slotModel) start() {
	var entries []runs.Entry
	var made []runs.Run
	for range rapid.IntRange(1, 3).Draw(m.T, "starts") {
		r, e := m.newRun()
		made, entries = append(made, r), append(entries, e)
	}
	for i, out := range m.commit(entries...) {
		if out.Err != nil {
			if !fault.Is(out.Err, fault.Conflict) {
				m.Fatalf("start: %v", out.Err)
			}
			continue
		}
		m.add(made[i], out.Waits)
	}
}

// some draws a run that has not ended, nil if all have.
func (m *slotModel) some() *runs.Run {
	if len(m.order) == 0 {
		return nil
	}
	return m.runs[rapid.SampledFrom(m.order).Draw(m.T, "run")]
}

func (m *slotModel) claimDue() {
	due, err := m.store.Due(context.Background(), m.now, 50)
	if err != nil {
		m.Fatalf("due: %v", err)
	}
	for _, d := range due {
		out := m.commit(runs.Entry{Claim: &runs.Claim{Run: d.Run, Owner: runs.OwnerID{1, m.owners}}})[0]
		if out.Err != nil {
			m.Fatalf("claim: %v", out.Err)
		}
		*m.runs[d.Run] = out.Loaded.Run
	}
}

func (m *slotModel) change(set *runs.Change) {
	r := m.some()
	if r == nil || r.Owner == (runs.OwnerID{}) {
		return
	}
	if out := m.commit(m.progress(r, set))[0]; out.Err != nil {
		if set.Status == runs.Waiting { // it has an unread signal
			return
		}
		m.Fatalf("progress: %v", out.Err)
	}
	r.Owner = runs.OwnerID{}
	if set.Status.Final() {
		m.forget(r.ID)
	}
}

func (m *slotModel) progress(r *runs.Run, set *runs.Change) runs.Entry {
	return runs.Entry{Progress: &runs.Progress{Run: r.ID, Owner: r.Owner, Fence: r.Fence, Frees: r.Workflow, Set: set}}
}

func (m *slotModel) forget(id runs.ID) {
	delete(m.runs, id)
	m.order = slices.DeleteFunc(m.order, func(x runs.ID) bool { return x == id })
}

// endTwo ends two runs in one batch with a start and a cancel.
func (m *slotModel) endTwo() {
	a, b, c := m.some(), m.some(), m.some()
	if a == nil || a == b || a.Owner == (runs.OwnerID{}) || b.Owner == (runs.OwnerID{}) {
		return
	}
	r, create := m.newRun()
	end := &runs.Change{Status: runs.Succeeded}
	cancel := runs.Entry{Signal: &runs.Signal{Run: c.ID, Kind: runs.SignalCancel, ID: uuid.New(), Again: true}}
	out := m.commit(m.progress(a, end), create, cancel, m.progress(b, end))
	m.forget(a.ID)
	m.forget(b.ID)
	if out[1].Err == nil {
		m.add(r, out[1].Waits)
	}
}

func (m *slotModel) add(r runs.Run, waits bool) {
	if waits {
		r.Owner, m.waiting[r.ID] = runs.OwnerID{}, true
	}
	m.runs[r.ID] = &r
	m.order = append(m.order, r.ID)
}

func (m *slotModel) cancel() {
	if r := m.some(); r != nil {
		m.commit(runs.Entry{Signal: &runs.Signal{Run: r.ID, Kind: runs.SignalCancel, ID: uuid.New(), Again: true}})
	}
}

// crash makes another process take over all runs of this one.
func (m *slotModel) crash() {
	from := runs.OwnerID{1, m.owners}
	m.owners++
	for _, id := range slices.Clone(m.order) {
		if r := m.runs[id]; r.Owner == from {
			out := m.commit(runs.Entry{Claim: &runs.Claim{Run: id, Owner: runs.OwnerID{1, m.owners}, TakeoverFrom: &from}})[0]
			if out.Err != nil {
				m.Fatalf("takeover: %v", out.Err)
			}
			*r = out.Loaded.Run
		}
	}
}

// check compares how many runs of each group are active with the limit.
func (m *slotModel) check() {
	holders := map[runs.GroupID]int{}
	waiting := 0
	for id := range m.runs {
		run, err := m.store.Run(context.Background(), id)
		if err != nil {
			m.Fatalf("run: %v", err)
		}
		if m.waiting[id] && run.CancelRequested {
			m.idle[id] = true
		}
		m.waiting[id] = run.WaitsForSlot
		switch {
		case run.WaitsForSlot:
			waiting++
		case !m.idle[id]:
			for _, g := range run.Groups {
				holders[g]++
			}
		}
	}
	for g, n := range holders {
		if limit := map[bool]int{true: 1, false: m.limit}[g == runs.GroupID{9}]; n > limit {
			m.Fatalf("%d runs of group %v are at work; the limit is %d", n, g[0], limit)
		}
	}
	queues, err := m.store.SlotQueues(context.Background(), runs.SlotQueue{}, 10)
	if err != nil {
		m.Fatalf("queues: %v", err)
	}
	for _, l := range queues {
		if l.Taken < l.Limit {
			m.Fatalf("group %v has %d of %d slots taken, and runs wait", l.Group[0], l.Taken, l.Limit)
		}
	}
	if waiting > 0 && len(queues) == 0 {
		m.Fatalf("%d runs wait in no queue", waiting)
	}
}

// drain ends all runs; each round must end at least one.
func (m *slotModel) drain() {
	for len(m.order) > 0 {
		m.claimDue()
		before := len(m.order)
		for _, id := range slices.Clone(m.order) {
			if r := m.runs[id]; r.Owner != (runs.OwnerID{}) {
				if out := m.commit(m.progress(r, &runs.Change{Status: runs.Succeeded}))[0]; out.Err != nil {
					m.Fatalf("end: %v", out.Err)
				}
				m.forget(id)
			}
		}
		parked := false
		for _, id := range m.order { // none is forgotten
			if run, err := m.store.Run(context.Background(), id); err == nil && run.Status == runs.Waiting {
				parked = true
				m.commit(runs.Entry{Signal: &runs.Signal{Run: id, Kind: "wake", ID: uuid.New(), Again: true}})
			}
		}
		if len(m.order) == before && !parked {
			m.Fatalf("%d runs wait for ever", before)
		}
	}
}

// However runs start, end, wait, are canceled and change owners: never more than the limit are
// active, a waiting run gets a free slot, and all runs end.
func TestSlotsProperty(t *testing.T) {
	t.Parallel()
	db := databasetest.SQLite(t)
	store, err := sqlstore.New(db)
	if err != nil {
		t.Fatal(err)
	}
	rapid.Check(t, func(rt *rapid.T) {
		for _, table := range []string{"runs", "slots", "signals", "admissions"} {
			if err := db.Write().Exec("DELETE FROM " + table).Error; err != nil {
				rt.Fatal(err)
			}
		}
		m := &slotModel{T: rt, store: store, limit: rapid.IntRange(1, 3).Draw(rt, "limit"), now: time.Now().UTC().Truncate(time.Microsecond), runs: map[runs.ID]*runs.Run{}, waiting: map[runs.ID]bool{}, idle: map[runs.ID]bool{}}
		for range rapid.IntRange(5, 20).Draw(rt, "steps") {
			action := rapid.IntRange(0, 8).Draw(rt, "action")
			switch action {
			case 0, 1:
				m.start()
			case 2:
				m.claimDue()
			case 3:
				m.change(&runs.Change{Status: runs.Succeeded})
			case 4:
				m.change(&runs.Change{Status: runs.Queued, Release: true})
			case 5:
				m.change(&runs.Change{Status: runs.Waiting, Release: true})
			case 6:
				m.cancel()
			case 7:
				m.crash()
			case 8:
				m.endTwo()
			}
			m.check()
		}
		m.drain()
		var left int64
		if err := db.Read().Raw("SELECT count(*) FROM slots").Scan(&left).Error; err != nil {
			rt.Fatal(err)
		}
		if diff := cmp.Diff(int64(0), left); diff != "" {
			rt.Fatalf("slots are left: %s", diff)
		}
	})
}
