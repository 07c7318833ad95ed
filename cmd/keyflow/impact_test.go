package main

import (
	"encoding/json"
	"fmt"
	"net/http"
	"net/http/httptest"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"
)

// What would break is known before a credential is changed or deleted, also where a template
// names it, and what ends soon is told.
func TestImpactOfACredential(t *testing.T) {
	t.Parallel()
	const canary = "canary-impact-4711"
	up := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, _ *http.Request) { w.WriteHeader(http.StatusAccepted) }))
	t.Cleanup(up.Close)
	s := serve(t, "")
	s.must(http.MethodPost, "/api/v1/credentials", map[string]any{
		"id": "partner-a", "type": "bearer_token", "fields": map[string]any{"token": canary}, "allowed_hosts": []string{up.URL},
		"expires_at": time.Now().Add(3*24*time.Hour + time.Hour),
	})
	s.must(http.MethodPost, "/api/v1/credentials", map[string]any{"id": "idle", "type": "no_auth"})
	s.apply("relay", fmt.Sprintf(`{"id": "relay", "input": {"schema": {"type": "object"}}, "nodes": {
		"call": {"type": "web_request", "credential": "partner-{{ input.to }}", "with": {"url": "%s/orders"}}
	}}`, up.URL))
	run := s.run("relay", map[string]any{"to": "a"})
	if run.json["status"] != "succeeded" {
		t.Fatalf("run: %s", run.body)
	}

	usage := func(path string) (list []map[string]any) {
		t.Helper()
		var p struct{ Items []map[string]any }
		if err := json.Unmarshal([]byte(s.must(http.MethodGet, path, nil).body), &p); err != nil {
			t.Fatal(err)
		}
		return p.Items
	}
	got := usage("/api/v1/credentials/partner-a/usages")
	if len(got) != 1 || got[0]["last_used_at"] == nil {
		t.Fatalf("usages: %v", got)
	}
	delete(got[0], "last_used_at")
	want := map[string]any{"workflow": "relay", "node": "call", "literal": false, "last_status": 202.0, "last_error": ""}
	if diff := cmp.Diff(want, got[0]); diff != "" {
		t.Errorf("usage (-want +got):\n%s", diff)
	}
	if uses := usage("/api/v1/credentials/partner-a/uses"); len(uses) != 1 || uses[0]["run"] != run.json["id"] || uses[0]["url"] != up.URL+"/orders" {
		t.Errorf("uses: %v", uses)
	}
	for path, ids := range map[string][]string{
		"": {"idle", "partner-a"}, "?attention=true": {"partner-a"}, "?state=expiring": {"partner-a"}, "?state=ok": {"idle"}, "?state=expired": nil, "?unused=true&type=no_auth": {"idle"},
	} {
		var found []string
		for _, item := range usage("/api/v1/credentials" + path) {
			found = append(found, item["id"].(string))
		}
		if !slices.Equal(found, ids) {
			t.Errorf("list %s: %v, want %v", path, found, ids)
		}
	}
	if c := s.must(http.MethodGet, "/api/v1/credentials/partner-a", nil); c.json["used_by"] != 1.0 || !strings.Contains(c.body, `"reason":"expires_at"`) || !strings.Contains(c.body, "expires in 3 days") {
		t.Errorf("credential: %s", c.body)
	}

	refused := keyflow(t, s.env(), "credentials", "delete", "partner-a", "--yes")
	if refused.code != 1 || !strings.Contains(refused.stderr, `node "call" of workflow "relay" used it at run time`) {
		t.Errorf("delete: %+v", refused)
	}
	for _, args := range [][]string{{"usages", "partner-a"}, {"uses", "partner-a"}, {"list", "--attention"}, {"list", "--state", "expiring"}} {
		if r := keyflow(t, s.env(), append([]string{"credentials"}, args...)...); r.code != 0 || !strings.Contains(r.stdout, map[bool]string{true: "partner-a", false: "relay"}[args[0] == "list"]) {
			t.Errorf("%v: %+v", args, r)
		}
	}
	s.must(http.MethodDelete, "/api/v1/workflows/relay", nil)
	if got := usage("/api/v1/credentials/partner-a/usages"); len(got) != 0 {
		t.Errorf("usages by a deleted workflow: %v", got)
	}
	s.must(http.MethodDelete, "/api/v1/credentials/partner-a", nil)

	eventually(t, "the events are handed out", func() bool {
		return strings.Contains(s.must(http.MethodGet, "/metrics", nil).body, `keyflow_events_total{type="keyflow.credential.deleted"} 1`)
	})
	for _, line := range []string{
		`type=keyflow.credential.created`, `subject=credentials/idle`, `type=keyflow.credential.expiring`, `expires in 3 days`, `type=keyflow.credential.deleted`, `token:admin-token`,
	} {
		eventually(t, "the log has "+line, func() bool { return strings.Contains(s.stderr.String(), line) })
	}
	if strings.Contains(s.stderr.String(), canary) {
		t.Error("the log holds the secret")
	}
}
