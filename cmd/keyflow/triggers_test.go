package main

import (
	"fmt"
	"net/http"
	"net/http/httptest"
	"strings"
	"testing"
	"time"
)

// What "overlap" does to runs of the engine itself, on both databases.
func TestOverlapOfRuns(t *testing.T) {
	t.Parallel()
	eachDatabase(t, func(t *testing.T, database ...string) {
		up := &recorder{calls: map[string]int{}, gate: make(chan struct{})}
		upstream := httptest.NewServer(up)
		t.Cleanup(upstream.Close)
		s := serve(t, "", database...)
		policies := []string{"skip", "queue", "cancel_previous"}
		for _, policy := range policies {
			s.apply(policy, fmt.Sprintf(`{"id": %q, "triggers": {"t": {"type": "cron", "schedule": "@every 1s", "overlap": %q}},
				"nodes": {"n": {"type": "web_request", "timeout": "5m", "with": {"url": "%s/slow/%s"}}}}`, policy, policy, upstream.URL, policy))
		}
		shown := func(policy string) listedTrigger {
			var page struct{ Items []listedTrigger }
			decode(t, s.must(http.MethodGet, "/api/v1/triggers?workflow="+policy, nil).body, &page)
			return page.Items[0]
		}
		eventually(t, "skip has skipped", func() bool { return shown("skip").Skipped >= 2 })
		eventually(t, "queue has one waiting", func() bool { return shown("queue").Waiting != nil })
		eventually(t, "cancel_previous has canceled", func() bool {
			return strings.Count(s.must(http.MethodGet, "/api/v1/runs?workflow=cancel_previous&status=canceled", nil).body, `"status":"canceled"`) >= 2
		})
		if a, b := s.runs("skip"), s.runs("queue"); a != 1 || b != 2 {
			t.Errorf("while the first run goes on: %d and %d runs, want 1 and 2, of which one waiting", a, b)
		}
		up.open()
		for _, policy := range policies {
			eventually(t, policy+" goes on", func() bool {
				return strings.Count(s.must(http.MethodGet, "/api/v1/runs?status=succeeded&workflow="+policy, nil).body, `"status":"succeeded"`) >= 2
			})
		}
	})
}

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
	if r := keyflow(t, s.env(), "triggers", "next", "none"); r.code != exitOK || r.stdout != "no schedule fires\n" {
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
		"enabled, one waiting, 1 missed, 2 skipped": {Enabled: true, Waiting: new(time.Time), Missed: 1, Skipped: 2},
	} {
		if got := trigger.state(); got != want {
			t.Errorf("got %q, want %q", got, want)
		}
	}
}
