package vault_test

import (
	"context"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"

	"keyflow/credentials"
	"keyflow/credentials/masterkey"
	"keyflow/credentials/sqlstore"
	"keyflow/credentials/vault"
	"keyflow/internal/fault"
	"keyflow/internal/identity"
)

func (k *keep) rollback(t *testing.T, id credentials.ID, version int) credentials.Credential {
	t.Helper()
	c, err := k.Rollback(t.Context(), admin, id, version)
	if err != nil {
		t.Fatalf("rollback: %v\n%+v", err, fault.ProblemsOf(err))
	}
	return c
}

func TestRollbackMakesANewVersion(t *testing.T) {
	t.Parallel()
	k := setup(t)
	first := k.create(t, erp)
	k.now = k.now.Add(time.Hour)
	k.patch(t, "erp", `{"fields": {"username": "second", "password": "canary-Pw-2"}}`)
	k.now = k.now.Add(time.Hour)
	third := k.rollback(t, "erp", 0)
	if diff := cmp.Diff(first.Fields, third.Fields); diff != "" {
		t.Errorf("fields (-want +got):\n%s", diff)
	}
	if diff := cmp.Diff(first.Secrets, third.Secrets); diff != "" {
		t.Errorf("secrets (-want +got):\n%s", diff)
	}
	if third.Version != 3 || k.text(t, "erp", "password") != "canary-Pw-1" || third.State.Status != credentials.Untested {
		t.Errorf("version %d, state %+v", third.Version, third.State)
	}
	if text := k.reopened(t).text(t, "erp", "password"); text != "canary-Pw-1" {
		t.Errorf("after a restart the password is %q", text)
	}
	fourth := k.rollback(t, "erp", 0)
	if fourth.Version != 4 || k.text(t, "erp", "password") != "canary-Pw-2" || fourth.Fields["username"] != "second" {
		t.Errorf("the version before the rollback did not come back: %+v", fourth)
	}
	if fifth := k.rollback(t, "erp", 1); fifth.Version != 5 || k.text(t, "erp", "password") != "canary-Pw-1" {
		t.Errorf("version 1 did not come back by its number: %+v", fifth)
	}
	versions, err := k.Versions(t.Context(), admin, "erp")
	if err != nil {
		t.Fatal(err)
	}
	var origins []credentials.Origin
	for _, v := range versions {
		origins = append(origins, v.Origin)
	}
	if diff := cmp.Diff([]credentials.Origin{"rollback", "rollback", "rollback", "edit", "edit"}, origins); diff != "" {
		t.Errorf("origins (-want +got):\n%s", diff)
	}
}

func TestRollbackRefused(t *testing.T) {
	t.Parallel()
	k := setup(t)
	k.create(t, erp)
	k.create(t, `{"id": "short", "type": "bearer_token", "folder": "/hr", "grace": "2h", "fields": {"token": "canary-Pw-1"}, "allowed_hosts": ["a.example"]}`)
	k.patch(t, "short", `{"fields": {"token": "canary-Pw-2"}}`)
	tests := map[string]struct {
		caller  identity.Caller
		id      credentials.ID
		version int
		want    string
	}{
		"unknown":      {admin, "nope", 1, `credential "nope" does not exist`},
		"unseen":       {identity.Caller{Name: "s", Role: identity.Admin, Folder: "/s"}, "short", 1, `credential "short" does not exist`},
		"may only see": {identity.Caller{Name: "v", Role: identity.Viewer, Folder: "/hr"}, "short", 1, "v needs the right manage_credentials in folder /hr"},
		"current":      {admin, "short", 2, `version 2 of credential "short" is the current one: name an earlier one`},
		"no such":      {admin, "short", 3, `credential "short" has no version 3; its current one is 2`},
		"negative":     {admin, "short", -1, `credential "short" has no version -1; its current one is 2`},
		"no former":    {admin, "erp", 0, `credential "erp" has no earlier version`},
	}
	for name, tt := range tests {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			if _, err := k.Rollback(t.Context(), tt.caller, tt.id, tt.version); fault.Message(err) != tt.want {
				t.Errorf("got %v, want %s", err, tt.want)
			}
		})
	}
}

func TestFormerVersionIsNamedAfterGrace(t *testing.T) {
	t.Parallel()
	k := setup(t)
	k.create(t, erp)
	k.patch(t, "erp", `{"grace": "2h", "fields": {"password": "canary-Pw-2"}}`)
	k.now = k.now.Add(2*time.Hour + time.Second)
	_, err := k.Rollback(t.Context(), admin, "erp", 0)
	if want := `the grace of credential "erp" ended at 2026-03-01T14:00:00Z: name the version to go back to, for example 1`; fault.Message(err) != want {
		t.Errorf("got %v, want %s", err, want)
	}
	if c := k.rollback(t, "erp", 1); c.Version != 3 {
		t.Errorf("version %d", c.Version)
	}
}

// Who may edit can put in a secret of his own, together with hosts of his own. The secret that
// was there before must not follow.
func TestRollbackDoesNotWiden(t *testing.T) {
	t.Parallel()
	const api = `{"id": "api", "type": "api_key", "fields": {"key": "X-Key", "value": "canary-Pw-1"}, "allowed_hosts": ["a.example"], "test_url": "https://a.example/me"}`
	tests := map[string]struct {
		edits  []string
		want   []string // problems
		narrow string
	}{
		"allowed host": {
			[]string{`{"allowed_hosts": ["a.example", "evil.example"], "fields": {"value": "mine-12345"}}`},
			[]string{"/allowed_hosts/1"}, `{"allowed_hosts": ["a.example"]}`,
		},
		"any host": {
			[]string{`{"allowed_hosts": ["*"], "fields": {"value": "mine-12345"}}`},
			[]string{"/allowed_hosts/0"}, `{"allowed_hosts": ["a.example"]}`,
		},
		"test URL": {
			[]string{`{"allowed_hosts": ["*.example"], "test_url": "https://evil.example/", "fields": {"value": "mine-12345"}}`},
			[]string{"/allowed_hosts/0", "/test_url"}, `{"allowed_hosts": ["a.example"], "test_url": ""}`,
		},
		"narrowed before": { // the company has taken a host away before the secret was replaced
			[]string{
				`{"allowed_hosts": ["a.example", "b.example"], "fields": {"value": "canary-Pw-1"}}`, `{"allowed_hosts": ["a.example"]}`,
				`{"allowed_hosts": ["a.example", "b.example"], "fields": {"value": "mine-12345"}}`,
			},
			[]string{"/allowed_hosts/1"}, `{"allowed_hosts": ["a.example"]}`,
		},
		"in two steps": {
			[]string{`{"fields": {"value": "mine-12345"}}`, `{"allowed_hosts": ["evil.example"], "test_url": "", "fields": {"value": "mine-12345"}}`},
			[]string{"/allowed_hosts/0"}, `{"allowed_hosts": ["a.example"], "fields": {"value": "mine-12345"}}`,
		},
	}
	for name, tt := range tests {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			k := setup(t)
			k.create(t, api)
			for _, edit := range tt.edits {
				k.patch(t, "api", edit)
			}
			before, err := k.Get(t.Context(), admin, "api")
			if err != nil {
				t.Fatal(err)
			}
			_, err = k.Rollback(t.Context(), admin, "api", 1)
			var got []string
			for _, p := range fault.ProblemsOf(err) {
				got = append(got, p.Path)
				if p.Code != "wider_reach" || p.Message != "version 1 was not meant for this: narrow it first, or enter the secret again instead" {
					t.Errorf("problem %+v", p)
				}
			}
			if diff := cmp.Diff(tt.want, got); !fault.Is(err, fault.Conflict) || diff != "" {
				t.Fatalf("%v; problems (-want +got):\n%s", err, diff)
			}
			if after, err := k.Get(t.Context(), admin, "api"); err != nil || after.Revision != before.Revision || k.text(t, "api", "value") != "mine-12345" {
				t.Errorf("a refused rollback changed the credential (%v)", err)
			}
			k.patch(t, "api", tt.narrow)
			k.rollback(t, "api", 1)
			if text := k.text(t, "api", "value"); text != "canary-Pw-1" {
				t.Errorf("after narrowing the value is %q", text)
			}
		})
	}
}

// Where there is no secret, nothing can go to the wrong place.
func TestRollbackWithoutSecretsMayReachMore(t *testing.T) {
	t.Parallel()
	k := setup(t)
	k.create(t, `{"id": "open", "type": "custom", "fields": {"headers": {"X-Tenant": "a"}}, "allowed_hosts": ["a.example"]}`)
	k.patch(t, "open", `{"allowed_hosts": ["*"], "fields": {"headers": {"X-Tenant": "b"}}}`)
	if c := k.rollback(t, "open", 0); c.Version != 3 {
		t.Errorf("version %d", c.Version)
	}
}

// The fields that lead a secret somewhere are part of a version: they come back with it.
func TestRollbackBringsBackWhereItsSecretsGo(t *testing.T) {
	t.Parallel()
	tests := map[string]struct{ create, edit, field, want string }{
		"token URL": {
			crm, `{"fields": {"access_token_url": "https://evil.example/token", "client_secret": "mine-12345"}}`, "access_token_url", "https://login.crm.example/token",
		},
		"header": {
			`{"id": "crm", "type": "api_key", "fields": {"key": "X-Key", "value": "canary-Pw-1"}, "allowed_hosts": ["a.example"]}`,
			`{"fields": {"key": "X-Echoed", "value": "mine-12345"}}`, "key", "X-Key",
		},
		"placement": {
			`{"id": "crm", "type": "api_key", "fields": {"key": "X-Key", "value": "canary-Pw-1"}, "allowed_hosts": ["a.example"]}`,
			`{"fields": {"in": "query", "value": "mine-12345"}}`, "in", "header",
		},
	}
	for name, tt := range tests {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			k := setup(t)
			k.create(t, tt.create)
			before, err := k.OpenGrant(t.Context(), "crm")
			if err != nil {
				t.Fatal(err)
			}
			k.patch(t, "crm", tt.edit)
			k.rollback(t, "crm", 0)
			if text := k.text(t, "crm", tt.field); text != tt.want {
				t.Errorf("%s is %q after the rollback, want %q", tt.field, text, tt.want)
			}
			after, err := k.OpenGrant(t.Context(), "crm")
			if err != nil || after == before {
				t.Errorf("tokens of the other version could still be used (%v)", err)
			}
		})
	}
}

// meanwhileStore is a real store in which something happens before a version is read.
type meanwhileStore struct {
	*sqlstore.Store
	happen func()
}

// Version implements credentials.Store.
func (s meanwhileStore) Version(ctx context.Context, id credentials.ID, number int) (credentials.Version, error) {
	s.happen()
	return s.Store.Version(ctx, id, number)
}

func TestRollbackOfWhatWasEditedMeanwhileIsStale(t *testing.T) {
	t.Parallel()
	k := setup(t)
	k.create(t, erp)
	k.patch(t, "erp", `{"fields": {"password": "canary-Pw-2"}}`)
	keys, err := masterkey.Open(k.dir, "")
	if err != nil {
		t.Fatal(err)
	}
	store := meanwhileStore{sqlstore.New(k.db), func() { k.patch(t, "erp", `{"name": "other"}`) }}
	vault, err := vault.New(vault.Options{Store: store, Tokens: store, Limits: store, Canary: store, Keyset: keys})
	if err != nil {
		t.Fatal(err)
	}
	if _, err := vault.Rollback(t.Context(), admin, "erp", 1); !fault.Is(err, fault.Stale) {
		t.Errorf("rollback over an edit in between: %v", err)
	}
	if text := k.text(t, "erp", "password"); text != "canary-Pw-2" {
		t.Errorf("password %q", text)
	}
}
