package main

import (
	"bytes"
	"fmt"
	"net/http"
	"os"
	"path/filepath"
	"regexp"
	"strings"
	"testing"

	"keyflow/credentials/masterkey"
	"keyflow/internal/database"
	"keyflow/internal/database/databasetest"
)

// stockedServer is a server with a credential of which the upstream knows the secret.
func stockedServer(t *testing.T) (s *instance, target string) {
	t.Helper()
	up := echo(t)
	s = serve(t, "")
	s.must(http.MethodPost, "/api/v1/credentials", map[string]any{
		"id": "erp", "type": "basic_auth", "allowed_hosts": []string{up.URL}, "fields": map[string]any{"username": "it", "password": canaryPassword},
	})
	s.apply("sync", `{"id": "sync", "nodes": {"a": {"type": "web_request", "credential": "erp", "with": {"url": "`+up.URL+`/json"}}}}`)
	return s, up.URL
}

func works(t *testing.T, s *instance) {
	t.Helper()
	if run := s.run("sync", map[string]any{}); run.json["status"] != "succeeded" {
		t.Errorf("a run after the restore: %s", run.body)
	}
}

// A backup made while runs go on, put elsewhere with its key, works; it holds no key, no token
// and no secret.
func TestBackupAndRestore(t *testing.T) {
	t.Parallel()
	s, _ := stockedServer(t)
	works(t, s)
	backups := t.TempDir()
	r := keyflow(t, s.env(), "backup", backups)
	if r.code != exitOK || !strings.Contains(r.stdout, "it does not contain master.key") {
		t.Fatalf("backup: %d %s%s", r.code, r.stdout, r.stderr)
	}
	found, err := filepath.Glob(filepath.Join(backups, "keyflow-*.db"))
	if err != nil || len(found) != 1 {
		t.Fatalf("%v in the folder of backups, %v", found, err)
	}
	online := found[0]
	if info, err := os.Stat(online); err != nil || info.Mode().Perm() != 0o600 {
		t.Errorf("mode of the backup: %v, %v", info.Mode(), err)
	}
	if r := keyflow(t, s.env(), "backup", online); r.code != exitUsage || !strings.Contains(r.stderr, "backups are never replaced") {
		t.Errorf("over another backup: %d %s", r.code, r.stderr)
	}
	s.must(http.MethodPost, "/api/v1/keys/rotate", nil) // the file grows; what was sealed before still opens
	if code := s.stop(); code != exitOK {
		t.Fatalf("stop: %d", code)
	}
	offlineCopy := filepath.Join(backups, "offline.db")
	if r := keyflow(t, nil, "backup", offlineCopy, "--data-dir", s.dir); r.code != exitOK {
		t.Fatalf("from the files: %d %s", r.code, r.stderr)
	}
	sweep := sweeper{canaries: map[string]string{"password": canaryPassword, "admin token": s.token}}
	key, err := os.ReadFile(filepath.Join(s.dir, masterkey.FileName))
	if err != nil {
		t.Fatal(err)
	}
	for i, material := range regexp.MustCompile(`"value": *"([^"]+)"`).FindAllStringSubmatch(string(key), -1) {
		sweep.canaries[fmt.Sprintf("master key %d", i)] = material[1]
	}
	for _, file := range []string{online, offlineCopy} {
		text, err := os.ReadFile(file)
		if err != nil {
			t.Fatal(err)
		}
		sweep.add(filepath.Base(file), string(text))
		dir := t.TempDir()
		if err := os.WriteFile(filepath.Join(dir, masterkey.FileName), key, 0o600); err != nil {
			t.Fatal(err)
		}
		if r := keyflow(t, nil, "restore", file, "--data-dir", dir); r.code != exitOK {
			t.Fatalf("restore %s: %d %s", file, r.code, r.stderr)
		}
		restored := serve(t, dir)
		works(t, restored)
	}
	if len(sweep.canaries) != 4 {
		t.Errorf("%d canaries", len(sweep.canaries))
	}
	sweep.report(t)
}

func TestRestoreChangesNothingUnlessAllIsRight(t *testing.T) {
	t.Parallel()
	s, _ := stockedServer(t)
	backup := filepath.Join(t.TempDir(), "good.db")
	if r := keyflow(t, s.env(), "backup", backup); r.code != exitOK {
		t.Fatalf("backup: %d %s", r.code, r.stderr)
	}
	good, err := os.ReadFile(backup)
	if err != nil {
		t.Fatal(err)
	}
	other, broken, text := filepath.Join(t.TempDir(), "x"), filepath.Join(t.TempDir(), "broken.db"), filepath.Join(t.TempDir(), "text.db")
	for path, content := range map[string][]byte{broken: append(bytes.Clone(good[:len(good)/2]), make([]byte, 9000)...), text: []byte("no database")} {
		if err := os.WriteFile(path, content, 0o600); err != nil {
			t.Fatal(err)
		}
	}
	if r := keyflow(t, nil, "restore", backup, "--data-dir", s.dir, "--force"); r.code != exitFailed || !strings.Contains(r.stderr, "is in use by another keyflow process") {
		t.Errorf("while a server runs: %d %s", r.code, r.stderr)
	}
	works(t, s)
	if code := s.stop(); code != exitOK {
		t.Fatalf("stop: %d", code)
	}
	unkeyed, foreign := t.TempDir(), serve(t, "")
	if code := foreign.stop(); code != exitOK {
		t.Fatalf("stop: %d", code)
	}
	tests := map[string]struct {
		args []string
		code int
		want string
	}{
		"data is there":  {[]string{backup, "--data-dir", s.dir}, exitFailed, "keyflow.db exists: restore into another folder, or repeat with --force"},
		"no key":         {[]string{backup, "--data-dir", unkeyed}, exitCannotStart, "the master key is missing: the database was sealed with key "},
		"another key":    {[]string{backup, "--data-dir", foreign.dir, "--force"}, exitCannotStart, "wrong master key: the database was sealed with key "},
		"no such file":   {[]string{other, "--data-dir", s.dir, "--force"}, exitUsage, "cannot be read"},
		"no database":    {[]string{text, "--data-dir", s.dir, "--force"}, exitUsage, "is no backup of Keyflow"},
		"cut and filled": {[]string{broken, "--data-dir", s.dir, "--force"}, exitUsage, "the backup "},
		"on Postgres":    {[]string{backup, "--database-url", "postgres://x"}, exitUsage, "use pg_restore or psql"},
	}
	for name, tt := range tests {
		r := keyflow(t, nil, append([]string{"restore"}, tt.args...)...)
		if r.code != tt.code || !strings.Contains(r.stderr, tt.want) && name != "cut and filled" {
			t.Errorf("%s: %d %s; want %d …%s…", name, r.code, r.stderr, tt.code, tt.want)
		}
	}
	if left, err := filepath.Glob(filepath.Join(unkeyed, "*.db")); err != nil || len(left) > 0 {
		t.Errorf("without a key: %v, %v", left, err)
	}
	for _, dir := range []string{s.dir, foreign.dir, unkeyed} {
		if left, err := filepath.Glob(filepath.Join(dir, ".*")); err != nil || len(left) > 0 {
			t.Errorf("left behind: %v, %v", left, err)
		}
	}
	works(t, serve(t, s.dir))
}

func TestForcedRestoreKeepsTheFormerDatabase(t *testing.T) {
	t.Parallel()
	s, _ := stockedServer(t)
	backup := filepath.Join(t.TempDir(), "good.db")
	if r := keyflow(t, s.env(), "backup", backup); r.code != exitOK {
		t.Fatalf("backup: %d %s", r.code, r.stderr)
	}
	s.must(http.MethodDelete, "/api/v1/workflows/sync", nil)
	s.kill() // its log stays beside the database
	r := keyflow(t, nil, "restore", backup, "--data-dir", s.dir, "--force")
	if r.code != exitOK || !strings.Contains(r.stdout, "the former database is "+filepath.Join(s.dir, database.FileName+".before-restore")) {
		t.Fatalf("restore: %d %s%s", r.code, r.stdout, r.stderr)
	}
	works(t, serve(t, s.dir))
}

func TestBackupIsForAdministrators(t *testing.T) {
	t.Parallel()
	s := serve(t, "")
	made := s.must(http.MethodPost, "/api/v1/tokens", map[string]any{"name": "m", "role": "credential_manager", "folder": "/"})
	for header, want := range map[string]int{"Bearer " + text(made.json["token"]): http.StatusForbidden, "Bearer nonsense": http.StatusUnauthorized} {
		if a := s.do(http.MethodPost, "/api/v1/backup", nil, "Authorization", header); a.status != want {
			t.Errorf("%s: %d %.100s", header[:10], a.status, a.body)
		}
	}
}

func TestBackupOnPostgresNamesTheTool(t *testing.T) {
	t.Parallel()
	s := serve(t, "", "--database-url", databasetest.PostgresURL(t))
	r := keyflow(t, s.env(), "backup", t.TempDir())
	if r.code != exitFailed || !strings.Contains(r.stderr, "back it up with pg_dump") {
		t.Errorf("%d %s", r.code, r.stderr)
	}
}
