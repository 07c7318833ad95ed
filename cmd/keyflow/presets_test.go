package main

import (
	"net/http"
	"strings"
	"testing"
)

func TestCreateFromPreset(t *testing.T) {
	t.Parallel()
	s := serve(t, "")
	r := keyflow(t, s.env(), "credentials", "presets")
	if r.code != exitOK || !strings.Contains(r.stdout, "marketo") || !strings.Contains(r.stdout, "tenant") {
		t.Errorf("presets: %d\n%s%s", r.code, r.stdout, r.stderr)
	}
	for _, tt := range []struct {
		args []string
		want string
	}{
		{[]string{"--preset", "marketto"}, `there is no preset "marketto" (did you mean "marketo"?); there are atlassian, `},
		{[]string{"--preset", "marketo"}, "--blank tenant is required: Munchkin account ID, for example 123-ABC-456"},
		{[]string{"--preset", "marketo", "--blank", "tenant=x", "--blank", "zone=1"}, "--blank tenant must match [0-9]{3}-[A-Za-z]{3}-[0-9]{3}, for example 123-ABC-456\n--blank zone is not a blank of the preset marketo; it has tenant"},
		{[]string{"--preset", "marketo", "--blank", "tenant"}, "--blank needs name=value"},
		{[]string{"--type", "no_auth", "--blank", "tenant=x"}, "--blank needs --preset"},
		{[]string{"--preset", "marketo", "--blank", "tenant=123-ABC-456", "--type", "api_key"}, "the preset marketo is of type oauth2; leave out --type"},
	} {
		r := keyflow(t, s.env(), append([]string{"credentials", "create", "--id", "x"}, tt.args...)...)
		if r.code != exitUsage || !strings.Contains(r.stderr, tt.want) {
			t.Errorf("%v: %d %s", tt.args, r.code, r.stderr)
		}
	}
	const rest = `{"fields": {"client_id": "c1", "client_secret": "canary-Secret-1"}, "folder": "/marketing"}`
	r = keyflowIn(t, rest, s.env(), "credentials", "create", "--id", "marketo", "--preset", "marketo", "--blank", "tenant=123-abc-456", "--from-file", "-")
	if r.code != exitOK || !strings.Contains(r.stderr, "LaunchPoint") {
		t.Fatalf("create: %d\n%s%s", r.code, r.stdout, r.stderr)
	}
	got := s.must(http.MethodGet, "/api/v1/credentials/marketo", nil).body
	for _, want := range []string{
		`"access_token_url":"https://123-abc-456.mktorest.com/identity/oauth/token"`, `"allowed_hosts":["123-abc-456.mktorest.com"]`,
		`"requests":50`, `"until":"00:00 America/Chicago"`, `"folder":"/marketing"`, `"name":"Adobe Marketo"`,
	} {
		if !strings.Contains(got, want) {
			t.Errorf("%s is not in %s", want, got)
		}
	}
}
