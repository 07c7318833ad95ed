package main

import (
	"encoding/json"
	"strings"
	"testing"
)

// A run with many steps shows the first of them and says how to get the others.
func TestStepsOfALongRun(t *testing.T) {
	t.Parallel()
	s := serve(t, "")
	s.apply("many", `{"id":"many","nodes":{"each":{"type":"transform","for_each":"0..249","with":{"value":"{{ item }}"}}}}`)
	id := text(s.run("many", map[string]any{}).json["id"])
	get := keyflow(t, s.env(), "runs", "get", id)
	var run struct {
		Steps []json.RawMessage
	}
	decode(t, get.stdout, &run)
	if want := "200 of 251 steps are shown; for all: keyflow runs steps " + id; len(run.Steps) != 200 || !strings.Contains(get.stderr, want) {
		t.Errorf("%d steps, stderr %q, want %q", len(run.Steps), get.stderr, want)
	}
	var steps []json.RawMessage
	decode(t, keyflow(t, s.env(), "runs", "steps", id, "--limit", "0", "--output", "json").stdout, &steps)
	if len(steps) != 251 {
		t.Errorf("all steps are %d, want 251", len(steps))
	}
	table := keyflow(t, s.env(), "runs", "steps", id, "--node", "each", "--status", "succeeded", "--limit", "2").stdout
	if lines := strings.Split(strings.TrimSpace(table), "\n"); len(lines) != 3 || !strings.HasPrefix(lines[0], "NODE") || strings.Join(strings.Fields(lines[2])[:3], " ") != "each 0 succeeded" {
		t.Errorf("table:\n%s", table)
	}
	watch := keyflow(t, s.env(), "runs", "watch", id)
	if watch.code != exitOK {
		t.Errorf("watch: exit code %d\n%s", watch.code, watch.stderr)
	}
}
