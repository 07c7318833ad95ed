package vault_test

import (
	"crypto/rand"
	"encoding/json"
	"fmt"
	"maps"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"

	"keyflow/credentials"
	"keyflow/credentials/transfer"
	"keyflow/internal/fault"
	"keyflow/internal/identity"
	"keyflow/internal/jsonvalue"
)

func TestPatchKeepsWhatItDoesNotName(t *testing.T) {
	t.Parallel()
	k := setup(t)
	created := k.create(t, `{"id": "erp", "name": "ERP", "description": "d", "labels": {"a": "1", "b": "2"}, "type": "basic_auth",
		"fields": {"username": "u", "password": "canary-Pw-1"}, "allowed_hosts": ["a.example", "b.example"], "rotate_every": "90d"}`)
	k.now = k.now.Add(time.Hour)
	got := k.patch(t, "erp", `{"name": "New", "labels": {"a": null, "c": "3"}, "allowed_hosts": ["b.example"], "rotate_every": null, "description": null,
		"version": 77, "state": {"status": "ok"}, "created_by": "mallory", "secrets": {"password": {"set": false}}, "id": "erp", "type": "basic_auth"}`)
	want := created
	want.Name, want.Description, want.Labels, want.AllowedHosts, want.RotateEvery = "New", "", map[string]string{"b": "2", "c": "3"}, []string{"b.example"}, ""
	want.UpdatedAt, want.Revision, want.Expires = k.now, got.Revision, nil
	if diff := cmp.Diff(want, got); diff != "" {
		t.Errorf("(-want +got):\n%s", diff)
	}
	if got.Revision <= created.Revision {
		t.Errorf("revision %d does not follow %d", got.Revision, created.Revision)
	}
	if text := k.text(t, "erp", "password"); text != "canary-Pw-1" {
		t.Errorf("password became %q", text)
	}
}

// createNamed makes a credential for one subtest of a shared vault.
// What a GET answered may come back: as a patch, and as a row of an import.
func TestWhatIsShownCanBeSentBack(t *testing.T) {
	t.Parallel()
	k := setup(t)
	shown := k.create(t, strings.Replace(erp, `"id"`, `"rotate_every": "90d", "id"`, 1))
	text, err := json.Marshal(shown)
	if err != nil {
		t.Fatal(err)
	}
	if again := k.patch(t, "erp", string(text)); again.Version != shown.Version {
		t.Errorf("version %d after a patch that changes nothing, want %d", again.Version, shown.Version)
	}
	row, err := jsonvalue.Decode(text)
	if err != nil {
		t.Fatal(err)
	}
	file, err := transfer.ReadJSON([]any{row})
	if err != nil {
		t.Fatal(err)
	}
	plan, err := k.Import(t.Context(), admin, credentials.ImportOptions{}, file)
	if err != nil || plan.Unchanged != 1 {
		t.Errorf("import: %+v, %v %+v", plan, err, fault.ProblemsOf(err))
	}
}

func (k *keep) createNamed(t *testing.T, text string) credentials.ID {
	t.Helper()
	in := input(t, text)
	in.ID = credentials.ID(strings.ToLower(rand.Text()))
	if _, err := k.Create(t.Context(), admin, in); err != nil {
		t.Fatalf("create: %v", err)
	}
	return in.ID
}

func TestPatchOfFields(t *testing.T) {
	t.Parallel()
	k := setup(t)
	const key = `{"id": "x", "type": "api_key", "fields": {"key": "X-Key", "value": "canary-Key-1", "prefix": "Token "}, "allowed_hosts": ["a.example"]}`
	tests := map[string]struct {
		create, patch string
		fields        map[string]any    // plain fields afterwards
		texts         map[string]string // of secret fields
		version       int
	}{
		"secret":                   {key, `{"fields": {"value": "canary-Key-2"}}`, map[string]any{"key": "X-Key", "prefix": "Token "}, map[string]string{"value": "canary-Key-2"}, 2},
		"plain":                    {key, `{"fields": {"prefix": "Key "}}`, map[string]any{"key": "X-Key", "prefix": "Key "}, map[string]string{"value": "canary-Key-1"}, 2},
		"null removes plain":       {key, `{"fields": {"prefix": null}}`, map[string]any{"key": "X-Key"}, map[string]string{"value": "canary-Key-1"}, 2},
		"empty is absent":          {key, `{"fields": {"prefix": ""}}`, map[string]any{"key": "X-Key"}, map[string]string{"value": "canary-Key-1"}, 2},
		"no field":                 {key, `{"fields": {}}`, map[string]any{"key": "X-Key", "prefix": "Token "}, map[string]string{"value": "canary-Key-1"}, 1},
		"same values":              {key, `{"fields": {"prefix": "Token ", "value": "canary-Key-1"}}`, map[string]any{"key": "X-Key", "prefix": "Token "}, map[string]string{"value": "canary-Key-1"}, 1},
		"null clears a secret":     {erp, `{"fields": {"password": null}}`, map[string]any{"username": "it@acme.kr"}, map[string]string{"password": ""}, 2},
		"empty password":           {erp, `{"fields": {"password": ""}}`, map[string]any{"username": "it@acme.kr"}, map[string]string{"password": ""}, 2},
		"user name becomes secret": {erp, `{"fields": {"username_secret": true}}`, map[string]any{"username_secret": true}, map[string]string{"username": "it@acme.kr", "password": "canary-Pw-1"}, 2},
		"entry of a map": {crm, `{"fields": {"token_params": {"audience": null, "resource": "r"}}}`, map[string]any{
			"grant_type": "authorization_code", "authorization_url": "https://login.crm.example/authorize", "access_token_url": "https://login.crm.example/token",
			"client_id": "client", "scope": "read write", "token_params": map[string]any{"resource": "r"},
		}, map[string]string{"client_secret": "canary-Secret-1", "client_key": ""}, 2},
	}
	for name, tt := range tests {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			id := k.createNamed(t, tt.create)
			got := k.patch(t, id, tt.patch)
			if diff := cmp.Diff(tt.fields, got.Fields); diff != "" {
				t.Errorf("fields (-want +got):\n%s", diff)
			}
			if got.Version != tt.version {
				t.Errorf("version %d, want %d", got.Version, tt.version)
			}
			for field, want := range tt.texts {
				if text := k.text(t, id, field); text != want {
					t.Errorf("%s is %q, want %q", field, text, want)
				}
			}
			if diff := cmp.Diff(slices.Sorted(maps.Keys(tt.texts)), slices.Sorted(maps.Keys(got.Secrets))); diff != "" {
				t.Errorf("secret fields (-want +got):\n%s", diff)
			}
		})
	}
}

func TestReplaceGivesDefaultsButKeepsSecrets(t *testing.T) {
	t.Parallel()
	k := setup(t)
	created := k.create(t, `{"id": "x", "name": "X", "description": "d", "labels": {"a": "1"}, "folder": "/hr", "type": "api_key", "test_url": "https://a.example/",
		"fields": {"key": "X-Key", "value": "canary-Key-1", "prefix": "Token "}, "allowed_hosts": ["a.example"], "allowed_workflows": ["/x/**"]}`)
	got, err := k.Replace(t.Context(), admin, "x", input(t, `{"type": "api_key", "fields": {"key": "X-Key"}, "allowed_hosts": ["a.example"]}`), created.Revision)
	if err != nil {
		t.Fatal(err)
	}
	want := created
	want.Name, want.Description, want.Labels, want.Folder, want.TestURL = "x", "", map[string]string{}, "/", ""
	want.AllowedWorkflows, want.Fields, want.Version, want.Revision = []string{"/**"}, map[string]any{"key": "X-Key"}, 2, got.Revision
	if diff := cmp.Diff(want, got); diff != "" {
		t.Errorf("(-want +got):\n%s", diff)
	}
	if text := k.text(t, "x", "value"); text != "canary-Key-1" {
		t.Errorf("the secret became %q", text)
	}
}

func TestRefusedEditsChangeNothing(t *testing.T) {
	t.Parallel()
	k := setup(t)
	created := k.create(t, erp)
	k.create(t, crm)
	folder := identity.Caller{Name: "token:crm", Role: identity.CredentialManager, Folder: "/crm"}
	viewer := identity.Caller{Name: "token:view", Role: identity.Viewer, Folder: "/"}
	tests := map[string]struct {
		caller identity.Caller
		id     credentials.ID
		patch  string
		expect int64
		kind   fault.Kind
		want   []string // problems, or else the message
	}{
		"other id":   {admin, "erp", `{"id": "erp2"}`, -1, fault.Invalid, []string{`/id immutable: cannot change: workflows name "erp"; create another credential instead`}},
		"other type": {admin, "erp", `{"type": "api_key"}`, -1, fault.Invalid, []string{`/type immutable: cannot change from basic_auth; create another credential instead`}},
		"all problems": {admin, "erp", `{"id": "b", "folder": "x", "fields": {"usernam": "u", "username": null}}`, -1, fault.Invalid, []string{
			`/id immutable: cannot change: workflows name "erp"; create another credential instead`,
			`/folder invalid_value: is not a folder: write / or a path such as /partners/acme`,
			`/fields/usernam unknown_field: is not a field of basic_auth (did you mean "username"?); it has username, password, username_secret`,
			`/fields/username required: is required`,
		}},
		"unknown part":       {admin, "erp", `{"allowed_host": []}`, -1, fault.Invalid, []string{`/allowed_host unknown_field: is not part of a credential (did you mean "allowed_hosts"?)`}},
		"not JSON":           {admin, "erp", `{`, -1, fault.Malformed, []string{"the body is not valid JSON: unexpected EOF"}},
		"a list":             {admin, "erp", `[]`, -1, fault.Invalid, []string{" invalid_type: must be an object"}},
		"stale":              {admin, "erp", `{"name": "x"}`, created.Revision - 1, fault.Stale, []string{`credential "erp" was changed in the meantime: read it again and repeat the edit`}},
		"missing":            {admin, "nobody", `{"name": "x"}`, -1, fault.NotFound, []string{`credential "nobody" does not exist`}},
		"folder unseen":      {folder, "erp", `{"name": "x"}`, -1, fault.NotFound, []string{`credential "erp" does not exist`}},
		"out of the folder":  {folder, "crm", `{"folder": "/"}`, -1, fault.Forbidden, []string{`token:crm needs the right manage_credentials in folder /`}},
		"only seeing":        {viewer, "erp", `{"name": "x"}`, -1, fault.Forbidden, []string{`token:view needs the right manage_credentials in folder /`}},
		"secret shown again": {admin, "erp", `{"fields": {"username_secret": true, "password": {"set": true}}}`, -1, fault.Invalid, []string{`/fields/password invalid_type: must be a text, or a reference such as {"ref": "env:NAME"}`}},
	}
	for name, tt := range tests {
		t.Run(name, func(t *testing.T) {
			_, err := k.Patch(t.Context(), tt.caller, tt.id, []byte(tt.patch), tt.expect)
			got := problemLines(err)
			if got == nil {
				got = []string{fault.Message(err)}
			}
			if diff := cmp.Diff(tt.want, got); diff != "" || fault.KindOf(err) != tt.kind {
				t.Errorf("kind %v, want %v (-want +got):\n%s", fault.KindOf(err), tt.kind, diff)
			}
		})
	}
	if now, err := k.Get(t.Context(), admin, "erp"); err != nil || cmp.Diff(created, now) != "" {
		t.Errorf("refused edits changed the credential (%v): %s", err, cmp.Diff(created, now))
	}
}

func TestUserNameDoesNotComeBackIntoTheOpen(t *testing.T) {
	t.Parallel()
	k := setup(t)
	k.create(t, `{"id": "fs", "type": "basic_auth", "fields": {"username": "canary-Api-Key", "password": "x", "username_secret": true}, "allowed_hosts": ["a.example"]}`)
	for _, patch := range []string{`{"fields": {"username_secret": false}}`, `{"fields": {"username_secret": null}}`} {
		_, err := k.Patch(t.Context(), admin, "fs", []byte(patch), credentials.AnyRevision)
		if diff := cmp.Diff([]string{"/fields/username required: is required"}, problemLines(err)); diff != "" {
			t.Errorf("%s: %v %s", patch, err, diff)
		}
	}
}

func TestWideningNeedsTheSecret(t *testing.T) {
	t.Parallel()
	k := setup(t)
	const key = `{"id": "x", "type": "api_key", "fields": {"key": "X-Key", "value": "canary-Key-1"}, "allowed_hosts": ["a.example", "*.b.example"], "test_url": "https://t.b.example/me"}`
	const service = `{"id": "x", "type": "oauth2", "allowed_hosts": ["a.example"], "fields": {"grant_type": "client_credentials",
		"access_token_url": "https://a.example/token", "client_id": "c", "client_secret": "canary-Secret-1"}}`
	const public = `{"id": "x", "type": "oauth2", "allowed_hosts": ["a.example"], "fields": {"grant_type": "authorization_code", "client_authentication": "none",
		"authorization_url": "https://a.example/auth", "access_token_url": "https://a.example/token", "client_id": "c"}}`
	refused := func(secret string, paths ...string) (lines []string) {
		for _, path := range paths {
			lines = append(lines, path+" secret_required: this change could send the stored secret somewhere new: enter "+secret+" again together with it")
		}
		return lines
	}
	tests := map[string]struct {
		create, patch string
		want          []string
	}{
		"another host":                  {key, `{"allowed_hosts": ["*.b.example", "evil.example"]}`, refused("value", "/allowed_hosts/1")},
		"any host":                      {key, `{"allowed_hosts": ["*"]}`, refused("value", "/allowed_hosts/0")},
		"unencrypted":                   {key, `{"allowed_hosts": ["http://a.example"], "test_url": null}`, refused("value", "/allowed_hosts/0")},
		"fewer hosts":                   {key, `{"allowed_hosts": ["A.example.", "x.b.example:444"], "test_url": null}`, nil},
		"another host with the secret":  {key, `{"allowed_hosts": ["evil.example"], "test_url": null, "fields": {"value": "canary-Key-2"}}`, nil},
		"another host without a secret": {key, `{"allowed_hosts": ["evil.example"], "test_url": null, "fields": {"value": ""}}`, []string{"/fields/value required: is required"}},
		"another header":                {key, `{"fields": {"key": "X-Echo"}}`, refused("value", "/fields/key")},
		"another place":                 {key, `{"fields": {"in": "query"}}`, refused("value", "/fields/in")},
		"the same place, now written":   {key, `{"fields": {"in": "header"}}`, nil},
		"test_url below a wildcard":     {key, `{"test_url": "https://evil.b.example/me"}`, refused("value", "/test_url")},
		"test_url at a named host":      {key, `{"test_url": "https://a.example/me"}`, nil},
		"test_url at the same place":    {key, `{"test_url": "https://t.b.example/other"}`, nil},
		"name, folder, workflows":       {key, `{"name": "n", "folder": "/f", "allowed_workflows": ["/**"]}`, nil},
		"two at once":                   {key, `{"allowed_hosts": ["evil.example"], "test_url": "https://evil.example/", "fields": {"in": "cookie"}}`, refused("value", "/allowed_hosts/0", "/test_url", "/fields/in")},
		"one secret of two": {`{"id": "x", "type": "basic_auth", "fields": {"username": "u", "password": "canary-Pw-1", "username_secret": true}, "allowed_hosts": ["a.example"]}`,
			`{"allowed_hosts": ["evil.example"], "fields": {"password": "p"}}`, refused("username", "/allowed_hosts/0")},
		"token URL":               {service, `{"fields": {"access_token_url": "https://evil.example/token"}}`, refused("client_secret", "/fields/access_token_url")},
		"token URL with secret":   {service, `{"fields": {"access_token_url": "https://b.example/token", "client_secret": "canary-Secret-2"}}`, nil},
		"client authentication":   {service, `{"fields": {"client_authentication": "query"}}`, refused("client_secret", "/fields/client_authentication")},
		"token in the query":      {service, `{"fields": {"placement": "query"}}`, refused("client_secret", "/fields/placement")},
		"header of the token":     {service, `{"fields": {"header_name": "X-Echo"}}`, refused("client_secret", "/fields/header_name")},
		"scope":                   {service, `{"fields": {"scope": "more"}}`, nil},
		"no secret stored":        {public, `{"allowed_hosts": ["evil.example"]}`, nil},
		"refresh URL of a public": {public, `{"fields": {"refresh_url": "https://evil.example/token"}}`, nil},
	}
	for name, tt := range tests {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			id := k.createNamed(t, tt.create)
			_, err := k.Patch(t.Context(), admin, id, []byte(tt.patch), credentials.AnyRevision)
			if diff := cmp.Diff(tt.want, problemLines(err)); diff != "" || (err == nil) != (tt.want == nil) {
				t.Errorf("%v (-want +got):\n%s", err, diff)
			}
		})
	}
}

// Tokens are secrets that nobody can enter again: whatever could send them elsewhere, or asks
// for other ones, makes those obtained before unusable.
func TestEditsThatMakeTokensUnusable(t *testing.T) {
	t.Parallel()
	k := setup(t)
	tests := map[string]struct {
		patch    string
		unusable bool
	}{
		"name":             {`{"name": "n"}`, false},
		"folder":           {`{"folder": "/"}`, false},
		"fewer hosts":      {`{"allowed_hosts": ["api.crm.example:443"]}`, false},
		"prefix":           {`{"fields": {"prefix": "OAuth "}}`, false},
		"default written":  {`{"fields": {"token_method": "POST"}}`, false},
		"more hosts":       {`{"allowed_hosts": ["api.crm.example", "b.example"], "fields": {"client_secret": "canary-Secret-1"}}`, true},
		"scope":            {`{"fields": {"scope": "read"}}`, true},
		"client":           {`{"fields": {"client_id": "other"}}`, true},
		"secret":           {`{"fields": {"client_secret": "canary-Secret-2"}}`, true},
		"token parameters": {`{"fields": {"token_params": {"audience": "b"}}}`, true},
		"place":            {`{"fields": {"placement": "query", "client_secret": "canary-Secret-1"}}`, true},
	}
	for name, tt := range tests {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			id := k.createNamed(t, crm)
			if _, err := k.SetState(t.Context(), id, credentials.OK, ""); err != nil {
				t.Fatal(err)
			}
			before, err := k.OpenGrant(t.Context(), id)
			if err != nil {
				t.Fatal(err)
			}
			c := k.patch(t, id, tt.patch)
			after, err := k.OpenGrant(t.Context(), id)
			if err != nil {
				t.Fatal(err)
			}
			want := credentials.OK
			if tt.unusable {
				want = credentials.NeedsReconnect
			}
			if (before != after) != tt.unusable || c.State.Status != want {
				t.Errorf("grant %d became %d, state %q; want unusable %v", before, after, c.State.Status, tt.unusable)
			}
		})
	}
}

func TestStateAfterEdits(t *testing.T) {
	t.Parallel()
	k := setup(t)
	k.create(t, erp)
	refused, err := k.SetState(t.Context(), "erp", credentials.Refused, "401 from erp.acme.kr")
	if err != nil || refused.Status != credentials.Refused || refused.Message != "401 from erp.acme.kr" {
		t.Fatalf("state %+v, %v", refused, err)
	}
	if c := k.patch(t, "erp", `{"name": "n"}`); c.State != refused {
		t.Errorf("a new name made the state %+v", c.State)
	}
	if c := k.patch(t, "erp", `{"fields": {"password": "canary-Pw-2"}}`); c.State.Status != credentials.Untested {
		t.Errorf("a new password left the state %+v", c.State)
	}
	err = k.SetStateSeenBefore(t.Context(), "erp", credentials.Refused, func() { k.patch(t, "erp", `{"fields": {"password": "canary-Pw-3"}}`) })
	if err != nil {
		t.Fatal(err)
	}
	if c, err := k.Get(t.Context(), admin, "erp"); err != nil || c.State.Status != credentials.Untested {
		t.Errorf("the answer to an old password made the state %+v, %v", c.State, err)
	}
}

func TestCreateRefusesTakenIdsAndForeignFolders(t *testing.T) {
	t.Parallel()
	k := setup(t)
	k.create(t, erp)
	_, err := k.Create(t.Context(), admin, input(t, erp))
	if !fault.Is(err, fault.Conflict) || fault.Message(err) != `credential "erp" already exists` {
		t.Errorf("taken id: %v", err)
	}
	_, err = k.Create(t.Context(), identity.Caller{Name: "token:hr", Role: identity.CredentialManager, Folder: "/hr"}, input(t, `{"id": "x", "type": "no_auth", "folder": "/it"}`))
	if !fault.Is(err, fault.Forbidden) {
		t.Errorf("foreign folder: %v", err)
	}
	_, err = k.Create(t.Context(), identity.Caller{Name: "token:e", Role: identity.Editor, Folder: "/"}, input(t, `{"id": "x", "type": "no_auth"}`))
	if !fault.Is(err, fault.Forbidden) {
		t.Errorf("editor: %v", err)
	}
}

// A time near the end of year 9999 may be one of year 10000 in UTC, which JSON cannot write.
func TestEndsOutsideOfTheCalendarAreRefused(t *testing.T) {
	t.Parallel()
	k := setup(t)
	k.create(t, erp)
	for at, ok := range map[string]bool{
		"9999-12-31T23:59:59Z": true, "9999-12-31T23:59:59-12:00": false, "0001-01-01T00:00:00Z": true, "0001-01-01T00:00:00+12:00": false, "0000-06-01T00:00:00Z": false,
	} {
		_, err := k.Patch(t.Context(), admin, "erp", []byte(`{"expires_at": "`+at+`"}`), credentials.AnyRevision)
		want := []string{"/expires_at invalid_value: must lie in the years 1 to 9999, in UTC"}
		if ok {
			want = nil
		}
		if diff := cmp.Diff(want, problemLines(err)); diff != "" || ok != (err == nil) {
			t.Errorf("%s: %v (-want +got):\n%s", at, err, diff)
		}
	}
}

// Nobody reads ten thousand lines; the usages have a list of their own.
func TestRefusedDeleteTellsTheFirstUsages(t *testing.T) {
	t.Parallel()
	k := setup(t)
	k.create(t, erp)
	for n := range 130 {
		k.usages["erp"] = append(k.usages["erp"], credentials.Usage{Workflow: fmt.Sprintf("w%03d", n), Node: "push"})
	}
	lines := problemLines(k.Delete(t.Context(), admin, "erp", false))
	if len(lines) != 101 || lines[99] != `/workflows/w099/nodes/push in_use: node "push" of workflow "w099" uses it` ||
		lines[100] != " more_problems: and 30 more; the usages of the credential list them all" {
		t.Errorf("%d lines, ending %q", len(lines), lines[max(0, len(lines)-2):])
	}
}

func TestDeleteIsRefusedWhileUsed(t *testing.T) {
	t.Parallel()
	k := setup(t)
	k.create(t, erp)
	k.usages["erp"] = []credentials.Usage{{Workflow: "sync", Node: "push"}, {Workflow: "in/out", Trigger: "hook"}}
	err := k.Delete(t.Context(), admin, "erp", false)
	if !fault.Is(err, fault.Conflict) || fault.Message(err) != `credential "erp" is used by 2 nodes or triggers: change them first, or delete with force` {
		t.Errorf("delete while used: %v", err)
	}
	want := []string{
		`/workflows/in~1out/triggers/hook in_use: trigger "hook" of workflow "in/out" uses it`,
		`/workflows/sync/nodes/push in_use: node "push" of workflow "sync" uses it`,
	}
	if diff := cmp.Diff(want, problemLines(err)); diff != "" {
		t.Errorf("usages (-want +got):\n%s", diff)
	}
	if err := k.Delete(t.Context(), identity.Caller{Name: "v", Role: identity.Viewer, Folder: "/"}, "erp", true); !fault.Is(err, fault.Forbidden) {
		t.Errorf("delete by a viewer: %v", err)
	}
	if err := k.Delete(t.Context(), admin, "erp", true); err != nil {
		t.Fatal(err)
	}
	if _, err := k.OpenText(t.Context(), "erp", "password"); err == nil || err.Error() != `credential "erp" does not exist; create it or correct the reference` {
		t.Errorf("use after delete: %v", err)
	}
	if err := k.Delete(t.Context(), admin, "erp", false); !fault.Is(err, fault.NotFound) {
		t.Errorf("second delete: %v", err)
	}
}

func TestListAndVersions(t *testing.T) {
	t.Parallel()
	k := setup(t)
	for i := range 60 {
		k.create(t, fmt.Sprintf(`{"id": "c%02d", "type": "no_auth", "folder": "/f%d"}`, i, i%2))
	}
	count := func(caller identity.Caller, f credentials.Filter) int {
		t.Helper()
		list, err := k.List(t.Context(), caller, f)
		if err != nil {
			t.Fatal(err)
		}
		return len(list)
	}
	half := identity.Caller{Name: "half", Role: identity.Viewer, Folder: "/f1"}
	if got := count(admin, credentials.Filter{}); got != 50 {
		t.Errorf("a page without limit holds %d, want 50", got)
	}
	if got := count(admin, credentials.Filter{Limit: 200}); got != 60 {
		t.Errorf("a page of 200 holds %d, want 60", got)
	}
	if got := count(half, credentials.Filter{}); got != 30 {
		t.Errorf("a viewer of /f1 sees %d, want 30", got)
	}
	if _, err := k.List(t.Context(), half, credentials.Filter{Folder: "/"}); !fault.Is(err, fault.Forbidden) {
		t.Errorf("a viewer of /f1 lists /: %v", err)
	}
	if _, err := k.List(t.Context(), admin, credentials.Filter{Limit: 501}); fault.Message(err) != "limit is out of range" {
		t.Errorf("limit 201: %v", err)
	}

	k.create(t, erp)
	first, err := k.Get(t.Context(), admin, "erp")
	if err != nil {
		t.Fatal(err)
	}
	k.now = k.now.Add(time.Minute)
	second := k.patch(t, "erp", `{"fields": {"password": "canary-Pw-2"}}`)
	third := k.patch(t, "erp", `{"fields": {"password": "canary-Pw-1"}}`)
	if first.Secrets["password"].Fingerprint == second.Secrets["password"].Fingerprint || first.Secrets["password"].Fingerprint != third.Secrets["password"].Fingerprint {
		t.Error("fingerprints do not tell equal secrets from different ones")
	}
	k.create(t, `{"id": "other", "type": "basic_auth", "fields": {"username": "u", "password": "canary-Pw-1"}, "allowed_hosts": ["a.example"]}`)
	other, err := k.Get(t.Context(), admin, "other")
	if err != nil || other.Secrets["password"].Fingerprint == first.Secrets["password"].Fingerprint {
		t.Errorf("two credentials with one password show the same fingerprint (%v)", err)
	}
	versions, err := k.Versions(t.Context(), admin, "erp")
	if err != nil {
		t.Fatal(err)
	}
	fields := map[string]any{"username": "it@acme.kr"}
	want := []credentials.VersionInfo{
		{Version: 3, Origin: "edit", Fields: fields, CreatedAt: k.now, CreatedBy: "admin", Current: true, Fingerprints: map[string]string{"password": third.Secrets["password"].Fingerprint}},
		{Version: 2, Origin: "edit", Fields: fields, CreatedAt: k.now, CreatedBy: "admin", Fingerprints: map[string]string{"password": second.Secrets["password"].Fingerprint}},
		{Version: 1, Origin: "edit", Fields: fields, CreatedAt: first.CreatedAt, CreatedBy: "admin", Fingerprints: map[string]string{"password": first.Secrets["password"].Fingerprint}},
	}
	if diff := cmp.Diff(want, versions); diff != "" {
		t.Errorf("versions (-want +got):\n%s", diff)
	}
	if _, err := k.Versions(t.Context(), half, "erp"); !fault.Is(err, fault.NotFound) {
		t.Errorf("versions for a stranger: %v", err)
	}
}

func TestDraft(t *testing.T) {
	t.Parallel()
	k := setup(t)
	k.create(t, erp)
	stranger := identity.Caller{Name: "s", Role: identity.CredentialManager, Folder: "/s"}
	tests := map[string]struct {
		caller identity.Caller
		in     string
		want   string // the password, or else the error
	}{
		"unsaved":              {admin, `{"type": "basic_auth", "fields": {"username": "u", "password": "p"}, "allowed_hosts": ["a.example"]}`, "p"},
		"stored secret":        {admin, `{"id": "erp", "type": "basic_auth", "fields": {"username": "u"}, "allowed_hosts": ["erp.acme.kr"]}`, "canary-Pw-1"},
		"new secret elsewhere": {admin, `{"id": "erp", "type": "basic_auth", "fields": {"username": "u", "password": "p"}, "allowed_hosts": ["evil.example"]}`, "p"},
		"stored secret elsewhere": {admin, `{"id": "erp", "type": "basic_auth", "fields": {"username": "u"}, "allowed_hosts": ["evil.example"]}`,
			"the credential is not valid: /allowed_hosts/0 this change could send the stored secret somewhere new: enter password again together with it"},
		"unseen secret": {stranger, `{"id": "erp", "type": "basic_auth", "folder": "/s", "fields": {"username": "u"}, "allowed_hosts": ["erp.acme.kr"]}`, ""},
		"foreign folder": {stranger, `{"id": "new", "type": "basic_auth", "folder": "/", "fields": {"username": "u"}, "allowed_hosts": ["erp.acme.kr"]}`,
			"s needs the right manage_credentials in folder /"},
		"wrong type": {admin, `{"type": "x"}`, `the credential is not valid: /type "x" is not an authentication type; there are ` + typeNames},
	}
	for name, tt := range tests {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			got, err := k.DraftText(t.Context(), tt.caller, input(t, tt.in), "password")
			if err != nil {
				got = err.Error()
			}
			if got != tt.want {
				t.Errorf("got %q, want %q", got, tt.want)
			}
		})
	}
}
