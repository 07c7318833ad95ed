// Package triggerstest holds the conformance suite that every plans.Store must pass. It
// knows no implementation.
package triggerstest

import (
	"fmt"
	"slices"
	"strings"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"

	"keyflow/triggers/plans"
	"keyflow/triggers/schedule"
	"keyflow/workflows"
)

// TestStore runs the suite; open returns a fresh, empty store for each call.
func TestStore(t *testing.T, open func() plans.Store) {
	t.Helper()
	tests := []struct {
		name string
		run  func(t *testing.T, s plans.Store)
	}{
		{"arm again raises the revision", testArm},
		{"keep removes the others", testKeep},
		{"due in order and pages", testDue},
		{"advance compares and sets", testAdvance},
		{"many advance at once", testAdvanceMany},
		{"one of many wins an occurrence", testConcurrentAdvance},
		{"counts what is planned", testCounts},
		{"plans of several workflows", testPlansOfSeveral},
	}
	for _, tt := range tests {
		s := open()
		t.Run(tt.name, func(t *testing.T) {
			t.Parallel()
			tt.run(t, s)
		})
	}
}

var base = time.Date(2026, 11, 5, 9, 30, 0, 123456000, time.UTC)

func plan(workflow, trigger string, next time.Time) plans.Plan {
	return plans.Plan{
		Workflow: workflows.ID(workflow), Trigger: trigger, Spec: schedule.Spec{Schedule: "0 2 * * *", Timezone: "Asia/Seoul"}, Anchor: base, NextAt: next,
	}
}

func arm(t *testing.T, s plans.Store, list ...plans.Plan) {
	t.Helper()
	if err := s.Arm(t.Context(), list); err != nil {
		t.Fatalf("Arm: %v", err)
	}
}

func only(t *testing.T, s plans.Store, workflow workflows.ID) plans.Plan {
	t.Helper()
	list, err := s.Plans(t.Context(), workflow)
	if err != nil || len(list) != 1 {
		t.Fatalf("Plans: %v, %v; want one", list, err)
	}
	return list[0]
}

// More plans than one statement can hold.
func testPlansOfSeveral(t *testing.T, s plans.Store) {
	t.Helper()
	const many = 1200
	list := []plans.Plan{plan("b", "y", base), plan("a", "x", base), plan("c", "z", base)}
	for i := range many {
		list = append(list, plan("d", fmt.Sprint("t", i), base))
	}
	arm(t, s, list...)
	got, err := s.Plans(t.Context(), "b", "unknown", "a")
	if err != nil || len(got) != 2 || got[0].Workflow != "a" || got[1].Workflow != "b" {
		t.Errorf("Plans: %v, %v", got, err)
	}
	if all, err := s.Plans(t.Context(), "d"); err != nil || len(all) != many {
		t.Errorf("%d plans, %v", len(all), err)
	}
	if none, err := s.Plans(t.Context()); err != nil || len(none) != 0 {
		t.Errorf("Plans of none: %v, %v", none, err)
	}
}

func testArm(t *testing.T, s plans.Store) {
	t.Helper()
	p := plan("a", "t", base)
	p.Missed, p.Skipped = 3, 4
	p.Spec.Seconds, p.From, p.Until = true, base.Add(-24*time.Hour), base.Add(24*time.Hour)
	arm(t, s, p)
	want := p
	want.Revision = 1
	if diff := cmp.Diff(want, only(t, s, "a")); diff != "" {
		t.Errorf("-want +got\n%s", diff)
	}
	next := plans.Plan{Workflow: "a", Trigger: "t", Spec: schedule.Spec{Schedule: "@every 5m", Timezone: "UTC"}, Anchor: base.Add(time.Hour)}
	arm(t, s, next)
	next.Revision = 2
	if diff := cmp.Diff(next, only(t, s, "a")); diff != "" {
		t.Errorf("-want +got\n%s", diff)
	}
}

func testKeep(t *testing.T, s plans.Store) {
	t.Helper()
	arm(t, s, plan("a", "x", base), plan("a", "y", base), plan("a", "z", base), plan("b", "x", base))
	if err := s.Keep(t.Context(), "a", []string{"y", "new"}); err != nil {
		t.Fatal(err)
	}
	if p := only(t, s, "a"); p.Trigger != "y" {
		t.Errorf("kept %s", p.Trigger)
	}
	if err := s.Keep(t.Context(), "a", nil); err != nil {
		t.Fatal(err)
	}
	if list, err := s.Plans(t.Context(), "a"); err != nil || len(list) != 0 {
		t.Errorf("left %v, %v", list, err)
	}
	only(t, s, "b")
}

func testDue(t *testing.T, s plans.Store) {
	t.Helper()
	if at, err := s.NextDue(t.Context()); err != nil || !at.IsZero() {
		t.Errorf("NextDue of none: %v, %v", at, err)
	}
	arm(t, s, plan("b", "t", base), plan("a", "t", base), plan("a", "s", base), plan("c", "t", base.Add(-time.Minute)),
		plan("d", "t", base.Add(time.Microsecond)), plan("e", "t", time.Time{}))
	if at, err := s.NextDue(t.Context()); err != nil || !at.Equal(base.Add(-time.Minute)) {
		t.Errorf("NextDue: %v, %v", at, err)
	}
	var got []string
	var after plans.Plan
	for {
		page, err := s.Due(t.Context(), base, after, 2)
		if err != nil {
			t.Fatal(err)
		}
		if len(page) == 0 {
			break
		}
		for _, p := range page {
			got = append(got, string(p.Workflow)+"/"+p.Trigger)
		}
		after = page[len(page)-1]
	}
	if got, want := strings.Join(got, " "), "c/t a/s a/t b/t"; got != want {
		t.Errorf("got %s, want %s", got, want)
	}
}

func testAdvance(t *testing.T, s plans.Store) {
	t.Helper()
	arm(t, s, plan("a", "t", base))
	first := only(t, s, "a")
	later := base.Add(time.Hour)
	advance(t, s, true, plans.Move{Plan: first, NextAt: later, Missed: 2, Skipped: 3})
	want := first
	want.NextAt, want.Missed, want.Skipped = later, 2, 3
	if diff := cmp.Diff(want, only(t, s, "a")); diff != "" {
		t.Errorf("-want +got\n%s", diff)
	}
	advance(t, s, false, plans.Move{Plan: first, NextAt: later.Add(time.Hour)}) // another planned instant
	current := only(t, s, "a")
	arm(t, s, plan("a", "t", later))
	advance(t, s, false, plans.Move{Plan: current, NextAt: later.Add(time.Hour)}) // another revision
	advance(t, s, true, plans.Move{Plan: only(t, s, "a"), Missed: 1})
	if p := only(t, s, "a"); !p.NextAt.IsZero() || p.Missed != 1 {
		t.Errorf("got %+v", p)
	}
}

func advance(t *testing.T, s plans.Store, want bool, m plans.Move) {
	t.Helper()
	if ok, err := s.Advance(t.Context(), []plans.Move{m}); err != nil || len(ok) != 1 || ok[0] != want {
		t.Errorf("Advance: %t, %v; want %t", ok, err, want)
	}
}

func testAdvanceMany(t *testing.T, s plans.Store) {
	t.Helper()
	if ok, err := s.Advance(t.Context(), nil); err != nil || len(ok) != 0 {
		t.Errorf("Advance of none: %v, %v", ok, err)
	}
	arm(t, s, plan("a", "t", base), plan("b", "t", base), plan("c", "t", base))
	a, b, c := only(t, s, "a"), only(t, s, "b"), only(t, s, "c")
	b.Revision++
	later := base.Add(time.Hour)
	ok, err := s.Advance(t.Context(), []plans.Move{{Plan: c, NextAt: later}, {Plan: b, NextAt: later}, {Plan: a, Skipped: 1}})
	if diff := cmp.Diff([]bool{true, false, true}, ok); err != nil || diff != "" {
		t.Errorf("%v -want +got\n%s", err, diff)
	}
	for id, next := range map[workflows.ID]time.Time{"a": {}, "b": base, "c": later} {
		if got := only(t, s, id).NextAt; !got.Equal(next) {
			t.Errorf("%s is due at %v, want %v", id, got, next)
		}
	}
}

// Many processes move the same plans, in any order: each plan is moved by one of them.
func testConcurrentAdvance(t *testing.T, s plans.Store) {
	t.Helper()
	const processes, count = 8, 20
	for i := range count {
		arm(t, s, plan(fmt.Sprintf("w%02d", i), "t", base))
	}
	due, err := s.Due(t.Context(), base, plans.Plan{}, count)
	if err != nil || len(due) != count {
		t.Fatalf("Due: %d, %v", len(due), err)
	}
	var wg sync.WaitGroup
	var won atomic.Int32
	for process := range processes {
		wg.Go(func() {
			moves := make([]plans.Move, count)
			for i, p := range due {
				moves[(i*(2*process+1))%count] = plans.Move{Plan: p, NextAt: base.Add(time.Hour), Missed: 1}
			}
			moves = slices.DeleteFunc(moves, func(m plans.Move) bool { return m.Plan.Workflow == "" })
			ok, err := s.Advance(t.Context(), moves)
			if err != nil {
				t.Errorf("Advance: %v", err)
			}
			for _, moved := range ok {
				if moved {
					won.Add(1)
				}
			}
		})
	}
	wg.Wait()
	for _, p := range due {
		if got := only(t, s, p.Workflow); got.Missed != 1 {
			t.Errorf("%s missed %d, want 1", p.Workflow, got.Missed)
		}
	}
	if won.Load() != count {
		t.Errorf("%d won, want %d", won.Load(), count)
	}
}

func testCounts(t *testing.T, s plans.Store) {
	t.Helper()
	arm(t, s, plan("a", "x", base), plan("a", "y", base), plan("a", "z", time.Time{}), plan("b", "x", base), plan("c", "x", time.Time{}))
	got, err := s.Counts(t.Context())
	if diff := cmp.Diff(map[workflows.ID]int{"a": 2, "b": 1}, got); err != nil || diff != "" {
		t.Errorf("%v -want +got\n%s", err, diff)
	}
	if n, err := s.Planned(t.Context()); n != 3 || err != nil {
		t.Errorf("planned %d, %v; want 3", n, err)
	}
}
