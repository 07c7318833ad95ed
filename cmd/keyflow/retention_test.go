package main

import (
	"net/http"
	"strings"
	"testing"
)

// Ended runs go by number and by age at the next look; a repeat of a delivery whose run is gone
// is still a repeat, and so is a start with an Idempotency-Key.
func TestRetention(t *testing.T) {
	t.Parallel()
	eachDatabase(t, func(t *testing.T, database ...string) {
		s := serve(t, "", database...)
		s.apply("flow", `{"id": "flow", "triggers": {"in": {"type": "webhook", "path": "flow", "respond": "on_finish", "dedupe": "{{ trigger.request.body.id }}"}},
			"nodes": {"say": {"type": "respond", "with": {"body": "hello"}}, "x": {"type": "transform", "with": {"value": "{{ repeat('x', 50000) }}"}}}}`)
		s.apply("wait", `{"id": "wait", "nodes": {"w": {"type": "wait", "with": {"for": "1d"}}}}`)
		waiting := text(s.must(http.MethodPost, "/api/v1/workflows/wait/runs", nil).json["id"])
		deliver := func() answer {
			return s.do(http.MethodPost, "/hooks/flow", `{"id": "first"}`, "Authorization", "")
		}
		eventually(t, "the webhook answers", func() bool { return deliver().body == "hello" })
		start := func() answer {
			return s.do(http.MethodPost, "/api/v1/workflows/flow/runs?wait=30s", `{}`, "Idempotency-Key", "k")
		}
		start()
		for range 4 {
			s.run("flow", nil)
		}
		eventually(t, "all have ended", func() bool {
			return strings.Count(s.must(http.MethodGet, "/api/v1/runs", nil).body, `"succeeded"`) == 6
		})

		s.stop()
		s = serve(t, s.dir, append(database, "--keep-runs", "2")...)
		eventually(t, "two are left", func() bool { return s.runs("flow") == 2 })
		s.stop()
		s = serveWith(t, s.dir, []string{"KEYFLOW_KEEP_RUNS_FOR=1ms"}, database...)
		eventually(t, "none is left", func() bool { return s.runs("flow") == 0 })
		if got := s.must(http.MethodGet, "/api/v1/runs/"+waiting, nil).json["status"]; got != "waiting" {
			t.Errorf("the run that waits is %v", got)
		}
		eventually(t, "both are counted", func() bool {
			return strings.Contains(s.must(http.MethodGet, "/metrics", nil).body, "\nkeyflow_runs_pruned_total 2\n")
		})
		var again answer
		eventually(t, "the webhook is loaded", func() bool { again = deliver(); return again.status != http.StatusServiceUnavailable })
		if again.status != http.StatusAccepted || len(text(again.json["run_id"])) != 36 || again.header.Get("Keyflow-Duplicate") != "true" {
			t.Errorf("repeated delivery: %d %s %v", again.status, again.body, again.header)
		}
		if a := start(); a.status != http.StatusConflict || !strings.Contains(a.body, "which was deleted since") {
			t.Errorf("repeated start: %d %s", a.status, a.body)
		}
		if s.runs("flow") != 0 {
			t.Error("a repeat started a run")
		}
	})
}

func TestRunsDelete(t *testing.T) {
	t.Parallel()
	s := serve(t, "")
	s.apply("flow", `{"id": "flow", "nodes": {"x": {"type": "transform", "with": {"value": 1}}}}`)
	s.apply("wait", `{"id": "wait", "nodes": {"w": {"type": "wait", "with": {"for": "1d"}}}}`)
	waiting := text(s.must(http.MethodPost, "/api/v1/workflows/wait/runs", nil).json["id"])
	one, two := text(s.run("flow", nil).json["id"]), text(s.run("flow", nil).json["id"])

	if r := keyflowIn(t, "n\n", s.env(), "runs", "delete", one); r.code == exitOK || s.runs("flow") != 2 {
		t.Errorf("without a yes: %+v", r)
	}
	r := keyflow(t, s.env(), "runs", "delete", one, waiting, two, "--yes")
	if r.code != exitFailed || r.stdout != "run "+one+" deleted\nrun "+two+" deleted\n" || !strings.Contains(r.stderr, "run "+waiting+" has not ended: cancel it first") {
		t.Errorf("%+v", r)
	}
	if a := s.do(http.MethodDelete, "/api/v1/runs/"+waiting, nil); a.status != http.StatusConflict {
		t.Errorf("a run that goes on: %d %s", a.status, a.body)
	}
	if r := keyflow(t, s.env(), "runs", "delete", one, "--yes"); r.code != exitFailed || !strings.Contains(r.stderr, "does not exist") {
		t.Errorf("again: %+v", r)
	}
	if s.runs("flow") != 0 || s.runs("wait") != 1 {
		t.Error("the wrong runs are left")
	}
}
