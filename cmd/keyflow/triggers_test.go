package main

import (
	"net/http"
	"strings"
	"testing"
	"time"
)

func TestTriggersCommands(t *testing.T) {
	t.Parallel()
	s := serve(t, "")
	const nodes = `"nodes": {"x": {"type": "transform", "with": {"value": 1}}}}`
	s.apply("a", `{"id": "a", "triggers": {"t": {"type": "cron", "schedule": "0 0 1 1 *", "overlap": "skip", "from": "2030-01-01T00:00:00Z", "until": "2031-06-01T00:00:00Z"}}, `+nodes)
	s.apply("b", `{"id": "b", "triggers": {"t": {"type": "cron", "schedule": "30 0 0 1 1 *", "seconds": true, "from": "2030-01-01T00:00:00Z"}}, `+nodes)
	r := keyflow(t, s.env(), "triggers", "next", "--output", "json")
	var times []nextTime
	decode(t, r.stdout, &times)
	if r.code != exitOK || len(times) != 7 || times[0].Workflow != "a" || times[1].Workflow != "b" || !times[1].At.Equal(time.Date(2030, 1, 1, 0, 0, 30, 0, time.UTC)) || times[6].At.Year() != 2034 {
		t.Errorf("next: %d %+v %s", r.code, times, r.stderr)
	}
	if r := keyflow(t, s.env(), "triggers", "next", "a"); r.code != exitOK || strings.Count(r.stdout, "\n") != 3 || !strings.HasPrefix(r.stdout, "AT ") {
		t.Errorf("next of one: %d %s%s", r.code, r.stdout, r.stderr)
	}
	if r := keyflow(t, s.env(), "triggers", "next", "none"); r.code != exitOK || r.stdout != "nothing is planned\n" {
		t.Errorf("next of none: %d %s%s", r.code, r.stdout, r.stderr)
	}
	if r := keyflow(t, s.env(), "triggers", "list"); r.code != exitOK || !strings.Contains(r.stdout, "0 0 1 1 * UTC") {
		t.Errorf("list: %d %s%s", r.code, r.stdout, r.stderr)
	}
	shown := s.must(http.MethodGet, "/api/v1/triggers?workflow=a", nil).body
	if !strings.Contains(shown, `"overlap":"skip"`) || !strings.Contains(shown, `"from":"2030-01-01T00:00:00Z"`) || !strings.Contains(shown, `"next":["2030-01-01T00:00:00Z","2031-01-01T00:00:00Z"]`) {
		t.Errorf("API: %s", shown)
	}
}

func TestTriggerStates(t *testing.T) {
	t.Parallel()
	for want, trigger := range map[string]listedTrigger{
		"enabled":            {Enabled: true},
		"disabled, 3 missed": {Missed: 3},
		"enabled, one waits, 1 missed, 2 skipped": {Enabled: true, Waiting: new(time.Time), Missed: 1, Skipped: 2},
	} {
		if got := trigger.state(); got != want {
			t.Errorf("got %q, want %q", got, want)
		}
	}
}
