package credentialstest

import (
	"errors"
	"testing"

	"keyflow/credentials"
	"keyflow/internal/fault"
)

func testChangeAll(t *testing.T, s Store) {
	a, b := create(t, s, "a", nil), create(t, s, "b", nil)
	untouched := create(t, s, "c", nil)
	ids := []credentials.ID{"new", "b", "a", "skipped"}
	var first int64
	err := s.ChangeAll(t.Context(), ids, func(old map[credentials.ID]*credentials.Record, next int64) ([]*credentials.Record, error) {
		first = next
		equal(t, "old records", old, map[credentials.ID]*credentials.Record{"a": &a, "b": &b})
		fresh := record("new")
		fresh.Revision = next
		old["b"].Revision, old["b"].Name = next+1, "renamed"
		old["a"].Revision, old["a"].Version, old["a"].Fields = next+2, 2, map[string]any{"username": "u2"}
		return []*credentials.Record{&fresh, old["b"], old["a"]}, nil
	})
	if err != nil {
		t.Fatal(err)
	}
	if first <= untouched.Revision {
		t.Errorf("revision %d does not follow %d", first, untouched.Revision)
	}
	fresh := record("new")
	fresh.Revision = first
	b.Revision, b.Name = first+1, "renamed"
	a.Revision, a.Version, a.Fields = first+2, 2, map[string]any{"username": "u2"}
	for _, want := range []credentials.Record{fresh, b, a, untouched} {
		equal(t, string(want.ID), get(t, s, want.ID), want)
	}
	if _, err := s.Get(t.Context(), "skipped"); !fault.Is(err, fault.NotFound) {
		t.Errorf("a record that was not returned: %v", err)
	}
	if next := create(t, s, "next", nil); next.Revision != first+int64(len(ids)) {
		t.Errorf("the next edit has revision %d, want %d", next.Revision, first+int64(len(ids)))
	}
	infos, err := s.Versions(t.Context(), "a")
	if err != nil || len(infos) != 2 {
		t.Errorf("versions of a: %v, %v", infos, err)
	}
}

// What fails in the middle leaves nothing behind.
func testChangeAllOrNone(t *testing.T, s Store) {
	a := create(t, s, "a", nil)
	stop := fault.New(fault.Invalid, "stop")
	err := s.ChangeAll(t.Context(), []credentials.ID{"a"}, func(old map[credentials.ID]*credentials.Record, _ int64) ([]*credentials.Record, error) {
		return []*credentials.Record{old["a"]}, stop
	})
	if !errors.Is(err, stop) {
		t.Errorf("error of the function: %v", err)
	}
	err = s.ChangeAll(t.Context(), []credentials.ID{"new", "a"}, func(old map[credentials.ID]*credentials.Record, first int64) ([]*credentials.Record, error) {
		fresh, twice := record("new"), record("new")
		fresh.Revision, twice.Revision, old["a"].Name = first, first, "lost"
		return []*credentials.Record{&fresh, old["a"], &twice}, nil
	})
	if !fault.Is(err, fault.Conflict) {
		t.Errorf("the same credential created twice: %v", err)
	}
	equal(t, "a", get(t, s, "a"), a)
	if _, err := s.Get(t.Context(), "new"); !fault.Is(err, fault.NotFound) {
		t.Errorf("new: %v", err)
	}
	nothing := func(map[credentials.ID]*credentials.Record, int64) ([]*credentials.Record, error) { return nil, nil }
	if err := s.ChangeAll(t.Context(), []credentials.ID{"a"}, nothing); err != nil {
		t.Errorf("no change: %v", err)
	}
}
