package vault_test

import (
	"errors"
	"net/http"
	"net/http/httptest"
	"testing"

	"github.com/google/go-cmp/cmp"

	"keyflow/credentials"
	"keyflow/internal/fault"
)

func TestVerifyInboundWebhook(t *testing.T) {
	t.Parallel()
	k := setup(t)
	k.create(t, erp)
	k.create(t, crm)
	k.create(t, `{"id": "header", "type": "api_key", "fields": {"key": "x-hook-key", "value": "canary-Key-1", "prefix": "Token "}, "allowed_hosts": ["a.example"]}`)
	k.create(t, `{"id": "query", "type": "api_key", "fields": {"key": "key", "value": "canary+Key/1", "in": "query"}, "allowed_hosts": ["a.example"]}`)
	k.create(t, `{"id": "cookie", "type": "api_key", "fields": {"key": "sid", "value": "canary-Key-1", "in": "cookie"}, "allowed_hosts": ["a.example"]}`)
	k.create(t, `{"id": "open", "type": "basic_auth", "fields": {"username": "u"}, "allowed_hosts": ["a.example"]}`)
	k.create(t, `{"id": "blank", "type": "basic_auth", "fields": {"username": "u", "password": ""}, "allowed_hosts": ["a.example"]}`)
	k.create(t, `{"id": "named", "type": "basic_auth", "fields": {"username": "canary-Key-1", "username_secret": true}, "allowed_hosts": ["a.example"]}`)
	const refused = "the request does not carry the right credential"
	noSecret := func(id string) string {
		return `credential "` + id + `" holds no secret, so whoever knows the user name would be let in; give it a password to verify webhooks with`
	}
	tests := map[string]struct {
		id   credentials.ID
		send func(r *http.Request)
		want []string
		err  string
	}{
		"basic":                {"erp", func(r *http.Request) { r.SetBasicAuth("it@acme.kr", "canary-Pw-1") }, []string{"Authorization"}, ""},
		"basic wrong password": {"erp", func(r *http.Request) { r.SetBasicAuth("it@acme.kr", "canary-Pw-2") }, nil, refused},
		"basic wrong user":     {"erp", func(r *http.Request) { r.SetBasicAuth("it", "canary-Pw-1") }, nil, refused},
		"basic missing":        {"erp", func(*http.Request) {}, nil, refused},
		"basic garbage":        {"erp", func(r *http.Request) { r.Header.Set("Authorization", "Basic !") }, nil, refused},
		"basic twice":          {"erp", func(r *http.Request) { r.SetBasicAuth("it@acme.kr", "canary-Pw-1"); r.Header.Add("Authorization", "x") }, nil, refused},
		"no password":          {"open", func(r *http.Request) { r.SetBasicAuth("u", "") }, nil, noSecret("open")},
		"empty password":       {"blank", func(r *http.Request) { r.SetBasicAuth("u", "") }, nil, noSecret("blank")},
		"secret user name":     {"named", func(r *http.Request) { r.SetBasicAuth("canary-Key-1", "") }, []string{"Authorization"}, ""},
		"header":               {"header", func(r *http.Request) { r.Header.Set("X-Hook-Key", "Token canary-Key-1") }, []string{"X-Hook-Key"}, ""},
		"header no prefix":     {"header", func(r *http.Request) { r.Header.Set("X-Hook-Key", "canary-Key-1") }, nil, refused},
		"header part":          {"header", func(r *http.Request) { r.Header.Set("X-Hook-Key", "Token canary-Key-") }, nil, refused},
		"header twice":         {"header", func(r *http.Request) { r.Header["X-Hook-Key"] = []string{"Token canary-Key-1", "x"} }, nil, refused},
		"query":                {"query", func(r *http.Request) { r.URL.RawQuery = "a=b&key=canary%2BKey%2F1" }, []string{"key"}, ""},
		"query twice":          {"query", func(r *http.Request) { r.URL.RawQuery = "key=x&key=canary%2BKey%2F1" }, nil, refused},
		"cookie":               {"cookie", func(r *http.Request) { r.AddCookie(&http.Cookie{Name: "sid", Value: "canary-Key-1"}) }, []string{"Cookie"}, ""},
		"cookie wrong":         {"cookie", func(r *http.Request) { r.AddCookie(&http.Cookie{Name: "sid", Value: "canary"}) }, nil, refused},
		"other type":           {"crm", func(*http.Request) {}, nil, `credential "crm" is of type oauth2; inbound webhooks are verified by basic_auth, api_key, bearer_token, jwt or signing`},
	}
	for name, tt := range tests {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			r := httptest.NewRequest(http.MethodPost, "https://flow.example.com/hooks/x", nil)
			tt.send(r)
			got, err := k.Verify(t.Context(), tt.id, "hook", "/crm", r, nil)
			if diff := cmp.Diff(tt.want, got); diff != "" {
				t.Errorf("verified (-want +got):\n%s", diff)
			}
			if message := ""; err != nil && fault.Message(err) != tt.err || err == nil && tt.err != message {
				t.Errorf("error %v, want %q", err, tt.err)
			}
			if tt.err == refused && !fault.Is(err, fault.Unauthenticated) {
				t.Errorf("kind %v", fault.KindOf(err))
			}
		})
	}
}

func TestVerifyAndCheckAskForTheWorkflow(t *testing.T) {
	t.Parallel()
	k := setup(t)
	k.create(t, crm)
	k.create(t, `{"id": "hr", "type": "basic_auth", "folder": "/hr", "fields": {"username": "u", "password": "canary-Pw-1"}, "allowed_hosts": ["a.example"]}`)
	r := httptest.NewRequest(http.MethodPost, "https://flow.example.com/hooks/x", nil)
	r.SetBasicAuth("u", "canary-Pw-1")
	const forbidden = `credential "hr" may not be used by /it/hook: its allowed_workflows are /hr/**`
	_, err := k.Verify(t.Context(), "hr", "hook", "/it", r, nil)
	if e, ok := errors.AsType[*credentials.Error](err); !ok || e.Code != credentials.CodeWorkflowNotAllowed || e.Message != forbidden || e.ID != "hr" {
		t.Errorf("verify for another folder: %v", err)
	}
	_, err = k.Verify(t.Context(), "nobody", "hook", "/it", r, nil)
	if e, ok := errors.AsType[*credentials.Error](err); !ok || e.Code != credentials.CodeUnknown {
		t.Errorf("verify by an unknown credential: %v", err)
	}

	if err := k.Check(t.Context(), "hr", "hook", "/it"); !fault.Is(err, fault.Forbidden) || fault.Message(err) != forbidden {
		t.Errorf("check for another folder: %v", err)
	}
	if err := k.Check(t.Context(), "nobody", "hook", "/it"); !fault.Is(err, fault.NotFound) {
		t.Errorf("check of an unknown credential: %v", err)
	}
	if err := k.CheckInbound(t.Context(), "hr", "hook", "/hr/korea"); err != nil {
		t.Errorf("check of a webhook: %v", err)
	}
	want := []string{` not_supported: credential "crm" is of type oauth2; inbound webhooks are verified by basic_auth, api_key, bearer_token, jwt or signing`}
	if diff := cmp.Diff(want, problemLines(k.CheckInbound(t.Context(), "crm", "hook", "/crm"))); diff != "" {
		t.Errorf("check of a webhook by oauth2 (-want +got):\n%s", diff)
	}
	k.create(t, `{"id": "open", "type": "basic_auth", "fields": {"username": "u"}, "allowed_hosts": ["a.example"]}`)
	want = []string{` secret_required: credential "open" holds no secret, so whoever knows the user name would be let in; give it a password to verify webhooks with`}
	if diff := cmp.Diff(want, problemLines(k.CheckInbound(t.Context(), "open", "hook", "/"))); diff != "" {
		t.Errorf("check of a webhook without a secret (-want +got):\n%s", diff)
	}
	if err := k.Check(t.Context(), "crm", "hook", "/crm"); err != nil {
		t.Errorf("check of a node by oauth2: %v", err)
	}
}
