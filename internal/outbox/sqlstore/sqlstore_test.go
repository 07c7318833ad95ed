package sqlstore_test

import (
	"context"
	"encoding/json"
	"fmt"
	"log/slog"
	"strings"
	"sync"
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
		ID: uuid.MustParse(fmt.Sprintf("0198f000-0000-7000-8000-%012d", n)), Source: "/workflows/a", Depth: 3, Type: "keyflow.thing.happened", Subject: "things/a", Folder: "/hr",
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
		if err := q.Remove(t.Context(), []int64{got[0].Seq}); err != nil {
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

// Several processes on one database hand each event out once, in order.
func TestOneOfManyProcessesHandsOut(t *testing.T) {
	t.Parallel()
	db := databasetest.Postgres(t)
	ctx, stop := context.WithCancel(t.Context())
	var mu sync.Mutex
	var got []int
	all := make(chan struct{})
	const events = 250
	var processes sync.WaitGroup
	for range 4 {
		processes.Go(func() {
			err := outbox.Serve(ctx, sqlstore.New(db), func(_ context.Context, e outbox.Entry) error {
				mu.Lock()
				defer mu.Unlock()
				if got = append(got, e.Time.Second()+60*e.Time.Minute()); len(got) == events {
					close(all)
				}
				return nil
			}, slog.New(slog.DiscardHandler))
			if err != nil {
				t.Error(err)
			}
		})
	}
	var want []int
	for i := range events {
		store(t, db, event(i))
		want = append(want, i)
	}
	select {
	case <-all:
	case <-time.After(time.Minute):
		t.Error("not all events were handed out within a minute")
	}
	stop()
	processes.Wait()
	if diff := cmp.Diff(want, got); diff != "" {
		t.Errorf("handed out (-want +got):\n%s", diff)
	}
}

// A postponed event comes back when it is due, with what is left of it; the others do not wait.
func TestPostpone(t *testing.T) {
	t.Parallel()
	databasetest.Each(t, func(t *testing.T, open func() *database.DB) {
		db := open()
		q := sqlstore.New(db)
		store(t, db, event(1), event(2))
		first := take(t, q, "a", time.Minute, 10)[0]
		if _, ok, err := q.Next(t.Context()); ok || err != nil {
			t.Errorf("nothing was postponed, but something is next: %v", err)
		}
		if err := q.Postpone(t.Context(), first.Seq, time.Hour, []string{"w/t"}); err != nil {
			t.Fatal(err)
		}
		if got := take(t, q, "a", time.Minute, 10); len(got) != 1 || got[0].ID != event(2).ID {
			t.Errorf("took %+v while the first is not due", got)
		}
		if pause, ok, err := q.Next(t.Context()); !ok || err != nil || pause > time.Hour || pause < 50*time.Minute {
			t.Errorf("next in %v, %v, %v", pause, ok, err)
		}
		if err := q.Postpone(t.Context(), first.Seq, -time.Second, nil); err != nil {
			t.Fatal(err)
		}
		got := take(t, q, "a", time.Minute, 10)
		if len(got) != 2 || got[0].ID != event(1).ID || got[0].Attempts != 2 || got[0].Left != nil {
			t.Errorf("took %+v", got)
		}
	})
}

// What is taken at once is bounded in bytes; a single large event comes alone.
func TestTakeIsBounded(t *testing.T) {
	t.Parallel()
	db := databasetest.SQLite(t)
	q := sqlstore.New(db)
	large := event(1)
	large.Data = json.RawMessage(`"` + strings.Repeat("x", 9<<20) + `"`)
	store(t, db, large, event(2), event(3))
	got := take(t, q, "a", time.Minute, 10)
	if len(got) != 1 {
		t.Fatalf("took %d events with a large one", len(got))
	}
	if err := q.Remove(t.Context(), []int64{got[0].Seq}); err != nil {
		t.Fatal(err)
	}
	if got := take(t, q, "a", time.Minute, 10); len(got) != 2 {
		t.Errorf("took %d small events", len(got))
	}
}
