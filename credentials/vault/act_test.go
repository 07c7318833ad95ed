package vault_test

import (
	"net/http"
	"testing"

	"github.com/google/go-cmp/cmp"

	"keyflow/credentials"
	"keyflow/internal/fault"
)

// act is an action of the workflow /ops/rotate.
func (n *network) act(t *testing.T, id credentials.ID, a credentials.Action) (map[string]any, error) {
	t.Helper()
	return n.Act(t.Context(), credentials.Use{ID: id, Workflow: "rotate", Folder: "/ops", Park: true}, a)
}

const rotatable = `, "allowed_workflows": ["/**"], "rotatable_by": ["/ops/rotate"]`

func TestAct(t *testing.T) {
	t.Parallel()
	n, p := online(t), provider(t)
	up := serve(t, func(w http.ResponseWriter, r *http.Request) {
		if r.Header.Get("X-Key") != "the-right-key" {
			w.WriteHeader(http.StatusUnauthorized)
		}
	})
	n.create(t, clientCredentials("crm", p, rotatable))
	n.create(t, apiKey("erp", up.URL, "the-wrong-key", `, "test_url": `+quoted(t, up.URL)+rotatable))
	n.create(t, apiKey("closed", up.URL, "the-wrong-key", `, "allowed_workflows": ["/**"], "rotatable_by": ["/ops/other"]`))

	out, err := n.act(t, "erp", credentials.Action{Name: credentials.ActionTest})
	if err != nil || out["ok"] != false || out["status"] != "refused" || out["message"] == "" {
		t.Errorf("test: %v, %v", out, err)
	}
	n.patch(t, "erp", `{"fields": {"value": "the-right-key"}}`)
	if out, err = n.act(t, "erp", credentials.Action{Name: credentials.ActionTest}); err != nil || out["ok"] != true || out["status"] != "ok" {
		t.Errorf("test of the right key: %v, %v", out, err)
	}
	out, err = n.act(t, "crm", credentials.Action{Name: credentials.ActionRefresh})
	if err != nil || out["status"] != "untested" && out["status"] != "ok" || out["expires_at"] == nil || len(p.TokenRequests()) != 1 {
		t.Errorf("refresh: %v, %v", out, err)
	}

	refused := map[string]struct {
		id   credentials.ID
		a    credentials.Action
		code string
	}{
		"not named by rotatable_by": {"closed", credentials.Action{Name: credentials.ActionTest}, credentials.CodeWorkflowNotAllowed},
		"unknown":                   {"nobody", credentials.Action{Name: credentials.ActionTest}, credentials.CodeUnknown},
		"no token":                  {"erp", credentials.Action{Name: credentials.ActionRefresh}, "invalid_param"},
		"unknown action":            {"erp", credentials.Action{Name: "delete"}, "invalid_param"},
		"secret that is not sealed": {"erp", credentials.Action{Name: credentials.ActionRotate, Fields: map[string]any{"value": "literal"}, Sealed: []string{"key"}}, "invalid_param"},
	}
	for name, tt := range refused {
		_, err := n.act(t, tt.id, tt.a)
		if e := refusal(t, err, tt.code); e.Hold {
			t.Errorf("%s: %+v", name, e)
		}
	}
}

// A refresh of a credential that must be connected makes the step wait.
func TestActRefreshHolds(t *testing.T) {
	t.Parallel()
	n, p := online(t), provider(t)
	n.create(t, authorizationCode("crm", p))
	n.patch(t, "crm", `{"allowed_workflows": ["/**"], "rotatable_by": ["/ops/*"]}`)
	_, err := n.act(t, "crm", credentials.Action{Name: credentials.ActionRefresh})
	if e := refusal(t, err, credentials.CodeNeedsConnect); !e.Hold {
		t.Errorf("%+v", e)
	}
}

func TestActRotate(t *testing.T) {
	t.Parallel()
	n := online(t)
	up := serve(t, func(w http.ResponseWriter, r *http.Request) {
		if key := r.Header.Get("X-Key"); key != "the-first-key" && key != "the-second-key" {
			w.WriteHeader(http.StatusUnauthorized)
		}
	})
	n.create(t, apiKey("erp", up.URL, "the-first-key", `, "test_url": `+quoted(t, up.URL)+rotatable))
	rotate := func(value string) (map[string]any, error) {
		return n.act(t, "erp", credentials.Action{Name: credentials.ActionRotate, Fields: map[string]any{"value": value}, Sealed: []string{"value"}})
	}
	for range 2 { // the second time changes nothing
		out, err := rotate("the-second-key")
		if diff := cmp.Diff(map[string]any{"version": 2}, out); diff != "" || err != nil {
			t.Errorf("rotate (-want +got), %v:\n%s", err, diff)
		}
	}
	if _, err := rotate("a-wrong-key"); refusal(t, err, credentials.CodeRefused) == nil {
		t.Error("a wrong key was promoted")
	}
	if a, err := call(t, n.client(t, credentials.Use{ID: "erp"}), http.MethodGet, up.URL, ""); err != nil || a.status != http.StatusOK {
		t.Errorf("status %d, %v", a.status, err)
	}
}

func TestCheckAct(t *testing.T) {
	t.Parallel()
	n := online(t)
	n.create(t, basic("erp", "api.example.com", "the-password"))
	n.patch(t, "erp", `{"allowed_workflows": ["/**"], "rotatable_by": ["/ops/rotate"]}`)
	secrets, err := n.CheckAct(t.Context(), "erp", "rotate", "/ops")
	if diff := cmp.Diff([]string{"password"}, secrets); diff != "" || err != nil {
		t.Errorf("secrets (-want +got), %v:\n%s", err, diff)
	}
	if _, err := n.CheckAct(t.Context(), "erp", "other", "/ops"); !fault.Is(err, fault.Forbidden) {
		t.Errorf("another workflow: %v", err)
	}
	if _, err := n.CheckAct(t.Context(), "nobody", "rotate", "/ops"); !fault.Is(err, fault.NotFound) {
		t.Errorf("unknown: %v", err)
	}
}

// A sealed output opens for the step that it was sealed for, and for no other.
func TestSealedOutputs(t *testing.T) {
	t.Parallel()
	n := online(t)
	sealed, err := n.SealOutput("run-1", "make", -1, []byte(`"key"`))
	if err != nil {
		t.Fatal(err)
	}
	if text, err := n.OpenOutput("run-1", "make", -1, sealed); err != nil || string(text) != `"key"` {
		t.Errorf("opened %q, %v", text, err)
	}
	for name, place := range map[string]struct {
		run, node string
		index     int
	}{"another run": {"run-2", "make", -1}, "another node": {"run-1", "made", -1}, "another element": {"run-1", "make", 0}} {
		if text, err := n.OpenOutput(place.run, place.node, place.index, sealed); err == nil {
			t.Errorf("%s: opened %q", name, text)
		}
	}
}
