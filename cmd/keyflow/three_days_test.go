package main

import (
	"fmt"
	"net/http"
	"strings"
	"testing"
)

// waitsForDays waits three days and for a call. Its timeout, an hour, counts work alone.
const waitsForDays = `{"id": %[1]q, "timeout": "1h", "nodes": {
	"send": {"type": "web_request", "with": {"method": "PUT", "url": "%[2]s", "body_type": "text", "body": "{{ callback_url('back') }}"}},
	"days": {"type": "wait", "needs": ["send"], "with": {"for": "3d"}},
	"back": {"type": "wait", "needs": ["send"], "with": {"callback": true, "for": "4d"}}},
	"output": {"n": "{{ nodes.back.output.body.n }}", "version": %[3]d, "until": "{{ nodes.days.output.until }}"}}`

// F39: runs that wait for days end with the version that they started with, whatever happens to
// their workflow and the server meanwhile.
func TestThreeDays(t *testing.T) {
	t.Parallel()
	type waiting struct{ id, run, callback string }
	dir := t.TempDir()
	s := serve(t, dir)
	var all []waiting
	for _, id := range []string{"upgraded", "disabled", "deleted", "replaced"} {
		p, url := newPartner(t)
		s.apply(id, fmt.Sprintf(waitsForDays, id, url, 1))
		run := text(s.must(http.MethodPost, "/api/v1/workflows/"+id+"/runs", `{}`).json["id"])
		eventually(t, "both steps wait", func() bool { return s.stepIs(run, "back", "waiting")() && s.stepIs(run, "days", "waiting")() })
		all = append(all, waiting{id, run, p.given()[strings.Index(p.given(), "/callbacks/"):]})
	}
	meanwhile := func() {
		_, url := newPartner(t)
		s.apply("upgraded", fmt.Sprintf(waitsForDays, "upgraded", url, 2))
		s.must(http.MethodPost, "/api/v1/workflows/disabled/disable", nil)
		s.must(http.MethodDelete, "/api/v1/workflows/deleted", nil)
		s.must(http.MethodDelete, "/api/v1/workflows/replaced", nil)
		s.apply("replaced", `{"id": "replaced", "nodes": {"send": {"type": "transform", "with": {"value": 1}}}, "output": "another"}`)
	}
	meanwhile()
	for _, after := range []string{"71h", "73h"} {
		s.kill()
		s = serveWith(t, dir, []string{"KEYFLOW_TEST_CLOCK_OFFSET=" + after})
		for _, w := range all {
			if after == "71h" {
				if !s.stepIs(w.run, "days", "waiting")() || !s.stepIs(w.run, "back", "waiting")() {
					t.Errorf("%s does not wait after %s: %s", w.id, after, s.do(http.MethodGet, "/api/v1/runs/"+w.run, nil).body)
				}
				continue
			}
			eventually(t, w.id+": the days are over", s.stepIs(w.run, "days", "succeeded"))
			if got := s.do(http.MethodPost, w.callback, `{"n": 7}`, "Authorization", ""); got.status != http.StatusAccepted {
				t.Errorf("%s: the call: %d %s", w.id, got.status, got.body)
			}
		}
	}
	for _, w := range all {
		var run answer
		eventually(t, w.id+": the run ends", func() bool {
			run = s.must(http.MethodGet, "/api/v1/runs/"+w.run, nil)
			return run.json["finished_at"] != nil
		})
		output, _ := run.json["output"].(map[string]any)
		if run.json["status"] != "succeeded" || output["version"] != 1.0 || output["n"] != 7.0 {
			t.Errorf("%s: %s", w.id, run.body)
		}
		if got := s.do(http.MethodPost, w.callback, `{"n": 8}`, "Authorization", ""); got.status != http.StatusConflict {
			t.Errorf("%s: called again: %d %s", w.id, got.status, got.body)
		}
	}
}
