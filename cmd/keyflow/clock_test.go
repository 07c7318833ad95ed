package main

import (
	"net/http"
	"os"
	"path/filepath"
	"strings"
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
		if _, err := testClock(wrong); err == nil || !strings.Contains(err.Error(), "KEYFLOW_TEST_CLOCK_OFFSET is neither a duration nor a file that holds one") {
			t.Errorf("%s: %v", wrong, err)
		}
	}
}

// The clock of a process is set forward, back, and forward again: an occurrence is one run,
// and what was missed is counted.
func TestSchedulesWhenTheClockIsSet(t *testing.T) {
	t.Parallel()
	file := filepath.Join(t.TempDir(), "offset")
	set := func(ahead string) {
		t.Helper()
		if err := os.WriteFile(file+"~", []byte(ahead), 0o600); err != nil {
			t.Fatal(err)
		}
		if err := os.Rename(file+"~", file); err != nil {
			t.Fatal(err)
		}
	}
	set("0s")
	s := serveWith(t, "", []string{"KEYFLOW_TEST_CLOCK_OFFSET=" + file})
	s.apply("daily", `{"id": "daily", "triggers": {"t": {"type": "cron", "schedule": "@every 1d", "catch_up": "1h"}}, "nodes": {"x": {"type": "transform", "with": {"value": 1}}}}`)
	s.apply("probe", `{"id": "probe", "nodes": {"x": {"type": "transform", "with": {"value": 1}}}}`)
	next := func() map[string]any {
		items, _ := s.must(http.MethodGet, "/api/v1/triggers", nil).json["items"].([]any)
		if len(items) != 1 {
			t.Fatalf("triggers %v", items)
		}
		trigger, _ := items[0].(map[string]any)
		return trigger
	}
	set("24h30m")
	eventually(t, "the occurrence of the first day runs", func() bool { return s.runs("daily") == 1 })
	set("-24h")
	eventually(t, "the clock is set back", func() bool {
		created, err := time.Parse(time.RFC3339, text(s.run("probe", nil).json["created_at"]))
		return err == nil && created.Before(time.Now())
	})
	set("24h45m")
	set("96h30m") // two days are missed, one is young enough
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
