package main

import (
	"bytes"
	"encoding/base64"
	"net"
	"net/http"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"keyflow/internal/database/databasetest"
)

func TestCannotStart(t *testing.T) {
	t.Parallel()
	taken, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { taken.Close() })
	running := serve(t, "")
	used := serve(t, "")
	if code := used.stop(); code != exitOK {
		t.Fatalf("stop: %d", code)
	}
	lost := t.TempDir()
	copyDir(t, used.dir, lost)
	if err := os.Remove(filepath.Join(lost, "master.key")); err != nil {
		t.Fatal(err)
	}
	key := base64.StdEncoding.EncodeToString(make([]byte, 32))
	tests := map[string]struct {
		args []string
		env  []string
		code int
		want []string
	}{
		"port in use": {
			args: []string{"--listen", taken.Addr().String()}, code: exitCannotStart,
			want: []string{"cannot listen on " + taken.Addr().String(), "address already in use", "choose another --listen address"},
		},
		"data folder in use": {
			args: []string{"--data-dir", running.dir}, code: exitCannotStart,
			want: []string{"is in use by another keyflow process (pid ", "choose another --data-dir"},
		},
		"wrong master key": {
			args: []string{"--data-dir", used.dir}, env: []string{"KEYFLOW_MASTER_KEY=" + key}, code: exitCannotStart,
			want: []string{"master key"},
		},
		"missing master key": {
			args: []string{"--data-dir", lost}, code: exitCannotStart,
			want: []string{"master"},
		},
		"no Postgres": {
			args: []string{"--database-url", "postgres://u:canary-password@" + closedAddress(t) + "/db"}, code: exitCannotStart,
			want: []string{"Postgres does not answer"},
		},
		"bad flag":       {args: []string{"--nonsense"}, code: exitUsage, want: []string{"unknown flag: --nonsense"}},
		"bad public URL": {args: []string{"--public-url", "ftp://x"}, code: exitUsage, want: []string{"--public-url must look like https://keyflow.example.com"}},
		"bad egress":     {args: []string{"--egress-allow", "10.0.0.0/99"}, code: exitUsage, want: []string{`--egress-allow: "10.0.0.0/99" is not a CIDR`}},
		"short token":    {env: []string{"KEYFLOW_ADMIN_TOKEN=short"}, code: exitCannotStart, want: []string{"20"}},
	}
	t.Run("each", func(t *testing.T) { // ends when all its parts have ended
		for name, tt := range tests {
			t.Run(name, func(t *testing.T) {
				t.Parallel()
				args := append([]string{"serve", "--listen", "127.0.0.1:0", "--data-dir", t.TempDir()}, tt.args...)
				r := keyflow(t, tt.env, args...)
				if r.code != tt.code {
					t.Errorf("exit code %d, want %d\n%s", r.code, tt.code, r.stderr)
				}
				for _, want := range tt.want {
					if !strings.Contains(r.stderr, want) {
						t.Errorf("stderr lacks %q:\n%s", want, r.stderr)
					}
				}
				if strings.Contains(r.stderr, "canary-password") {
					t.Errorf("stderr shows the password:\n%s", r.stderr)
				}
			})
		}
	})
	t.Run("a wrong key changed nothing", func(t *testing.T) {
		again := serve(t, used.dir)
		if code := again.stop(); code != exitOK {
			t.Errorf("start with the right key: exit code %d", code)
		}
	})
}

func copyDir(t *testing.T, from, to string) {
	t.Helper()
	if err := os.CopyFS(to, os.DirFS(from)); err != nil {
		t.Fatal(err)
	}
}

func TestUnreachableServer(t *testing.T) {
	t.Parallel()
	env := unreachable(t)
	r := keyflow(t, env, "health")
	if r.code != exitUnreachable || !strings.Contains(r.stderr, "no Keyflow server answers at "+strings.TrimPrefix(env[0], "KEYFLOW_URL=")+" (KEYFLOW_URL); start one with: keyflow serve") {
		t.Errorf("exit code %d: %s", r.code, r.stderr)
	}
}

// The data folder is made before anything is sealed: on Postgres it holds no database, and with
// KEYFLOW_MASTER_KEY no key file either.
func TestServeMakesTheDataFolder(t *testing.T) {
	t.Parallel()
	url := databasetest.PostgresURL(t)
	key := func(b byte) []string {
		return []string{"KEYFLOW_MASTER_KEY=" + base64.StdEncoding.EncodeToString(bytes.Repeat([]byte{b}, 32))}
	}
	notAFolder := filepath.Join(t.TempDir(), "file")
	if err := os.WriteFile(notAFolder, nil, 0o600); err != nil {
		t.Fatal(err)
	}
	r := keyflow(t, key(1), "serve", "--listen", "127.0.0.1:0", "--database-url", url, "--data-dir", filepath.Join(notAFolder, "data"))
	if r.code != exitCannotStart || !strings.Contains(r.stderr, "choose another --data-dir") {
		t.Errorf("a folder that cannot be made: %d %s", r.code, r.stderr)
	}
	dir := filepath.Join(t.TempDir(), "not", "there")
	s := serveWith(t, dir, key(2), "--database-url", url) // the failed start has sealed nothing with its key
	if info, err := os.Stat(dir); err != nil || info.Mode().Perm() != 0o700 {
		t.Errorf("the folder: %v, %v", info, err)
	}
	s.must(http.MethodGet, "/api/v1/credentials", nil)
}
