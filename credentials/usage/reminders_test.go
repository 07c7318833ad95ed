package usage

import (
	"context"
	"log/slog"
	"sync"
	"testing"
	"testing/synctest"
	"time"

	"github.com/google/go-cmp/cmp"

	"keyflow/credentials"
)

// reminderLog notes when reminders were looked for.
type reminderLog struct {
	mu    sync.Mutex
	times []time.Time
	left  int // what the next questions find
}

var _ credentials.ReminderStore = (*reminderLog)(nil)

// Remind implements ReminderStore.
func (l *reminderLog) Remind(_ context.Context, now time.Time, limit int) (int, error) {
	l.mu.Lock()
	defer l.mu.Unlock()
	l.times = append(l.times, now)
	n := min(limit, l.left)
	l.left -= n
	return n, nil
}

func TestRemindersAreLookedForOnceAMinuteAndAfterEdits(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		log := &reminderLog{left: remindPage + 1}
		r := &Reminders{Store: log, Planned: make(chan struct{}, 1), Now: time.Now, Log: slog.New(slog.DiscardHandler)}
		ctx, cancel := context.WithCancel(t.Context())
		served := make(chan struct{})
		go func() { r.Serve(ctx); close(served) }()
		begin := credentials.Moment(r.Now())
		time.Sleep(90 * time.Second) // of the bubble's clock
		r.Plan()
		time.Sleep(time.Second)
		synctest.Wait()
		cancel()
		<-served
		want := []time.Time{begin, begin, begin.Add(time.Minute), begin.Add(90 * time.Second)}
		if diff := cmp.Diff(want, log.times); diff != "" {
			t.Errorf("looked at (-want +got):\n%s", diff)
		}
	})
}

// seenLog records the writes of uses at run time.
type seenLog struct {
	credentials.UsageStore
	writes [][]credentials.Seen
}

// NoteUsages implements UsageStore.
func (l *seenLog) NoteUsages(_ context.Context, seen []credentials.Seen) error {
	l.writes = append(l.writes, seen)
	return nil
}

func TestUsesAtRunTimeAreWrittenAtMostOnceAMinute(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		log := &seenLog{}
		l := &Log{Records: &touchStore{}, Store: log, Now: time.Now, Log: slog.New(slog.DiscardHandler)}
		ctx, cancel := context.WithCancel(t.Context())
		served := make(chan error, 1)
		go func() { served <- l.Serve(ctx) }()
		begin := credentials.Moment(l.Now())
		note := func(status int) {
			l.seen.note(credentials.Seen{Credential: "erp", Workflow: "sync", Node: "push", At: credentials.Moment(l.Now()), Status: status})
		}
		for i := range 30 {
			note(200 + i)
			time.Sleep(time.Second) // of the bubble's clock
		}
		time.Sleep(3 * time.Minute)
		synctest.Wait()
		if len(l.seen.last) != 0 {
			t.Errorf("remembered without news: %v", l.seen.last)
		}
		note(500)
		synctest.Wait()
		cancel()
		if err := <-served; err != nil {
			t.Fatal(err)
		}
		var got []int
		for _, w := range log.writes {
			got = append(got, w[0].Status)
		}
		if len(got) != 3 || got[2] != 500 {
			t.Fatalf("written: %v", got)
		}
		if last := log.writes[1][0]; last.Status != 229 || !last.At.Equal(begin.Add(29*time.Second)) {
			t.Errorf("the last of a burst was written as %+v", last)
		}
	})
}

func TestUsesAtRunTimeAreBounded(t *testing.T) {
	t.Parallel()
	var u seenUses
	now := time.Now()
	for i := range maxSeen + 5 {
		u.note(credentials.Seen{Credential: "erp", Workflow: string(rune(i)), At: now})
	}
	if n := len(u.take(now, false)); n != maxSeen {
		t.Errorf("%d of %d uses are kept, want %d", n, maxSeen+5, maxSeen)
	}
	u.take(now.Add(2*useResolution), false)
	u.note(credentials.Seen{Credential: "erp", Workflow: "one more", At: now})
	if n := len(u.take(now.Add(2*useResolution), false)); n != 1 {
		t.Errorf("%d uses after the others were written, want 1", n)
	}
}
