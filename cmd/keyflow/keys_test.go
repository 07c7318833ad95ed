package main

import (
	"net/http"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"keyflow/credentials"
	"keyflow/credentials/masterkey"
)

// keyStatus is what `keys ARGS --output json` printed.
func keyStatus(t *testing.T, env []string, args ...string) credentials.KeyStatus {
	t.Helper()
	r := keyflow(t, env, append([]string{"keys", "--output", "json"}, args...)...)
	if r.code != exitOK {
		t.Fatalf("keys %v: %d %s", args, r.code, r.stderr)
	}
	var s credentials.KeyStatus
	decode(t, r.stdout, &s)
	return s
}

func TestKeysOnTheServerAndOnTheFiles(t *testing.T) {
	t.Parallel()
	s := serve(t, "")
	s.must(http.MethodPost, "/api/v1/credentials", map[string]any{
		"id": "erp", "type": "bearer_token", "allowed_hosts": []string{"a.example"}, "fields": map[string]any{"token": "canary-Token-of-erp"},
	})
	viaServer := func(args ...string) credentials.KeyStatus {
		return keyStatus(t, s.env(), append(args, "--data-dir", s.dir)...)
	}
	first := viaServer("status")
	if len(first.Keys) != 1 || first.Keys[0].Sealed == 0 {
		t.Fatalf("status: %+v", first)
	}
	viaServer("rotate")
	eventually(t, "the rotation ends", func() bool { return viaServer("status").Rotation.Pending == 0 })
	if code := s.stop(); code != exitOK {
		t.Fatalf("stop: %d", code)
	}
	third := keyStatus(t, nil, "rotate", "--data-dir", s.dir)
	if len(third.Keys) != 3 || third.Keys[2].Sealed != first.Keys[0].Sealed || !third.Keys[2].Primary || third.Rotation.Running {
		t.Errorf("on the files: %+v", third)
	}
	r := keyflow(t, nil, "keys", "status", "--data-dir", s.dir)
	if r.code != exitOK || !strings.Contains(r.stdout, "primary") {
		t.Errorf("as a table: %d %s%s", r.code, r.stdout, r.stderr)
	}
	key, err := os.ReadFile(filepath.Join(s.dir, masterkey.FileName))
	if err != nil {
		t.Fatal(err)
	}
	for _, material := range strings.Split(string(key), `"`) {
		if len(material) > 30 && !strings.HasPrefix(material, "type.") && strings.Contains(r.stdout+s.stderr.String(), material) {
			t.Errorf("key material is shown: %.8s…", material)
		}
	}
	if r := keyflow(t, unreachable(t), "keys", "rotate", "--data-dir", t.TempDir()); r.code != exitUnreachable {
		t.Errorf("a folder without data: %d %s", r.code, r.stderr)
	}
	again := serve(t, s.dir)
	again.must(http.MethodGet, "/api/v1/credentials/erp", nil)
}
