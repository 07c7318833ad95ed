package sqlstore_test

import (
	"encoding/json"
	"fmt"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"
	"github.com/google/uuid"
	"gorm.io/gorm"

	"keyflow/internal/database"
	"keyflow/internal/database/databasetest"
	"keyflow/internal/outbox"
	"keyflow/internal/outbox/sqlstore"
)

func event(n int) outbox.Event {
	return outbox.Event{
		ID: uuid.MustParse(fmt.Sprintf("0198f000-0000-7000-8000-%012d", n)), Type: "keyflow.thing.happened", Subject: "things/a", Folder: "/hr",
		Time: time.Date(2026, 3, 1, 12, 0, n, 123000, time.UTC), Data: json.RawMessage(`{"a":"<&>"}`),
	}
}

func store(t *testing.T, db *database.DB, events ...outbox.Event) {
	t.Helper()
	if err := db.Tx(t.Context(), func(tx *gorm.DB) error { return sqlstore.Append(tx, events...) }); err != nil {
		t.Fatal(err)
	}
}

func take(t *testing.T, q *sqlstore.Queue, holder string, life time.Duration, limit int) []outbox.Entry {
	t.Helper()
	entries, err := q.Take(t.Context(), holder, life, limit)
	if err != nil {
		t.Fatal(err)
	}
	return entries
}

func TestQueue(t *testing.T) {
	t.Parallel()
	databasetest.Each(t, func(t *testing.T, open func() *database.DB) {
		db := open()
		q := sqlstore.New(db)
		if got := take(t, q, "a", time.Minute, 10); len(got) != 0 {
			t.Errorf("an empty queue gives %v", got)
		}
		store(t, db)
		store(t, db, event(1), event(2))
		store(t, db, event(3))
		got := take(t, q, "a", time.Minute, 2)
		if len(got) != 2 || got[0].Seq >= got[1].Seq {
			t.Fatalf("took %+v", got)
		}
		if diff := cmp.Diff([]outbox.Event{event(1), event(2)}, []outbox.Event{got[0].Event, got[1].Event}); diff != "" {
			t.Errorf("events (-want +got):\n%s", diff)
		}
		if err := q.Remove(t.Context(), got[0].Seq); err != nil {
			t.Fatal(err)
		}
		if again := take(t, q, "a", time.Minute, 10); len(again) != 2 || again[0].ID != event(2).ID || again[1].ID != event(3).ID {
			t.Errorf("took again %+v", again)
		}
	})
}

// On a shared database one holder has the right to hand out until it ends.
func TestLease(t *testing.T) {
	t.Parallel()
	db := databasetest.Postgres(t)
	a, b := sqlstore.New(db), sqlstore.New(db)
	store(t, db, event(1))
	if got := take(t, a, "a", time.Hour, 10); len(got) != 1 {
		t.Fatalf("the first took %v", got)
	}
	if got := take(t, b, "b", time.Hour, 10); len(got) != 0 {
		t.Errorf("a second one took %v", got)
	}
	if err := b.Release(t.Context(), "b"); err != nil {
		t.Fatal(err)
	}
	if got := take(t, b, "b", time.Hour, 10); len(got) != 0 {
		t.Errorf("a second one took %v after giving up what it had not", got)
	}
	if err := a.Release(t.Context(), "a"); err != nil {
		t.Fatal(err)
	}
	if got := take(t, b, "b", -time.Second, 10); len(got) != 1 {
		t.Errorf("after a release the second took %v", got)
	}
	if got := take(t, a, "a", time.Hour, 10); len(got) != 1 {
		t.Errorf("after the lease of a dead one the first took %v", got)
	}
}
