package credentials_test

import (
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"

	"keyflow/credentials"
)

func TestExpiryAndShownState(t *testing.T) {
	t.Parallel()
	now := time.Date(2026, 3, 1, 12, 0, 0, 0, time.UTC)
	const day = 24 * time.Hour
	in := func(d time.Duration) *time.Time { return new(now.Add(d)) }
	secret := func(ago time.Duration) map[string]credentials.SecretInfo {
		return map[string]credentials.SecretInfo{"a": {Set: true, UpdatedAt: in(-ago)}, "b": {Set: true, UpdatedAt: in(-99 * day)}, "c": {}}
	}
	tests := map[string]struct {
		c       credentials.Credential
		expires *credentials.Expires
		status  credentials.Status
		message string
	}{
		"never":                    {c: credentials.Credential{State: credentials.State{Status: credentials.OK}}, status: credentials.OK},
		"later":                    {c: credentials.Credential{ExpiresAt: in(30*day + time.Second), State: credentials.State{Status: credentials.OK}}, expires: &credentials.Expires{At: now.Add(30*day + time.Second), Reason: "expires_at"}, status: credentials.OK},
		"soon":                     {c: credentials.Credential{ExpiresAt: in(30 * day), State: credentials.State{Status: credentials.Untested}}, expires: &credentials.Expires{At: now.Add(30 * day), Reason: "expires_at"}, status: credentials.Expiring, message: "expires in 30 days, at 2026-03-31 12:00 UTC"},
		"in an hour and a bit":     {c: credentials.Credential{ExpiresAt: in(90 * time.Minute), State: credentials.State{Status: credentials.OK}}, expires: &credentials.Expires{At: now.Add(90 * time.Minute), Reason: "expires_at"}, status: credentials.Expiring, message: "expires in 1 hours, at 2026-03-01 13:30 UTC"},
		"now":                      {c: credentials.Credential{ExpiresAt: in(0), State: credentials.State{Status: credentials.OK}}, expires: &credentials.Expires{At: now, Reason: "expires_at"}, status: credentials.Expired, message: "expired at 2026-03-01 12:00 UTC"},
		"refused is more":          {c: credentials.Credential{ExpiresAt: in(0), State: credentials.State{Status: credentials.Refused}}, expires: &credentials.Expires{At: now, Reason: "expires_at"}, status: credentials.Refused},
		"rotation of secrets":      {c: credentials.Credential{RotateEvery: "90d", CreatedAt: now.Add(-200 * day), Secrets: secret(80 * day), State: credentials.State{Status: credentials.OK}}, expires: &credentials.Expires{At: now.Add(10 * day), Reason: "rotate_every"}, status: credentials.Expiring, message: "is to be rotated in 10 days, at 2026-03-11 12:00 UTC"},
		"rotation that is overdue": {c: credentials.Credential{RotateEvery: "1d", CreatedAt: now.Add(-2 * day), State: credentials.State{Status: credentials.OK}}, expires: &credentials.Expires{At: now.Add(-day), Reason: "rotate_every"}, status: credentials.Expired, message: "was to be rotated by 2026-02-28 12:00 UTC"},
		"the sooner of both":       {c: credentials.Credential{RotateEvery: "90d", CreatedAt: now, ExpiresAt: in(60 * day), State: credentials.State{Status: credentials.OK}}, expires: &credentials.Expires{At: now.Add(60 * day), Reason: "expires_at"}, status: credentials.OK},
	}
	for name, tt := range tests {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			end := credentials.ExpiryOf(&tt.c)
			if diff := cmp.Diff(tt.expires, end); diff != "" {
				t.Errorf("expires (-want +got):\n%s", diff)
			}
			if s := credentials.ShownState(tt.c.State, end, now); s.Status != tt.status || s.Message != tt.message {
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
		if got := credentials.PlanReminder(end, before(tt.now)); !got.Equal(before(tt.plan)) {
			t.Errorf("%v before: planned %v before, want %v", tt.now, end.Sub(got), tt.plan)
		}
		got := credentials.NextReminder(end, before(tt.now))
		if tt.next < 0 && !got.IsZero() || tt.next >= 0 && !got.Equal(before(tt.next)) {
			t.Errorf("%v before: the next at %v, want %v before", tt.now, got, tt.next)
		}
	}
}
