package main

import (
	"fmt"
	"net/http"
	"net/http/httptest"
	"os"
	"path/filepath"
	"strings"
	"sync"
	"testing"
)

const (
	canaryVariable = `c4nary"env/+&=<é>\secret-51d0a7`
	canaryFile     = `c4nary file/+secret=%2F-88e1b3`
	canaryVault    = `c4nary&vault/+secret=-17ac9e`
	canaryToken    = `c4nary-vault-token/+=-6612fd`
)

// Secrets kept elsewhere are sent where they belong and shown nowhere, whatever happens to
// them; the operator decides where references may lead.
func TestReferencesEndToEnd(t *testing.T) {
	t.Parallel()
	up := echo(t)
	var mu sync.Mutex
	status := http.StatusOK
	answerWith := func(code int) {
		mu.Lock()
		defer mu.Unlock()
		status = code
	}
	vault := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		mu.Lock()
		defer mu.Unlock()
		if r.Header.Get("X-Vault-Token") != canaryToken || r.URL.Path != "/v1/secret/data/crm" {
			w.WriteHeader(http.StatusForbidden)
			return
		}
		w.WriteHeader(status)
		_, _ = fmt.Fprintf(w, `{"data": {"data": {"password": %q}, "metadata": {}}}`, canaryVault)
	}))
	t.Cleanup(vault.Close)
	folder := t.TempDir()
	if err := os.WriteFile(filepath.Join(folder, "key"), []byte(canaryFile+"\n"), 0o600); err != nil {
		t.Fatal(err)
	}
	s := serveWith(t, "", []string{"VAULT_ADDR=" + vault.URL, "VAULT_TOKEN=" + canaryToken, "APP_SECRET=" + canaryVariable, "KEYFLOW_SECRET_SOURCES=env:APP_,file:" + folder + ",vault"},
		"--log-level", "debug", "--egress-allow", strings.TrimPrefix(up.URL, "http://"))
	sweep := sweeper{canaries: map[string]string{"variable": canaryVariable, "file": canaryFile, "vault": canaryVault, "token of Vault": canaryToken}}
	for id, c := range map[string]string{
		"by-env":   `"type": "basic_auth", "fields": {"username": "it", "password": {"ref": "env:APP_SECRET"}}`,
		"by-file":  `"type": "api_key", "fields": {"key": "X-Key", "value": {"ref": "file:` + folder + `/key"}}`,
		"by-vault": `"type": "basic_auth", "fields": {"username": "it", "password": {"ref": "vault:secret/crm#password"}}`,
	} {
		sweep.add("create "+id, s.must(http.MethodPost, "/api/v1/credentials", fmt.Sprintf(`{"id": %q, %s, "allowed_hosts": [%q], "test_url": %q}`, id, c, up.URL, up.URL+"/json")).body)
		for _, path := range []string{"/json", "/text", "/refuse"} {
			w := id + strings.ReplaceAll(path, "/", "-")
			s.apply(w, fmt.Sprintf(`{"id": %q, "nodes": {"call": {"type": "web_request", "credential": %q, "with": {"url": %q}}}, "output": "{{ nodes.call.output }}"}`, w, id, up.URL+path))
			run := s.run(w, map[string]any{})
			sweep.add("run "+w, run.body)
			if ok := run.json["status"] == "succeeded"; ok == (path == "/refuse") || !strings.Contains(run.body, "***") && ok {
				t.Errorf("%s: %s", w, run.body)
			}
		}
		sweep.add("test "+id, s.must(http.MethodPost, "/api/v1/credentials/"+id+"/test", nil).body)
		if shown := s.must(http.MethodGet, "/api/v1/credentials/"+id, nil); !strings.Contains(shown.body, `"ref":"`) {
			t.Errorf("the reference is not shown: %s", shown.body)
		}
	}
	answerWith(http.StatusForbidden)
	run := s.run("by-vault-json", map[string]any{})
	if !strings.Contains(run.body, `"code":"credential_reference"`) || !strings.Contains(run.body, "token may not read it in Vault (status 403)") {
		t.Errorf("while Vault refuses: %s", run.body)
	}
	sweep.add("run while Vault refuses", run.body)
	answerWith(http.StatusOK)
	if run = s.run("by-vault-json", map[string]any{}); run.json["status"] != "succeeded" {
		t.Errorf("when Vault answers again: %s", run.body)
	}
	for _, ref := range []string{"env:PATH", "env:KEYFLOW_SECRET_SOURCES", "env:VAULT_TOKEN", "file:" + s.dir + "/master.key", "file:/etc/passwd", "file:/proc/self/environ"} {
		a := s.do(http.MethodPost, "/api/v1/credentials", fmt.Sprintf(`{"id": "bad", "type": "bearer_token", "fields": {"token": {"ref": %q}}, "allowed_hosts": [%q]}`, ref, up.URL))
		if a.status != http.StatusUnprocessableEntity || !strings.Contains(a.body, `"code":"reference"`) {
			t.Errorf("%s: %d %s", ref, a.status, a.body)
		}
		sweep.add("refused "+ref, a.body)
	}
	r := keyflow(t, s.env(), "credentials", "create", "--id", "by-flag", "--type", "bearer_token", "--ref", "token=env:APP_SECRET", "--allowed-host", up.URL, "--output", "json")
	sweep.add("cli create", r.stdout+r.stderr)
	if r.code != exitOK || !strings.Contains(r.stdout, `"ref": "env:APP_SECRET"`) {
		t.Errorf("create by flag: %d %s%s", r.code, r.stdout, r.stderr)
	}
	r = keyflow(t, s.env(), "credentials", "candidate", "by-flag", "--ref", "token=env:APP_SECRET", "--output", "json")
	sweep.add("cli candidate", r.stdout+r.stderr)
	if r.code != exitOK || strings.Count(r.stdout, `"ref": "env:APP_SECRET"`) != 2 || !strings.Contains(r.stdout, `"candidate": {`) {
		t.Errorf("a candidate by flag: %d %s%s", r.code, r.stdout, r.stderr)
	}
	types := s.must(http.MethodGet, "/api/v1/credential-types", nil)
	if !strings.Contains(types.body, `"sources":["env","file","vault"]`) {
		t.Errorf("the types do not say which references are possible: %s", types.body)
	}
	if code := s.stop(); code != exitOK {
		t.Errorf("stop: %d", code)
	}
	sweep.add("log", s.stderr.String())
	sweep.files(t, s.dir)
	sweep.report(t)
	off := keyflow(t, nil, "serve", "--listen", "127.0.0.1:0", "--secret-sources", "http")
	if off.code != exitUsage || !strings.Contains(off.stderr, `"http" is none of env`) {
		t.Errorf("bad --secret-sources: %d %s", off.code, off.stderr)
	}
}
