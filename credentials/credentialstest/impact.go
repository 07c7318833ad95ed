package credentialstest

import (
	"sync"
	"testing"
	"time"

	"keyflow/credentials"
)

const day = 24 * time.Hour

// testUsages covers UsageStore.
func testUsages(t *testing.T, s Store) {
	for _, id := range []credentials.ID{"erp", "crm", "none"} {
		create(t, s, id, nil)
	}
	first := credentials.Seen{Credential: "erp", Workflow: "sync", Node: "push", At: at(10), Status: 200}
	note := func(seen ...credentials.Seen) {
		t.Helper()
		if err := s.NoteUsages(t.Context(), seen); err != nil {
			t.Fatal(err)
		}
	}
	note()
	note(
		first,
		credentials.Seen{Credential: "erp", Workflow: "mail", Node: "send", At: at(11), Error: "network"},
		credentials.Seen{Credential: "erp", Workflow: "sync", Node: "pull", At: at(12), Status: 401, Error: "credential_refused"},
		credentials.Seen{Credential: "missing", Workflow: "sync", Node: "push", At: at(13)},
		credentials.Seen{Credential: "crm", Workflow: "sync", Node: "push", At: at(14), Status: 204},
	)
	late := first
	late.At, late.Status = at(9), 500
	note(late) // an earlier use of another process
	first.At, first.Status, first.Error = at(20), 403, "http_status"
	note(first)
	got, err := s.Usages(t.Context(), "erp")
	if err != nil {
		t.Fatal(err)
	}
	equal(t, "usages", got, []credentials.Seen{
		{Credential: "erp", Workflow: "mail", Node: "send", At: at(11), Error: "network"},
		{Credential: "erp", Workflow: "sync", Node: "pull", At: at(12), Status: 401, Error: "credential_refused"},
		first,
	})
	many := make([]credentials.Seen, 250)
	for i := range many {
		many[i] = credentials.Seen{Credential: "crm", Workflow: "w", Node: string(rune('a'+i%26)) + string(rune('a'+i/26)), At: at(1)}
	}
	note(many...)
	if got, err := s.Usages(t.Context(), "crm"); err != nil || len(got) != 251 {
		t.Errorf("%d usages after many, %v", len(got), err)
	}
	used, err := s.UsedBy(t.Context(), []credentials.ID{"erp", "none", "missing"})
	if err != nil {
		t.Fatal(err)
	}
	for id, want := range map[credentials.ID]int{"erp": 2, "none": 0, "missing": 0, "crm": 0} {
		if len(used[id]) != want {
			t.Errorf("%s is used by %v, want %d workflows", id, used[id], want)
		}
	}
	before, err := s.UsedBefore(t.Context(), at(14))
	if err != nil {
		t.Fatal(err)
	}
	equal(t, "used before", before, []string{"mail", "sync", "w"})
	if err := s.ForgetUsages(t.Context(), []string{"mail", "sync"}, at(14)); err != nil {
		t.Fatal(err)
	}
	if got, err := s.Usages(t.Context(), "erp"); err != nil || len(got) != 1 || got[0] != first {
		t.Errorf("left of what was forgotten: %v, %v", got, err)
	}
	if err := s.ForgetUsages(t.Context(), nil, at(30)); err != nil {
		t.Fatal(err)
	}
	if got, err := s.Usages(t.Context(), "crm"); err != nil || len(got) != 251 {
		t.Errorf("%d usages after nothing was forgotten, %v", len(got), err)
	}
	remove(t, s, "erp")
	create(t, s, "erp", nil)
	if got, err := s.Usages(t.Context(), "erp"); err != nil || len(got) != 0 {
		t.Errorf("usages outlive the credential: %v, %v", got, err)
	}
}

// testImpactList covers the filters of states that time makes, attention and last use.
func testImpactList(t *testing.T, s Store) {
	now := at(0)
	in := func(d time.Duration) *time.Time { return new(now.Add(d)) }
	for id, edit := range map[credentials.ID]func(*credentials.Record){
		"fine":      func(r *credentials.Record) { r.ExpiresAt, r.State.Status = in(31*day), credentials.OK },
		"forever":   func(r *credentials.Record) { r.ExpiresAt, r.State.Status = nil, credentials.OK },
		"soon":      func(r *credentials.Record) { r.ExpiresAt, r.State.Status = in(30*day), credentials.OK },
		"over":      func(r *credentials.Record) { r.ExpiresAt, r.State.Status = in(0), credentials.Untested },
		"refused":   func(r *credentials.Record) { r.ExpiresAt, r.State.Status = in(day), credentials.Refused },
		"reconnect": func(r *credentials.Record) { r.ExpiresAt, r.State.Status = nil, credentials.NeedsReconnect },
		"rotate": func(r *credentials.Record) {
			r.ExpiresAt, r.RotateEvery, r.State.Status = nil, "7d", credentials.Untested
		},
	} {
		create(t, s, id, func(r *credentials.Record) {
			r.RotateEvery = ""
			edit(r)
		})
	}
	if err := s.Touch(t.Context(), map[credentials.ID]time.Time{"fine": now.Add(-90 * day), "soon": now.Add(-91 * day)}); err != nil {
		t.Fatal(err)
	}
	for name, tt := range map[string]struct {
		filter credentials.Filter
		want   []credentials.ID
	}{
		"ok":        {credentials.Filter{Status: credentials.OK}, []credentials.ID{"fine", "forever"}},
		"untested":  {credentials.Filter{Status: credentials.Untested}, nil},
		"expiring":  {credentials.Filter{Status: credentials.Expiring}, []credentials.ID{"rotate", "soon"}},
		"expired":   {credentials.Filter{Status: credentials.Expired}, []credentials.ID{"over"}},
		"refused":   {credentials.Filter{Status: credentials.Refused}, []credentials.ID{"refused"}},
		"attention": {credentials.Filter{Attention: true}, []credentials.ID{"over", "reconnect", "refused", "rotate", "soon"}},
		"next page": {credentials.Filter{Attention: true, After: "reconnect", Limit: 2}, []credentials.ID{"refused", "rotate"}},
		"unused":    {credentials.Filter{Unused: true}, []credentials.ID{"forever", "over", "reconnect", "refused", "rotate", "soon"}},
		"both":      {credentials.Filter{Unused: true, Attention: true, Status: credentials.Expiring}, []credentials.ID{"rotate", "soon"}},
	} {
		t.Run(name, func(t *testing.T) {
			tt.filter.Now = now
			listed(t, s, tt.filter, tt.want)
		})
	}
}

// testReminders covers ReminderStore but for the events.
func testReminders(t *testing.T, s Store) {
	end := at(0).Add(365 * day)
	far := func(r *credentials.Record) { r.ExpiresAt, r.RotateEvery = &end, "" }
	create(t, s, "a", far)
	create(t, s, "b", far)
	create(t, s, "never", func(r *credentials.Record) { r.ExpiresAt, r.RotateEvery = nil, "" })
	remind := func(now time.Time, limit, want int) {
		t.Helper()
		if got, err := s.Remind(t.Context(), now, limit); err != nil || got != want {
			t.Errorf("%v before the end: %d reminders and %v, want %d", end.Sub(now), got, err, want)
		}
	}
	remind(end.Add(-30*day-time.Second), 10, 0)
	remind(end.Add(-30*day), 1, 1)
	remind(end.Add(-30*day), 10, 1)
	remind(end.Add(-8*day), 10, 0)
	remind(end.Add(-time.Hour), 10, 2) // 7 days and 1 day at once
	remind(end.Add(-time.Hour), 10, 0)
	remind(end, 10, 2)
	remind(end.Add(1000*day), 10, 0)

	_, err := s.Change(t.Context(), "a", func(old *credentials.Record, revision int64) (*credentials.Record, error) {
		old.Revision, old.Name, old.UpdatedAt = revision, "same end", end.Add(2*day)
		return old, nil
	})
	if err != nil {
		t.Fatal(err)
	}
	remind(end.Add(2*day), 10, 0)
	_, err = s.Change(t.Context(), "a", func(old *credentials.Record, revision int64) (*credentials.Record, error) {
		old.Revision, old.ExpiresAt, old.UpdatedAt = revision, new(end.Add(32*day)), end.Add(day)
		return old, nil
	})
	if err != nil {
		t.Fatal(err)
	}
	remind(end.Add(day), 10, 0)
	remind(end.Add(2*day), 10, 1)
}

// testConcurrentReminders has many ask at once.
func testConcurrentReminders(t *testing.T, s Store) {
	for _, id := range []credentials.ID{"a", "b", "c"} {
		create(t, s, id, func(r *credentials.Record) { r.ExpiresAt, r.RotateEvery = new(at(0)), "" })
	}
	var wg sync.WaitGroup
	for range 8 {
		wg.Go(func() {
			for n := 1; n > 0; {
				var err error
				if n, err = s.Remind(t.Context(), at(1), 2); err != nil {
					t.Error(err)
					return
				}
			}
		})
	}
	wg.Wait()
	if n, err := s.Remind(t.Context(), at(1), 10); err != nil || n != 0 {
		t.Errorf("%d reminders are left, %v", n, err)
	}
}
