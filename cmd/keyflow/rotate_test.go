package main

import (
	"encoding/json"
	"fmt"
	"net/http"
	"net/http/httptest"
	"strings"
	"sync"
	"testing"
)

// issuer is an API that gives out its own keys: a new one makes the former ones invalid at its
// first use, and every answer repeats the key that it was called with.
type issuer struct {
	*httptest.Server
	mu   sync.Mutex
	keys []string // given out and to be given out
	used int      // the newest one in use
	next int      // the next to be given out
}

func newIssuer(t *testing.T, keys ...string) *issuer {
	t.Helper()
	i := &issuer{keys: keys, next: 1}
	i.Server = httptest.NewServer(http.HandlerFunc(i.answer))
	t.Cleanup(i.Close)
	return i
}

func (i *issuer) answer(w http.ResponseWriter, r *http.Request) {
	i.mu.Lock()
	defer i.mu.Unlock()
	w.Header().Set("Content-Type", "application/json")
	key := r.Header.Get("X-Key")
	for n := i.used; n < i.next; n++ {
		if key != i.keys[n] {
			continue
		}
		i.used = n
		answer := map[string]any{"called_with": key}
		if r.URL.Path == "/keys" {
			answer["key"] = i.keys[i.next%len(i.keys)]
			w.Header().Set("X-New-Key", i.keys[i.next%len(i.keys)])
			i.next = min(i.next+1, len(i.keys))
		}
		if r.URL.Path == "/broken" {
			answer["key"] = i.keys[i.next%len(i.keys)]
			w.WriteHeader(http.StatusConflict)
		}
		_ = json.NewEncoder(w).Encode(answer)
		return
	}
	w.WriteHeader(http.StatusUnauthorized)
}

// store makes the credential "issued" with the issuer's first key, and a workflow that rotates it.
func (i *issuer) store(s *instance, sweep *sweeper) {
	s.t.Helper()
	sweep.add("create issued", s.must(http.MethodPost, "/api/v1/credentials", fmt.Sprintf(`{"id": "issued", "type": "api_key", "allowed_hosts": [%q],
		"fields": {"key": "X-Key", "value": %q}, "test_url": %q, "rotatable_by": ["/rotate-*"]}`, i.URL, i.keys[0], i.URL+"/check")).body)
	s.apply("rotate-issued", `{"id": "rotate-issued", "nodes": {
		"make":   {"type": "web_request", "sensitive": true, "credential": "issued", "with": {"method": "POST", "url": "`+i.URL+`/keys"}},
		"rotate": {"type": "credential", "needs": ["make"], "credential": "issued", "with": {"action": "rotate", "fields": {"value": "{{ nodes.make.output.body.key }}"}}},
		"look":   {"type": "transform", "needs": ["make"], "with": {"value": {"made": "{{ nodes.make.output }}"}}},
		"text":   {"type": "transform", "needs": ["make"], "with": {"value": "{{ toJSON(nodes.make) }}"}, "on_error": "continue"},
		"check":  {"type": "web_request", "needs": ["rotate"], "credential": "issued", "with": {"url": "`+i.URL+`/check"}}},
		"output": {"version": "{{ nodes.rotate.output.version }}", "made": "{{ nodes.make.output }}", "check": "{{ nodes.check.output.body }}"}}`)
}

// sweepSensitive rotates a credential by a workflow, with a key that works, one that does not, and
// an API that fails while it shows a new key.
func sweepSensitive(s *instance, sweep *sweeper) {
	s.t.Helper()
	first, second, unused := `c4nary-first-issued/key+01d9`, `c4nary-second-issued/key+77e2`, `c4nary-"third\issued/key+9c41`
	for name, key := range map[string]string{"first issued key": first, "second issued key": second, "third issued key": unused} {
		sweep.canaries[name] = key
	}
	i := newIssuer(s.t, first, second, unused)
	i.store(s, sweep)
	run := s.run("rotate-issued", map[string]any{})
	sweep.add("run rotate-issued", run.body)
	if !strings.Contains(run.body, `"output":{"check":{"called_with":"***"},"made":"***","version":2}`) {
		s.t.Errorf("rotation: %s", run.body)
	}
	if !strings.Contains(run.body, "a redacted value (***) cannot be used here") {
		s.t.Errorf("the text of a redacted value: %s", run.body)
	}
	r := keyflow(s.t, s.env(), "runs", "watch", text(run.json["id"]))
	sweep.add("cli rotate-issued", r.stdout+r.stderr)
	sweep.add("get issued", s.do(http.MethodGet, "/api/v1/credentials/issued", nil).body)

	s.apply("rotate-broken", `{"id": "rotate-broken", "nodes": {
		"make": {"type": "web_request", "sensitive": true, "credential": "issued", "with": {"method": "POST", "url": "`+i.URL+`/broken"},
			"retry": {"max_attempts": 2, "initial": "1ms", "if": "error.response.status == 409"}, "on_error": "continue"},
		"bad":  {"type": "web_request", "sensitive": true, "credential": "issued", "with": {"method": "POST", "url": "`+i.URL+`/keys"}, "output": "{{ int(this.body.key) }}", "on_error": "continue"},
		"look": {"type": "transform", "needs": ["make", "bad"], "run_on": "always", "with": {"value": "{{ [nodes.make.error, nodes.bad.error] }}"}}},
		"output": "{{ nodes.look.output }}"}`)
	run = s.run("rotate-broken", map[string]any{})
	sweep.add("run rotate-broken", run.body)
	if !strings.Contains(run.body, `"body":"***"`) || !strings.Contains(run.body, `"code":"expression"`) || strings.Count(run.body, `"status":409`) < 2 {
		s.t.Errorf("failures of sensitive nodes: %s", run.body)
	}
	refused := s.do(http.MethodPut, "/api/v1/workflows/rotate-literal", `{"id": "rotate-literal", "nodes": {
		"rotate": {"type": "credential", "credential": "issued", "with": {"action": "rotate", "fields": {"value": "a literal"}}}}}`)
	if refused.status != http.StatusUnprocessableEntity || !strings.Contains(refused.body, "literal_secret") {
		s.t.Errorf("a literal secret: %d %s", refused.status, refused.body)
	}
}

// A crash between the new key and its rotation loses nothing: the sealed output is opened again.
func TestRotationOverKill(t *testing.T) {
	t.Parallel()
	up := &recorder{calls: map[string]int{}, gate: make(chan struct{})}
	gate := httptest.NewServer(up)
	t.Cleanup(gate.Close)
	i := newIssuer(t, "the-first-issued-key", "the-second-issued-key")
	s := serve(t, "")
	var sweep sweeper
	i.store(s, &sweep)
	s.apply("rotate-late", `{"id": "rotate-late", "nodes": {
		"make":   {"type": "web_request", "sensitive": true, "credential": "issued", "with": {"method": "POST", "url": "`+i.URL+`/keys"}},
		"wait":   {"type": "web_request", "needs": ["make"], "timeout": "5m", "with": {"url": "`+gate.URL+`/slow/0"}},
		"rotate": {"type": "credential", "needs": ["make", "wait"], "credential": "issued", "with": {"action": "rotate", "fields": {"value": "{{ nodes.make.output.body.key }}"}}}},
		"output": "{{ nodes.rotate.output }}"}`)
	id := text(s.must(http.MethodPost, "/api/v1/workflows/rotate-late/runs", map[string]any{}).json["id"])
	eventually(t, "the run is behind the new key", func() bool { return up.count("/slow/0") == 1 })
	s.kill()
	up.open()
	s = serve(t, s.dir)
	var run answer
	eventually(t, "the run ends", func() bool {
		run = s.must(http.MethodGet, "/api/v1/runs/"+id, nil)
		return run.json["finished_at"] != nil
	})
	if run.json["status"] != "succeeded" || !strings.Contains(run.body, `"output":{"version":2}`) {
		t.Errorf("run %s", run.body)
	}
	if a := s.do(http.MethodPost, "/api/v1/credentials/issued/test", nil); !strings.Contains(a.body, `"ok":true`) {
		t.Errorf("test of the rotated credential: %s", a.body)
	}
}
