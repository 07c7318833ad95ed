package main

import (
	"bytes"
	"crypto/ecdsa"
	"crypto/elliptic"
	"crypto/rand"
	"crypto/x509"
	"encoding/base64"
	"encoding/hex"
	"encoding/json"
	"encoding/pem"
	"fmt"
	"io"
	"io/fs"
	"maps"
	"math/big"
	"net/http"
	"net/http/httptest"
	"net/url"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"
	"time"

	"keyflow/credentials/oauth/oauthtest"
)

// Secrets that are unique to this test and hold what needs escaping in URLs, JSON and HTML.
const (
	canaryPassword = `c4nary"basic/+&=<é>\pass-7f3a91`
	canaryHeader   = `c4nary+header/key=0b55e2d9-X`
	canaryQuery    = `c4nary&query key%2F/81c6d07a`
	canaryCookie   = `c4nary-cookie-key-5d2e90b1`
	canaryClient   = `c4nary:client/secret+33aa77`
	canaryBearer   = `c4nary.bearer_token~91f0+/c2=`
	canaryCustom   = `c4nary"custom/+&=<é>header\1e77`
	canaryInQuery  = `c4nary custom&query=%2F-64d0`
	canaryInBody   = `c4nary"custom/+&=<é>\body-0aa4`
	canaryShared   = `c4nary/jwt+shared=secret-of-32-bytes-a8`
	canarySigning  = `c4nary/signing+secret=77b1c0`
	canaryStaged   = `c4nary"staged/+&=<é>\key-e41b77`
	canaryImport   = `c4nary"import/+&=<é>\row-3f58ab`
)

// echo is an upstream that gives back all it got, in every form it can think of.
func echo(t *testing.T) *httptest.Server {
	t.Helper()
	closed := closedAddress(t)
	s := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		body, _ := io.ReadAll(r.Body)
		all := r.URL.String() + "\n" + string(body)
		for k, vs := range r.Header {
			all += "\n" + k + ": " + strings.Join(vs, ",")
		}
		user, password, _ := r.BasicAuth()
		switch r.URL.Path {
		case "/redirect":
			http.Redirect(w, r, "http://"+closed+"/?stolen="+url.QueryEscape(password+r.Header.Get("X-Key")), http.StatusFound)
			return
		case "/refuse":
			w.WriteHeader(http.StatusUnauthorized)
		case "/fail":
			w.WriteHeader(http.StatusInternalServerError)
		case "/text":
			w.Header().Set("Content-Type", "text/plain")
			w.Header().Set("X-Echo", url.QueryEscape(password+r.Header.Get("X-Key")+r.URL.RawQuery))
			fmt.Fprint(w, all)
			return
		}
		w.Header().Set("Content-Type", "application/json")
		_ = json.NewEncoder(w).Encode(map[string]any{
			"all": all, "user": user, "password": password, "base64": base64.StdEncoding.EncodeToString([]byte(all)),
			"escaped": fmt.Sprintf("%q", password), "url": url.QueryEscape(password), "cookie": r.Header.Get("Cookie"),
			password + "-as-a-key": true, "nested": []any{map[string]any{"authorization": r.Header.Get("Authorization")}},
			"password64": base64.StdEncoding.EncodeToString([]byte(password)), "key64": base64.RawURLEncoding.EncodeToString([]byte(r.Header.Get("X-Key"))),
		})
	}))
	t.Cleanup(s.Close)
	return s
}

// P2: after every way to use and to fail, no secret is anywhere but where it was sent.
func TestCanarySweep(t *testing.T) {
	t.Parallel()
	up, closed := echo(t), closedAddress(t)
	provider := oauthtest.New(t, oauthtest.Options{ClientSecret: canaryClient})
	s := serve(t, "", "--log-level", "debug")
	var sweep sweeper
	sweep.canaries = map[string]string{
		"password": canaryPassword, "header key": canaryHeader, "query key": canaryQuery, "cookie key": canaryCookie,
		"client secret": canaryClient, "admin token": s.token,
		"bearer token": canaryBearer, "custom header": canaryCustom, "custom query": canaryInQuery, "custom body": canaryInBody,
		"shared secret of a jwt": canaryShared, "signing secret": canarySigning, "imported secret": canaryImport, "staged secret": canaryStaged,
	}
	s.apply("heard", `{"id": "heard", "triggers": {"all": {"type": "event", "event": "com.example.swept"}, "own": {"type": "event", "event": "keyflow.*", "input": "{{ trigger.event }}"}},
		"nodes": {"n": {"type": "transform", "with": {"value": "{{ trigger.event }}"}}}, "output": "{{ input }}"}`)
	certificate, key := clientPair(t)
	// The number that makes the key private; what stands around it is in the certificate too.
	lines := strings.Split(key, "\n")
	sweep.canaries["private key, first part"], sweep.canaries["private key, second part"] = lines[1][48:], lines[2][:24]
	for i := range 8 { // the tokens themselves are canaries too
		token := fmt.Sprintf("c4nary/access+token=%d-6b1f0e", i)
		sweep.canaries["access token "+fmt.Sprint(i)] = token
		provider.FailNext(http.StatusOK, "application/json", fmt.Sprintf(`{"access_token": %q, "refresh_token": "%s-refresh", "token_type": "bearer", "expires_in": 3600}`, token, token))
	}
	swept := map[string]bool{}
	for _, c := range []struct {
		id, typ string
		fields  map[string]any
	}{
		{"basic", "basic_auth", map[string]any{"username": "it", "password": canaryPassword}},
		{"header", "api_key", map[string]any{"key": "X-Key", "value": canaryHeader}},
		{"query", "api_key", map[string]any{"key": "key", "value": canaryQuery, "in": "query"}},
		{"cookie", "api_key", map[string]any{"key": "key", "value": canaryCookie, "in": "cookie"}},
		{"oauth", "oauth2", map[string]any{
			"grant_type": "client_credentials", "access_token_url": provider.TokenURL, "client_id": provider.ClientID, "client_secret": canaryClient, "client_authentication": "body",
		}},
		{"bearer", "bearer_token", map[string]any{"token": canaryBearer}},
		{"custom", "custom", map[string]any{
			"secret_headers": map[string]any{"X-Key": canaryCustom}, "secret_query": map[string]any{"sig": canaryInQuery}, "secret_body": map[string]any{"token": canaryInBody},
		}},
		{"jwt", "jwt", map[string]any{"algorithm": "HS256", "key": canaryShared, "issuer": "keyflow"}},
		{"signing", "signing", map[string]any{"scheme": "hmac", "header": "X-Signature", "secret": canarySigning}},
		{"certificate", "client_certificate", map[string]any{"client_certificate": certificate, "client_key": key}},
		{"assertion", "oauth2", map[string]any{
			"grant_type": "client_credentials", "access_token_url": provider.TokenURL, "client_id": provider.ClientID,
			"client_authentication": "private_key_jwt", "assertion_algorithm": "ES256", "client_key": key,
		}},
	} {
		in := map[string]any{"id": c.id, "type": c.typ, "fields": c.fields, "allowed_hosts": []string{up.URL, provider.URL, "127.0.0.1"}, "test_url": up.URL + "/fail"}
		swept[c.typ] = true
		if c.typ == "oauth2" {
			delete(in, "test_url")
		}
		sweep.add("create "+c.id, s.must(http.MethodPost, "/api/v1/credentials", in).body)
		sweep.add("duplicate "+c.id, s.do(http.MethodPost, "/api/v1/credentials", in).body)
		in["fields"] = map[string]any{"nonsense": fmt.Sprint(c.fields)}
		sweep.add("invalid "+c.id, s.do(http.MethodPatch, "/api/v1/credentials/"+c.id, in).body)
		sweep.add("test "+c.id, s.do(http.MethodPost, "/api/v1/credentials/"+c.id+"/test", nil).body)
		for _, path := range []string{"/json", "/text", "/fail", "/refuse", "/redirect", "DEAD"} {
			target := up.URL + path
			if path == "DEAD" {
				target = "http://" + closed + "/dead"
			}
			id := "w-" + c.id + "-" + strings.ToLower(strings.Trim(path, "/"))
			s.apply(id, fmt.Sprintf(`{"id": %q, "nodes": {
				"call": {"type": "web_request", "credential": %q, "with": {"method": "POST", "url": %q, "query": {"q": "1"}, "body": {"a": 1}}, "on_error": "continue"},
				"copy": {"type": "transform", "needs": ["call"], "run_on": "always", "with": {"value": {"output": "{{ nodes.call.output }}", "error": "{{ nodes.call.error }}"}}},
				"publish": {"type": "emit", "needs": ["copy"], "with": {"event": "com.example.swept", "data": "{{ nodes.copy.output }}"}, "on_error": "continue"},
				"say": {"type": "emit", "needs": ["copy"], "with": {"event": "com.example.swept", "data": {"status": "{{ nodes.call.output?.status ?? nodes.call.error?.message }}", "type": "{{ nodes.call.output?.headers['content-type'] }}"}}},
				"tell": {"type": "webhook", "needs": ["copy"], "credential": %q, "with": {"url": %q, "payload": {"text": "{{ toJSON(nodes.copy.output) }}"}}, "retry": {"max_attempts": 1}, "on_error": "continue"}
			}, "output": "{{ nodes.copy.output }}"}`, id, c.id, target, c.id, up.URL+"/json"))
			run := s.run(id, map[string]any{})
			sweep.add("run "+id, run.body)
			r := keyflow(t, s.env(), "runs", "watch", text(run.json["id"]))
			sweep.add("cli "+id, r.stdout+r.stderr)
		}
		for _, args := range [][]string{{"credentials", "get", c.id}, {"credentials", "list", "--output", "json"}, {"credentials", "test", c.id}, {"credentials", "versions", c.id}, {"credentials", "usages", c.id}, {"credentials", "uses", c.id, "--output", "json"}} {
			r := keyflow(t, s.env(), args...)
			sweep.add("cli "+strings.Join(args, " "), r.stdout+r.stderr)
		}
	}
	requireTypes(t, swept, holdsSecrets, "add a credential of it, and its secret to sweep.canaries")
	sweepRules(s, &sweep, up.URL)
	sweepImports(s, &sweep, up.URL)
	sweepRotation(s, &sweep, up.URL)
	sweepSensitive(s, &sweep)
	sweepEvents(s, &sweep)
	for _, path := range []string{
		"/", "/credentials/basic", "/api/v1/credentials?limit=200", "/api/v1/runs?limit=200", "/api/v1/workflows?limit=200", "/api/v1/triggers",
		"/api/v1/tokens", "/openapi.json", "/metrics", "/readyz",
	} {
		sweep.add("GET "+path, s.do(http.MethodGet, path, nil).body)
	}
	if code := s.stop(); code != exitOK {
		t.Errorf("stop: %d", code)
	}
	sweep.add("log", s.stderr.String())
	sweep.files(t, s.dir)
	sweep.report(t)
	redacted := 0
	for _, p := range sweep.places {
		redacted += strings.Count(p.text, "***")
	}
	if sweep.size < 100_000 || redacted < 200 {
		t.Errorf("only %d bytes with %d redactions were looked at: the sweep proves nothing", sweep.size, redacted)
	}
}

// sweepImports imports in both forms, rightly and wrongly, and exports.
func sweepImports(s *instance, sweep *sweeper, up string) {
	quoted, _ := json.Marshal(canaryImport)
	cell := `"` + strings.ReplaceAll(canaryImport, `"`, `""`) + `"`
	files := map[string]string{
		"good.csv":    "id,type,allowed_hosts,fields.key,fields.value\nimported,api_key," + up + ",X-Key," + cell + "\n",
		"later.json":  fmt.Sprintf(`[{"id": "imported", "fields": {"value": %s}, "name": "again"}]`, quoted),
		"shifted.csv": "id,type,allowed_hosts,fields.key,fields.value\n" + cell + "," + cell + ",api_key,x,y\n",
		"short.csv":   "id,fields.value\nimported\n" + cell + ",a,b,c\n",
		"header.csv":  cell + ",x\nimported,y\n",
		"broken.csv":  "id,fields.value\nimported," + canaryImport + "\n",
		"open.csv":    "id,fields.value\nimported,\"" + canaryImport + "\n",
		"wrong.json":  fmt.Sprintf(`{"items": [{"id": "imported", "fields": {"valeu": %s}}, {"id": %s, "type": "api_key", %s: 1}, %s]}`, quoted, quoted, quoted, quoted),
		"twice.json":  fmt.Sprintf(`[{"id": "imported", "fields": {"value": %s, "value": "x"}}]`, quoted),
		"cut.json":    fmt.Sprintf(`[{"id": "imported", "fields": {"value": %s`, quoted),
		"host.json":   fmt.Sprintf(`[{"id": "imported", "allowed_hosts": ["evil.example"]}, {"id": "basic", "fields": {"username": ["%s"]}}]`, up),
	}
	dir := s.t.TempDir()
	for _, name := range slices.Sorted(maps.Keys(files)) {
		path := filepath.Join(dir, name)
		if err := os.WriteFile(path, []byte(files[name]), 0o600); err != nil {
			s.t.Fatal(err)
		}
		media := "application/json"
		if strings.HasSuffix(name, ".csv") {
			media = "text/csv"
		}
		for _, query := range []string{"?dry_run=true", "", "?mode=update&folder=/x"} {
			sweep.add("import "+name+query, s.do(http.MethodPost, "/api/v1/credentials/import"+query, files[name], "Content-Type", media).body)
		}
		r := keyflow(s.t, s.env(), "credentials", "import", path)
		sweep.add("cli import "+name, r.stdout+r.stderr)
	}
	if a := s.must(http.MethodGet, "/api/v1/credentials/imported", nil); !strings.Contains(a.body, `"name":"again"`) {
		s.t.Errorf("the imports did not work: %s", a.body)
	}
	for _, format := range []string{"json", "csv"} {
		out := filepath.Join(dir, "export."+format)
		if r := keyflow(s.t, s.env(), "credentials", "export", "--out", out); r.code != exitOK {
			s.t.Errorf("export: %d %s", r.code, r.stderr)
		}
		text, err := os.ReadFile(out)
		if err != nil || !strings.Contains(string(text), "imported") {
			s.t.Errorf("export as %s: %v", format, err)
		}
		sweep.add("export as "+format, string(text))
	}
}

// sweepRotation stages, tests, promotes, falls back and rolls back, rightly and wrongly.
func sweepRotation(s *instance, sweep *sweeper, up string) {
	const path = "/api/v1/credentials/rotated"
	quoted, _ := json.Marshal(canaryStaged)
	s.must(http.MethodPost, "/api/v1/credentials", map[string]any{
		"id": "rotated", "type": "api_key", "allowed_hosts": []string{up}, "test_url": up + "/refuse", "grace": "1h",
		"fields": map[string]any{"key": "X-Key", "value": canaryHeader},
	})
	s.apply("rotated", `{"id": "rotated", "nodes": {"call": {"type": "web_request", "credential": "rotated", "with": {"url": "`+up+`/refuse"}}}}`)
	step := func(method, path, body string) answer {
		a := s.do(method, path, body)
		sweep.add(method+" "+path+" "+body[:min(len(body), 9)], a.body)
		return a
	}
	for _, wrong := range []string{`{"valeu": %s}`, `{"key": "X-Other", %s: 1}`, `{"value": [%s]}`, `{"value": {"ref": %s}}`} {
		step(http.MethodPut, path+"/candidate", `{"fields": `+fmt.Sprintf(wrong, quoted)+`}`)
	}
	step(http.MethodPut, path+"/candidate", `{"fields": {"value": `+string(quoted)+`}, "value": `+string(quoted)+`}`)
	if a := step(http.MethodPut, path+"/candidate", `{"fields": {"value": `+string(quoted)+`}}`); a.status != http.StatusOK {
		s.t.Fatalf("stage: %s", a.body)
	}
	step(http.MethodPost, path+"/test", `{"candidate": true}`) // echoes it with a 401
	step(http.MethodPost, path+"/promote", "")
	step(http.MethodPost, path+"/promote", `{"force": true, "fall_back": true}`)
	run := s.run("rotated", map[string]any{}) // refused, and so is the former one
	sweep.add("run rotated", run.body)
	for _, args := range [][]string{{"candidate", "rotated", "--from-file", "-"}, {"test", "rotated", "--candidate"}, {"promote", "rotated", "--yes"}, {"promote", "rotated", "--force", "--yes"}, {"rollback", "rotated", "--yes"}, {"versions", "rotated"}} {
		r := keyflowIn(s.t, `{"fields": {"value": `+string(quoted)+`}}`, s.env(), append([]string{"credentials"}, args...)...)
		sweep.add("cli "+strings.Join(args, " "), r.stdout+r.stderr)
	}
	a := step(http.MethodPost, path+"/rollback", `{"version": 1}`)
	step(http.MethodGet, path+"/versions", "")
	if a.status != http.StatusOK || !strings.Contains(run.body, "credential_refused") {
		s.t.Errorf("rotation did not go as meant: %s\n%s", a.body, run.body)
	}
}

// sweepRules lets failure rules end calls: a used-up quota, and a wait that is not possible.
func sweepRules(s *instance, sweep *sweeper, up string) {
	for id, rule := range map[string]string{
		"quota": `{"status": [500], "action": "quota", "until": "1h"}`,
		"wait":  `{"status": [500], "action": "wait", "until": "1h", "not_executed": true}`,
	} {
		sweep.add("create "+id, s.must(http.MethodPost, "/api/v1/credentials", fmt.Sprintf(`{"id": %q, "type": "api_key", "allowed_hosts": [%q],
			"fields": {"key": "X-Key", "value": %q}, "failure_rules": [%s], "limits": {"requests": 5, "per": "1s", "concurrency": 1}, "test_url": %q}`,
			id, up, canaryHeader, rule, up+"/fail")).body)
		s.apply("rule-"+id, fmt.Sprintf(`{"id": "rule-%s", "nodes": {"call": {"type": "web_request", "credential": %q, "at_most_once": true, "with": {"url": %q}}}}`, id, id, up+"/fail"))
		for range 2 {
			run := s.run("rule-"+id, map[string]any{})
			if !strings.Contains(run.body, `"code":"quota"`) {
				s.t.Errorf("%s: %s", id, run.body)
			}
			sweep.add("run rule-"+id, run.body)
		}
		sweep.add("test "+id, s.do(http.MethodPost, "/api/v1/credentials/"+id+"/test", nil).body)
		sweep.add("get "+id, s.do(http.MethodGet, "/api/v1/credentials/"+id, nil).body)
	}
}

// clientPair makes a certificate with its key, in PEM form.
func clientPair(t *testing.T) (certificate, key string) {
	t.Helper()
	signer, err := ecdsa.GenerateKey(elliptic.P256(), rand.Reader)
	if err != nil {
		t.Fatal(err)
	}
	template := &x509.Certificate{SerialNumber: big.NewInt(1), NotBefore: time.Now(), NotAfter: time.Now().Add(time.Hour)}
	der, err := x509.CreateCertificate(rand.Reader, template, template, signer.Public(), signer)
	if err != nil {
		t.Fatal(err)
	}
	text, err := x509.MarshalPKCS8PrivateKey(signer)
	if err != nil {
		t.Fatal(err)
	}
	return string(pem.EncodeToMemory(&pem.Block{Type: "CERTIFICATE", Bytes: der})), string(pem.EncodeToMemory(&pem.Block{Type: "PRIVATE KEY", Bytes: text}))
}

// The sweep finds what it is meant to find.
func TestSweepFindsEveryForm(t *testing.T) {
	t.Parallel()
	for form, needle := range forms(canaryPassword) {
		if len(needle) < 12 {
			t.Errorf("%s: %q is too short to prove anything", form, needle)
		}
	}
	for shift := range 3 {
		carrier := base64.StdEncoding.EncodeToString([]byte(strings.Repeat("?", shift) + canaryPassword + "tail"))
		if !strings.Contains(carrier, forms(canaryPassword)[fmt.Sprintf("base64 at %d", shift)]) {
			t.Errorf("base64 at %d is not found in %s", shift, carrier)
		}
	}
}

// sweeper looks for canaries in every form.
type sweeper struct {
	canaries map[string]string
	places   []place
	size     int
}

type place struct{ name, text string }

func (s *sweeper) add(name, text string) {
	s.places = append(s.places, place{name, text})
	s.size += len(text)
}

// files adds what is on disk: the database, its WAL and anything else, but not the files whose
// purpose is to hold a secret for the owner of the folder.
func (s *sweeper) files(t *testing.T, dir string) {
	t.Helper()
	err := filepath.WalkDir(dir, func(path string, d fs.DirEntry, err error) error {
		if err != nil || d.IsDir() || d.Name() == "admin-token" || d.Name() == "master.key" {
			return err
		}
		data, err := os.ReadFile(path)
		s.add("file "+d.Name(), string(data))
		return err
	})
	if err != nil {
		t.Fatal(err)
	}
}

func (s *sweeper) report(t *testing.T) {
	t.Helper()
	for name, canary := range s.canaries {
		for form, needle := range forms(canary) {
			for _, p := range s.places {
				if i := strings.Index(p.text, needle); i >= 0 {
					t.Errorf("%s in %s as %s: …%q…", name, p.name, form, p.text[max(0, i-40):min(len(p.text), i+len(needle)+40)])
				}
			}
		}
	}
}

// forms are the canary raw, escaped, encoded at all three alignments of base64, and in
// fragments of 12 characters.
func forms(canary string) map[string]string {
	quoted, _ := json.Marshal(canary)
	var html bytes.Buffer
	json.HTMLEscape(&html, quoted)
	f := map[string]string{
		"raw": canary, "query escaped": url.QueryEscape(canary), "path escaped": url.PathEscape(canary),
		"JSON": strings.Trim(string(quoted), `"`), "JSON for HTML": strings.Trim(html.String(), `"`),
		"hex": hex.EncodeToString([]byte(canary)), "HEX": strings.ToUpper(hex.EncodeToString([]byte(canary))),
	}
	for shift := range 3 {
		padded := strings.Repeat("x", shift) + canary
		enc := base64.StdEncoding.EncodeToString([]byte(padded))
		// without the characters that depend on what stands before and after
		inner := enc[(shift*8+5)/6 : len(padded)*8/6]
		f[fmt.Sprintf("base64 at %d", shift)] = inner
		f[fmt.Sprintf("base64url at %d", shift)] = strings.NewReplacer("+", "-", "/", "_").Replace(inner)
	}
	for i := 0; i+12 <= len(canary); i += 4 {
		f[fmt.Sprintf("fragment at %d", i)] = canary[i : i+12]
	}
	return f
}
