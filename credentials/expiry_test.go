package credentials

import (
	"context"
	"sync"
	"testing"
	"testing/synctest"
	"time"

	"github.com/google/go-cmp/cmp"
)

func TestExpiryAndShownState(t *testing.T) {
	t.Parallel()
	now := time.Date(2026, 3, 1, 12, 0, 0, 0, time.UTC)
	const day = 24 * time.Hour
	in := func(d time.Duration) *time.Time { return new(now.Add(d)) }
	secret := func(ago time.Duration) map[string]SecretInfo {
		return map[string]SecretInfo{"a": {Set: true, UpdatedAt: in(-ago)}, "b": {Set: true, UpdatedAt: in(-99 * day)}, "c": {}}
	}
	tests := map[string]struct {
		c       Credential
		expires *Expires
		status  Status
		message string
	}{
		"never":                    {c: Credential{State: State{Status: OK}}, status: OK},
		"later":                    {c: Credential{ExpiresAt: in(30*day + time.Second), State: State{Status: OK}}, expires: &Expires{now.Add(30*day + time.Second), "expires_at"}, status: OK},
		"soon":                     {c: Credential{ExpiresAt: in(30 * day), State: State{Status: Untested}}, expires: &Expires{now.Add(30 * day), "expires_at"}, status: Expiring, message: "expires in 30 days, at 2026-03-31 12:00 UTC"},
		"in an hour and a bit":     {c: Credential{ExpiresAt: in(90 * time.Minute), State: State{Status: OK}}, expires: &Expires{now.Add(90 * time.Minute), "expires_at"}, status: Expiring, message: "expires in 1 hours, at 2026-03-01 13:30 UTC"},
		"now":                      {c: Credential{ExpiresAt: in(0), State: State{Status: OK}}, expires: &Expires{now, "expires_at"}, status: Expired, message: "expired at 2026-03-01 12:00 UTC"},
		"refused is more":          {c: Credential{ExpiresAt: in(0), State: State{Status: Refused}}, expires: &Expires{now, "expires_at"}, status: Refused},
		"rotation of secrets":      {c: Credential{RotateEvery: "90d", CreatedAt: now.Add(-200 * day), Secrets: secret(80 * day), State: State{Status: OK}}, expires: &Expires{now.Add(10 * day), "rotate_every"}, status: Expiring, message: "is to be rotated in 10 days, at 2026-03-11 12:00 UTC"},
		"rotation that is overdue": {c: Credential{RotateEvery: "1d", CreatedAt: now.Add(-2 * day), State: State{Status: OK}}, expires: &Expires{now.Add(-day), "rotate_every"}, status: Expired, message: "was to be rotated by 2026-02-28 12:00 UTC"},
		"the sooner of both":       {c: Credential{RotateEvery: "90d", CreatedAt: now, ExpiresAt: in(60 * day), State: State{Status: OK}}, expires: &Expires{now.Add(60 * day), "expires_at"}, status: OK},
	}
	for name, tt := range tests {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			end := ExpiryOf(&tt.c)
			if diff := cmp.Diff(tt.expires, end); diff != "" {
				t.Errorf("expires (-want +got):\n%s", diff)
			}
			if s := shownState(tt.c.State, end, now); s.Status != tt.status || s.Message != tt.message {
				t.Errorf("shown as %s %q, want %s %q", s.Status, s.Message, tt.status, tt.message)
			}
		})
	}
}

func TestRemindersArePlanned(t *testing.T) {
	t.Parallel()
	end := time.Date(2026, 12, 31, 0, 0, 0, 0, time.UTC)
	const day = 24 * time.Hour
	before := func(d time.Duration) time.Time { return end.Add(-d) }
	for _, tt := range []struct {
		now, plan, next time.Duration // before the end; next -1: never
	}{
		{40 * day, 30 * day, 30 * day},
		{30 * day, 30 * day, 7 * day},
		{29 * day, 30 * day, 7 * day},
		{7 * day, 7 * day, day},
		{time.Hour, day, 0},
		{0, 0, -1},
		{-day, 0, -1},
	} {
		if got := PlanReminder(end, before(tt.now)); !got.Equal(before(tt.plan)) {
			t.Errorf("%v before: planned %v before, want %v", tt.now, end.Sub(got), tt.plan)
		}
		got := NextReminder(end, before(tt.now))
		if tt.next < 0 && !got.IsZero() || tt.next >= 0 && !got.Equal(before(tt.next)) {
			t.Errorf("%v before: the next at %v, want %v before", tt.now, got, tt.next)
		}
	}
}

// reminderLog notes when reminders were looked for.
type reminderLog struct {
	mu    sync.Mutex
	times []time.Time
	left  int // what the next questions find
}

var _ ReminderStore = (*reminderLog)(nil)

// Remind implements ReminderStore.
func (l *reminderLog) Remind(_ context.Context, now time.Time, limit int) (int, error) {
	l.mu.Lock()
	defer l.mu.Unlock()
	l.times = append(l.times, now)
	n := min(limit, l.left)
	l.left -= n
	return n, nil
}

func TestRemindersAreLookedForOnceAMinuteAndAfterEdits(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		log := &reminderLog{left: remindPage + 1}
		v := &Vault{store: &touchStore{}, now: time.Now, keys: &Keyset{}, reminders: log, planned: make(chan struct{}, 1)}
		ctx, cancel := context.WithCancel(t.Context())
		served := make(chan error, 1)
		go func() { served <- v.Serve(ctx) }()
		begin := v.moment()
		time.Sleep(90 * time.Second) // of the bubble's clock
		v.plan()
		time.Sleep(time.Second)
		synctest.Wait()
		cancel()
		if err := <-served; err != nil {
			t.Fatal(err)
		}
		want := []time.Time{begin, begin, begin.Add(time.Minute), begin.Add(90 * time.Second)}
		if diff := cmp.Diff(want, log.times); diff != "" {
			t.Errorf("looked at (-want +got):\n%s", diff)
		}
	})
}

// seenLog records the writes of uses at run time.
type seenLog struct {
	UsageStore
	writes [][]Seen
}

// NoteUsages implements UsageStore.
func (l *seenLog) NoteUsages(_ context.Context, seen []Seen) error {
	l.writes = append(l.writes, seen)
	return nil
}

func TestUsesAtRunTimeAreWrittenAtMostOnceAMinute(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		log := &seenLog{}
		v := &Vault{store: &touchStore{}, now: time.Now, keys: &Keyset{}, seenStore: log}
		ctx, cancel := context.WithCancel(t.Context())
		served := make(chan error, 1)
		go func() { served <- v.Serve(ctx) }()
		begin := v.moment()
		note := func(status int) {
			v.seen.note(Seen{Credential: "erp", Workflow: "sync", Node: "push", At: v.moment(), Status: status})
		}
		for i := range 30 {
			note(200 + i)
			time.Sleep(time.Second) // of the bubble's clock
		}
		time.Sleep(3 * time.Minute)
		synctest.Wait()
		if len(v.seen.last) != 0 {
			t.Errorf("remembered without news: %v", v.seen.last)
		}
		note(500)
		synctest.Wait()
		cancel()
		if err := <-served; err != nil {
			t.Fatal(err)
		}
		var got []int
		for _, w := range log.writes {
			got = append(got, w[0].Status)
		}
		if len(got) != 3 || got[2] != 500 {
			t.Fatalf("written: %v", got)
		}
		if last := log.writes[1][0]; last.Status != 229 || !last.At.Equal(begin.Add(29*time.Second)) {
			t.Errorf("the last of a burst was written as %+v", last)
		}
	})
}

func TestUsesAtRunTimeAreBounded(t *testing.T) {
	t.Parallel()
	var u seenUses
	now := time.Now()
	for i := range maxSeen + 5 {
		u.note(Seen{Credential: "erp", Workflow: string(rune(i)), At: now})
	}
	if n := len(u.take(now, false)); n != maxSeen {
		t.Errorf("%d of %d uses are kept, want %d", n, maxSeen+5, maxSeen)
	}
	u.take(now.Add(2*useResolution), false)
	u.note(Seen{Credential: "erp", Workflow: "one more", At: now})
	if n := len(u.take(now.Add(2*useResolution), false)); n != 1 {
		t.Errorf("%d uses after the others were written, want 1", n)
	}
}
