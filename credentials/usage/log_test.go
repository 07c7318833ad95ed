package usage

import (
	"context"
	"log/slog"
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

func TestLastUseIsWrittenAtMostOnceAMinute(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		store := &touchStore{}
		l := &Log{Records: store, Now: time.Now, Log: slog.New(slog.DiscardHandler)}
		ctx, cancel := context.WithCancel(t.Context())
		served := make(chan error, 1)
		go func() { served <- l.Serve(ctx) }()
		begin := time.Now().UTC()
		for time.Since(begin) < 2*time.Minute {
			l.Touch("erp", time.Now())
			time.Sleep(time.Second) // of the bubble's clock
		}
		l.Touch("crm", time.Now())
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
		if used, ok := l.Last("erp"); !ok || !used.Equal(begin.Add(time.Minute)) {
			t.Errorf("last use known as %v", used)
		}
		if err := l.Close(t.Context()); err != nil || len(store.writes) != 3 {
			t.Errorf("closing with nothing to write: %v, %d writes", err, len(store.writes))
		}
	})
}
