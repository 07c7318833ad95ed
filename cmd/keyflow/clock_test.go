package main

import (
	"net/http"
	"os"
	"path/filepath"
	"strings"
	"sync/atomic"
	"testing"
	"time"
)

func TestTestClock(t *testing.T) {
	t.Parallel()
	file := filepath.Join(t.TempDir(), "offset")
	set := func(text string) {
		t.Helper()
		if err := os.WriteFile(file, []byte(text), 0o600); err != nil {
			t.Fatal(err)
		}
	}
	set("72h\n")
	for offset, want := range map[string]time.Duration{"": 0, "-1h30m": -90 * time.Minute, file: 72 * time.Hour} {
		clock, err := testClock(offset)
		if err != nil {
			t.Fatal(err)
		}
		before := time.Now()
		ahead := clock().Sub(before)
		if ahead < want || ahead > want+time.Since(before) {
			t.Errorf("%q: %v ahead, want %v", offset, ahead, want)
		}
	}
	set("soon")
	for _, wrong := range []string{file, filepath.Join(t.TempDir(), "missing"), "tomorrow"} {
		if _, err := testClock(wrong); err == nil || !strings.Contains(err.Error(), "KEYFLOW_TEST_CLOCK_OFFSET is neither a duration nor a file that contains one") {
			t.Errorf("%s: %v", wrong, err)
		}
	}
}

// sharedClock is one clock for the processes of a test and for the test itself, which moves it.
type sharedClock struct {
	t     *testing.T
	file  string
	ahead atomic.Int64
}

func newSharedClock(t *testing.T) *sharedClock {
	t.Helper()
	c := &sharedClock{t: t, file: filepath.Join(t.TempDir(), "offset")}
	c.set(0)
	return c
}

func (c *sharedClock) now() time.Time { return time.Now().Add(time.Duration(c.ahead.Load())) }

// env makes a process follow the clock; it does so a moment after set.
func (c *sharedClock) env() []string { return []string{"KEYFLOW_TEST_CLOCK_OFFSET=" + c.file} }

func (c *sharedClock) set(ahead time.Duration) {
	c.t.Helper()
	if err := os.WriteFile(c.file+"~", []byte(ahead.String()), 0o600); err != nil {
		c.t.Fatal(err)
	}
	if err := os.Rename(c.file+"~", c.file); err != nil {
		c.t.Fatal(err)
	}
	c.ahead.Store(int64(ahead))
}

// probe is a workflow that ends at once.
const probe = `{"id": "probe", "nodes": {"x": {"type": "transform", "with": {"value": 1}}}}`

// probed is the time of the process, as a run of probe shows it.
func (s *instance) probed() time.Time {
	s.t.Helper()
	created, err := time.Parse(time.RFC3339, text(s.run("probe", nil).json["created_at"]))
	if err != nil {
		s.t.Fatal(err)
	}
	return created
}

// The clock of a process is set forward, back, and forward again: an occurrence is one run,
// and what was missed is counted.
func TestSchedulesWhenTheClockIsSet(t *testing.T) {
	t.Parallel()
	clock := newSharedClock(t)
	s := serveWith(t, "", clock.env())
	s.apply("daily", `{"id": "daily", "triggers": {"t": {"type": "cron", "schedule": "@every 1d", "catch_up": "1h"}}, "nodes": {"x": {"type": "transform", "with": {"value": 1}}}}`)
	s.apply("probe", probe)
	next := func() map[string]any {
		items, _ := s.must(http.MethodGet, "/api/v1/triggers", nil).json["items"].([]any)
		if len(items) != 1 {
			t.Fatalf("triggers %v", items)
		}
		trigger, _ := items[0].(map[string]any)
		return trigger
	}
	clock.set(24*time.Hour + 30*time.Minute)
	eventually(t, "the occurrence of the first day runs", func() bool { return s.runs("daily") == 1 })
	clock.set(-24 * time.Hour)
	eventually(t, "the clock is set back", func() bool { return s.probed().Before(time.Now()) })
	clock.set(24*time.Hour + 45*time.Minute)
	clock.set(96*time.Hour + 30*time.Minute) // two days are missed, one is young enough
	eventually(t, "the occurrence of the fourth day runs", func() bool { return s.runs("daily") == 2 })
	eventually(t, "two are shown as missed", func() bool { return next()["missed"] == 2.0 })
	for _, metric := range []string{
		`keyflow_schedule_occurrences_total{result="missed"} 2`, `keyflow_schedule_occurrences_total{result="started"} 2`, "keyflow_schedules_rearmed_total 0",
	} {
		eventually(t, "metrics have "+metric, func() bool {
			return strings.Contains(s.must(http.MethodGet, "/metrics", nil).body, metric)
		})
	}
}
