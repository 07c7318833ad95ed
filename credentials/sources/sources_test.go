package sources_test

import (
	"context"
	"errors"
	"fmt"
	"net/http"
	"net/http/httptest"
	"os"
	"path/filepath"
	"strings"
	"sync"
	"sync/atomic"
	"syscall"
	"testing"

	"github.com/google/go-cmp/cmp"

	"keyflow/credentials/sources"
	"keyflow/internal/egress"
	"keyflow/internal/fault"
)

// environment is a server's environment.
type environment map[string]string

func (e environment) get(name string) (string, bool) {
	value, set := e[name]
	return value, set
}

func open(t *testing.T, o sources.Options) *sources.Sources {
	t.Helper()
	transport, err := egress.New(egress.Options{Allow: []string{"private"}})
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(transport.CloseIdleConnections)
	o.Transport = transport
	s, err := sources.New(o)
	if err != nil {
		t.Fatal(err)
	}
	return s
}

func message(err error) string {
	if e, ok := errors.AsType[*sources.Error](err); ok {
		return e.Message
	}
	return fmt.Sprint(err)
}

func TestEntriesOfSecretSources(t *testing.T) {
	t.Parallel()
	for entry, ok := range map[string]bool{
		"env": true, "env:APP_": true, "file": true, "file:/run/secrets": true, "vault": true, "vault:secret/crm": true,
		"": false, "ENV": false, "file:secrets": false, "file:/run/../etc": false, "http": false,
	} {
		if _, err := sources.New(sources.Options{Allow: []string{entry}}); ok != (err == nil) || err != nil && !fault.Is(err, fault.Invalid) {
			t.Errorf("%q: %v", entry, err)
		}
	}
	if got := open(t, sources.Options{Allow: []string{"vault", "env:APP_"}}).Kinds(); cmp.Diff([]string{"env", "vault"}, got) != "" {
		t.Errorf("kinds %v", got)
	}
	if got := (*sources.Sources)(nil).Kinds(); got != nil {
		t.Errorf("kinds of none: %v", got)
	}
}

// What may not be referred to is refused before anything is read, at save and at use alike.
func TestRefusedReferences(t *testing.T) {
	t.Parallel()
	data := t.TempDir()
	link := filepath.Join(t.TempDir(), "data")
	if err := os.Symlink(data, link); err != nil {
		t.Fatal(err)
	}
	all := []string{"env", "file", "vault"}
	tests := map[string]struct {
		allow     []string
		ref, want string
	}{
		"nothing switched on":    {nil, "env:A", "refers to env:A, which is not switched on: start the server with --secret-sources env"},
		"another kind":           {[]string{"env"}, "file:/run/a", "refers to file:/run/a, which is not switched on"},
		"no kind":                {all, "secret", "is no reference: write env:NAME, file:/path or vault:path#key"},
		"unknown kind":           {all, "http://a.example", "is no reference"},
		"no name":                {all, "env:", "is no reference"},
		"no variable":            {all, "env:A-B", "does not name a variable"},
		"own variable":           {all, "env:KEYFLOW_MASTER_KEY", "variables that begin with KEYFLOW_ are the server's own"},
		"own variable, lower":    {all, "env:keyflow_admin_token", "are the server's own"},
		"token of Vault":         {all, "env:VAULT_TOKEN", "variables that begin with VAULT_ are the server's own"},
		"password of Postgres":   {all, "env:PGPASSWORD", "are the server's own"},
		"another prefix":         {[]string{"env:APP_"}, "env:OTHER", "is not among what is switched on (env:APP_)"},
		"relative":               {all, "file:secret", "must be a full path"},
		"up and down":            {all, "file:/run/secrets/../../etc/shadow", "must be a full path without . and .. parts"},
		"NUL":                    {all, "file:/run/a\x00b", "must be a full path"},
		"environment of process": {all, "file:/proc/self/environ", "/proc, /sys and /dev hold no secrets"},
		"device":                 {all, "file:/dev/stdin", "/proc, /sys and /dev"},
		"another folder":         {[]string{"file:/run/secrets"}, "file:/run/secrets2/a", "is not among what is switched on (file:/run/secrets)"},
		"the folder itself":      {[]string{"file:/run/secrets"}, "file:/run/secrets", "is not among"},
		"master key":             {all, "file:" + data + "/master.key", "it is the server's own"},
		"master key over a link": {all, "file:" + link + "/master.key", "does not exist|it is the server's own"},
		"file of Vault's token":  {all, "file:/run/vault-token", "it is the server's own"},
		"no key":                 {all, "vault:secret/crm", "must be vault:mount/path#key"},
		"no mount":               {all, "vault:crm#password", "must be vault:mount/path#key"},
		"out of the mount":       {all, "vault:secret/../sys/raw#x", "must be vault:mount/path#key"},
		"query":                  {all, "vault:secret/a?version=1#x", "must be vault:mount/path#key"},
		"another path":           {[]string{"vault:secret/crm"}, "vault:secret/crm2#x", "is not among what is switched on"},
	}
	for name, tt := range tests {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			s := open(t, sources.Options{Allow: tt.allow, DataDir: data, Getenv: environment{
				"KEYFLOW_MASTER_KEY": "canary-key", "VAULT_TOKEN": "canary", "VAULT_TOKEN_FILE": "/run/vault-token", "OTHER": "x",
			}.get})
			err := s.Check(tt.ref)
			if err == nil && name == "master key over a link" {
				_, err = s.Read(t.Context(), tt.ref)
			}
			first, second, _ := strings.Cut(tt.want, "|")
			if got := message(err); !strings.Contains(got, first) && (second == "" || !strings.Contains(got, second)) {
				t.Errorf("%v; want …%s…", err, tt.want)
			}
			if text, err := s.Read(t.Context(), tt.ref); err == nil {
				t.Errorf("read %d bytes", len(text.Reveal()))
			}
		})
	}
}

func write(t *testing.T, path, text string) {
	t.Helper()
	if err := os.WriteFile(path, []byte(text), 0o600); err != nil {
		t.Fatal(err)
	}
}

func TestFilesAreReadAsTheyAreNow(t *testing.T) {
	t.Parallel()
	dir, outside, data := t.TempDir(), t.TempDir(), t.TempDir()
	write(t, filepath.Join(outside, "other"), "canary-outside")
	write(t, filepath.Join(data, "master.key"), "canary-master-key")
	write(t, filepath.Join(dir, "empty"), "\n")
	write(t, filepath.Join(dir, "large"), strings.Repeat("x", sources.MaxBytes+1))
	write(t, filepath.Join(dir, "full"), strings.Repeat("x", sources.MaxBytes)+"\n")
	for link, target := range map[string]string{
		"out": filepath.Join(outside, "other"), "to-key": filepath.Join(data, "master.key"), "to-proc": "/proc/self/environ", "inside": "token", "nowhere": "gone",
		"..data": ".",
	} {
		if err := os.Symlink(target, filepath.Join(dir, link)); err != nil {
			t.Fatal(err)
		}
	}
	if err := os.Link(filepath.Join(data, "master.key"), filepath.Join(dir, "hard-link")); err != nil {
		t.Fatal(err)
	}
	if err := syscall.Mkfifo(filepath.Join(dir, "pipe"), 0o600); err != nil {
		t.Fatal(err)
	}
	narrow := open(t, sources.Options{Allow: []string{"file:" + dir}, DataDir: data})
	wide := open(t, sources.Options{Allow: []string{"file"}, DataDir: data})
	for _, text := range []string{"first", "second", "a\nb"} {
		write(t, filepath.Join(dir, "token"), text+"\n")
		for _, file := range []string{"token", "inside", "..data/token"} {
			for _, s := range []*sources.Sources{narrow, wide} {
				if got, err := s.Read(t.Context(), "file:"+dir+"/"+file); err != nil || got.Reveal() != text {
					t.Errorf("%s: %v; want %q", file, err, text)
				}
			}
		}
	}
	if got, err := narrow.Read(t.Context(), "file:"+dir+"/full"); err != nil || len(got.Reveal()) != sources.MaxBytes {
		t.Errorf("64 KiB: %v", err)
	}
	for file, want := range map[string]string{
		"out": "is a link that leads out of", "to-key": "it is the server's own", "hard-link": "it is the server's own", "to-proc": "/proc, /sys and /dev", "nowhere": "does not exist on the server",
		"gone": "does not exist on the server", "pipe": "is no file", "empty": "is empty", "large": "holds more than 64 KiB",
	} {
		if _, err := narrow.Read(t.Context(), "file:"+dir+"/"+file); !strings.Contains(message(err), want) {
			t.Errorf("%s: %v; want …%s", file, err, want)
		}
	}
	for _, file := range []string{"to-key", "to-proc", "pipe"} {
		if _, err := wide.Read(t.Context(), "file:"+dir+"/"+file); err == nil {
			t.Errorf("%s is read where every file is switched on", file)
		}
	}
}

func TestVariables(t *testing.T) {
	t.Parallel()
	s := open(t, sources.Options{Allow: []string{"env:APP_"}, Getenv: environment{"APP_TOKEN": "canary-1", "APP_EMPTY": ""}.get})
	if got, err := s.Read(t.Context(), "env:APP_TOKEN"); err != nil || got.Reveal() != "canary-1" {
		t.Error(err)
	}
	if _, err := s.Read(t.Context(), "env:APP_GONE"); !strings.Contains(message(err), "env:APP_GONE is not set in the environment of the server") {
		t.Error(err)
	}
	if _, err := s.Read(t.Context(), "env:APP_EMPTY"); message(err) != "env:APP_EMPTY is empty" {
		t.Error(err)
	}
}

// kv2 is Vault as far as its KV version 2 engine goes.
func kv2(t *testing.T, handler http.HandlerFunc) *httptest.Server {
	t.Helper()
	s := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		if r.Header.Get("X-Vault-Token") != "canary-vault-token" {
			w.WriteHeader(http.StatusForbidden)
			_, _ = fmt.Fprint(w, `{"errors": ["permission denied"]}`)
			return
		}
		handler(w, r)
	}))
	t.Cleanup(s.Close)
	return s
}

func TestVaultAnswers(t *testing.T) {
	t.Parallel()
	const good = `{"data": {"data": {"password": "canary-Pw", "port": 5432}, "metadata": {"version": 3, "deletion_time": "", "destroyed": false}}}`
	tests := map[string]struct {
		status     int
		body, want string
	}{
		"deleted":     {404, `{"data": {"data": null, "metadata": {"deletion_time": "2026-01-01T00:00:00Z"}}}`, "the newest version was deleted in Vault"},
		"destroyed":   {404, `{"data": {"data": null, "metadata": {"destroyed": true}}}`, "the newest version was deleted in Vault"},
		"missing":     {404, `{"errors": []}`, "it does not exist in Vault: check mount and path"},
		"forbidden":   {403, `{"errors": ["canary-body"]}`, "the server's token may not read it in Vault (status 403)"},
		"sealed":      {503, `{"errors": ["Vault is sealed"]}`, "Vault is sealed or in maintenance"},
		"broken":      {500, `canary-body`, "Vault answered with status 500"},
		"redirect":    {307, ``, "Vault answered with status 307"},
		"no JSON":     {200, `<html>canary-body`, "the answer of Vault is none of a KV version 2 engine"},
		"version 1":   {200, `{"data": {"password": "canary-Pw"}}`, "the answer of Vault is none of a KV version 2 engine"},
		"without key": {200, `{"data": {"data": {"user": "x"}, "metadata": {}}}`, `the secret has no key "password"`},
		"no text":     {200, `{"data": {"data": {"password": {"a": "canary-Pw"}}, "metadata": {}}}`, `the value of "password" is no text`},
	}
	for name, tt := range tests {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			var path string
			up := kv2(t, func(w http.ResponseWriter, r *http.Request) {
				path = r.URL.Path + " " + r.Header.Get("X-Vault-Namespace")
				w.Header().Set("Location", "http://127.0.0.1:1/")
				w.WriteHeader(tt.status)
				_, _ = fmt.Fprint(w, tt.body)
			})
			s := open(t, sources.Options{Allow: []string{"vault"}, Getenv: environment{"VAULT_ADDR": up.URL + "/", "VAULT_TOKEN": "canary-vault-token", "VAULT_NAMESPACE": "team"}.get})
			_, err := s.Read(t.Context(), "vault:secret/apps/crm#password")
			if !strings.HasPrefix(message(err), "vault:secret/apps/crm#password: "+tt.want) || strings.Contains(fmt.Sprint(err), "canary") {
				t.Errorf("%v; want %s", err, tt.want)
			}
			if path != "/v1/secret/data/apps/crm team" {
				t.Errorf("asked for %s", path)
			}
		})
	}
	t.Run("good", func(t *testing.T) {
		t.Parallel()
		up := kv2(t, func(w http.ResponseWriter, _ *http.Request) { _, _ = fmt.Fprint(w, good) })
		token := filepath.Join(t.TempDir(), "token")
		s := open(t, sources.Options{Allow: []string{"vault:secret"}, Getenv: environment{"VAULT_ADDR": up.URL, "VAULT_TOKEN_FILE": token}.get})
		if _, err := s.Read(t.Context(), "vault:secret/crm#password"); !strings.Contains(message(err), "cannot be read from VAULT_TOKEN_FILE") {
			t.Error(err)
		}
		write(t, token, "ended\n")
		if _, err := s.Read(t.Context(), "vault:secret/crm#password"); !strings.Contains(message(err), "status 403") {
			t.Error(err)
		}
		write(t, token, "canary-vault-token\n")
		if got, err := s.Read(t.Context(), "vault:secret/crm#password"); err != nil || got.Reveal() != "canary-Pw" {
			t.Error(err)
		}
	})
	t.Run("not there", func(t *testing.T) {
		t.Parallel()
		for addr, want := range map[string]string{"": "VAULT_ADDR is not set", "vault:8200": "VAULT_ADDR is not set", "http://127.0.0.1:1": "Vault does not answer at VAULT_ADDR"} {
			s := open(t, sources.Options{Allow: []string{"vault"}, Getenv: environment{"VAULT_ADDR": addr, "VAULT_TOKEN": "t"}.get})
			if _, err := s.Read(t.Context(), "vault:secret/crm#password"); !strings.Contains(message(err), want) {
				t.Errorf("%s: %v", addr, err)
			}
		}
		s := open(t, sources.Options{Allow: []string{"vault"}, Getenv: environment{"VAULT_ADDR": "http://127.0.0.1:1"}.get})
		if _, err := s.Read(t.Context(), "vault:secret/crm#password"); !strings.Contains(message(err), "set VAULT_TOKEN or VAULT_TOKEN_FILE") {
			t.Error(err)
		}
	})
}

// Many who ask at once cause few reads, and nobody gets what was read before he asked.
func TestReadsOfVaultAreShared(t *testing.T) {
	t.Parallel()
	var reads atomic.Int64
	entered, gate := make(chan struct{}, 100), make(chan struct{})
	up := kv2(t, func(w http.ResponseWriter, _ *http.Request) {
		n := reads.Add(1)
		entered <- struct{}{}
		<-gate
		_, _ = fmt.Fprintf(w, `{"data": {"data": {"a": "a-%d", "b": "b-%d"}, "metadata": {}}}`, n, n)
	})
	s := open(t, sources.Options{Allow: []string{"vault"}, Getenv: environment{"VAULT_ADDR": up.URL, "VAULT_TOKEN": "canary-vault-token"}.get})
	var wg sync.WaitGroup
	read := func(key string, first bool) {
		wg.Go(func() {
			got, err := s.Read(t.Context(), "vault:secret/crm#"+key)
			if err != nil || (got.Reveal() == key+"-1") != first || !strings.HasPrefix(got.Reveal(), key) {
				t.Errorf("%s: %q, %v", key, got.Reveal(), err)
			}
		})
	}
	read("a", true)
	<-entered
	for range 20 {
		read("a", false)
		read("b", false)
	}
	gone, cancel := context.WithCancel(t.Context())
	cancel()
	if _, err := s.Read(gone, "vault:secret/crm#a"); !errors.Is(err, context.Canceled) {
		t.Errorf("a caller who left: %v", err)
	}
	close(gate)
	wg.Wait()
	if n := reads.Load(); n > 20 { // 3 unless the machine is very busy
		t.Errorf("%d reads", n)
	}
}
