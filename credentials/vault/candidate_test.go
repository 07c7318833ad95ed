package vault_test

import (
	"net/http"
	"net/http/httptest"
	"strings"
	"sync"
	"testing"

	"github.com/google/go-cmp/cmp"

	"keyflow/credentials"
	"keyflow/internal/fault"
)

// guarded is a real server that lets in whoever shows one of its keys, and notes what it saw.
type guarded struct {
	*httptest.Server
	mu      sync.Mutex
	accepts map[string]bool
	seen    []string
}

func guard(t *testing.T, keys ...string) *guarded {
	t.Helper()
	g := &guarded{}
	g.accept(keys...)
	g.Server = httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		key := r.Header.Get("X-Key")
		g.mu.Lock()
		defer g.mu.Unlock()
		g.seen = append(g.seen, key+" "+r.URL.Path)
		if !g.accepts[key] {
			w.WriteHeader(http.StatusUnauthorized)
		}
	}))
	t.Cleanup(g.Close)
	return g
}

// accept lets in these keys only.
func (g *guarded) accept(keys ...string) {
	g.mu.Lock()
	defer g.mu.Unlock()
	g.accepts = make(map[string]bool)
	for _, key := range keys {
		g.accepts[key] = true
	}
}

// took returns what was seen since the last call.
func (g *guarded) took() []string {
	g.mu.Lock()
	defer g.mu.Unlock()
	seen := g.seen
	g.seen = nil
	return seen
}

// apiKey is a credential for g with the key "old-key-1".
func (g *guarded) apiKey(more string) string {
	return `{"id": "api", "type": "api_key", "fields": {"key": "X-Key", "value": "old-key-1"},
		"allowed_hosts": ["` + strings.TrimPrefix(g.URL, "http://") + `"], "test_url": "` + g.URL + `/test"` + more + `}`
}

func (n *network) stage(t *testing.T, fields map[string]any) credentials.Credential {
	t.Helper()
	c, err := n.Stage(t.Context(), admin, "api", fields)
	if err != nil {
		t.Fatalf("stage: %v\n%+v", err, fault.ProblemsOf(err))
	}
	return c
}

func (n *network) promote(t *testing.T, how credentials.Promotion) credentials.Credential {
	t.Helper()
	c, err := n.Promote(t.Context(), admin, "api", how)
	if err != nil {
		t.Fatalf("promote: %v\n%+v", err, fault.ProblemsOf(err))
	}
	return c
}

func (n *network) credential(t *testing.T) credentials.Credential {
	t.Helper()
	c, err := n.Get(t.Context(), admin, "api")
	if err != nil {
		t.Fatal(err)
	}
	return c
}

func newKey() map[string]any { return map[string]any{"value": "new-key-2"} }

func TestCandidateFromStagingToRollback(t *testing.T) {
	t.Parallel()
	n, g := online(t), guard(t, "old-key-1", "new-key-2")
	n.create(t, g.apiKey(""))
	staged := n.stage(t, newKey())
	if staged.Version != 1 || staged.Candidate == nil || staged.Candidate.Test != nil || staged.Candidate.CreatedBy != "admin" ||
		staged.Candidate.Secrets["value"].Fingerprint == staged.Secrets["value"].Fingerprint {
		t.Fatalf("staged: %+v", staged.Candidate)
	}
	n = onlineWith(t, n.db, n.dir) // a candidate survives a restart
	mustGet(t, n, "api", g.URL+"/run")
	if diff := cmp.Diff([]string{"old-key-1 /run"}, g.took()); diff != "" {
		t.Errorf("on the wire before promotion (-want +got):\n%s", diff)
	}
	result, err := n.TestCandidate(t.Context(), admin, "api")
	if err != nil || !result.OK {
		t.Fatalf("test: %+v, %v", result, err)
	}
	if diff := cmp.Diff([]string{"new-key-2 /test"}, g.took()); diff != "" {
		t.Errorf("test on the wire (-want +got):\n%s", diff)
	}
	if c := n.credential(t); c.Candidate.Test == nil || !c.Candidate.Test.OK || c.Candidate.Test.Message != result.Message || c.State.Status != credentials.OK {
		t.Errorf("remembered %+v, state %+v", c.Candidate.Test, c.State)
	}
	mustGet(t, n, "api", g.URL+"/run")
	promoted := n.promote(t, credentials.Promotion{})
	if promoted.Version != 2 || promoted.Candidate != nil || promoted.FallBack != nil || promoted.State.Status != credentials.OK {
		t.Errorf("promoted: %+v", promoted)
	}
	mustGet(t, n, "api", g.URL+"/run")
	if _, err := n.Rollback(t.Context(), admin, "api", 0); err != nil {
		t.Fatal(err)
	}
	mustGet(t, n, "api", g.URL+"/run")
	if diff := cmp.Diff([]string{"old-key-1 /run", "new-key-2 /test", "new-key-2 /run", "old-key-1 /run"}, g.took()); diff != "" {
		t.Errorf("on the wire (-want +got):\n%s", diff)
	}
	versions, err := n.Versions(t.Context(), admin, "api")
	if err != nil || len(versions) != 3 || versions[0].Origin != "rollback" || versions[1].Origin != "promotion" {
		t.Errorf("versions %+v, %v", versions, err)
	}
}

func TestWrongCandidateIsNotPromoted(t *testing.T) {
	t.Parallel()
	tests := map[string]struct {
		more    string
		patch   string
		how     credentials.Promotion
		code    string
		message string
	}{
		"refused": {"", "", credentials.Promotion{}, "test_failed", "refused the credential"},
		"nothing to test with": {"", `{"test_url": ""}`, credentials.Promotion{}, "test_failed",
			"The credential has no test URL, so nothing was sent. Enter a URL of the service that needs this credential and changes nothing, and test again."},
		"nothing to fall back by": {"", `{"test_url": ""}`, credentials.Promotion{FallBack: true, Force: true}, "no_fall_back",
			"falling back needs a test_url, where the former secret is tried first"},
	}
	for name, tt := range tests {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			n, g := online(t), guard(t, "old-key-1")
			n.create(t, g.apiKey(tt.more))
			if tt.patch != "" {
				n.patch(t, "api", tt.patch)
			}
			n.stage(t, newKey())
			_, err := n.Promote(t.Context(), admin, "api", tt.how)
			problems := fault.ProblemsOf(err)
			if !fault.Is(err, fault.Conflict) || len(problems) != 1 || problems[0].Code != tt.code || !strings.Contains(problems[0].Message, tt.message) {
				t.Fatalf("promote: %v %+v", err, problems)
			}
			if c := n.credential(t); c.Version != 1 || c.Candidate == nil {
				t.Errorf("version %d, candidate %+v", c.Version, c.Candidate)
			}
			if a := mustGet(t, n, "api", g.URL+"/run"); a.status != http.StatusOK {
				t.Errorf("the current version does not work any more: %+v", a)
			}
			if c := n.promote(t, credentials.Promotion{Force: true}); c.Version != 2 || c.Candidate != nil || c.State.Status != credentials.Untested {
				t.Errorf("forced: %+v", c)
			}
		})
	}
}

func TestWhatKeepsAndWhatDropsACandidate(t *testing.T) {
	t.Parallel()
	tests := map[string]struct {
		do   func(t *testing.T, k *keep)
		kept bool
	}{
		"name and limits": {func(t *testing.T, k *keep) {
			t.Helper()
			k.patch(t, "erp", `{"name": "New", "limits": {"concurrency": 3}}`)
		}, true},
		"same fields":  {func(t *testing.T, k *keep) { t.Helper(); k.patch(t, "erp", `{"fields": {"password": "canary-Pw-1"}}`) }, true},
		"secret field": {func(t *testing.T, k *keep) { t.Helper(); k.patch(t, "erp", `{"fields": {"password": "canary-Pw-2"}}`) }, false},
		"plain field":  {func(t *testing.T, k *keep) { t.Helper(); k.patch(t, "erp", `{"fields": {"username": "u"}}`) }, false},
		"dropped": {func(t *testing.T, k *keep) {
			t.Helper()
			if _, err := k.Unstage(t.Context(), admin, "erp"); err != nil {
				t.Fatal(err)
			}
		}, false},
		"rollback": {func(t *testing.T, k *keep) { t.Helper(); k.rollback(t, "erp", 1) }, false},
	}
	for name, tt := range tests {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			k := setup(t)
			k.create(t, erp)
			k.patch(t, "erp", `{"fields": {"username": "before"}}`)
			_, err := k.Stage(t.Context(), admin, "erp", map[string]any{"password": "canary-Pw-3"})
			if err != nil {
				t.Fatal(err)
			}
			tt.do(t, k)
			c, err := k.Get(t.Context(), admin, "erp")
			if err != nil || (c.Candidate != nil) != tt.kept {
				t.Errorf("candidate %+v, %v; kept should be %v", c.Candidate, err, tt.kept)
			}
		})
	}
}

func TestStagingDoesNotWiden(t *testing.T) {
	t.Parallel()
	const api = `{"id": "crm", "type": "api_key", "fields": {"key": "X-Key", "value": "canary-Pw-1"}, "allowed_hosts": ["a.example"]}`
	tests := map[string]struct {
		create string
		fields map[string]any
		want   string
		with   map[string]any // makes it possible
	}{
		"header name": {api, map[string]any{"key": "X-Echoed"}, "/fields/key", map[string]any{"value": "mine-12345"}},
		"placement":   {api, map[string]any{"in": "query"}, "/fields/in", map[string]any{"value": "mine-12345"}},
		"token URL":   {crm, map[string]any{"access_token_url": "https://evil.example/token"}, "/fields/access_token_url", map[string]any{"client_secret": "mine-12345"}},
	}
	for name, tt := range tests {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			k := setup(t)
			k.create(t, tt.create)
			_, err := k.Stage(t.Context(), admin, "crm", tt.fields)
			if got := problemLines(err); len(got) != 1 || !strings.HasPrefix(got[0], tt.want+" secret_required: this change could send the stored secret somewhere new") {
				t.Fatalf("staged without the secret: %v %v", err, got)
			}
			for field, value := range tt.with {
				tt.fields[field] = value
			}
			if _, err := k.Stage(t.Context(), admin, "crm", tt.fields); err != nil {
				t.Errorf("staged with the secret: %v", err)
			}
		})
	}
}

// Somebody who knows the current secret widens the credential while another secret waits.
func TestCandidateDoesNotFollowToPlacesItWasNotMeantFor(t *testing.T) {
	t.Parallel()
	tests := map[string]struct{ edit, want string }{
		"allowed host": {`{"allowed_hosts": ["*"], "fields": {"value": "old-key-1"}}`, "/allowed_hosts/0"},
		"test URL":     {`{"test_url": "http://127.0.0.1:1/", "allowed_hosts": ["127.0.0.1"], "fields": {"value": "old-key-1"}}`, "/allowed_hosts/0"},
	}
	for name, tt := range tests {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			n, g := online(t), guard(t, "old-key-1", "new-key-2")
			n.create(t, g.apiKey(""))
			n.stage(t, newKey())
			n.patch(t, "api", tt.edit)
			_, testErr := n.TestCandidate(t.Context(), admin, "api")
			_, promoteErr := n.Promote(t.Context(), admin, "api", credentials.Promotion{Force: true})
			for _, err := range []error{testErr, promoteErr} {
				problems := fault.ProblemsOf(err)
				if !fault.Is(err, fault.Conflict) || len(problems) == 0 || problems[0].Path != tt.want || problems[0].Code != "wider_reach" {
					t.Errorf("%v %+v", err, problems)
				}
			}
			if seen := g.took(); len(seen) != 0 {
				t.Errorf("on the wire: %v", seen)
			}
		})
	}
}

func TestCandidateErrors(t *testing.T) {
	t.Parallel()
	k := setup(t)
	k.create(t, erp)
	if _, err := k.Promote(t.Context(), admin, "erp", credentials.Promotion{Force: true}); fault.Message(err) != `credential "erp" has no candidate: stage new values first` {
		t.Errorf("promoted nothing: %v", err)
	}
	if _, err := k.TestCandidate(t.Context(), admin, "erp"); !fault.Is(err, fault.Conflict) {
		t.Errorf("tested nothing: %v", err)
	}
	if _, err := k.Stage(t.Context(), admin, "nope", nil); !fault.Is(err, fault.NotFound) {
		t.Errorf("staged for nothing: %v", err)
	}
	_, err := k.Stage(t.Context(), admin, "erp", map[string]any{"pasword": "canary-x", "username": 7})
	want := []string{
		`/fields/pasword unknown_field: is not a field of basic_auth (did you mean "password"?); it has username, password, username_secret`,
		`/fields/username invalid_type: must be a text`,
	}
	if diff := cmp.Diff(want, problemLines(err)); diff != "" {
		t.Errorf("problems (-want +got):\n%s", diff)
	}
}

func TestMovedOrRewrittenCandidatesAreRefused(t *testing.T) {
	t.Parallel()
	const damagedCandidate = `the candidate of credential "erp" is damaged in the database: stage it again`
	tests := map[string]struct {
		tamper func(t *testing.T, k *keep)
		want   string
	}{
		"from another credential": {func(t *testing.T, k *keep) {
			t.Helper()
			k.exec(t, "UPDATE credentials SET candidate = (SELECT candidate FROM credentials WHERE id = 'other') WHERE id = 'erp'")
		}, damagedCandidate},
		"from the current version": {func(t *testing.T, k *keep) {
			t.Helper()
			k.exec(t, "UPDATE credentials SET candidate = (SELECT sealed FROM credential_versions WHERE credential = 'erp') WHERE id = 'erp'")
		}, damagedCandidate},
		"an earlier candidate": {func(t *testing.T, k *keep) {
			t.Helper()
			var old string
			if err := k.db.Read().Raw("SELECT candidate FROM credentials WHERE id = 'erp'").Scan(&old).Error; err != nil {
				t.Fatal(err)
			}
			if _, err := k.Stage(t.Context(), admin, "erp", map[string]any{"password": "canary-Pw-4"}); err != nil {
				t.Fatal(err)
			}
			k.exec(t, "UPDATE credentials SET candidate = ? WHERE id = 'erp'", []byte(old))
		}, damagedCandidate},
		"what it may reach": {func(t *testing.T, k *keep) {
			t.Helper()
			k.rewrite(t, "details", `"reach":{"allowed_hosts":["erp`, `"reach":{"allowed_hosts":["evil`)
		}, damagedErp},
		"its plain fields": {func(t *testing.T, k *keep) {
			t.Helper()
			k.rewrite(t, "details", `"username":"it@acme.kr"`, `"username":"x"`)
		}, damagedErp},
	}
	for name, tt := range tests {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			k := setup(t)
			for _, id := range []string{"erp", "other"} {
				k.create(t, strings.Replace(erp, `"id": "erp"`, `"id": "`+id+`"`, 1))
				if _, err := k.Stage(t.Context(), admin, credentials.ID(id), map[string]any{"password": "canary-Pw-" + id}); err != nil {
					t.Fatal(err)
				}
			}
			tt.tamper(t, k)
			k = k.reopened(t)
			if _, err := k.Promote(t.Context(), admin, "erp", credentials.Promotion{Force: true}); fault.Message(err) != tt.want {
				t.Errorf("promote: %v, want %s", err, tt.want)
			}
			if text, err := k.OpenText(t.Context(), "erp", "password"); (err == nil) != (tt.want == damagedCandidate) || err == nil && text != "canary-Pw-1" {
				t.Errorf("current version: %q, %v", text, err)
			}
			if _, err := k.Promote(t.Context(), admin, "other", credentials.Promotion{Force: true}); err != nil {
				t.Errorf("the other credential: %v", err)
			}
		})
	}
}

// Staging keeps what the record says; it must not make good what somebody rewrote.
func TestRewrittenRecordIsNotBoundAnewByACandidate(t *testing.T) {
	t.Parallel()
	k := setup(t)
	k.create(t, full)
	k.rewrite(t, "details", `["a.example"]`, `["a.example","evil.example"]`)
	k = k.reopened(t)
	if _, err := k.Stage(t.Context(), admin, "erp", map[string]any{"value": "mine-12345"}); fault.Message(err) != damagedErp {
		t.Errorf("stage: %v", err)
	}
	if _, err := k.Unstage(t.Context(), admin, "erp"); fault.Message(err) != damagedErp {
		t.Errorf("unstage: %v", err)
	}
	if text, err := k.OpenText(t.Context(), "erp", "value"); err == nil {
		t.Errorf("opened %q", text)
	}
}

func TestPromotionOverAnotherCandidateIsStale(t *testing.T) {
	t.Parallel()
	n := online(t)
	var once sync.Once
	server := httptest.NewServer(http.HandlerFunc(func(http.ResponseWriter, *http.Request) { // while the test runs
		once.Do(func() { n.stage(t, map[string]any{"value": "other-key-3"}) })
	}))
	defer server.Close()
	n.create(t, (&guarded{Server: server}).apiKey(""))
	n.stage(t, newKey())
	if _, err := n.Promote(t.Context(), admin, "api", credentials.Promotion{}); !fault.Is(err, fault.Stale) {
		t.Fatalf("promoted what was not tested: %v", err)
	}
	if c := n.credential(t); c.Version != 1 || c.Candidate == nil || c.Candidate.Test != nil {
		t.Errorf("version %d, candidate %+v", c.Version, c.Candidate)
	}
}
