package main

import (
	"fmt"
	"net/http"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"

	"keyflow/credentials"
	"keyflow/internal/database"
)

// write makes a file for a command to read.
func write(t *testing.T, name, text string) string {
	t.Helper()
	path := filepath.Join(t.TempDir(), name)
	if err := os.WriteFile(path, []byte(text), 0o600); err != nil {
		t.Fatal(err)
	}
	return path
}

func (s *instance) cli(wantCode int, args ...string) result {
	s.t.Helper()
	r := keyflow(s.t, s.env(), args...)
	if r.code != wantCode {
		s.t.Fatalf("%v: exit code %d, want %d\n%s%s", args, r.code, wantCode, r.stdout, r.stderr)
	}
	return r
}

// A file of credentials is tried, imported, used, exported and imported somewhere else.
func TestImportAndExport(t *testing.T) {
	t.Parallel()
	wire := newWire(t, nil)
	s := serve(t, "")
	csv := "\ufeffid,type,folder,allowed_hosts,fields.username,fields.password\r\n" +
		"one,basic_auth,/clouds/aws," + wire.URL + ",u,\"canary,\"\"1\"\r\n" +
		"two,basic_auth,/clouds," + wire.URL + ",u,canary-2\r\n"
	file := write(t, "partners.csv", csv)
	const plan = "ID   ACTION  CHANGED\n" +
		"one  create  allowed_hosts, fields.password, fields.username, folder, type\n" +
		"two  create  allowed_hosts, fields.password, fields.username, folder, type\n"
	if r := s.cli(exitOK, "credentials", "import", file, "--dry-run"); r.stdout != plan+"dry run: 2 created, 0 updated, 0 unchanged\n" {
		t.Errorf("dry run:\n%s", r.stdout)
	}
	if a := s.do(http.MethodGet, "/api/v1/credentials/one", nil); a.status != http.StatusNotFound {
		t.Errorf("the dry run made it: %s", a.body)
	}
	if r := s.cli(exitOK, "credentials", "import", file); r.stdout != plan+"2 created, 0 updated, 0 unchanged\n" {
		t.Errorf("import:\n%s", r.stdout)
	}
	call := func(step, want string) {
		t.Helper()
		s.apply("w", fmt.Sprintf(`{"id": "w", "folder": "/clouds/aws", "nodes": {"call": {"type": "web_request", "credential": "one", "with": {"url": %q, "headers": {"X-Step": %q}}}}}`, wire.URL+"/get", step))
		if run := s.run("w", map[string]any{}); text(run.json["status"]) != "succeeded" {
			t.Fatalf("%s: %s", step, run.body)
		}
		if diff := cmp.Diff([]string{basic("u", want)}, wire.auth(step)); diff != "" {
			t.Errorf("%s (-want +got):\n%s", step, diff)
		}
	}
	call("first", `canary,"1`)
	keys := write(t, "keys.csv", "id,fields.password\none,canary-rotated\n")
	if r := s.cli(exitOK, "credentials", "update", "--folder", "/clouds/aws", "--from-file", keys, "--output", "json"); !strings.Contains(r.stdout, `"updated": 1`) {
		t.Errorf("update of a folder:\n%s", r.stdout)
	}
	call("rotated", "canary-rotated")

	out := filepath.Join(t.TempDir(), "all.csv")
	if r := s.cli(exitOK, "credentials", "export", "--folder", "/clouds", "--out", out); r.stderr != "2 credentials written to "+out+"\n" {
		t.Errorf("export: %q", r.stderr)
	}
	exported, err := os.ReadFile(out)
	if err != nil || string(exported) != "id,type,allowed_hosts,fields.username,folder,name\none,basic_auth,"+wire.URL+",u,/clouds/aws,one\ntwo,basic_auth,"+wire.URL+",u,/clouds,two\n" {
		t.Errorf("%v:\n%s", err, exported)
	}
	asJSON := s.cli(exitOK, "credentials", "export").stdout
	if strings.Contains(asJSON, "canary") || !strings.Contains(asJSON, `"set": true`) {
		t.Errorf("export:\n%s", asJSON)
	}
	for _, again := range []string{out, write(t, "all.json", asJSON)} {
		if r := s.cli(exitOK, "credentials", "import", again); r.stdout != "0 created, 0 updated, 2 unchanged\n" {
			t.Errorf("%s imported where it comes from:\n%s", again, r.stdout)
		}
	}
}

func TestImportProblems(t *testing.T) {
	t.Parallel()
	s := serve(t, "")
	s.must(http.MethodPost, "/api/v1/credentials", map[string]any{"id": "one", "type": "no_auth", "folder": "/clouds"})
	bad := write(t, "bad.csv", "id,type,namee\none,,\nBad,no_auth,\nX,no_auth,\n")
	tests := map[string]struct {
		args []string
		code int
		want string
	}{
		"every problem with its line": {[]string{"import", bad}, exitUsage, bad + `:1: column 3, "namee", is not known (did you mean "name"?)` + "\n" +
			bad + `:3: /items/1/id: must be 1 to 63 lower-case letters, digits, '-' or '_', beginning with a letter or digit, for example "bad"` + "\n" +
			bad + `:4: /items/2/id: must be 1 to 63 lower-case letters, digits, '-' or '_', beginning with a letter or digit, for example "x"` + "\n" +
			"keyflow: nothing was imported: 2 of 3 rows are not valid, 3 problems\n"},
		"JSON":                     {[]string{"import", write(t, "x", ` [{"id": "two"}]`)}, exitUsage, "/items/0/type: is required: one of"},
		"another folder":           {[]string{"update", "--folder", "/clouds/aws", "--from-file", write(t, "x.csv", "id,name\none,x\n")}, exitUsage, "/clouds is outside of /clouds/aws"},
		"a new one in an update":   {[]string{"update", "--folder", "/clouds", "--from-file", write(t, "x.csv", "id,type\ntwo,no_auth\n")}, exitUsage, "x.csv:2: /items/0/id: credential \"two\" does not exist"},
		"neither ID nor folder":    {[]string{"update"}, exitUsage, "give the ID of a credential, or --folder and --from-file"},
		"reference and many":       {[]string{"update", "--folder", "/clouds", "--from-file", bad, "--ref", "password=env:X"}, exitUsage, "--ref changes one credential: give its ID"},
		"one and many":             {[]string{"update", "--folder", "/clouds", "--from-file", bad, "--name", "x"}, exitUsage, "--name changes one credential: give its ID"},
		"dry run of one":           {[]string{"update", "one", "--dry-run"}, exitUsage, "are for updates of a folder"},
		"form":                     {[]string{"import", bad, "--format", "xml"}, exitUsage, "--format must be json or csv"},
		"mode":                     {[]string{"import", bad, "--mode", "replace"}, exitUsage, `"upsert, update"`},
		"no file":                  {[]string{"import"}, exitUsage, "needs exactly one FILE"},
		"missing file":             {[]string{"import", "nowhere.csv"}, exitUsage, "nowhere.csv"},
		"nothing to tell cells of": {[]string{"import", write(t, "x.csv", "id\n\"")}, exitUsage, "on line 2 does not end"},
	}
	for name, tt := range tests {
		r := keyflow(t, s.env(), append([]string{"credentials"}, tt.args...)...)
		if r.code != tt.code || !strings.Contains(r.stderr, tt.want) || r.stdout != "" {
			t.Errorf("%s: exit code %d\n%s\nwant\n%s", name, r.code, r.stdout+r.stderr, tt.want)
		}
	}
	if r := s.cli(exitOK, "credentials", "list"); strings.Count(r.stdout, "\n") != 2 {
		t.Errorf("refused imports left\n%s", r.stdout)
	}
	if r := keyflowIn(t, "id,type\ntwo,no_auth\n", s.env(), "credentials", "import", "-"); r.code != exitOK || !strings.Contains(r.stdout, "1 created") {
		t.Errorf("from stdin: %d %s%s", r.code, r.stdout, r.stderr)
	}
}

// One row that cannot be read stops neither the server nor the list, nor the other workflows.
func TestServerWithADamagedRow(t *testing.T) {
	t.Parallel()
	s := serve(t, "")
	for _, id := range []string{"bad", "good"} {
		s.must(http.MethodPost, "/api/v1/credentials", map[string]any{"id": id, "type": "basic_auth", "fields": map[string]any{"username": "u", "password": "p"}, "allowed_hosts": []string{"a.example"}})
		s.apply(id, fmt.Sprintf(`{"id": %q, "triggers": {"h": {"type": "webhook", "path": %q, "credential": %q}}, "nodes": {"x": {"type": "transform", "with": {"value": 1}}}}`, id, id, id))
	}
	if code := s.stop(); code != exitOK {
		t.Fatalf("stop: %d", code)
	}
	db, err := database.Open(t.Context(), database.Options{Dir: s.dir})
	if err != nil {
		t.Fatal(err)
	}
	if err := db.Write().Exec("UPDATE credentials SET details = ? WHERE id = 'bad'", []byte("{")).Error; err != nil {
		t.Fatal(err)
	}
	if err := db.Close(); err != nil {
		t.Fatal(err)
	}

	s = serve(t, s.dir)
	eventually(t, "ready", func() bool { return s.do(http.MethodGet, "/readyz", nil).status == http.StatusOK })
	list := s.must(http.MethodGet, "/api/v1/credentials", nil)
	if !strings.Contains(list.body, credentials.MessageDamaged) || strings.Count(list.body, `"revision"`)+strings.Count(list.body, `"fields":`) != 2 {
		t.Errorf("list: %s", list.body)
	}
	if a := s.do(http.MethodGet, "/api/v1/credentials/bad", nil); a.status != http.StatusConflict || !strings.Contains(a.body, credentials.MessageDamaged) {
		t.Errorf("get: %d %s", a.status, a.body)
	}
	if a := s.do(http.MethodPost, "/hooks/good", `{}`, "Authorization", basic("u", "p")); a.status != http.StatusAccepted {
		t.Errorf("webhook with the other credential: %d %s", a.status, a.body)
	}
	if a := s.do(http.MethodPost, "/hooks/bad", `{}`, "Authorization", basic("u", "p")); a.status < http.StatusBadRequest {
		t.Errorf("webhook with the damaged credential: %d %s", a.status, a.body)
	}
	r := s.cli(exitFailed, "credentials", "export")
	if !strings.Contains(r.stderr, "not exported, because they are damaged in the database: bad") || !strings.Contains(r.stdout, `"good"`) || strings.Contains(r.stdout, `"bad"`) {
		t.Errorf("export: %s%s", r.stdout, r.stderr)
	}
	s.apply("good", `{"id": "good", "nodes": {"x": {"type": "transform", "with": {"value": 2}}}}`)
	s.must(http.MethodDelete, "/api/v1/credentials/bad?force=true", nil)
}
