package vault_test

import (
	"context"
	"encoding/json"
	"strings"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"

	"keyflow/credentials"
	"keyflow/credentials/authtype"
	"keyflow/credentials/document"
	"keyflow/credentials/masterkey"
	"keyflow/credentials/sqlstore"
	"keyflow/credentials/vault"
	"keyflow/internal/database"
	"keyflow/internal/database/databasetest"
	"keyflow/internal/fault"
	"keyflow/internal/identity"
)

var admin = identity.Caller{Name: "admin", Role: identity.Admin, Folder: "/"}

// keep is a vault and what is behind it.
type keep struct {
	*vault.Vault
	db     *database.DB
	dir    string
	keys   *masterkey.Keyset
	usages map[credentials.ID][]credentials.Usage
	now    time.Time
}

// setup returns a vault on a fresh SQLite database whose clock stands still.
func setup(t *testing.T) *keep {
	t.Helper()
	return setupOn(t, databasetest.SQLite(t), t.TempDir())
}

func setupOn(t *testing.T, db *database.DB, dir string) *keep {
	t.Helper()
	k := &keep{db: db, dir: dir, usages: make(map[credentials.ID][]credentials.Usage), now: time.Date(2026, 3, 1, 12, 0, 0, 0, time.UTC)}
	keys, err := masterkey.Open(dir, "")
	if err != nil {
		t.Fatal(err)
	}
	k.keys = keys
	store := sqlstore.New(db)
	k.Vault, err = vault.New(vault.Options{
		Store: store, Tokens: store, Limits: store, Canary: store, Keyset: keys, PublicURL: "https://flow.example.com/",
		Usages: func(_ context.Context, id credentials.ID) ([]credentials.Usage, error) { return k.usages[id], nil },
		Now:    func() time.Time { return k.now },
	})
	if err != nil {
		t.Fatal(err)
	}
	return k
}

func (k *keep) create(t *testing.T, text string) credentials.Credential {
	t.Helper()
	c, err := k.Create(t.Context(), admin, input(t, text))
	if err != nil {
		t.Fatalf("create: %v\n%+v", err, fault.ProblemsOf(err))
	}
	return c
}

func (k *keep) patch(t *testing.T, id credentials.ID, text string) credentials.Credential {
	t.Helper()
	c, err := k.Patch(t.Context(), admin, id, []byte(text), credentials.AnyRevision)
	if err != nil {
		t.Fatalf("patch: %v\n%+v", err, fault.ProblemsOf(err))
	}
	return c
}

func (k *keep) text(t *testing.T, id credentials.ID, field string) string {
	t.Helper()
	text, err := k.OpenText(t.Context(), id, field)
	if err != nil {
		t.Fatal(err)
	}
	return text
}

func input(t *testing.T, text string) credentials.Input {
	t.Helper()
	in, err := document.Parse([]byte(text))
	if err != nil {
		t.Fatalf("input: %v", err)
	}
	return in
}

// problemLines are the problems of err as "path code: message".
func problemLines(err error) []string {
	var lines []string
	for _, p := range fault.ProblemsOf(err) {
		lines = append(lines, p.Path+" "+p.Code+": "+p.Message)
	}
	return lines
}

const erp = `{"id": "erp", "name": "ERP", "type": "basic_auth", "fields": {"username": "it@acme.kr", "password": "canary-Pw-1"}, "allowed_hosts": ["erp.acme.kr"]}`

const crm = `{"id": "crm", "type": "oauth2", "folder": "/crm", "allowed_hosts": ["api.crm.example"], "fields": {
	"grant_type": "authorization_code", "authorization_url": "https://login.crm.example/authorize", "access_token_url": "https://login.crm.example/token",
	"client_id": "client", "client_secret": "canary-Secret-1", "scope": "read write", "token_params": {"audience": "api"}}}`

func TestCreatedCredentialAsTheAPIShowsIt(t *testing.T) {
	t.Parallel()
	k := setup(t)
	tests := map[string]struct{ in, want string }{
		"basic_auth": {erp, `{
			"id": "erp", "name": "ERP", "description": "", "labels": {}, "folder": "/", "type": "basic_auth",
			"fields": {"username": "it@acme.kr"},
			"secrets": {"password": {"set": true, "updated_at": "2026-03-01T12:00:00Z", "fingerprint": "FINGERPRINT"}},
			"allowed_hosts": ["erp.acme.kr"], "allowed_workflows": ["/**"], "rotatable_by": [], "limits": null, "failure_rules": [],
			"test_url": "", "expires_at": null, "rotate_every": "", "grace": "", "candidate": null, "fall_back": null,
			"state": {"status": "untested", "message": "", "since": "2026-03-01T12:00:00Z"}, "version": 1,
			"created_at": "2026-03-01T12:00:00Z", "created_by": "admin", "updated_at": "2026-03-01T12:00:00Z", "updated_by": "admin", "last_used_at": null, "used_by": 0, "expires": null}`},
		"oauth2": {crm, `{
			"id": "crm", "name": "crm", "description": "", "labels": {}, "folder": "/crm", "type": "oauth2",
			"fields": {"grant_type": "authorization_code", "authorization_url": "https://login.crm.example/authorize",
				"access_token_url": "https://login.crm.example/token", "client_id": "client", "scope": "read write", "token_params": {"audience": "api"}},
			"secrets": {"client_secret": {"set": true, "updated_at": "2026-03-01T12:00:00Z", "fingerprint": "FINGERPRINT"},
				"client_key": {"set": false, "updated_at": null, "fingerprint": ""}},
			"allowed_hosts": ["api.crm.example"], "allowed_workflows": ["/crm/**"], "rotatable_by": [], "limits": null, "failure_rules": [],
			"test_url": "", "expires_at": null, "rotate_every": "", "grace": "", "candidate": null, "fall_back": null,
			"state": {"status": "needs_connect", "message": "connect it once to let a person agree", "since": "2026-03-01T12:00:00Z"}, "version": 1,
			"created_at": "2026-03-01T12:00:00Z", "created_by": "admin", "updated_at": "2026-03-01T12:00:00Z", "updated_by": "admin", "last_used_at": null, "used_by": 0, "expires": null,
			"redirect_url": "https://flow.example.com/api/_/credentials/oauth_callback"}`},
		"api_key": {`{"id": "key", "type": "api_key", "description": "d", "labels": {"team": "it"}, "fields": {"key": "X-Key", "value": "short"},
				"allowed_hosts": ["*", "HTTP://Intranet.Example.", "API.example.com:443"], "allowed_workflows": [], "test_url": "https://api.example.com/me",
				"expires_at": "2026-12-31T09:00:00+09:00", "rotate_every": "90d",
				"failure_rules": [{"status": [403], "body": "response.body.error == 'key'", "action": "refuse"}]}`, `{
			"id": "key", "name": "key", "description": "d", "labels": {"team": "it"}, "folder": "/", "type": "api_key",
			"fields": {"key": "X-Key"},
			"secrets": {"value": {"set": true, "updated_at": "2026-03-01T12:00:00Z", "fingerprint": "FINGERPRINT"}},
			"allowed_hosts": ["*", "http://intranet.example", "api.example.com:443"], "allowed_workflows": [], "rotatable_by": [], "limits": null,
			"failure_rules": [{"status": [403], "body": "response.body.error == 'key'", "action": "refuse"}],
			"test_url": "https://api.example.com/me", "expires_at": "2026-12-31T00:00:00Z", "rotate_every": "90d", "grace": "", "candidate": null, "fall_back": null,
			"state": {"status": "untested", "message": "", "since": "2026-03-01T12:00:00Z"}, "version": 1,
			"created_at": "2026-03-01T12:00:00Z", "created_by": "admin", "updated_at": "2026-03-01T12:00:00Z", "updated_by": "admin", "last_used_at": null, "used_by": 0, "expires": {"at": "2026-05-30T12:00:00Z", "reason": "rotate_every"},
			"warnings": ["any host may receive this credential: allowed_hosts holds *", "requests to http://intranet.example may be unencrypted",
				"value is shorter than 8 characters: easy to guess, and not recognized when an answer repeats it alone"]}`},
		"no_auth": {`{"id": "open", "type": "no_auth"}`, `{
			"id": "open", "name": "open", "description": "", "labels": {}, "folder": "/", "type": "no_auth", "fields": {}, "secrets": {},
			"allowed_hosts": [], "allowed_workflows": ["/**"], "rotatable_by": [], "limits": null, "failure_rules": [],
			"test_url": "", "expires_at": null, "rotate_every": "", "grace": "", "candidate": null, "fall_back": null,
			"state": {"status": "ok", "message": "", "since": "2026-03-01T12:00:00Z"}, "version": 1,
			"created_at": "2026-03-01T12:00:00Z", "created_by": "admin", "updated_at": "2026-03-01T12:00:00Z", "updated_by": "admin", "last_used_at": null, "used_by": 0, "expires": null}`},
	}
	for name, tt := range tests {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			created := k.create(t, tt.in)
			for _, s := range created.Secrets {
				if !s.Set {
					continue
				}
				tt.want = strings.Replace(tt.want, "FINGERPRINT", s.Fingerprint, 1)
				if len(s.Fingerprint) != 12 {
					t.Errorf("fingerprint %q has not 12 digits", s.Fingerprint)
				}
			}
			read, err := k.Get(t.Context(), admin, created.ID)
			if err != nil {
				t.Fatal(err)
			}
			for what, c := range map[string]credentials.Credential{"created": created, "read": read} {
				if diff := cmp.Diff(decode(t, tt.want), decode(t, encode(t, c))); diff != "" {
					t.Errorf("%s (-want +got):\n%s", what, diff)
				}
			}
		})
	}
}

func encode(t *testing.T, v any) string {
	t.Helper()
	text, err := json.Marshal(v)
	if err != nil {
		t.Fatal(err)
	}
	return string(text)
}

func decode(t *testing.T, text string) any {
	t.Helper()
	var v any
	if err := json.Unmarshal([]byte(text), &v); err != nil {
		t.Fatal(err)
	}
	return v
}

// typeNames is how messages list the authentication types.
var typeNames = strings.Join(authtype.Names(), ", ")

func TestBadInputs(t *testing.T) {
	t.Parallel()
	k := setup(t)
	const host = `"allowed_hosts": ["a.example"]`
	tests := map[string]struct {
		in   string
		want []string
	}{
		"everything at once": {`{"id": "Ä b", "name": "a\nb", "folder": "x", "type": "api_key", "fields": {"in": "body", "kye": "X", "prefix": 7},
			"allowed_hosts": ["https://a.example/x"], "allowed_workflows": ["hr/**"], "test_url": "a.example", "rotate_every": "monthly",
			"rotatable_by": ["hr/**"], "limits": {"requests": 1}, "grace": "1 hour", "failure_rules": [{"status": [1000], "action": "wiat"}]}`, []string{
			`/id invalid_value: must be 1 to 63 lower-case letters, digits, '-' or '_', beginning with a letter or digit, for example "b"`,
			`/name invalid_value: must be at most 200 bytes on one line`,
			`/folder invalid_value: is not a folder: write / or a path such as /partners/acme`,
			`/rotate_every invalid_value: "monthly" is not a duration such as 90d, 12h or 1d12h`,
			`/allowed_hosts/0 invalid_value: is not a host: leave out user, path and query, for example api.example.com`,
			`/allowed_workflows/0 invalid_value: must begin with a slash, for example /hr/** or /marketing/sync-*`,
			`/fields/in invalid_value: must be one of header, query, cookie`,
			`/fields/kye unknown_field: is not a field of api_key (did you mean "key"?); it has key, value, in, prefix`,
			`/fields/prefix invalid_type: must be a text`,
			`/test_url invalid_value: is not a complete URL, for example https://example.com/oauth/token`,
			`/limits/per required: is required with requests, for example 20s`,
			`/failure_rules/0/action invalid_value: "wiat" is no action (did you mean "wait"?); there are renew, refuse, wait, quota`,
			`/failure_rules/0/status/0 invalid_value: must be an HTTP status from 100 to 599`,
			`/rotatable_by/0 invalid_value: must begin with a slash, for example /hr/** or /marketing/sync-*`,
			`/grace invalid_value: "1 hour" is not a duration such as 90d, 12h or 1d12h`,
			`/fields/key required: is required`,
			`/fields/value required: is required`,
		}},
		"id proposed from the name": {`{"name": "Acme ERP (2)", "type": "no_auth"}`, []string{
			`/id required: is required: workflows name the credential by it, for example "acme-erp-2"`,
		}},
		"no type": {`{"id": "x"}`, []string{`/type required: is required: one of ` + typeNames}},
		"misspelt type": {`{"id": "x", "type": "basic_aut"}`, []string{
			`/type invalid_value: "basic_aut" is not an authentication type (did you mean "basic_auth"?); there are ` + typeNames,
		}},
		"type of a later release": {`{"id": "x", "type": "aws_sigv4"}`, []string{
			`/type not_supported: "aws_sigv4" is not supported yet; this release has ` + typeNames,
		}},
		"no hosts": {`{"id": "x", "type": "basic_auth", "fields": {"username": "u"}}`, []string{
			`/allowed_hosts required: is required: the hosts that may receive this credential, for example ["api.example.com"]`,
		}},
		"no_auth has no fields": {`{"id": "x", "type": "no_auth", "fields": {"username": "u"}}`, []string{
			`/fields/username unknown_field: is not a field of no_auth; it has no fields`,
		}},
		"basic_auth": {`{"id": "x", "type": "basic_auth", "fields": {"username": "a:b", "password": "x\n", "username_secret": "yes"}, ` + host + `}`, []string{
			`/fields/username_secret invalid_type: must be true or false`,
			`/fields/username invalid_value: a user name cannot contain a colon (RFC 7617)`,
			`/fields/password invalid_value: line breaks and other control characters are not possible here; was a line break copied along?`,
		}},
		"reference to another vault": {`{"id": "x", "type": "api_key", "fields": {"key": "X", "value": {"ref": "env:KEY"}}, ` + host + `}`, []string{
			`/fields/value reference: refers to env:KEY, which is not switched on: start the server with --secret-sources env (KEYFLOW_SECRET_SOURCES)`,
		}},
		"key in a header": {`{"id": "x", "type": "api_key", "fields": {"key": "X Key", "value": "abcdefgh\n"}, ` + host + `}`, []string{
			`/fields/key invalid_value: not a possible header name: use letters, digits and -`,
			`/fields/value invalid_value: a header cannot hold line breaks or control characters; was a line break copied along?`,
		}},
		"key in the connection's headers": {`{"id": "x", "type": "api_key", "fields": {"key": "host", "value": " abcdefgh"}, ` + host + `}`, []string{
			`/fields/key invalid_value: this header belongs to the connection and cannot carry a credential`,
			`/fields/value invalid_value: begins or ends with a space, which a header cannot carry; was it copied along?`,
		}},
		"key in a cookie": {`{"id": "x", "type": "api_key", "fields": {"key": "a=b", "value": "a;b", "in": "cookie"}, ` + host + `}`, []string{
			`/fields/key invalid_value: not a possible cookie name: use letters, digits, - and _`,
			`/fields/value invalid_value: a cookie cannot hold spaces, quotes, commas, semicolons, backslashes or characters outside ASCII (RFC 6265)`,
		}},
		"oauth2 authorization_code": {`{"id": "x", "type": "oauth2", "fields": {"grant_type": "authorization_code", "access_token_url": "http://login.example/token",
			"authorization_url": "javascript:alert(1)", "client_authentication": "private_key_jwt", "keep_alive": "30m", "token_headers": {"a b": "x", "c": 1},
			"default_lifetime": "soon", "access_token_path": "a..b"}, ` + host + `}`, []string{
			`/fields/access_token_path invalid_value: must match [A-Za-z0-9_-]+(\.[A-Za-z0-9_-]+)*`,
			`/fields/access_token_url invalid_value: must begin with https://; for an unencrypted request put http:// in front of the host there`,
			`/fields/authorization_url invalid_value: is not a complete URL, for example https://example.com/oauth/token`,
			`/fields/default_lifetime invalid_value: is not a duration such as 90m, 12h or 30d`,
			`/fields/token_headers/c invalid_type: must be a text with a name`,
			`/fields/client_id required: is required`,
			`/fields/client_key required: is required: private_key_jwt signs with it`,
			`/fields/keep_alive invalid_value: must be at least 1h`,
		}},
		"oauth2 client_credentials": {`{"id": "x", "type": "oauth2", "fields": {"grant_type": "client_credentials", "access_token_url": "https://u:p@login.example/token#x",
			"client_id": "c", "client_authentication": "none", "token_headers": {"Host": "x"}, "header_name": "a b"}, ` + host + `}`, []string{
			`/fields/access_token_url invalid_value: cannot hold a user name or password`,
			`/fields/client_authentication invalid_value: client_credentials needs a client that proves itself (RFC 6749 section 4.4): use header, body, query or private_key_jwt, or enter a client_certificate`,
			`/fields/header_name invalid_value: not a possible header name: use letters, digits and -`,
			`/fields/token_headers invalid_value: header Host: this header belongs to the connection and cannot carry a credential`,
		}},
		"oauth2 against its protections": {`{"id": "x", "type": "oauth2", "fields": {"grant_type": "authorization_code", "authorization_url": "https://login.example/",
			"access_token_url": "https://login.example/token", "client_id": "c", "client_secret": "s3cret-text", "authorize_params": {"access_type": "offline", "state": "x"},
			"token_params": {"grant_type": "password"}, "refresh_params": {"grant_type": "password"}}, ` + host + `}`, []string{
			`/fields/authorize_params invalid_value: state is set by Keyflow itself: it protects the sign-in (RFC 9700)`,
			`/fields/token_params invalid_value: the grant type password is not possible: it must not be used any more (RFC 9700 section 2.4)`,
			`/fields/refresh_params invalid_value: the grant type password is not possible: it must not be used any more (RFC 9700 section 2.4)`,
		}},
		"test_url elsewhere": {`{"id": "x", "type": "basic_auth", "fields": {"username": "u"}, "test_url": "http://a.example/", ` + host + `}`, []string{
			`/test_url invalid_value: its host is not in allowed_hosts; for an unencrypted request put http:// in front of the host there`,
		}},
		"failure rules": {`{"id": "x", "type": "basic_auth", "fields": {"username": "u"}, ` + host + `, "failure_rules": [
			{"action": "renew", "status": [401]}, {"action": "wait", "body": "true"}, {"status": [403], "until": "tomorrow"}, {"action": "refuse"},
			{"action": "quota", "status": [429]}, {"action": "quota", "status": [429], "until": "tomorrow"}, {"action": "refuse", "status": [403], "until": "1h"},
			{"action": "quota", "status": [429], "until": "24:30 UTC"}, {"action": "wait", "not_executed": true, "status": [429], "until": "00:00 US Central"}]}`, []string{
			`/failure_rules/0/action invalid_value: renew is possible only for types with tokens; use refuse`,
			`/failure_rules/1/not_executed required: must be true with wait: only a request that was not carried out can be repeated later`,
			`/failure_rules/2/action required: is required: renew, refuse, wait, quota`,
			`/failure_rules/3 required: needs a condition: status, headers or body`,
			`/failure_rules/4/until required: is required with quota: a time of day with its zone such as 00:00 America/Chicago, or a duration such as 1h`,
			`/failure_rules/5/until invalid_value: "tomorrow" is neither a duration such as 20s nor a time of day with its zone such as 00:00 America/Chicago`,
			`/failure_rules/6/until invalid_value: goes with wait and quota only`,
			`/failure_rules/7/until invalid_value: "24:30 UTC" must begin with a time of day such as 00:00`,
			`/failure_rules/8/until invalid_value: "00:00 US Central" must end with a zone such as UTC or America/Chicago`,
		}},
		"a member that no response has": {`{"id": "x", "type": "basic_auth", "fields": {"username": "u"}, ` + host + `, "failure_rules": [{"action": "refuse", "body": "response.stats == 1"}]}`, []string{
			"/failure_rules/0/body invalid_value: is not an expression over response: response has no member \"stats\" (did you mean response.status?)\n  response.stats == 1\n           ^",
		}},
		"limits": {`{"id": "x", "type": "basic_auth", "fields": {"username": "u"}, ` + host + `, "limits": {"requests": -1, "concurrency": -5, "per": "10ms"}}`, []string{
			`/limits/requests invalid_value: must be from 1 to 1000000`,
			`/limits/concurrency invalid_value: must be from 1 to 1000000`,
			`/limits/per invalid_value: must be from 1s to 31d`,
		}},
		"limits in text": {`{"id": "x", "type": "basic_auth", "fields": {"username": "u"}, ` + host + `, "limits": {"per": "often"}}`, []string{
			`/limits/requests required: is required with per`,
		}},
	}
	for name, tt := range tests {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			_, err := k.Create(t.Context(), admin, input(t, tt.in))
			if !fault.Is(err, fault.Invalid) {
				t.Fatalf("created: %v", err)
			}
			if diff := cmp.Diff(tt.want, problemLines(err)); diff != "" {
				t.Errorf("problems (-want +got):\n%s", diff)
			}
		})
	}
	if list, err := k.List(t.Context(), admin, credentials.Filter{}); err != nil || len(list) != 0 {
		t.Errorf("bad inputs left %d credentials, %v", len(list), err)
	}
}

func TestProblemsNeverShowValues(t *testing.T) {
	t.Parallel()
	k := setup(t)
	const canary = "canary-4f9d2b71c0"
	for _, in := range []string{
		`{"id": "x", "type": "api_key", "fields": {"key": "` + canary + ` ", "value": "` + canary + `\n"}}`,
		`{"id": "x", "type": "api_key", "fields": {"in": "` + canary + `", "value": ["` + canary + `"]}}`,
		`{"id": "x", "type": "basic_auth", "fields": {"username": "u:` + canary + `", "password": "\t` + canary + `"}}`,
		`{"id": "x", "type": "oauth2", "fields": {"access_token_url": "https://u:` + canary + `@x/", "default_lifetime": "` + canary + `", "token_headers": {"a": "` + canary + `\n"}, "expires_in_path": " ` + canary + `"}}`,
	} {
		_, err := k.Create(t.Context(), admin, input(t, in))
		if err == nil {
			t.Fatalf("created %s", in)
		}
		if all := err.Error() + strings.Join(problemLines(err), " "); strings.Contains(all, canary) {
			t.Errorf("problems show a value: %s", all)
		}
	}
}

func TestParseInput(t *testing.T) {
	t.Parallel()
	tests := map[string]struct {
		in   string
		kind fault.Kind
		want []string
	}{
		"not JSON":      {`{"id": `, fault.Malformed, nil},
		"not UTF-8":     {"{\"id\": \"\xff\"}", fault.Malformed, nil},
		"a key twice":   {`{"fields": {"password": "a", "password": "b"}}`, fault.Invalid, []string{"/fields/password duplicate_key: is given twice"}},
		"not an object": {`[]`, fault.Invalid, []string{" invalid_type: must be an object"}},
		"parts": {`{"id": 7, "idd": "x", "fields": "x", "allowed_hosts": "a.example", "labels": {"a": 1}, "expires_at": "tomorrow", "failure_rules": [{"status": 401}], "limits": 1}`, fault.Invalid, []string{
			`/allowed_hosts invalid_type: must be a list of texts`,
			`/expires_at invalid_type: must be a time such as 2026-12-31T00:00:00Z (RFC 3339)`,
			`/failure_rules invalid_type: must be a list of rules: status (list), headers, body, action`,
			`/fields invalid_type: must be an object`,
			`/id invalid_type: must be a text`,
			`/idd unknown_field: is not part of a credential (did you mean "id"?)`,
			`/labels invalid_type: must be an object of texts`,
			`/limits invalid_type: must be an object of requests, per and concurrency`,
		}},
	}
	for name, tt := range tests {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			_, err := document.Parse([]byte(tt.in))
			if fault.KindOf(err) != tt.kind {
				t.Errorf("kind %v, want %v", fault.KindOf(err), tt.kind)
			}
			if diff := cmp.Diff(tt.want, problemLines(err)); diff != "" {
				t.Errorf("problems (-want +got):\n%s", diff)
			}
		})
	}
}
