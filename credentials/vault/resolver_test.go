package vault_test

import (
	"context"
	"encoding/base64"
	"fmt"
	"net/http"
	"net/url"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"

	"keyflow/credentials"
	"keyflow/internal/egress"
)

func TestEachTypeAuthenticates(t *testing.T) {
	t.Parallel()
	api := serve(t, nil)
	basicHeader := "Basic " + base64.StdEncoding.EncodeToString([]byte("it:pass word-1"))
	tests := map[string]struct {
		create string
		header string
		want   string // of the header
		url    string
	}{
		"no_auth":           {`{"id": "c", "type": "no_auth"}`, "Authorization", "", "/a?q=1"},
		"basic_auth":        {basic("c", api.host, "pass word-1"), "Authorization", basicHeader, "/a?q=1"},
		"api_key header":    {apiKey("c", api.host, "key-12345", ""), "X-Key", "key-12345", "/a?q=1"},
		"api_key prefix":    {strings.Replace(apiKey("c", api.host, "key-12345", ""), `"key": "X-Key"`, `"key": "Authorization", "prefix": "Token "`, 1), "Authorization", "Token key-12345", "/a?q=1"},
		"api_key query":     {strings.Replace(apiKey("c", api.host, "key 1234&", ""), `"key": "X-Key"`, `"key": "k", "in": "query"`, 1), "X-Key", "", "/a?q=1&k=key+1234%26"},
		"api_key cookie":    {strings.Replace(apiKey("c", api.host, "key-12345", ""), `"key": "X-Key"`, `"key": "sid", "in": "cookie"`, 1), "Cookie", "sid=key-12345", "/a?q=1"},
		"over the author's": {strings.Replace(apiKey("c", api.host, "key-12345", ""), `"X-Key"`, `"X-Author"`, 1), "X-Author", "key-12345", "/a?q=1"},
	}
	for name, tt := range tests {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			n, api := online(t), serve(t, nil)
			n.create(t, strings.ReplaceAll(tt.create, quoted(t, hostOf(tt.create)), quoted(t, api.host)))
			req, err := http.NewRequestWithContext(t.Context(), http.MethodPost, api.URL+"/a?q=1", strings.NewReader("text"))
			if err != nil {
				t.Fatal(err)
			}
			req.Header.Set("X-Author", "author")
			res, err := n.client(t, credentials.Use{ID: "c"}).Do(req)
			if err != nil {
				t.Fatal(err)
			}
			_ = res.Body.Close()
			if res.Request.URL.RawQuery != "q=1" || res.Request.Header.Get(tt.header) != req.Header.Get(tt.header) {
				t.Errorf("the node sees the authenticated request: %s %v", res.Request.URL, res.Request.Header)
			}
			got := api.requests()[0]
			if got.Header.Get(tt.header) != tt.want || got.URL != tt.url || got.Body != "text" {
				t.Errorf("upstream saw %s %q %q, want %s %q", got.URL, got.Header.Get(tt.header), got.Body, tt.url, tt.want)
			}
		})
	}
}

// hostOf finds the allowed host in a credential's text.
func hostOf(text string) string {
	_, after, ok := strings.Cut(text, `"allowed_hosts": ["`)
	if !ok {
		return "none"
	}
	host, _, _ := strings.Cut(after, `"`)
	return host
}

func TestWithoutCredential(t *testing.T) {
	t.Parallel()
	n, api := online(t), serve(t, nil)
	var calls []credentials.Call
	client := n.client(t, credentials.Use{Record: func(c credentials.Call) { calls = append(calls, c) }})
	if _, err := call(t, client, http.MethodGet, api.URL+"/x?y=1", ""); err != nil {
		t.Fatal(err)
	}
	if len(calls) != 1 || calls[0].Status != 200 || calls[0].Host != api.host || calls[0].Credential != "" {
		t.Errorf("recorded %+v", calls)
	}
}

func TestReferencesThatCannotBeUsed(t *testing.T) {
	t.Parallel()
	n, api := online(t), serve(t, nil)
	n.create(t, `{"id": "hr", "type": "no_auth", "folder": "/hr"}`)
	n.create(t, apiKey("key", "api.example.com", "key-12345", ""))
	tests := map[string]struct {
		use     credentials.Use
		code    string
		message string
	}{
		"unknown": {credentials.Use{ID: "nope", Workflow: "w", Folder: "/"}, credentials.CodeUnknown,
			`credential "nope" does not exist; create it or correct the reference`},
		"forbidden workflow": {credentials.Use{ID: "hr", Workflow: "w", Folder: "/it"}, credentials.CodeWorkflowNotAllowed,
			`credential "hr" may not be used by the workflow "w" in folder /it; add it to the credential's allowed_workflows`},
	}
	for name, tt := range tests {
		t.Run(name, func(t *testing.T) {
			_, err := n.Resolver().Client(t.Context(), tt.use)
			if e := refusal(t, err, tt.code); e.Message != tt.message || e.ID != tt.use.ID {
				t.Errorf("message %q", e.Message)
			}
		})
	}
	_, err := n.get(t, "key", api.URL)
	e := refusal(t, err, credentials.CodeHostNotAllowed)
	if want := `credential "key" may not be sent to ` + api.host + `; add the host to the credential's allowed_hosts`; e.Message != want {
		t.Errorf("message %q, want %q", e.Message, want)
	}
	if len(api.requests()) != 0 {
		t.Error("a request reached a host that is not allowed")
	}
}

// Promise P1: each request reads the credential as it is when it authenticates.
func TestUpdateCountsFromTheNextRequest(t *testing.T) {
	t.Parallel()
	n, api := online(t), serve(t, nil)
	n.create(t, apiKey("key", api.host, "value-old-1", ""))
	client := n.client(t, credentials.Use{ID: "key"})
	for i, value := range []string{"value-old-1", "value-new-2", "value-new-3"} {
		if i > 0 {
			n.patch(t, "key", `{"fields": {"value": "`+value+`"}}`)
		}
		if _, err := call(t, client, http.MethodGet, api.URL, ""); err != nil {
			t.Fatal(err)
		}
		if got := api.requests()[i].Header.Get("X-Key"); got != value {
			t.Errorf("request %d carried %q, want %q", i, got, value)
		}
	}
	n.patch(t, "key", `{"allowed_workflows": ["/other/**"]}`)
	_, err := call(t, client, http.MethodGet, api.URL, "")
	refusal(t, err, credentials.CodeWorkflowNotAllowed)
	if err := n.Delete(t.Context(), admin, "key", true); err != nil {
		t.Fatal(err)
	}
	_, err = call(t, client, http.MethodGet, api.URL, "")
	refusal(t, err, credentials.CodeUnknown)
}

func TestUpdateCountsForTheNextRedirectHop(t *testing.T) {
	t.Parallel()
	n := online(t)
	api := serve(t, func(w http.ResponseWriter, r *http.Request) {
		if r.URL.Path == "/first" {
			n.patch(t, "key", `{"fields": {"value": "value-new-2"}}`)
			http.Redirect(w, r, "/second", http.StatusFound)
		}
	})
	n.create(t, apiKey("key", api.host, "value-old-1", ""))
	if _, err := call(t, n.client(t, credentials.Use{ID: "key", MaxRedirects: 3}), http.MethodGet, api.URL+"/first", ""); err != nil {
		t.Fatal(err)
	}
	if got := api.requests()[1].Header.Get("X-Key"); got != "value-new-2" {
		t.Errorf("second hop carried %q", got)
	}
}

func TestRedirectsDropAuthentication(t *testing.T) {
	t.Parallel()
	placements := map[string]string{
		"header": `"key": "X-Key"`, "authorization": `"key": "Authorization", "prefix": "Bearer "`,
		"query": `"key": "k", "in": "query"`, "cookie": `"key": "sid", "in": "cookie"`,
	}
	const value = "canary-redirect-9"
	holds := func(r request) bool { return strings.Contains(fmt.Sprint(r.URL, r.Header, r.Body), value) }
	for name, placement := range placements {
		for _, status := range []int{301, 302, 303, 307, 308} {
			t.Run(fmt.Sprintf("%s %d", name, status), func(t *testing.T) {
				t.Parallel()
				n := online(t)
				var back string
				stranger := serve(t, func(w http.ResponseWriter, r *http.Request) {
					if r.URL.Path == "/back" {
						http.Redirect(w, r, back+"/private", status)
					}
				})
				friend := serve(t, nil)
				api := serve(t, func(w http.ResponseWriter, r *http.Request) {
					if to := r.URL.Query().Get("to"); to != "" && r.URL.Path == "/go" {
						http.Redirect(w, r, to, status)
					}
				})
				back = api.URL
				n.create(t, fmt.Sprintf(`{"id": "key", "type": "api_key", "allowed_hosts": [%q, %q], "fields": {%s, "value": %q}}`, api.host, friend.host, placement, value))
				use := credentials.Use{ID: "key", MaxRedirects: 5}
				for _, to := range []string{"/stay", stranger.URL + "/x", friend.URL + "/x", stranger.URL + "/back"} {
					target := api.URL + "/go?to=" + url.QueryEscape(to)
					if status >= 307 && strings.HasPrefix(to, stranger.URL) { // the body would be lost
						_, err := call(t, n.client(t, use), http.MethodPost, target, "body text")
						if e, ok := egress.AsError(err); !ok || e.Code != egress.CodeHostNotAllowed {
							t.Errorf("%s: got %v, want %s", to, err, egress.CodeHostNotAllowed)
						}
						if _, err := call(t, n.client(t, use), http.MethodGet, target, ""); err != nil {
							t.Fatal(err)
						}
						continue
					}
					if _, err := call(t, n.client(t, use), http.MethodPost, target, "body text"); err != nil {
						t.Fatal(err)
					}
				}
				if got := stranger.requests(); len(got) != 2 {
					t.Errorf("a host that is not allowed saw %d requests, want 2", len(got))
				}
				for _, r := range stranger.requests() {
					if holds(r) || r.Body != "" || r.Header.Get("Referer") != "" {
						t.Errorf("a host that is not allowed saw %+v", r)
					}
				}
				if got := friend.requests(); len(got) != 1 || !holds(got[0]) {
					t.Errorf("an allowed host saw %+v", got)
				}
				for _, r := range api.requests() {
					if private := strings.HasPrefix(r.URL, "/private"); holds(r) == private {
						t.Errorf("%s: authenticated is %v", r.URL, holds(r))
					}
				}
			})
		}
	}
}

func TestEchoIsRedacted(t *testing.T) {
	t.Parallel()
	const value = `canary "quoted"/ü&=1`
	types := map[string]string{
		"basic_auth":     `{"id": "c", "type": "basic_auth", "allowed_hosts": [%q], "fields": {"username": "it", "password": ` + quoted(t, value) + `}}`,
		"secret user":    `{"id": "c", "type": "basic_auth", "allowed_hosts": [%q], "fields": {"username": "canary-user-77", "password": "x", "username_secret": true}}`,
		"api_key header": `{"id": "c", "type": "api_key", "allowed_hosts": [%q], "fields": {"key": "X-Key", "value": "canary-value-77"}}`,
		"api_key query":  `{"id": "c", "type": "api_key", "allowed_hosts": [%q], "fields": {"key": "k", "in": "query", "value": ` + quoted(t, value) + `}}`,
		"api_key cookie": `{"id": "c", "type": "api_key", "allowed_hosts": [%q], "fields": {"key": "sid", "in": "cookie", "value": "canary-value-77"}}`,
		"short":          `{"id": "c", "type": "api_key", "allowed_hosts": [%q], "fields": {"key": "X-Key", "value": "canary"}}`,
	}
	for name, create := range types {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			n, api := online(t), serve(t, echo)
			n.create(t, fmt.Sprintf(create, api.host))
			for _, form := range []string{"json", "text", "base64", "escaped", "chunks", "header", "redirect", "refused"} {
				a, err := n.get(t, "c", api.URL+"/?form="+form)
				if form == "refused" {
					e := refusal(t, err, credentials.CodeRefused)
					a = answer{e.Answer.Status, e.Answer.Header, string(e.Answer.Body) + e.Message + err.Error() + fmt.Sprint(e.Answer.Data())}
				} else if err != nil {
					t.Fatalf("%s: %v", form, err)
				}
				all := fmt.Sprint(a.header) + a.body
				sweep(t, form, all)
				if !strings.Contains(all, "***") {
					t.Errorf("%s: nothing was replaced in %s", form, all)
				}
			}
		})
	}
}

// echo answers what it was sent, in the form that is asked for, as careless services do.
func echo(w http.ResponseWriter, r *http.Request) {
	sent := fmt.Sprintf("%s %v", r.URL, r.Header)
	if user, password, ok := r.BasicAuth(); ok {
		sent += " user=" + user + " password=" + password
	}
	if k := r.URL.Query().Get("k"); k != "" {
		sent += " k=" + k
	}
	switch r.URL.Query().Get("form") {
	case "json":
		w.Header().Set("Content-Type", "application/json")
		_, _ = fmt.Fprintf(w, `{"sent": %q}`, strings.ToValidUTF8(strings.ReplaceAll(sent, "\x7f", ""), ""))
	case "text":
		_, _ = fmt.Fprint(w, sent)
	case "base64":
		_, _ = fmt.Fprint(w, base64.StdEncoding.EncodeToString([]byte(sent)), base64.RawURLEncoding.EncodeToString([]byte("x"+sent)))
	case "escaped":
		_, _ = fmt.Fprint(w, `{"sent": "`)
		for _, c := range sent {
			_, _ = fmt.Fprintf(w, `\u%04x`, c)
		}
		_, _ = fmt.Fprint(w, `"}`)
	case "chunks":
		for i := range len(sent) {
			_, _ = fmt.Fprint(w, sent[i:i+1])
			w.(http.Flusher).Flush()
		}
	case "header":
		w.Header().Set("X-Echo", strings.Map(func(c rune) rune {
			if c < 0x20 {
				return -1
			}
			return c
		}, sent))
	case "redirect":
		w.Header().Set("Location", r.URL.String()+"&again="+url.QueryEscape(sent))
		w.WriteHeader(http.StatusFound)
	case "refused":
		w.WriteHeader(http.StatusUnauthorized)
		_, _ = fmt.Fprint(w, sent)
	}
}

// sweep looks for the canary and for what base64 texts hold.
func sweep(t *testing.T, where, text string) {
	t.Helper()
	t.Helper()
	for _, canary := range []string{"canary", "Y2FuYXJ5"} {
		if strings.Contains(text, canary) {
			t.Errorf("%s shows %q: %s", where, canary, text)
		}
	}
	for _, word := range strings.FieldsFunc(text, func(r rune) bool {
		return !(r >= 'a' && r <= 'z' || r >= 'A' && r <= 'Z' || r >= '0' && r <= '9' || strings.ContainsRune("+/-_", r))
	}) {
		for shift := range min(4, len(word)) {
			part := word[shift:]
			decoded, _ := base64.RawStdEncoding.DecodeString(strings.NewReplacer("-", "+", "_", "/").Replace(part[:len(part)/4*4]))
			if strings.Contains(string(decoded), "canary") {
				t.Errorf("%s: base64 hides the secret in %s", where, text)
			}
		}
	}
}

func TestHeadAndEmptyAnswers(t *testing.T) {
	t.Parallel()
	n := online(t)
	api := serve(t, func(w http.ResponseWriter, r *http.Request) {
		if r.Method == http.MethodHead {
			w.Header().Set("Content-Length", "123")
			return
		}
		w.WriteHeader(http.StatusNoContent)
	})
	n.create(t, apiKey("key", api.host, "key-12345", ""))
	client := n.client(t, credentials.Use{ID: "key"})
	head, err := call(t, client, http.MethodHead, api.URL, "")
	if err != nil || head.header.Get("Content-Length") != "123" {
		t.Errorf("HEAD: %+v, %v", head, err)
	}
	empty, err := call(t, client, http.MethodGet, api.URL, "")
	if err != nil || empty.status != http.StatusNoContent || empty.body != "" {
		t.Errorf("204: %+v, %v", empty, err)
	}
}

func TestTooLargeAnswer(t *testing.T) {
	t.Parallel()
	n := online(t)
	api := serve(t, func(w http.ResponseWriter, _ *http.Request) { _, _ = w.Write([]byte(strings.Repeat("x", 101))) })
	n.create(t, apiKey("key", api.host, "key-12345", ""))
	_, err := call(t, n.client(t, credentials.Use{ID: "key", MaxBytes: 100}), http.MethodGet, api.URL, "")
	if e, ok := egress.AsError(err); !ok || e.Code != egress.CodeTooLarge {
		t.Errorf("error %v", err)
	}
	if a, err := call(t, n.client(t, credentials.Use{ID: "key", MaxBytes: 101}), http.MethodGet, api.URL, ""); err != nil || len(a.body) != 101 {
		t.Errorf("exactly the limit: %d bytes, %v", len(a.body), err)
	}
}

func TestErrorsShowNoSecret(t *testing.T) {
	t.Parallel()
	n := online(t)
	down := serve(t, nil)
	down.Close()
	broken := serve(t, func(w http.ResponseWriter, _ *http.Request) {
		conn, _, err := w.(http.Hijacker).Hijack()
		if err == nil {
			_ = conn.Close()
		}
	})
	for i, u := range []*upstream{down, broken} {
		id := credentials.ID(fmt.Sprintf("key-%d", i))
		n.create(t, strings.Replace(apiKey(string(id), u.host, "canary-value-77", ""), `"key": "X-Key"`, `"key": "k", "in": "query"`, 1))
		_, err := n.get(t, id, u.URL)
		if e, ok := egress.AsError(err); !ok || e.Code != egress.CodeNetwork {
			t.Fatalf("error %v, want network", err)
		}
		if strings.Contains(fmt.Sprintf("%v %+v", err, err), "canary") {
			t.Errorf("the error shows the secret: %v", err)
		}
	}
}

func TestStaticCredentialRefused(t *testing.T) {
	t.Parallel()
	n := online(t)
	status := http.StatusUnauthorized
	api := serve(t, func(w http.ResponseWriter, _ *http.Request) {
		w.Header().Set("Content-Type", "application/json")
		w.WriteHeader(status)
		_, _ = w.Write([]byte(`{"error": "bad key canary-value-77"}`))
	})
	n.create(t, apiKey("key", api.host, "canary-value-77", ""))
	_, err := n.get(t, "key", api.URL+"/secret?x=1")
	e := refusal(t, err, credentials.CodeRefused)
	if want := api.host + ` refused the credential "key" (status 401); enter a new secret or check its rights there`; e.Message != want {
		t.Errorf("message %q, want %q", e.Message, want)
	}
	want := map[string]any{"error": "bad key ***"}
	if diff := cmp.Diff(want, e.Answer.Data()["body"]); diff != "" {
		t.Errorf("answer (-want +got):\n%s", diff)
	}
	if len(api.requests()) != 1 {
		t.Errorf("%d requests: a refused static credential is not tried again", len(api.requests()))
	}
	if s := n.state(t, "key"); s.Status != credentials.Refused || !strings.Contains(s.Message, "status 401") {
		t.Errorf("state %+v", s)
	}
	status = http.StatusInternalServerError // says nothing about the credential
	mustGet(t, n, "key", api.URL)
	if s := n.state(t, "key"); s.Status != credentials.Refused {
		t.Errorf("state after 500: %+v", s)
	}
	status = http.StatusOK
	mustGet(t, n, "key", api.URL)
	if s := n.state(t, "key"); s.Status != credentials.OK {
		t.Errorf("state after a success: %+v", s)
	}
}

func TestRefusalOfAnOldVersionDoesNotMarkTheNewOne(t *testing.T) {
	t.Parallel()
	n := online(t)
	api := serve(t, func(w http.ResponseWriter, r *http.Request) {
		n.patch(t, "key", `{"fields": {"value": "value-new-2"}}`)
		w.WriteHeader(http.StatusUnauthorized)
	})
	n.create(t, apiKey("key", api.host, "value-old-1", ""))
	_, err := n.get(t, "key", api.URL)
	refusal(t, err, credentials.CodeRefused)
	if s := n.state(t, "key"); s.Status != credentials.Untested {
		t.Errorf("state %+v, want untested: the new value was not refused", s)
	}
}

func TestFailureRules(t *testing.T) {
	t.Parallel()
	tests := map[string]struct {
		rules   string
		answer  string
		status  int
		refused bool
	}{
		"body":                      {`[{"status": [200], "body": "response.body.error == 'key'", "action": "refuse"}]`, `{"error": "key"}`, 200, true},
		"body differs":              {`[{"status": [200], "body": "response.body.error == 'key'", "action": "refuse"}]`, `{"error": "other"}`, 200, false},
		"body is not what it reads": {`[{"body": "response.body.a.b == 1", "action": "refuse"}]`, `[]`, 200, false},
		"body is text":              {`[{"body": "response.body contains 'denied'", "action": "refuse"}]`, `access denied`, 200, true},
		"status":                    {`[{"status": [403, 407], "action": "refuse"}]`, ``, 403, true},
		"header":                    {`[{"headers": {"X-Auth": "FAILED"}, "action": "refuse"}]`, ``, 200, true},
		"header is there":           {`[{"headers": {"X-Auth": ""}, "action": "refuse"}]`, ``, 200, true},
		"header differs":            {`[{"headers": {"X-Auth": "other"}, "action": "refuse"}]`, ``, 200, false},
		"header in the expression":  {`[{"body": "response.headers['x-auth'] == 'failed' && response.status == 200", "action": "refuse"}]`, ``, 200, true},
		"401 by default":            {`[{"status": [403], "action": "refuse"}]`, ``, 401, true},
		"401 taken over":            {`[{"status": [401], "body": "response.body == 'really'", "action": "refuse"}]`, `not really`, 401, false},
		"large body":                {`[{"body": "len(response.body) == 1048576", "action": "refuse"}]`, strings.Repeat("x", 2<<20), 200, true},
	}
	for name, tt := range tests {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			n := online(t)
			api := serve(t, func(w http.ResponseWriter, _ *http.Request) {
				w.Header().Set("X-Auth", "failed")
				w.WriteHeader(tt.status)
				_, _ = w.Write([]byte(tt.answer))
			})
			n.create(t, apiKey("key", api.host, "value-old-1", `, "failure_rules": `+tt.rules))
			a, err := n.get(t, "key", api.URL)
			if tt.refused {
				refusal(t, err, credentials.CodeRefused)
			} else if err != nil || a.body != tt.answer {
				t.Errorf("got %d bytes, %v", len(a.body), err)
			}
		})
	}
}

func TestUseIsRecorded(t *testing.T) {
	t.Parallel()
	n := online(t)
	api := serve(t, func(w http.ResponseWriter, r *http.Request) {
		if r.URL.Path == "/go" {
			http.Redirect(w, r, "/there?k=plain", http.StatusFound)
		}
	})
	n.create(t, apiKey("key", api.host, "canary-value-77", ""))
	var calls []credentials.Call
	use := credentials.Use{ID: "key", MaxRedirects: 1, Record: func(c credentials.Call) { c.Duration = 0; calls = append(calls, c) }}
	if _, err := call(t, n.client(t, use), http.MethodGet, api.URL+"/go?x=canary-value-77", ""); err != nil {
		t.Fatal(err)
	}
	c, err := n.Get(t.Context(), admin, "key")
	if err != nil {
		t.Fatal(err)
	}
	one := credentials.Call{Credential: "key", Version: 1, Fingerprint: c.Secrets["value"].Fingerprint, Host: api.host, Method: "GET", URL: api.URL + "/go?x=***", Status: 302}
	two := one
	two.URL, two.Status = api.URL+"/there?k=plain", 200
	if diff := cmp.Diff([]credentials.Call{one, two}, calls); diff != "" {
		t.Errorf("calls (-want +got):\n%s", diff)
	}
	if c.LastUsedAt == nil || one.Fingerprint == "" {
		t.Errorf("last use %v, fingerprint %q", c.LastUsedAt, one.Fingerprint)
	}
}

func TestCanceledRequest(t *testing.T) {
	t.Parallel()
	n := online(t)
	ctx, cancel := context.WithCancel(t.Context())
	api := serve(t, func(_ http.ResponseWriter, r *http.Request) {
		cancel()
		<-r.Context().Done()
	})
	n.create(t, apiKey("key", api.host, "key-12345", ""))
	req, err := http.NewRequestWithContext(ctx, http.MethodGet, api.URL, nil)
	if err != nil {
		t.Fatal(err)
	}
	if _, err := n.client(t, credentials.Use{ID: "key"}).Do(req); err == nil || ctx.Err() == nil {
		t.Errorf("error %v", err)
	}
}

// Headers of a use are on every hop, with and without a credential, and not in the caller's
// request.
func TestHeadersOfAUse(t *testing.T) {
	t.Parallel()
	n := online(t)
	api := serve(t, func(w http.ResponseWriter, r *http.Request) {
		if r.URL.Path == "/first" {
			http.Redirect(w, r, "/second", http.StatusFound)
		}
	})
	n.create(t, apiKey("key", api.host, "a-secret-value", ""))
	for _, id := range []credentials.ID{"", "key"} {
		client := n.client(t, credentials.Use{ID: id, MaxRedirects: 1, Header: http.Header{"X-Depth": {"3"}}})
		req, err := http.NewRequestWithContext(t.Context(), http.MethodGet, api.URL+"/first", nil)
		if err != nil {
			t.Fatal(err)
		}
		res, err := client.Do(req)
		if err != nil {
			t.Fatal(err)
		}
		_ = res.Body.Close()
		if len(req.Header) > 0 {
			t.Errorf("%q: the caller's request has got %v", id, req.Header)
		}
	}
	if seen := api.requests(); len(seen) != 4 {
		t.Errorf("%d requests, want 4", len(seen))
	}
	for _, r := range api.requests() {
		if r.Header.Get("X-Depth") != "3" {
			t.Errorf("%s: headers %v", r.URL, r.Header)
		}
	}
}
