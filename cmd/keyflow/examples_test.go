package main

import (
	"encoding/json"
	"fmt"
	"io"
	"net/http"
	"net/http/httptest"
	"os"
	"slices"
	"strings"
	"sync"
	"testing"

	"github.com/google/go-cmp/cmp"

	"keyflow/credentials/oauth/oauthtest"
)

// company plays every system that the examples call; a path begins with the system's name.
type company struct {
	*httptest.Server
	mu    sync.Mutex
	calls []string // "METHOD path user or key"
}

func newCompany(t *testing.T) *company {
	t.Helper()
	c := &company{}
	c.Server = httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		who := r.Header.Get("X-Api-Key")
		if user, password, ok := r.BasicAuth(); ok {
			who = user + ":" + password
		}
		if strings.HasPrefix(r.Header.Get("Authorization"), "Bearer ") {
			who = "bearer"
		}
		_, _ = io.Copy(io.Discard, r.Body)
		c.mu.Lock()
		c.calls = append(c.calls, strings.TrimSpace(r.Method+" "+r.URL.Path+" "+who))
		c.mu.Unlock()
		answers := map[string]any{
			"/identity/v1/users":                        map[string]any{"id": "u 1"},
			"/tickets/api/tickets":                      map[string]any{"number": 4711},
			"/alpha/v2/servers":                         map[string]any{"servers": []int{1, 2, 3}},
			"/beta/servers":                             map[string]any{"servers": []int{4}},
			"/warehouse/partners":                       []map[string]any{{"id": "acme", "url": c.URL + "/acme", "skus": []string{"a"}}, {"id": "globex", "url": c.URL + "/globex", "skus": []string{"b"}}},
			"/warehouse/stock":                          []map[string]any{{"sku": "a", "count": 1}, {"sku": "b", "count": 2}},
			"/rest/v1/leads.json":                       map[string]any{"success": true, "result": []map[string]any{{"id": 1, "email": "a@b.kr", "firstName": "A", "lastName": "B"}}},
			"/crm/v2/contacts":                          map[string]any{"id": "c-1"},
			"/reports/inbox":                            map[string]any{},
			"/acme/stock":                               map[string]any{},
			"/globex/stock":                             map[string]any{},
			"/identity/v1/groups/git-users/members/u 1": map[string]any{},
			"/chat/api/rooms/crew":                      map[string]any{},
			"/partner/v1/keys":                          map[string]any{"key": "key-of-the-next-month"},
			"/partner/v1/account":                       map[string]any{"name": "acme"},
		}
		answer, ok := answers[r.URL.Path]
		if !ok {
			w.WriteHeader(http.StatusNotFound)
			return
		}
		w.Header().Set("Content-Type", "application/json")
		_ = json.NewEncoder(w).Encode(answer)
	}))
	t.Cleanup(c.Close)
	return c
}

func (c *company) seen() []string {
	c.mu.Lock()
	defer c.mu.Unlock()
	seen := slices.Clone(c.calls)
	slices.Sort(seen)
	return seen
}

// Every example runs: what its description says is what the systems see.
func TestExamplesRun(t *testing.T) {
	t.Parallel()
	provider := oauthtest.New(t, oauthtest.Options{})
	tests := []struct {
		file, workflow string
		input          map[string]any
		output         any
		calls          []string
	}{
		{
			"internal-systems.json", "new-hire", map[string]any{"name": "Kim", "email": "kim@acme.kr", "department": "engineering"},
			map[string]any{"user": "u 1", "grouped": true, "ticket": 4711.0},
			[]string{"POST /identity/v1/users bearer", "POST /tickets/api/tickets key-tickets-key", "PUT /identity/v1/groups/git-users/members/u 1 bearer"},
		},
		{
			"cloud-inventory.json", "cloud-inventory", map[string]any{},
			map[string]any{"clouds": []any{map[string]any{"cloud": "alpha", "count": 3.0}, map[string]any{"cloud": "beta", "count": 1.0}}, "unreachable": 1.0, "total": 4.0},
			[]string{"GET /alpha/v2/servers key-cloud-alpha", "GET /beta/servers key-cloud-beta", "GET /gamma/api/instances key-cloud-gamma", "POST /reports/inbox key-reports-key"},
		},
		{
			"partner-sync.json", "partner-sync", map[string]any{},
			map[string]any{"sent": 2.0, "failed": 0.0},
			[]string{"GET /warehouse/partners key-warehouse-key", "GET /warehouse/stock key-warehouse-key", "PUT /acme/stock acme:password-of-acme", "PUT /globex/stock globex:password-of-globex"},
		},
		{
			"marketo-leads.json", "marketo-leads", map[string]any{"ids": []int{1}},
			map[string]any{"leads": 1.0, "contacts": []any{"c-1"}},
			[]string{"GET /rest/v1/leads.json bearer", "POST /crm/v2/contacts key-crm"},
		},
		{
			"ticket-events.json", "ticket-events", map[string]any{"number": 7, "title": "No power in the hall"},
			map[string]any{"told": "succeeded"},
			[]string{"POST /chat/api/rooms/crew key-tickets-key"},
		},
		{
			"rotate-key.json", "rotate-key", map[string]any{},
			map[string]any{"version": 2.0, "status": 200.0},
			[]string{"GET /partner/v1/account key-of-the-next-month", "GET /partner/v1/account key-of-the-next-month", "POST /partner/v1/keys key-partner-api"},
		},
	}
	for _, tt := range tests {
		t.Run(tt.file, func(t *testing.T) {
			t.Parallel()
			up := newCompany(t)
			s := serve(t, "")
			createExampleCredentials(s, up.URL, provider)
			source, err := os.ReadFile("../../examples/" + tt.file)
			if err != nil {
				t.Fatal(err)
			}
			definition := strings.NewReplacer(
				"https://identity.internal.example.com", up.URL+"/identity", "https://tickets.internal.example.com", up.URL+"/tickets",
				"https://api.alpha-cloud.example.com", up.URL+"/alpha", "https://compute.beta.example.com", up.URL+"/beta",
				"https://gamma.example.com", up.URL+"/gamma", "https://reports.internal.example.com", up.URL+"/reports",
				"https://warehouse.internal.example.com", up.URL+"/warehouse", "https://123-abc-456.mktorest.com", up.URL, "https://crm.example.com", up.URL+"/crm",
				"https://partner.example.com", up.URL+"/partner", "https://chat.internal.example.com", up.URL+"/chat",
			).Replace(string(source))
			if a := s.must(http.MethodPut, "/api/v1/workflows/"+tt.workflow, definition); strings.Contains(a.body, "credential_unknown") {
				t.Fatalf("a credential is missing: %s", a.body)
			}
			run := s.run(tt.workflow, tt.input)
			if run.json["status"] != "succeeded" {
				t.Fatalf("run: %s", run.body)
			}
			if diff := cmp.Diff(tt.output, run.json["output"]); diff != "" {
				t.Errorf("output (-want +got):\n%s", diff)
			}
			if diff := cmp.Diff(tt.calls, up.seen()); diff != "" {
				t.Errorf("what the systems saw (-want +got):\n%s", diff)
			}
		})
	}
}

func createExampleCredentials(s *instance, upstream string, provider *oauthtest.Server) {
	create := func(id, typ string, fields map[string]any) {
		s.must(http.MethodPost, "/api/v1/credentials", map[string]any{
			"id": id, "type": typ, "fields": fields, "allowed_hosts": []string{upstream}, "allowed_workflows": []string{"/**"},
		})
	}
	for _, id := range []string{"tickets-key", "hr-form-key", "cloud-alpha", "cloud-beta", "cloud-gamma", "reports-key", "warehouse-key", "partner-hooks", "form-key", "crm"} {
		create(id, "api_key", map[string]any{"key": "X-Api-Key", "value": "key-" + id})
	}
	s.must(http.MethodPost, "/api/v1/credentials", map[string]any{
		"id": "partner-api", "type": "api_key", "fields": map[string]any{"key": "X-Api-Key", "value": "key-partner-api"}, "allowed_hosts": []string{upstream},
		"allowed_workflows": []string{"/**"}, "rotatable_by": []string{"/partners/rotate-key"}, "test_url": upstream + "/partner/v1/account",
	})
	for _, partner := range []string{"acme", "globex"} {
		create("partner-"+partner, "basic_auth", map[string]any{"username": partner, "password": fmt.Sprintf("password-of-%s", partner)})
	}
	for _, id := range []string{"identity-oauth", "marketo"} {
		create(id, "oauth2", map[string]any{
			"grant_type": "client_credentials", "access_token_url": provider.TokenURL, "client_id": provider.ClientID, "client_secret": provider.ClientSecret,
		})
	}
}
