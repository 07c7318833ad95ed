package workflowstest

import (
	"fmt"
	"strings"
	"sync"
	"testing"
	"time"

	"keyflow/workflows"
)

func testChanges(t *testing.T, s workflows.Store) {
	t.Helper()
	var seen int64
	want := func(limit int, want string) {
		t.Helper()
		list, err := s.Changes(t.Context(), seen, limit)
		if err != nil {
			t.Fatalf("Changes: %v", err)
		}
		var got []string
		for _, c := range list {
			if c.Revision <= seen {
				t.Errorf("revision %d after %d", c.Revision, seen)
			}
			seen = c.Revision
			got = append(got, fmt.Sprintf("%s:%d:%t:%t", c.ID, c.Version, c.Enabled, c.Deleted))
			if v, err := s.Version(t.Context(), c.ID, c.Version); err != nil || string(v.JSON()) != string(c.Source) {
				t.Errorf("source of %s: %s, want that of version %d: %v", c.ID, c.Source, c.Version, err)
			}
		}
		if got := strings.Join(got, " "); got != want {
			t.Errorf("Changes: %q, want %q", got, want)
		}
	}
	want(10, "")
	for _, id := range []string{"a", "b", "c"} {
		put(t, s, Definition(t, id, "/"))
	}
	put(t, s, Definition(t, "a", "/", `"name": "new"`))
	put(t, s, Definition(t, "b", "/")) // says the same
	want(2, "b:1:true:false c:1:true:false")
	want(2, "a:2:true:false")
	want(2, "")
	if sum, err := s.SetEnabled(t.Context(), "b", false, "ann", Time); err != nil || sum.Revision <= seen {
		t.Errorf("SetEnabled: %+v, %v", sum, err)
	}
	if _, err := s.SetEnabled(t.Context(), "b", false, "ann", Time.Add(time.Hour)); err != nil {
		t.Errorf("SetEnabled: %v", err)
	}
	if err := s.Delete(t.Context(), "c"); err != nil {
		t.Errorf("Delete: %v", err)
	}
	want(10, "b:1:false:false c:1:true:true")
	put(t, s, Definition(t, "c", "/"))
	want(10, "c:2:true:false")
}

// Whoever reads while others write must see each change, however their commits interleave.
func testConcurrentChanges(t *testing.T, s workflows.Store) {
	t.Helper()
	const writers, each = 4, 10
	var wg sync.WaitGroup
	for w := range writers {
		wg.Go(func() {
			for i := range each {
				d := Definition(t, fmt.Sprintf("w%d-%d", w, i), "/")
				if _, _, err := s.Put(t.Context(), d, nil, "ann", -1, Time); err != nil {
					t.Errorf("Put: %v", err)
				}
			}
		})
	}
	written := make(chan struct{})
	go func() { wg.Wait(); close(written) }()
	seen, after := map[workflows.ID]bool{}, int64(0)
	for done := false; ; {
		list, err := s.Changes(t.Context(), after, 3)
		if err != nil {
			t.Fatalf("Changes: %v", err)
		}
		for _, c := range list {
			seen[c.ID], after = true, c.Revision
		}
		if done && len(list) == 0 {
			break
		}
		select {
		case <-written:
			done = true
		default:
		}
	}
	if len(seen) != writers*each {
		t.Errorf("saw %d changes, want %d", len(seen), writers*each)
	}
}
