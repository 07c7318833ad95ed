package main

import (
	"encoding/json"
	"fmt"
	"io"
	"net"
	"net/http"
	"net/http/httptest"
	"net/url"
	"os"
	"path/filepath"
	"regexp"
	"strconv"
	"strings"
	"sync"
	"testing"
	"time"
)

// Attacks from the outside on a real process (docs/explanation/security.md): a hostile author, upstream,
// stranger and reader of logs.

// alive checks that the process still does other work.
func (s *instance) alive(after string) {
	s.t.Helper()
	if a := s.do(http.MethodGet, "/healthz", nil); a.status != http.StatusOK {
		s.t.Fatalf("after %s: %d %s", after, a.status, s.stderr)
	}
}

// hook is a workflow that answers a webhook with one value.
func hook(id, value string) string {
	return fmt.Sprintf(`{"id": %q, "triggers": {"h": {"type": "webhook", "path": %q, "respond": "on_finish"}},
		"nodes": {"x": {"type": "transform", "with": {"value": %s}}}, "output": "{{ nodes.x.output }}"}`, id, id, value)
}

// stranger posts without a token.
func (s *instance) stranger(path, body string) answer {
	s.t.Helper()
	return s.do(http.MethodPost, path, body, "Authorization", "")
}

func TestAttackExpressions(t *testing.T) {
	t.Parallel()
	s := serve(t, "")
	list := "[" + strings.TrimSuffix(strings.Repeat("1,", 3000), ",") + "]"
	body := fmt.Sprintf(`{"l": %s, "s": %q}`, list, strings.Repeat("x", 1<<20))
	for id, expression := range map[string]string{
		"double":  `reduce(1..40, #acc + #acc, 'xxxxxxxxxx')`,
		"nested":  `any(input.l, let a = #; any(input.l, let b = #; any(input.l, # == a + b + 0.5)))`,
		"split":   `map(input.l, split(input.s, 'x'))`,
		"upper":   `map(input.l, upper(input.s))`,
		"matches": `any(input.l, input.s matches '(x+x+)+y')`,
		"range":   `-9223372036854775807..9223372036854775807`,
		"deep":    `fromJSON(repeat('[', 100000))`,
		"index":   `input.l[99999999999]`,
		"zero":    `1 % 0`,
		"large":   `repeat(input.s, 60)`,
	} {
		t.Run(id, func(t *testing.T) {
			s.apply(id, hook(id, strconv.Quote("{{ "+expression+" }}")))
			a := s.stranger("/hooks/"+id, body)
			if a.status != http.StatusBadGateway {
				t.Fatalf("%d %.300s", a.status, a.body)
			}
			run := s.must(http.MethodGet, "/api/v1/runs/"+text(a.json["run_id"]), nil)
			if run.json["status"] != "failed" || !strings.Contains(run.body, `"code":"expression"`) && !strings.Contains(run.body, `"code":"too_large"`) {
				t.Errorf("run %.600s", run.body)
			}
		})
	}
	s.alive("hostile expressions")
}

func TestAttackTextIsNeverATemplateAgain(t *testing.T) {
	t.Parallel()
	s := serve(t, "")
	s.apply("chain", `{"id": "chain", "triggers": {"h": {"type": "webhook", "path": "chain", "respond": "on_finish"}}, "nodes": {
		"a": {"type": "transform", "with": {"value": "{{ trigger.request.body }}"}},
		"b": {"type": "transform", "needs": ["a"], "with": {"value": {"text": "<{{ nodes.a.output.v }}>", "all": "{{ nodes.a.output }}"}}},
		"c": {"type": "transform", "needs": ["b"], "with": {"value": "{{ nodes.b.output }}"}}}, "output": "{{ nodes.c.output }}"}`)
	for _, hostile := range []string{"{{ 1+1 }}", `\{{ 1 }}`, "{{ vars }}", "{{", "}}", "${1+1}", "=1+1", "<%= 1 %>", "<script>alert(1)</script>", "\u202e\x1b[31m"} {
		body, _ := json.Marshal(map[string]string{"v": hostile, hostile: "key"})
		a := s.stranger("/hooks/chain", string(body))
		all, _ := a.json["all"].(map[string]any)
		if a.status != http.StatusOK || a.json["text"] != "<"+hostile+">" || all[hostile] != "key" {
			t.Errorf("%q: %d %s", hostile, a.status, a.body)
		}
		if a.header.Get("Content-Security-Policy") != "sandbox" || a.header.Get("X-Content-Type-Options") != "nosniff" || a.header["Set-Cookie"] != nil {
			t.Errorf("%q: headers %v", hostile, a.header)
		}
	}
}

// What strangers send costs a small part of what it would like to.
func TestAttackMemoryByWebhook(t *testing.T) {
	t.Parallel()
	s := serve(t, "")
	s.apply("open", hook("open", `"{{ len(input) }}"`))
	var wait sync.WaitGroup
	bomb := "[" + strings.Repeat("{},", 1_700_000) + "1]"
	for range 8 {
		wait.Go(func() {
			a := s.stranger("/hooks/open", bomb)
			for a.status == http.StatusServiceUnavailable && a.header.Get("Retry-After") != "" { // the others took their time
				a = s.stranger("/hooks/open", bomb)
			}
			if a.status != http.StatusBadRequest {
				t.Errorf("a body of many values: %d %s", a.status, a.body)
			}
		})
	}
	wait.Wait()
	for body, want := range map[string]int{
		strings.Repeat("[", 1_000_000):                     http.StatusBadRequest,
		strings.Repeat(`{"a":`, 100_000):                   http.StatusBadRequest,
		`{"a":` + strings.Repeat("9", 1_000_000) + "}":     http.StatusOK, // a whole number of any size keeps its digits
		`{"a":` + strings.Repeat("9", 1_000_000) + "e9.}}": http.StatusBadRequest,
	} {
		if a := s.stranger("/hooks/open", body); a.status != want {
			t.Errorf("%.10s…: %d %s, want %d", body, a.status, a.body, want)
		}
	}
	for range 200 { // announce much and send nothing
		c := s.dial()
		fmt.Fprintf(c, "POST /hooks/open HTTP/1.1\r\nHost: x\r\nContent-Type: application/json\r\nContent-Length: %d\r\n\r\n[", 5<<20)
	}
	s.alive("announced bodies")
	found := regexp.MustCompile(`(?m)^go_memstats_heap_inuse_bytes (\S+)$`).FindStringSubmatch(s.must(http.MethodGet, "/metrics", nil).body)
	if found == nil {
		t.Fatal("no heap metric")
	}
	if heap, err := strconv.ParseFloat(found[1], 64); err != nil || heap > 600<<20 {
		t.Errorf("heap of %.0f MiB, %v", heap/(1<<20), err)
	}
}

func (s *instance) dial() net.Conn {
	s.t.Helper()
	c, err := (&net.Dialer{}).DialContext(s.t.Context(), "tcp", strings.TrimPrefix(s.url, "http://"))
	if err != nil {
		s.t.Fatal(err)
	}
	s.t.Cleanup(func() { _ = c.Close() })
	return c
}

// raw sends a request as it is written and returns the status line and the rest.
func (s *instance) raw(head string) (status int, rest string) {
	s.t.Helper()
	c := s.dial()
	_ = c.SetDeadline(time.Now().Add(20 * time.Second))
	fmt.Fprintf(c, "%s\r\nHost: evil.example\r\nConnection: close\r\n\r\n", head)
	all, err := io.ReadAll(c)
	if len(all) < 12 {
		s.t.Fatalf("%q: %q %v", head, all, err)
	}
	status, _ = strconv.Atoi(string(all[9:12]))
	return status, string(all)
}

// No spelling of a path gets around the sign-in.
func TestAttackPaths(t *testing.T) {
	t.Parallel()
	s := serve(t, "")
	s.must(http.MethodPost, "/api/v1/credentials", map[string]any{"id": "marker-credential", "type": "no_auth"})
	for _, target := range []string{
		"/api/v1/credentials", "/api/v1/credentials?/healthz", "/api/v1/credentials;x=/healthz", "/api/v1/credentials/", "//api/v1/credentials",
		"/healthz/../api/v1/credentials", "/hooks/../api/v1/credentials", "/hooks/..%2fapi/v1/credentials", "/hooks/%2e%2e/api/v1/credentials",
		"/API/v1/credentials", "/api%2fv1/credentials", "/api/v1/%2e%2e/v1/credentials", "http://evil.example/api/v1/credentials",
		"/openapi.json/../metrics", "/metrics", "/metrics/", "/debug/pprof/heap", "/docs/../metrics", "/api/_/credentials/oauth_callback/../../../v1/credentials",
		"/..%2f..%2f..%2fetc%2fpasswd", "/assets/..%5c..%5cmaster.key", "/setup/../../master.key", "/%00", "*",
	} {
		for _, method := range []string{"GET", "HEAD", "POST", "PUT", "OPTIONS", "TRACE", "CONNECT", "X-FOO"} {
			for _, version := range []string{"HTTP/1.1", "HTTP/1.0"} {
				status, rest := s.raw(method + " " + target + " " + version)
				if strings.Contains(rest, "marker-credential") || strings.Contains(rest, "go_memstats") || strings.Contains(rest, "root:") || strings.Contains(rest, "evil.example") {
					t.Errorf("%s %s %s: %d %.300s", method, target, version, status, rest)
				}
				if status < 400 && strings.Contains(rest, "application/json") {
					t.Errorf("%s %s %s: %d %.300s", method, target, version, status, rest)
				}
			}
		}
	}
}

// Every route of the document asks who calls, but for the few that cannot.
func TestAttackEveryRouteIsClosed(t *testing.T) {
	t.Parallel()
	s := serve(t, "")
	var document struct{ Paths map[string]map[string]any }
	decode(t, s.do(http.MethodGet, "/openapi.json", nil, "Authorization", "").body, &document)
	open := map[string]int{"get /api/v1/setup": 200, "post /api/v1/setup": 422, "post /api/v1/session": 422, "delete /api/v1/session": 204}
	seen := 0
	for path, methods := range document.Paths {
		for method := range methods {
			want, ok := open[method+" "+path]
			if !ok {
				want = http.StatusUnauthorized
			}
			target := regexp.MustCompile(`\{[^}]*\}`).ReplaceAllString(path, "1")
			if a := s.do(strings.ToUpper(method), target, `{"x":1}`, "Authorization", ""); a.status != want {
				t.Errorf("%s %s: %d %s", method, path, a.status, a.body)
			}
			seen++
		}
	}
	if seen < 30 {
		t.Errorf("only %d routes", seen)
	}
}

// A default installation reaches nothing inside, however it is spelled.
func TestAttackInsideByDefault(t *testing.T) {
	t.Parallel()
	inside := httptest.NewServer(http.HandlerFunc(func(_ http.ResponseWriter, r *http.Request) {
		t.Errorf("reached by %s", r.Host)
	}))
	t.Cleanup(inside.Close)
	u, _ := url.Parse(inside.URL)
	hosts := strings.Fields(`127.0.0.1 127.1 127.0.0.2 2130706433 0x7f000001 0177.0.0.1 0.0.0.0 0 [::] [::1] [0:0:0:0:0:ffff:127.0.0.1] [::ffff:7f00:1]
		[::127.0.0.1] localhost localhost. LOCALHOST 10.0.0.1 172.16.0.1 192.168.1.1 100.64.0.1 169.254.1.1 [fc00::1] [fe80::1%25lo] [fec0::1] 169.254.169.254
		169.254.170.2 [fd00:ec2::254] 100.100.100.200 192.0.0.192 168.63.129.16 [64:ff9b::7f00:1] [64:ff9b:1::7f00:1] [2002:7f00:1::] [2001::1]
		192.0.2.1 198.18.0.1 198.51.100.1 203.0.113.1 224.0.0.1 240.0.0.1 255.255.255.255 [ff02::1] [2001:db8::1] [3fff::1]`)
	nodes, needs, codes := map[string]any{}, []string{}, map[string]string{}
	for i, host := range hosts {
		id := fmt.Sprintf("n%d", i)
		nodes[id] = map[string]any{"type": "web_request", "on_error": "continue", "timeout": "5s", "with": map[string]any{"url": "http://" + host + ":" + u.Port() + "/"}}
		needs, codes[host] = append(needs, id), "{{ nodes."+id+".error.code ?? 'reached' }}"
	}
	nodes["end"] = map[string]any{"type": "transform", "needs": needs, "run_on": "always", "with": map[string]any{"value": codes}}
	definition, _ := json.Marshal(map[string]any{"id": "inside", "nodes": nodes, "output": "{{ nodes.end.output }}"})
	file := filepath.Join(t.TempDir(), "inside.json")
	if err := os.WriteFile(file, definition, 0o600); err != nil {
		t.Fatal(err)
	}
	r := keyflow(t, nil, "run", file, "--data-dir", t.TempDir())
	var got map[string]string
	decode(t, r.stdout, &got)
	for _, host := range hosts {
		if got[host] != "host_not_allowed" && got[host] != "network" {
			t.Errorf("%s: %q", host, got[host])
		}
	}
}

// A credential goes to its hosts and to no other spelling, and a redirect takes it nowhere.
func TestAttackHostBinding(t *testing.T) {
	t.Parallel()
	const canary = "c4nary-host-binding-0b55e2d9"
	var mu sync.Mutex
	stolen := ""
	sink := httptest.NewServer(http.HandlerFunc(func(_ http.ResponseWriter, r *http.Request) {
		mu.Lock()
		defer mu.Unlock()
		body, _ := io.ReadAll(r.Body)
		stolen += fmt.Sprint(r.URL, r.Header, string(body), "\n")
	}))
	t.Cleanup(sink.Close)
	home := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		status, _ := strconv.Atoi(r.URL.Query().Get("status"))
		w.Header().Set("Location", r.URL.Query().Get("to"))
		w.WriteHeader(status)
	}))
	t.Cleanup(home.Close)
	own, other := strings.TrimPrefix(home.URL, "http://"), strings.TrimPrefix(sink.URL, "http://")
	s := serve(t, "")
	var urls []string
	for _, to := range []string{sink.URL, strings.Replace(sink.URL, "127.0.0.1", "localhost", 1), "//" + other, "http://" + own + "@" + other, `http://` + own + `\@` + other, "javascript:alert(1)"} {
		for _, status := range []string{"301", "302", "303", "307", "308"} {
			urls = append(urls, home.URL+"/?status="+status+"&to="+url.QueryEscape(to))
		}
	}
	urls = append(urls, sink.URL, "http://"+own+"@"+other, "http://"+other+"#@"+own, "http://"+other+"?@"+own, `http:\\`+other, "http://"+other+"/"+own)
	for _, in := range []string{"header", "query", "cookie"} {
		s.must(http.MethodPost, "/api/v1/credentials", map[string]any{
			"id": in, "type": "api_key", "fields": map[string]any{"key": "k", "value": canary, "in": in}, "allowed_hosts": []string{own},
		})
		s.apply(in, fmt.Sprintf(`{"id": %q, "nodes": {"x": {"type": "web_request", "credential": %q, "with": {"method": "POST", "url": "{{ input }}",
			"headers": {"X-Author": "c4nary-author", "Cookie": "c=c4nary-author"}, "body": {"b": "c4nary-author"}}}}, "output": "{{ nodes.x.output }}"}`, in, in))
		for _, u := range urls {
			run := s.run(in, u)
			if strings.Contains(run.body, canary) || strings.Contains(run.body, `"internal"`) {
				t.Errorf("%s: %s", u, run.body)
			}
		}
	}
	if strings.Contains(stolen, "c4nary") || strings.Contains(stolen, "Referer") || !strings.Contains(stolen, "User-Agent") {
		t.Errorf("the other server saw %s", stolen)
	}
}

// One event is one line of the log, whoever wrote its text.
func TestAttackLogLines(t *testing.T) {
	t.Parallel()
	s := serve(t, "", "--log-level", "debug", "--log-format", "json")
	for _, head := range []string{
		"GET /%0d%0a%7b%22level%22:%22FORGED%22%7d HTTP/1.1", "POST /hooks/%0aFORGED%1b[31m HTTP/1.1",
		"GET /api/v1/x HTTP/1.1\r\nX-Forwarded-For: 1.2.3.4\\n{\"level\":\"FORGED\"}\r\nUser-Agent: \x1b[31mFORGED",
	} {
		s.raw(head)
	}
	s.do(http.MethodPost, "/api/v1/session", map[string]string{"username": "a\n{\"level\":\"FORGED\"}", "password": "\n"}, "Authorization", "")
	s.do(http.MethodPost, "/api/v1/tokens", map[string]string{"name": "a\nFORGED", "role": "admin"})
	if code := s.stop(); code != exitOK {
		t.Fatalf("stop: %d", code)
	}
	lines := strings.Split(strings.TrimSpace(s.stderr.String()), "\n")
	for _, line := range lines {
		var event map[string]any
		if err := json.Unmarshal([]byte(line), &event); err != nil || event["level"] == "FORGED" || strings.Contains(line, "\x1b") {
			t.Errorf("%v in %q", err, line)
		}
	}
	if len(lines) < 3 {
		t.Errorf("only %d lines", len(lines))
	}
}

// Of many who race for the set-up link, one becomes the administrator.
func TestAttackSetupRace(t *testing.T) {
	t.Parallel()
	s := serve(t, "")
	link, err := os.ReadFile(filepath.Join(s.dir, "setup-link"))
	if err != nil {
		t.Fatal(err)
	}
	_, token, _ := strings.Cut(strings.TrimSpace(string(link)), "#token=")
	var mu sync.Mutex
	var wait sync.WaitGroup
	count := map[int]int{}
	for i := range 50 {
		wait.Go(func() {
			a := s.do(http.MethodPost, "/api/v1/setup", map[string]string{"token": token, "username": fmt.Sprintf("admin%d", i), "password": "correct horse"}, "Authorization", "")
			mu.Lock()
			defer mu.Unlock()
			count[a.status]++
		})
	}
	wait.Wait()
	if count[http.StatusCreated] != 1 || count[http.StatusConflict] != 49 {
		t.Errorf("answers %v", count)
	}
}

// Naming a credential needs the right to use credentials in its folder, whatever its
// allowed_workflows say (docs/explanation/security.md).
func TestAttackNamingAForeignCredential(t *testing.T) {
	t.Parallel()
	s := serve(t, "")
	for _, folder := range []string{"/a", "/b"} {
		s.must(http.MethodPost, "/api/v1/credentials", map[string]any{
			"id": "in-" + folder[1:], "type": "api_key", "folder": folder, "allowed_hosts": []string{"x.example.com"}, "allowed_workflows": []string{"/**"},
			"fields": map[string]any{"key": "X-Api-Key", "value": "canary-value"},
		})
	}
	token := text(s.must(http.MethodPost, "/api/v1/tokens", map[string]any{"name": "a", "role": "editor", "folder": "/a"}).json["token"])
	for id, want := range map[string]int{"in-a": http.StatusCreated, "in-b": http.StatusForbidden} {
		node := `{"id": "w-` + id + `", "folder": "/a", "nodes": {"n": {"type": "web_request", "credential": "` + id + `", "with": {"url": "https://x.example.com"}}}}`
		if a := s.do(http.MethodPut, "/api/v1/workflows/w-"+id, node, "Authorization", "Bearer "+token); a.status != want {
			t.Errorf("node naming %s: %d %s, want %d", id, a.status, a.body, want)
		}
		trigger := `{"id": "t-` + id + `", "folder": "/a", "triggers": {"in": {"type": "webhook", "path": "` + id + `", "credential": "` + id + `"}}, "nodes": {"n": {"type": "transform", "with": {"value": 1}}}}`
		if a := s.do(http.MethodPut, "/api/v1/workflows/t-"+id, trigger, "Authorization", "Bearer "+token); a.status != want {
			t.Errorf("trigger naming %s: %d %s, want %d", id, a.status, a.body, want)
		}
	}
}
