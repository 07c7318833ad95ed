package main

import (
	"strings"
	"testing"
)

func TestRunsApproveAndReject(t *testing.T) {
	t.Parallel()
	s := serve(t, "")
	s.apply("ask", `{"id": "ask", "nodes": {"review": {"type": "approval", "with": {"message": "Really?"}}}, "output": "{{ [nodes.review.output.approved, nodes.review.output.comment] }}"}`)
	waiting := func() string {
		run, _ := s.must("POST", "/api/v1/workflows/ask/runs", `{}`).json["id"].(string)
		eventually(t, "the node waits", s.stepIs(run, "review", "waiting"))
		return run
	}
	first, second := waiting(), waiting()
	if r := s.cli(exitOK, "runs", "approve", first, "review", "--comment", "by phone"); r.stdout != "run "+first+": review approved by token:admin-token\n" {
		t.Errorf("approve printed %q", r.stdout)
	}
	if r := s.cli(exitOK, "runs", "reject", second, "review", "--output", "json"); !strings.Contains(r.stdout, `"approved": false`) {
		t.Errorf("reject printed %s", r.stdout)
	}
	if r := s.cli(exitOK, "runs", "watch", first); strings.Join(strings.Fields(r.stdout), "") != `[true,"byphone"]` {
		t.Errorf("the approved run: %s%s", r.stdout, r.stderr)
	}
	if r := s.cli(exitOK, "runs", "watch", second); strings.Join(strings.Fields(r.stdout), "") != `[false,""]` {
		t.Errorf("the rejected run: %s%s", r.stdout, r.stderr)
	}
	for name, tt := range map[string]struct {
		args []string
		code int
		want string
	}{
		"twice":   {[]string{"approve", second, "review"}, exitFailed, ""},
		"no node": {[]string{"approve", first}, exitUsage, "keyflow runs approve needs a run ID and a NODE; see keyflow runs approve --help"},
		"no run":  {[]string{"reject", "01a20433-6380-7c45-a07c-a90ef96a4aea", "review"}, exitFailed, "not"},
	} {
		if r := s.cli(tt.code, append([]string{"runs"}, tt.args...)...); !strings.Contains(r.stderr, tt.want) {
			t.Errorf("%s: %s", name, r.stderr)
		}
	}
}
