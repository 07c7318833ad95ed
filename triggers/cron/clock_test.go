package cron_test

import (
	"context"
	"fmt"
	"strings"
	"sync"
	"sync/atomic"
	"testing"
	"testing/synctest"
	"time"

	"keyflow/internal/database"
	"keyflow/internal/database/databasetest"
	"keyflow/triggers"
	"keyflow/triggers/internal/firingtest"
	"keyflow/triggers/plans"
)

// wallClock is a clock that can be set.
type wallClock struct{ shift atomic.Int64 }

func (c *wallClock) now() time.Time { return time.Now().Add(time.Duration(c.shift.Load())) }

func (c *wallClock) set(by time.Duration) { c.shift.Add(int64(by)) }

// C62 to C64: the clock is set while the process runs.
func TestServeWhenTheClockIsSet(t *testing.T) {
	t.Parallel()
	const years10 = 10 * 365 * 24 * time.Hour
	tests := []struct {
		name    string
		catchUp string
		jump    time.Duration // at 00:02:30; four more minutes pass
		want    []string
		missed  int64
	}{
		{"C62 an hour forward", "1m", time.Hour, []string{"00:01:00", "00:02:00", "01:02:00", "01:03:00", "01:04:00", "01:05:00", "01:06:00"}, 59},
		{"C62 all made up", "2h", 3 * time.Minute, []string{"00:01:00", "00:02:00", "00:03:00", "00:04:00", "00:05:00", "00:06:00", "00:07:00", "00:08:00", "00:09:00"}, 0},
		{"C63 back", "1m", -2 * time.Minute, []string{"00:01:00", "00:02:00", "00:03:00", "00:04:00"}, 0},
		{"C63 an hour back", "1m", -time.Hour, []string{"00:01:00", "00:02:00"}, 0},
		{"C64 ten years forward", "1m", years10, []string{"00:01:00", "00:02:00", "00:02:00", "00:03:00", "00:04:00", "00:05:00", "00:06:00"}, 10_000},
		{"C64 to 1970", "1m", -30 * 365 * 24 * time.Hour, []string{"00:01:00", "00:02:00"}, 0},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			t.Parallel()
			synctest.Test(t, func(t *testing.T) {
				var clock wallClock
				h := firingtest.SetupOn(databasetest.SQLite(t), clock.now)
				h.Apply(t, "a", fmt.Sprintf(`"tick": {"type": "cron", "schedule": "* * * * *", "catch_up": %q}`, tt.catchUp))
				stop := serve(t, h.Manager)
				pass(150 * time.Second)
				clock.set(tt.jump)
				pass(4*time.Minute + time.Second)
				stop()
				wantPlanned(t, h, "a", tt.want...)
				if missed, _ := counts(t, h); missed != tt.missed {
					t.Errorf("missed %d, want %d", missed, tt.missed)
				}
			})
		})
	}
}

// C63: back and forth again; each occurrence is one run.
func TestServeWhenTheClockGoesBackAndForth(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		var clock wallClock
		h := firingtest.SetupOn(databasetest.SQLite(t), clock.now)
		h.Apply(t, "a", firingtest.EveryMinute)
		stop := serve(t, h.Manager)
		for range 5 {
			pass(70 * time.Second)
			clock.set(-30 * time.Second)
			pass(10 * time.Second)
			clock.set(30 * time.Second)
		}
		stop()
		wantPlanned(t, h, "a", "00:01:00", "00:02:00", "00:03:00", "00:04:00", "00:05:00", "00:06:00")
	})
}

// C67: an edit around a tick. The tick belongs to the version that is current when it comes.
func TestServeEditsAroundATick(t *testing.T) {
	t.Parallel()
	tests := []struct {
		name string
		at   time.Duration
		want []string
	}{
		{"a second before", 59 * time.Second, []string{"00:01:30", "00:02:30"}},
		{"a second after", 61 * time.Second, []string{"00:01:00", "00:01:30", "00:02:30"}},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			t.Parallel()
			synctest.Test(t, func(t *testing.T) {
				h := firingtest.Setup(t)
				h.Apply(t, "a", firingtest.EveryMinute)
				stop := serve(t, h.Manager)
				pass(tt.at)
				h.Apply(t, "a", `"tick": {"type": "cron", "schedule": "30 * * * * *", "seconds": true}`)
				pass(3*time.Minute - tt.at)
				stop()
				wantPlanned(t, h, "a", tt.want...)
			})
		})
	}
}

// C67: a process with an old view of the workflow fires nothing of it: what is due belongs
// to the definition that is stored.
func TestServeWithAPlanOfAnotherVersion(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		h := firingtest.Setup(t)
		h.Apply(t, "a", firingtest.EveryMinute)
		old, err := h.Store.Plans(t.Context(), "a")
		if err != nil {
			t.Fatal(err)
		}
		h.Apply(t, "a", `"tick": {"type": "cron", "schedule": "@hourly"}`)
		if err := h.Store.Arm(t.Context(), old); err != nil { // a slow process stored it late
			t.Fatal(err)
		}
		stop := serve(t, h.Manager)
		pass(3 * time.Minute)
		stop()
		wantPlanned(t, h, "a")
		if plans, err := h.Store.Plans(t.Context(), "a"); err != nil || len(plans) != 1 || plans[0].Schedule != "@hourly" || plans[0].NextAt.Hour() != 1 {
			t.Errorf("plans %+v, %v", plans, err)
		}
	})
}

// C70: a database that does not answer for a while makes a tick late, not lost.
func TestServeWhenTheStoreIsSlow(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		h := firingtest.Setup(t)
		h.Apply(t, "a", firingtest.EveryMinute)
		slow := &slowStore{Store: h.Store, until: time.Now().Add(65 * time.Second)}
		m := triggers.New(triggers.Options{Store: slow, Catalog: h.Catalog, Starter: h.Starter, Verifier: h.Verifier})
		stop := serve(t, m)
		pass(70 * time.Second)
		stop()
		wantPlanned(t, h, "a", "00:01:00")
		if late := h.Starter.All()[0].Trigger; late.FiredAt.Sub(*late.ScheduledAt) < 0 {
			t.Errorf("fired at %v", late.FiredAt)
		}
	})
}

// slowStore answers nothing that is due before a time.
type slowStore struct {
	plans.Store
	until time.Time
}

func (s *slowStore) Due(ctx context.Context, now time.Time, after plans.Plan, limit int) ([]plans.Plan, error) {
	time.Sleep(time.Until(s.until))
	return s.Store.Due(ctx, now, after, limit)
}

// C66, C69: 10,000 schedules (fewer under the race detector) are due at one instant, in three
// processes: each starts once.
func TestServeTenThousandAtOneInstant(t *testing.T) {
	t.Parallel()
	databasetest.Each(t, func(t *testing.T, open func() *database.DB) {
		t.Helper()
		const each = 100
		var clock wallClock
		h := firingtest.SetupOn(open(), clock.now)
		h.Starter.Goal, h.Starter.Reached = crowd*each, make(chan struct{})
		var list []string
		for i := range each {
			list = append(list, fmt.Sprintf(`"t%d": {"type": "cron", "schedule": "0 0 * * *", "catch_up": "2d"}`, i))
		}
		for i := range crowd {
			h.Apply(t, fmt.Sprintf("w%d", i), strings.Join(list, ","))
		}
		clock.set(24 * time.Hour)
		ctx, cancel := context.WithCancel(t.Context())
		var wg sync.WaitGroup
		for range 3 {
			m := triggers.New(triggers.Options{Store: h.Store, Catalog: h.Catalog, Starter: h.Starter, Verifier: h.Verifier, Now: clock.now, Shared: true})
			wg.Go(func() { _ = m.Serve(ctx) })
		}
		<-h.Starter.Reached
		cancel()
		wg.Wait()
		seen := map[string]bool{}
		for _, s := range h.Starter.All() {
			seen[string(s.Workflow)+"/"+s.Trigger.ID] = true
		}
		if n := len(h.Starter.All()); n != crowd*each || len(seen) != n {
			t.Errorf("%d runs of %d schedules", n, len(seen))
		}
	})
}
