package web

import (
	"fmt"
	"net/http"
	"net/http/httptest"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"

	"keyflow/credentials"
	"keyflow/internal/identity"
)

const canary = "canary-9f3b-secret"

// basicAuth is a credential as a body; more is put behind its other properties.
func basicAuth(id, more string) string {
	return fmt.Sprintf(`{"id":%q,"name":"ERP","type":"basic_auth","fields":{"username":"it@acme.kr","password":%q},"allowed_hosts":["erp.acme.kr"]%s}`, id, canary, more)
}

func TestCredentialLifeCycle(t *testing.T) {
	t.Parallel()
	s := newSetup(t)
	admin := s.admin()
	created := admin.do("POST", "/api/v1/credentials", basicAuth("erp", ""))
	if created.status != 201 || created.header.Get("Location") != "/api/v1/credentials/erp" || created.header.Get("ETag") == "" {
		t.Fatalf("created: %d, %v\n%s", created.status, created.header, created.body)
	}
	// The whole shape, without times and fingerprint.
	v := created.json(t)
	fingerprint, _ := v["secrets"].(map[string]any)["password"].(map[string]any)["fingerprint"].(string)
	if len(fingerprint) != 12 {
		t.Errorf("fingerprint %q, want 12 hex digits", fingerprint)
	}
	state, _ := v["state"].(map[string]any)
	delete(state, "since")
	delete(v["secrets"].(map[string]any)["password"].(map[string]any), "fingerprint")
	delete(v["secrets"].(map[string]any)["password"].(map[string]any), "updated_at")
	for _, name := range []string{"created_at", "updated_at"} {
		if text, _ := v[name].(string); !strings.HasSuffix(text, "Z") {
			t.Errorf("%s is %v, want RFC 3339 in UTC", name, v[name])
		}
		delete(v, name)
	}
	want := map[string]any{
		"id": "erp", "name": "ERP", "description": "", "labels": map[string]any{}, "folder": "/", "type": "basic_auth",
		"fields":        map[string]any{"username": "it@acme.kr"},
		"secrets":       map[string]any{"password": map[string]any{"set": true}},
		"allowed_hosts": []any{"erp.acme.kr"}, "allowed_workflows": []any{"/**"}, "rotatable_by": []any{},
		"failure_rules": []any{}, "limits": nil, "test_url": "", "expires_at": nil, "rotate_every": "", "grace": "", "candidate": nil, "fall_back": nil,
		"state": map[string]any{"status": "untested", "message": ""}, "version": 1.0,
		"created_by": "token:admin-token", "updated_by": "token:admin-token", "last_used_at": nil, "expires": nil, "used_by": 0.0,
	}
	if diff := cmp.Diff(want, v); diff != "" {
		t.Errorf("credential (-want +got):\n%s", diff)
	}

	etag := created.header.Get("ETag")
	admin.run([]scenario{
		{name: "taken", method: "POST", path: "/api/v1/credentials", body: basicAuth("erp", ""), status: 409, has: []string{`credential \"erp\" already exists`}, hasNot: []string{canary}},
		{name: "read", method: "GET", path: "/api/v1/credentials/erp", status: 200, has: []string{`"version":1`}, hasNot: []string{canary}},
		{name: "patch keeps the rest", method: "PATCH", path: "/api/v1/credentials/erp", body: `{"fields":{"password":"canary-new"}}`,
			headers: []string{"Content-Type", "application/merge-patch+json", "If-Match", etag}, status: 200,
			has: []string{`"version":2`, `"username":"it@acme.kr"`}, hasNot: []string{"canary-"}},
		{name: "stale", method: "PATCH", path: "/api/v1/credentials/erp", body: `{"name":"late"}`, headers: []string{"If-Match", etag}, status: 412, has: []string{"was changed in the meantime"}},
		{name: "stale put", method: "PUT", path: "/api/v1/credentials/erp", body: basicAuth("erp", ""), headers: []string{"If-Match", etag}, status: 412, hasNot: []string{canary}},
		{name: "stale delete", method: "DELETE", path: "/api/v1/credentials/erp", headers: []string{"If-Match", etag}, status: 412, has: []string{"was changed since you read it"}},
		{name: "weak tag", method: "PATCH", path: "/api/v1/credentials/erp", body: `{"name":"x"}`, headers: []string{"If-Match", `W/"1"`}, status: 412, has: []string{"If-Match names no revision"}},
		{name: "two tags", method: "PATCH", path: "/api/v1/credentials/erp", body: `{"name":"x"}`, headers: []string{"If-Match", `"1", "2"`}, status: 400, has: []string{"one ETag"}},
		{name: "any tag", method: "PATCH", path: "/api/v1/credentials/erp", body: `{"name":"New"}`, headers: []string{"If-Match", "*"}, status: 200, has: []string{`"name":"New"`, `"version":2`}},
		{name: "put takes back what get gave", method: "PUT", path: "/api/v1/credentials/erp", body: created.body, status: 200, has: []string{`"name":"ERP"`, `"set":true`, `"version":2`}},
		{name: "other type", method: "PUT", path: "/api/v1/credentials/erp", body: `{"name":"x","type":"no_auth"}`, status: 422, has: []string{`"path":"/type"`}},
		{name: "versions", method: "GET", path: "/api/v1/credentials/erp/versions", status: 200, has: []string{`"items":[{"version":2`, `"fields":{"username":"it@acme.kr"}`, `"origin":"edit"`, `"next_cursor":null`}, hasNot: []string{"canary-"}},
		{name: "rollback of a negative number", method: "POST", path: "/api/v1/credentials/erp/rollback", body: `{"version":-1}`, status: 422, has: []string{`"path":"/version"`}},
		{name: "rollback to nothing", method: "POST", path: "/api/v1/credentials/erp/rollback", body: `{"version":9}`, status: 404, has: []string{"has no version 9; its current one is 2"}},
		{name: "rollback to what is current", method: "POST", path: "/api/v1/credentials/erp/rollback", body: `{"version":2}`, status: 409, has: []string{`version 2 of credential \"erp\" is the current one`}},
		{name: "rollback to the former version", method: "POST", path: "/api/v1/credentials/erp/rollback", status: 200, has: []string{`"version":3`}, hasNot: []string{"canary-"}},
		{name: "versions after it", method: "GET", path: "/api/v1/credentials/erp/versions", status: 200, has: []string{`"origin":"rollback"`}},
		{name: "usages", method: "GET", path: "/api/v1/credentials/erp/usages", status: 200, has: []string{`{"items":[],"next_cursor":null}`}},
		{name: "unknown", method: "GET", path: "/api/v1/credentials/nope", status: 404, has: []string{`credential \"nope\" does not exist`}},
		{name: "connect of another kind", method: "POST", path: "/api/v1/credentials/nope/connect", status: 404},
		{name: "refresh of another kind", method: "POST", path: "/api/v1/credentials/erp/refresh", status: 409, has: []string{"has no token to refresh"}},
		{name: "delete", method: "DELETE", path: "/api/v1/credentials/erp", status: 204},
		{name: "gone", method: "DELETE", path: "/api/v1/credentials/erp", status: 404},
	})
}

// A wrong request with a secret in it must not come back, nor reach the log, whatever is
// wrong: shape, syntax, size, place, query.
func TestWrongRequestsRepeatNothing(t *testing.T) {
	t.Parallel()
	s := newSetup(t)
	hasNot := []string{canary}
	s.admin().run([]scenario{
		{name: "text where an object is", method: "POST", path: "/api/v1/credentials", body: `{"id":"a","fields":"` + canary + `"}`, status: 422, has: []string{`"path":"/fields"`, "an object is expected"}, hasNot: hasNot},
		{name: "list where a text is", method: "POST", path: "/api/v1/credentials", body: `{"id":["` + canary + `"]}`, status: 422, has: []string{`"path":"/id"`, "a text is expected"}, hasNot: hasNot},
		{name: "secret of a wrong type", method: "POST", path: "/api/v1/credentials", body: `{"id":"a","name":"A","type":"basic_auth","fields":{"username":"u","password":["` + canary + `"]},"allowed_hosts":["a.kr"]}`, status: 422, has: []string{`"path":"/fields/password`}, hasNot: hasNot},
		{name: "unknown field", method: "POST", path: "/api/v1/credentials", body: `{"id":"a","name":"A","type":"basic_auth","fields":{"username":"u","pasword":"` + canary + `"},"allowed_hosts":["a.kr"]}`, status: 422, has: []string{`"path":"/fields/pasword"`}, hasNot: hasNot},
		{name: "unknown property", method: "POST", path: "/api/v1/credentials", body: `{"password":"` + canary + `"}`, status: 422, has: []string{`"path":"/password"`, "unknown property; known here: allowed_hosts"}, hasNot: hasNot},
		{name: "secret as a key", method: "POST", path: "/api/v1/credentials", body: `{"` + canary + `":1}`, status: 422, has: []string{`"path":""`, "unknown property"}, hasNot: hasNot},
		{name: "not an object", method: "POST", path: "/api/v1/credentials", body: `"` + canary + `"`, status: 422, has: []string{"an object is expected"}, hasNot: hasNot},
		{name: "not JSON", method: "POST", path: "/api/v1/credentials", body: `{"password":` + canary + `}`, status: 400, has: []string{"the body is not valid JSON: line 1, column 13"}, hasNot: hasNot},
		{name: "not UTF-8", method: "POST", path: "/api/v1/credentials", body: "{\"name\":\"\xff" + canary + "\"}", status: 400, has: []string{"the body is not valid UTF-8"}, hasNot: hasNot},
		{name: "a property twice", method: "POST", path: "/api/v1/credentials", body: `{"labels":{"a":"b"},"fields":{"password":"x","password":"` + canary + `"}}`, status: 422, has: []string{`"path":"/fields/password","code":"duplicate_key"`}, hasNot: hasNot},
		{name: "a value as key, twice", method: "POST", path: "/api/v1/credentials", body: `{"failure_rules":[{},{"` + canary + `":1,"` + canary + `":2}]}`, status: 422, has: []string{`"path":"/failure_rules/1","code":"duplicate_key"`}, hasNot: hasNot},
		{name: "cut off", method: "POST", path: "/api/v1/credentials", body: `{"password":"` + canary, status: 400, has: []string{"the body is not valid JSON"}, hasNot: hasNot},
		{name: "two values", method: "POST", path: "/api/v1/credentials", body: `{} "` + canary + `"`, status: 400, hasNot: hasNot},
		{name: "huge number", method: "POST", path: "/api/v1/credentials", body: `{"limits":{"requests":1e471108150016}}`, status: 422, has: []string{`"path":"/limits/requests"`}, hasNot: []string{"471108150016"}},
		{name: "number where a count is", method: "POST", path: "/api/v1/credentials", body: `{"limits":{"requests":4711081.50016}}`, status: 422, has: []string{`"path":"/limits/requests"`, "a whole number is expected"}, hasNot: []string{"4711081.50016"}},
		{name: "time", method: "POST", path: "/api/v1/credentials", body: `{"expires_at":"` + canary + `"}`, status: 422, has: []string{`"path":"/expires_at"`, "RFC 3339"}, hasNot: hasNot},
		{name: "too deep", method: "POST", path: "/api/v1/credentials", body: strings.Repeat("[", 2000), status: 400, has: []string{"nested deeper than 1000 levels"}},
		{name: "too large", method: "POST", path: "/api/v1/credentials", body: `{"id":"` + canary + strings.Repeat("x", 1<<20) + `"}`, status: 413, has: []string{"the body is too large"}, hasNot: hasNot},
		{name: "patch", method: "PATCH", path: "/api/v1/credentials/erp", body: `{"fields":["` + canary + `"]}`, status: 422, hasNot: hasNot},
		{name: "unsaved test", method: "POST", path: "/api/v1/credentials/test", body: `{"fields":{"password":"` + canary + `"},"x":1}`, status: 422, hasNot: hasNot},
		{name: "limit", method: "GET", path: "/api/v1/credentials?limit=201", status: 422, has: []string{`"path":"?limit"`, "expected number <= 200"}},
		{name: "limit as text", method: "GET", path: "/api/v1/credentials?limit=" + canary, status: 422, has: []string{"limit: invalid integer"}, hasNot: hasNot},
		{name: "unknown query parameter", method: "GET", path: "/api/v1/credentials?" + canary + "=1", status: 422, has: []string{"unknown query parameter"}, hasNot: hasNot},
		{name: "query value out of the list", method: "GET", path: "/api/v1/credentials?state=" + canary, status: 422, has: []string{`"path":"?state"`, "ok, untested"}, hasNot: hasNot},
		{name: "query in the log", method: "GET", path: "/api/v1/credentials?q=" + canary, status: 200, hasNot: hasNot},
		{name: "workflow", method: "PUT", path: "/api/v1/workflows/w", body: `{"nodes":` + canary + `}`, status: 400, hasNot: hasNot},
	})
}

func TestCredentialsInUseCannotBeDeleted(t *testing.T) {
	t.Parallel()
	s := newSetup(t)
	admin := s.admin()
	admin.run([]scenario{
		{name: "credential", method: "POST", path: "/api/v1/credentials", body: basicAuth("erp", ""), status: 201},
		{name: "workflow", method: "PUT", path: "/api/v1/workflows/sync", body: `{"id":"sync","nodes":{"push":{"type":"webhook","credential":"erp","with":{"url":"https://erp.acme.kr/"}}}}`, status: 201},
		{name: "usages", method: "GET", path: "/api/v1/credentials/erp/usages", status: 200, has: []string{`[{"workflow":"sync","node":"push","literal":true,"last_used_at":null,"last_status":null,"last_error":""}]`}},
		{name: "refused", method: "DELETE", path: "/api/v1/credentials/erp", status: 409, has: []string{
			`"usages":[{"workflow":"sync","node":"push","literal":true,"last_used_at":null,"last_status":null,"last_error":""}]`, `"code":"in_use"`, `node \"push\" of workflow \"sync\" uses it`}},
		{name: "forced", method: "DELETE", path: "/api/v1/credentials/erp?force=true", status: 204},
	})
}

func TestCredentialLists(t *testing.T) {
	t.Parallel()
	s := newSetup(t)
	admin := s.admin()
	for _, folder := range []string{"/a", "/a/x", "/b"} {
		id := "c" + strings.ReplaceAll(folder, "/", "-")
		if got := admin.do("POST", "/api/v1/credentials", basicAuth(id, `,"folder":"`+folder+`"`)); got.status != 201 {
			t.Fatalf("create: %d %s", got.status, got.body)
		}
	}
	ids := func(got got) (ids []string, next any) {
		for _, item := range got.json(t)["items"].([]any) {
			ids = append(ids, item.(map[string]any)["id"].(string))
		}
		return ids, got.json(t)["next_cursor"]
	}
	first, next := ids(admin.do("GET", "/api/v1/credentials?limit=2", ""))
	if fmt.Sprintf("%v %v", first, next) != "[c-a c-a-x] c-a-x" {
		t.Errorf("first page %v, next %v", first, next)
	}
	rest, next := ids(admin.do("GET", "/api/v1/credentials?limit=2&cursor=c-a-x", ""))
	if fmt.Sprintf("%v %v", rest, next) != "[c-b] <nil>" {
		t.Errorf("second page %v, next %v", rest, next)
	}
	if all, next := ids(admin.do("GET", "/api/v1/credentials?limit=3", "")); len(all) != 3 || next != nil {
		t.Errorf("a full page that is the last: %v, next %v", all, next)
	}
	folder, _ := ids(s.with(s.token(identity.Viewer, "/a")).do("GET", "/api/v1/credentials", ""))
	if fmt.Sprint(folder) != "[c-a c-a-x]" {
		t.Errorf("a caller of folder /a sees %v", folder)
	}
	for query, want := range map[string]string{"q=A-X": "[c-a-x]", "type=no_auth": "[]", "state=untested&folder=/b": "[c-b]"} {
		if found, _ := ids(admin.do("GET", "/api/v1/credentials?"+query, "")); fmt.Sprint(found) != want {
			t.Errorf("%s: %v, want %s", query, found, want)
		}
	}
}

// Each role against each kind of operation, and a role that holds elsewhere.
func TestCredentialRights(t *testing.T) {
	t.Parallel()
	s := newSetup(t)
	if got := s.admin().do("POST", "/api/v1/credentials", basicAuth("erp", `,"folder":"/hr"`)); got.status != 201 {
		t.Fatalf("create: %d %s", got.status, got.body)
	}
	callers := []struct {
		name, token                     string
		read, write, listElsewhere, del int
	}{
		{"viewer", s.token(identity.Viewer, "/hr"), 200, 403, 403, 403},
		{"operator", s.token(identity.Operator, "/hr"), 200, 403, 403, 403},
		{"editor", s.token(identity.Editor, "/hr"), 200, 403, 403, 403},
		{"manager elsewhere", s.token(identity.CredentialManager, "/hrx"), 404, 404, 403, 404},
		{"manager", s.token(identity.CredentialManager, "/hr"), 200, 200, 403, 204},
	}
	for _, c := range callers {
		s.with(c.token).run([]scenario{
			{name: c.name + " reads", method: "GET", path: "/api/v1/credentials/erp", status: c.read, hasNot: []string{canary}},
			{name: c.name + " patches", method: "PATCH", path: "/api/v1/credentials/erp", body: `{"description":"x"}`, status: c.write},
			{name: c.name + " lists elsewhere", method: "GET", path: "/api/v1/credentials?folder=/", status: c.listElsewhere},
			{name: c.name + " creates elsewhere", method: "POST", path: "/api/v1/credentials", body: basicAuth("other", ""), status: 403, hasNot: []string{canary}},
			{name: c.name + " deletes", method: "DELETE", path: "/api/v1/credentials/erp", status: c.del},
		})
	}
}

func TestCredentialTests(t *testing.T) {
	t.Parallel()
	s := newSetup(t)
	upstream := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		if _, pass, _ := r.BasicAuth(); pass != canary {
			w.WriteHeader(http.StatusUnauthorized)
		}
		_, _ = w.Write([]byte("you sent " + r.Header.Get("Authorization")))
	}))
	t.Cleanup(upstream.Close)
	host := strings.TrimPrefix(upstream.URL, "http://")
	body := func(pass string) string {
		return fmt.Sprintf(`{"id":"local","name":"Local","type":"basic_auth","fields":{"username":"u","password":%q},"allowed_hosts":["http://%s"],"test_url":"http://%s/"}`, pass, host, host)
	}
	s.admin().run([]scenario{
		{name: "unsaved, right", method: "POST", path: "/api/v1/credentials/test", body: body(canary), status: 200, has: []string{`"ok":true`}, hasNot: []string{canary}},
		{name: "unsaved, wrong", method: "POST", path: "/api/v1/credentials/test", body: body("canary-wrong"), status: 200, has: []string{`"ok":false`}, hasNot: []string{"canary-wrong"}},
		{name: "not stored", method: "GET", path: "/api/v1/credentials/local", status: 404},
		{name: "save", method: "POST", path: "/api/v1/credentials", body: body(canary), status: 201},
		{name: "saved", method: "POST", path: "/api/v1/credentials/local/test", status: 200, has: []string{`"ok":true`}, hasNot: []string{canary}},
		{name: "state follows", method: "GET", path: "/api/v1/credentials/local", status: 200, has: []string{`"status":"ok"`}},
	})
}

func TestCredentialTypesAndPresets(t *testing.T) {
	t.Parallel()
	s := newSetup(t)
	s.admin().run([]scenario{
		{name: "types", method: "GET", path: "/api/v1/credential-types", status: 200, has: []string{
			`{"id":"no_auth","name":"No Auth"`, `{"id":"basic_auth","name":"Basic Auth"`, `{"id":"api_key","name":"API Key"`, `{"id":"oauth2","name":"OAuth 2.0"`,
			`"fields":[]`, `{"name":"password","label":"Password"`, `"secret":true`}},
		{name: "presets", method: "GET", path: "/api/v1/credential-presets", status: 200, has: []string{
			`{"id":"marketo","name":"Adobe Marketo"`, `"blanks":[{"name":"tenant","label":"Munchkin account ID"`, `"pattern":"[0-9]{3}-[A-Za-z]{3}-[0-9]{3}"`,
			`"access_token_url":"https://<tenant>.mktorest.com/identity/oauth/token"`, `"docs_url":"https://`, `{"id":"github-webhooks"`, `"blanks":[]`, `"next_cursor":null}`,
		}},
	})
}

const oauthBody = `{"id":"crm","name":"CRM","type":"oauth2","allowed_hosts":["crm.example.com"],"fields":{"grant_type":"authorization_code",
"authorization_url":"https://login.example.com/auth","access_token_url":"https://login.example.com/token","client_id":"keyflow","client_secret":"` + canary + `","scope":"read"}}`

func TestConnect(t *testing.T) {
	t.Parallel()
	s := newSetup(t).withAdmin()
	browser := s.browser()
	browser.run([]scenario{
		{name: "create", method: "POST", path: "/api/v1/credentials", body: oauthBody, status: 201, has: []string{
			`"status":"needs_connect"`, `"redirect_url":"` + s.url + credentials.CallbackPath + `"`}, hasNot: []string{canary}},
	})
	connect := browser.do("POST", "/api/v1/credentials/crm/connect", "")
	link, _ := connect.json(t)["authorization_url"].(string)
	if connect.status != 200 || !strings.HasPrefix(link, "https://login.example.com/auth?") || !strings.Contains(link, "code_challenge_method=S256") {
		t.Errorf("connect by a person: %d %s", connect.status, connect.body)
	}
	// Only oauth2 with a person's consent is connected, and refreshing says what is missing.
	s.admin().run([]scenario{
		{name: "create another", method: "POST", path: "/api/v1/credentials", body: `{"id":"open","type":"no_auth"}`, status: 201},
		{name: "nothing to connect", method: "POST", path: "/api/v1/credentials/open/connect", status: 409, has: []string{"is not connected by a person"}},
		{name: "refresh before connect", method: "POST", path: "/api/v1/credentials/crm/refresh", status: 409, has: []string{"credential_needs_connect", "press Connect"}},
	})
	// A token is no person: it gets a link to our own page.
	s.admin().run([]scenario{
		{name: "connect by a token", method: "POST", path: "/api/v1/credentials/crm/connect", status: 200, has: []string{`{"authorization_url":"` + s.url + `/credentials/crm?connect=1"}`}},
	})
	s.with(s.token(identity.Viewer, "/")).run([]scenario{
		{name: "connect by a viewer", method: "POST", path: "/api/v1/credentials/crm/connect", status: 403},
	})
}

func TestCallbackPage(t *testing.T) {
	t.Parallel()
	s := newSetup(t).withAdmin()
	browser := s.browser()
	if got := browser.do("POST", "/api/v1/credentials", oauthBody); got.status != 201 {
		t.Fatalf("create: %d %s", got.status, got.body)
	}
	tests := []struct {
		name, query string
		caller      *caller
		status      int
		has         string
	}{
		{"no session", "?code=canary-code&state=canary-state", s.anonymous(), 401, "sign in, or send an API token"},
		{"an API token", "?code=canary-code&state=canary-state", s.admin(), 401, "connecting needs the browser session that began it"},
		{"unknown state", "?code=canary-code&state=canary-state", browser, 409, "Not connected"},
		{"script in the error", "?error=%3Cscript%3Ealert(1)%3C/script%3E&state=canary-state", browser, 409, "Not connected"},
		{"nothing", "", browser, 422, "Not connected"},
	}
	for _, tt := range tests {
		got := tt.caller.do("GET", credentials.CallbackPath+tt.query, "")
		if got.status != tt.status || !strings.Contains(got.body, tt.has) || !strings.Contains(got.body, `data-ok="false"`) {
			t.Errorf("%s: %d\n%s", tt.name, got.status, got.body)
		}
		for _, never := range []string{"canary-", "<script>alert"} {
			if strings.Contains(got.body, never) || strings.Contains(s.logs.String(), never) {
				t.Errorf("%s: %s is in the page or the log\n%s", tt.name, never, got.body)
			}
		}
		if ct := got.header.Get("Content-Type"); ct != "text/html; charset=utf-8" {
			t.Errorf("%s: content type %q", tt.name, ct)
		}
	}
}
