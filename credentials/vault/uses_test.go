package vault

import (
	"context"
	"maps"
	"testing"
	"testing/synctest"
	"time"

	"github.com/google/go-cmp/cmp"

	"keyflow/credentials"
)

// touchStore records the writes of last uses; nothing else of a store is called.
type touchStore struct {
	credentials.Store
	writes []map[credentials.ID]time.Time
}

func (s *touchStore) Touch(_ context.Context, used map[credentials.ID]time.Time) error {
	s.writes = append(s.writes, maps.Clone(used))
	return nil
}

// Shared keeps Serve from looking for an unfinished rotation of keys that are not from a file.
func (s *touchStore) Shared() bool { return true }

func TestLastUseIsWrittenAtMostOnceAMinute(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		store := &touchStore{}
		v := &Vault{store: store, now: time.Now, keys: &Keyset{}}
		ctx, cancel := context.WithCancel(t.Context())
		served := make(chan error, 1)
		go func() { served <- v.Serve(ctx) }()
		begin := time.Now().UTC()
		for time.Since(begin) < 2*time.Minute {
			v.touch("erp", time.Now())
			time.Sleep(time.Second) // of the bubble's clock
		}
		v.touch("crm", time.Now())
		synctest.Wait()
		cancel()
		if err := <-served; err != nil {
			t.Fatal(err)
		}
		want := []map[credentials.ID]time.Time{
			{"erp": begin}, {"erp": begin.Add(time.Minute)}, {"crm": begin.Add(2 * time.Minute)},
		}
		if diff := cmp.Diff(want, store.writes); diff != "" {
			t.Errorf("writes (-want +got):\n%s", diff)
		}
		if used, ok := v.uses.last("erp"); !ok || !used.Equal(begin.Add(time.Minute)) {
			t.Errorf("last use known as %v", used)
		}
		if err := v.Close(t.Context()); err != nil || len(store.writes) != 3 {
			t.Errorf("closing with nothing to write: %v, %d writes", err, len(store.writes))
		}
	})
}
