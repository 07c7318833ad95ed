package credentialstest

import (
	"context"
	"errors"
	"testing"
	"time"

	"keyflow/credentials"
)

// waiting is how long a test lets something wait for an edit that is under way.
const waiting = 200 * time.Millisecond

// A state that is stored is not undone by an edit that had read the one before.
func testStateBesideEdit(t *testing.T, s Store) {
	t.Helper()
	edits := map[string]func(edit func(r *credentials.Record, revision int64)) error{
		"one": func(edit func(*credentials.Record, int64)) error {
			_, err := s.Change(t.Context(), "one", func(old *credentials.Record, revision int64) (*credentials.Record, error) {
				edit(old, revision)
				return old, nil
			})
			return err
		},
		"many": func(edit func(*credentials.Record, int64)) error {
			ids := []credentials.ID{"new", "many"}
			return s.ChangeAll(t.Context(), ids, func(old map[credentials.ID]*credentials.Record, first int64) ([]*credentials.Record, error) {
				edit(old["many"], first)
				return []*credentials.Record{old["many"]}, nil
			})
		},
	}
	for name, change := range edits {
		id := credentials.ID(name)
		seen := create(t, s, id, nil)
		want := seen.State
		err := change(func(r *credentials.Record, revision int64) {
			ctx, cancel := context.WithTimeout(t.Context(), waiting)
			defer cancel()
			ok := credentials.State{Status: credentials.OK, Since: at(9)}
			if stored, err := s.SetState(ctx, id, seen.Revision, ok); stored && err == nil {
				want = ok
			}
			r.Name, r.Revision = "renamed", revision
		})
		if err != nil {
			t.Fatal(err)
		}
		equal(t, name+": state after the edit", get(t, s, id).State, want)
	}
}

// A rotation of the master key that has waited for edits misses nothing that they sealed.
func testResealWaitsForEdit(t *testing.T, s Store) {
	t.Helper()
	create(t, s, "a", nil)
	change(t, s, "a", func(*credentials.Record) {
		ctx, cancel := context.WithTimeout(t.Context(), waiting)
		defer cancel()
		if _, err := s.Reseal(ctx, nil); !errors.Is(err, context.DeadlineExceeded) {
			t.Errorf("beside an edit: %v; want it to wait for its end", err)
		}
	})
	if _, err := s.Reseal(t.Context(), nil); err != nil {
		t.Errorf("after the edit: %v", err)
	}
}
