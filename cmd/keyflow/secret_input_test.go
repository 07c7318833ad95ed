package main

import (
	"net/http"
	"os"
	"path/filepath"
	"strings"
	"testing"
)

// What is piped into a command that needs a secret is the secret, or is refused with the way to
// give it; it is never dropped.
func TestPipedSecrets(t *testing.T) {
	t.Parallel()
	s := serve(t, "")
	write := func(name, text string) string {
		path := filepath.Join(t.TempDir(), name)
		if err := os.WriteFile(path, []byte(text), 0o600); err != nil {
			t.Fatal(err)
		}
		return path
	}
	file := write("bearer.json", `{"fields": {"token": "canary-from-file"}}`)
	const canary = "canary-Piped-Secret"
	tests := map[string]struct {
		stdin string
		args  []string // of create; the ID is added
		want  string   // in stderr; "" is success
		set   string   // the secret that is set on success, "" none
	}{
		"basic_auth":             {canary + "\n", []string{"--type", "basic_auth", "--field", "username=it"}, "", "password"},
		"basic_auth, nothing":    {"", []string{"--type", "basic_auth", "--field", "username=it"}, "", ""},
		"bearer_token":           {canary, []string{"--type", "bearer_token"}, "", "token"},
		"CRLF":                   {canary + "\r\n", []string{"--type", "bearer_token"}, "", "token"},
		"bearer_token, nothing":  {"", []string{"--type", "bearer_token"}, "token is missing, and stdin is empty: pipe the value into this command, or use --from-file FILE (JSON; - is stdin) or --ref token=env:NAME", ""},
		"oauth2":                 {canary, []string{"--type", "oauth2", "--field", "grant_type=client_credentials", "--field", "access_token_url=https://a.example/token", "--field", "client_id=x"}, "", "client_secret"},
		"JSON without from-file": {`{"fields": {"token": "` + canary + `"}}`, []string{"--type", "bearer_token"}, "stdin contains the JSON of a credential: add --from-file -", ""},
		"JSON with from-file":    {`{"fields": {"token": "` + canary + `"}}`, []string{"--type", "bearer_token", "--from-file", "-"}, "", "token"},
		"several lines":          {canary + "\nanother\n", []string{"--type", "bearer_token"}, "stdin contains several lines, and token is one", ""},
		"several secrets":        {canary, []string{"--type", "custom"}, `secret_headers, secret_query or secret_body: give them as JSON with --from-file FILE (- is stdin): {"fields": {"secret_headers": …`, ""},
		"no secret":              {canary, []string{"--type", "no_auth"}, "no secret field is missing: leave the input out (< /dev/null)", ""},
		"a reference":            {canary, []string{"--type", "bearer_token", "--ref", "token=env:X"}, "no secret field is missing", ""},
		"a file":                 {"other\n", []string{"--type", "bearer_token", "--from-file", file}, "", "token"}, // of a loop: not touched
	}
	t.Run("create", func(t *testing.T) {
		for name, tt := range tests {
			t.Run(name, func(t *testing.T) {
				t.Parallel()
				id := strings.NewReplacer(" ", "-", ",", "", "_", "-").Replace(strings.ToLower(name))
				r := keyflowIn(t, tt.stdin, s.env(), append([]string{"credentials", "create", "--id", id, "--allowed-host", "a.example"}, tt.args...)...)
				if strings.Contains(r.stdout+r.stderr, canary) {
					t.Errorf("shows the secret: %s%s", r.stdout, r.stderr)
				}
				if tt.want != "" {
					if r.code != exitUsage || !strings.Contains(r.stderr, tt.want) {
						t.Errorf("exit code %d, want %d and %q: %s", r.code, exitUsage, tt.want, r.stderr)
					}
					return
				}
				if r.code != exitOK {
					t.Fatalf("exit code %d: %s", r.code, r.stderr)
				}
				secrets, _ := s.must(http.MethodGet, "/api/v1/credentials/"+id, nil).json["secrets"].(map[string]any)
				for field, info := range secrets {
					if is := info.(map[string]any)["set"] == true; is != (field == tt.set) {
						t.Errorf("%s set: %v", field, is)
					}
				}
			})
		}
	})
}

func TestPipedSecretsOfAnUpdate(t *testing.T) {
	t.Parallel()
	up := newWire(t, nil)
	s := serve(t, "")
	s.must(http.MethodPost, "/api/v1/credentials", map[string]any{
		"id": "erp", "type": "basic_auth", "allowed_hosts": []string{up.URL}, "test_url": up.URL + "/get",
		"fields": map[string]any{"username": "it", "password": "first"},
	})
	for _, command := range []string{"update", "candidate"} {
		for name, tt := range map[string]struct {
			stdin string
			args  []string
			code  int
			want  string
		}{
			"one":              {"second\n", []string{"--secret", "password"}, exitOK, "credential erp"},
			"nothing piped":    {"", []string{"--secret", "password"}, exitUsage, "password is missing, and stdin is empty"},
			"two":              {"second", []string{"--secret", "password", "--secret", "other"}, exitUsage, `--secret was given 2 times, and stdin can supply only one value: give them as JSON with --from-file FILE (- is stdin): {"fields": {"password": …, "other": …}}`},
			"JSON":             {`{"fields": {"password": "second"}}`, []string{"--secret", "password"}, exitUsage, "add --from-file -"},
			"JSON and secret":  {`{"fields": {"password": "second"}}`, []string{"--secret", "password", "--from-file", "-"}, exitUsage, "both read stdin"},
			"without --secret": {"second", nil, exitUsage, "give --secret FIELD (asks, or reads stdin)"},
		} {
			r := keyflowIn(t, tt.stdin, s.env(), append([]string{"credentials", command, "erp"}, tt.args...)...)
			if r.code != tt.code || !strings.Contains(r.stdout+r.stderr, tt.want) {
				t.Errorf("%s, %s: exit code %d: %s%s", command, name, r.code, r.stdout, r.stderr)
			}
		}
	}
	s.cli(exitOK, "credentials", "test", "erp")
	if got := up.auth(""); len(got) == 0 || got[len(got)-1] != basic("it", "second") {
		t.Errorf("the upstream saw %q", got)
	}
}
