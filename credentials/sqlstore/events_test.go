package sqlstore_test

import (
	"context"
	"encoding/json"
	"fmt"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"

	"keyflow/credentials"
	"keyflow/credentials/sqlstore"
	"keyflow/internal/database"
	"keyflow/internal/database/databasetest"
	outbox "keyflow/internal/outbox/sqlstore"
)

// told is a store and the events that it has put into the outbox.
type told struct {
	*testing.T
	*sqlstore.Store
	queue    *outbox.Queue
	notified int
}

func newTold(t *testing.T, db *database.DB) *told {
	t.Helper()
	s := &told{T: t, Store: sqlstore.New(db), queue: outbox.New(db)}
	s.OnEvents(func() { s.notified++ })
	return s
}

// events takes what is in the outbox, as lines.
func (s *told) events() (lines []string) {
	s.Helper()
	entries, err := s.queue.Take(s.Context(), "test", time.Minute, 100)
	if err != nil {
		s.Fatal(err)
	}
	for _, e := range entries {
		var d credentials.EventData
		if err := json.Unmarshal(e.Data, &d); err != nil {
			s.Fatal(err)
		}
		lines = append(lines, fmt.Sprintf("%s %s %s %s v%d %s by %s: %s", strings.TrimPrefix(e.Type, "keyflow.credential."), e.Subject, e.Folder,
			d.Type, d.Version, d.State, d.By, d.Message))
		if string(d.ID) != strings.TrimPrefix(e.Subject, "credentials/") || d.Folder != e.Folder {
			s.Errorf("data %+v of %+v", d, e.Event)
		}
		if err := s.queue.Remove(s.Context(), []int64{e.Seq}); err != nil {
			s.Fatal(err)
		}
	}
	return lines
}

func (s *told) change(id credentials.ID, change func(r *credentials.Record)) credentials.Record {
	s.Helper()
	r, err := s.Change(s.Context(), id, func(old *credentials.Record, revision int64) (*credentials.Record, error) {
		if change == nil {
			old.UpdatedBy = "token:ci"
			return nil, nil
		}
		if old == nil {
			old = &credentials.Record{Credential: credentials.Credential{ID: id, Name: "n", Folder: "/hr", Type: "basic_auth", Version: 1,
				State: credentials.State{Status: credentials.Untested, Since: noon}, CreatedAt: noon}, FingerprintKey: []byte{1}}
		}
		old.Revision, old.UpdatedAt, old.UpdatedBy = revision, noon, "admin"
		change(old)
		return old, nil
	})
	if err != nil {
		s.Fatal(err)
	}
	if r == nil {
		return credentials.Record{}
	}
	return *r
}

var noon = time.Date(2026, 3, 1, 12, 0, 0, 0, time.UTC)

func TestEventsOfCredentials(t *testing.T) {
	t.Parallel()
	databasetest.Each(t, func(t *testing.T, open func() *database.DB) {
		s := newTold(t, open())
		want := func(what string, lines ...string) {
			t.Helper()
			if diff := cmp.Diff(lines, s.events()); diff != "" {
				t.Errorf("%s (-want +got):\n%s", what, diff)
			}
		}
		secret := func(name, fingerprint string) func(*credentials.Record) {
			return func(r *credentials.Record) {
				r.Version++
				r.Secrets = map[string]credentials.SecretInfo{name: {Set: true, Fingerprint: fingerprint}}
			}
		}
		s.change("erp", secret("password", "aaaaaaaaaaaa"))
		want("create", "created credentials/erp /hr basic_auth v2 untested by admin: created")
		r := s.change("erp", func(r *credentials.Record) { r.Folder, r.Version = "/hr/pay", 3 })
		want("plain edit", "updated credentials/erp /hr/pay basic_auth v3 untested by admin: changed")

		state := func(revision int64, status credentials.Status, stored bool) {
			t.Helper()
			got, err := s.SetState(t.Context(), "erp", revision, credentials.State{Status: status, Message: "401 from there", Since: noon})
			if err != nil || got != stored {
				t.Errorf("state %s: stored %v, %v", status, got, err)
			}
		}
		state(r.Revision-1, credentials.Refused, false)
		want("state of another revision")
		state(r.Revision, credentials.Refused, true)
		want("refused", "refused credentials/erp /hr/pay basic_auth v3 refused by system: 401 from there")
		state(r.Revision, credentials.Refused, true)
		want("refused again")
		state(r.Revision, credentials.OK, true)
		want("accepted")
		if _, err := s.FailToken(t.Context(), "erp", 0, r.Revision, credentials.State{Status: credentials.NeedsReconnect, Message: "revoked", Since: noon}); err != nil {
			t.Fatal(err)
		}
		want("token", "needs_reconnect credentials/erp /hr/pay basic_auth v3 needs_reconnect by system: revoked")

		s.change("erp", secret("password", "bbbbbbbbbbbb"))
		want("rotated", "updated credentials/erp /hr/pay basic_auth v4 needs_reconnect by admin: changed",
			"rotated credentials/erp /hr/pay basic_auth v4 needs_reconnect by admin: new password")
		s.change("erp", func(r *credentials.Record) {
			r.Version++
			r.Secrets = map[string]credentials.SecretInfo{"password": {Set: true, Ref: "env:ERP_1"}}
		})
		want("kept elsewhere", "updated credentials/erp /hr/pay basic_auth v5 needs_reconnect by admin: changed",
			"rotated credentials/erp /hr/pay basic_auth v5 needs_reconnect by admin: new password")
		s.change("erp", func(r *credentials.Record) {
			r.Version++
			r.Secrets = map[string]credentials.SecretInfo{"password": {Set: true, Ref: "env:ERP_2"}}
		})
		want("another reference", "updated credentials/erp /hr/pay basic_auth v6 needs_reconnect by admin: changed",
			"rotated credentials/erp /hr/pay basic_auth v6 needs_reconnect by admin: new password")
		s.change("erp", func(r *credentials.Record) {
			r.Candidate, r.Staged = &credentials.Candidate{}, &credentials.Staged{Revision: r.Revision}
		})
		want("staged", "updated credentials/erp /hr/pay basic_auth v6 needs_reconnect by admin: changed")
		s.change("erp", func(r *credentials.Record) {
			r.Candidate = &credentials.Candidate{Test: &credentials.CandidateTest{OK: true, At: noon}}
		})
		want("the candidate was tested, nothing was edited")
		s.change("erp", func(r *credentials.Record) { r.ExpiresAt = new(noon.Add(36 * time.Hour)) })
		want("expires", "updated credentials/erp /hr/pay basic_auth v6 needs_reconnect by admin: changed")
		if _, err := s.Remind(t.Context(), noon, 10); err != nil {
			t.Fatal(err)
		}
		want("expiring", "expiring credentials/erp /hr/pay basic_auth v6 needs_reconnect by system: expires in 36 hours, at 2026-03-03 00:00 UTC")
		notified := s.notified
		s.change("erp", nil)
		want("delete", "deleted credentials/erp /hr/pay basic_auth v6 needs_reconnect by token:ci: deleted")
		if s.notified != notified+1 {
			t.Errorf("notified %d times of one change", s.notified-notified)
		}
	})
}

// A change that is not stored tells nothing.
func TestNoEventOfAFailedChange(t *testing.T) {
	t.Parallel()
	s := newTold(t, databasetest.SQLite(t))
	s.change("erp", func(*credentials.Record) {})
	s.events()
	_, err := s.Change(t.Context(), "erp", func(old *credentials.Record, _ int64) (*credentials.Record, error) {
		return old, context.Canceled
	})
	if err == nil {
		t.Fatal("the change succeeded")
	}
	if got := s.events(); got != nil {
		t.Errorf("events: %s", got)
	}
}

// Of many processes exactly one publishes a reminder.
func TestOneProcessReminds(t *testing.T) {
	t.Parallel()
	databasetest.Each(t, func(t *testing.T, open func() *database.DB) {
		db := open()
		s := newTold(t, db)
		for _, id := range []credentials.ID{"a", "b", "c"} {
			s.change(id, func(r *credentials.Record) { r.ExpiresAt = &noon })
		}
		s.events()
		var wg sync.WaitGroup
		for range 8 {
			wg.Go(func() {
				if _, err := sqlstore.New(db).Remind(t.Context(), noon, 10); err != nil {
					t.Error(err)
				}
			})
		}
		wg.Wait()
		if got := s.events(); len(got) != 3 {
			t.Errorf("%d events of 3 reminders: %s", len(got), got)
		}
	})
}
