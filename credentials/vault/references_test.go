package vault_test

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"io"
	"net/http"
	"net/http/httptest"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"

	"keyflow/credentials"
	"keyflow/credentials/masterkey"
	"keyflow/credentials/oauth/oauthtest"
	"keyflow/credentials/sources"
	"keyflow/credentials/sqlstore"
	"keyflow/credentials/transfer"
	"keyflow/credentials/vault"
	"keyflow/internal/database/databasetest"
	"keyflow/internal/egress"
	"keyflow/internal/fault"
	"keyflow/internal/identity"
)

// outside is a vault whose secrets may lie in a folder, beside an upstream that repeats what
// it gets.
type outside struct {
	*keep
	folder string
	up     *httptest.Server
	got    string // Authorization of the last request
}

func setupOutside(t *testing.T) *outside {
	t.Helper()
	s := &outside{keep: &keep{db: databasetest.SQLite(t), dir: t.TempDir()}, folder: t.TempDir()}
	s.up = httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		s.got = r.Header.Get("Authorization")
		_, _ = io.WriteString(w, "you sent "+s.got)
	}))
	t.Cleanup(s.up.Close)
	transport, err := egress.New(egress.Options{Allow: []string{"private"}})
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(transport.CloseIdleConnections)
	from, err := sources.New(sources.Options{Allow: []string{"file:" + s.folder}, DataDir: s.dir})
	if err != nil {
		t.Fatal(err)
	}
	keys, err := masterkey.Open(s.dir, "")
	if err != nil {
		t.Fatal(err)
	}
	store := sqlstore.New(s.db)
	s.Vault, err = vault.New(vault.Options{
		Store: store, Tokens: store, Limits: store, Canary: store, Keyset: keys, Transport: transport, Sources: from,
	})
	if err != nil {
		t.Fatal(err)
	}
	return s
}

func (s *outside) put(t *testing.T, name, text string) {
	t.Helper()
	if err := os.WriteFile(filepath.Join(s.folder, name), []byte(text), 0o600); err != nil {
		t.Fatal(err)
	}
}

// call sends a request with a credential and returns the redacted answer.
func (s *outside) call(t *testing.T, id credentials.ID) (string, error) {
	t.Helper()
	c, err := s.Resolver().Client(t.Context(), credentials.Use{ID: id, Workflow: "w", Folder: "/"})
	if err != nil {
		return "", err
	}
	req, err := http.NewRequestWithContext(t.Context(), http.MethodGet, s.up.URL, nil)
	if err != nil {
		t.Fatal(err)
	}
	res, err := c.Do(req)
	if err != nil {
		return "", err
	}
	defer res.Body.Close()
	body, err := io.ReadAll(res.Body)
	return string(body), err
}

// bearer is a credential whose token is the file "token".
func (s *outside) bearer(t *testing.T) credentials.Credential {
	t.Helper()
	return s.create(t, fmt.Sprintf(`{"id": "api", "type": "bearer_token", "fields": {"token": {"ref": "file:%s/token"}}, "allowed_hosts": [%q]}`, s.folder, s.up.URL))
}

func TestReferencesAreReadAtUse(t *testing.T) {
	t.Parallel()
	s := setupOutside(t)
	c := s.bearer(t) // the file need not be there yet
	want := credentials.SecretInfo{Set: true, UpdatedAt: c.Secrets["token"].UpdatedAt, Ref: "file:" + s.folder + "/token"}
	if diff := cmp.Diff(want, c.Secrets["token"]); diff != "" || want.UpdatedAt == nil {
		t.Errorf("what is shown (-want +got):\n%s", diff)
	}
	_, err := s.call(t, "api")
	e, ok := errors.AsType[*credentials.Error](err)
	missing := `the field token of credential "api" cannot be used: file:` + s.folder + `/token does not exist on the server`
	if !ok || e.Code != credentials.CodeReference || e.Message != missing {
		t.Fatalf("a missing file: %v", err)
	}
	if c, err := s.Get(t.Context(), admin, "api"); err != nil || c.State.Status != credentials.Untested {
		t.Errorf("a missing file changes the state: %+v, %v", c.State, err)
	}
	if r, err := s.Test(t.Context(), admin, "api"); err != nil || r.OK || r.Message != missing {
		t.Errorf("test: %+v, %v", r, err)
	}
	for _, token := range []string{"canary-Token-1", "canary-Token-2", "canary-Token-1"} {
		s.put(t, "token", token+"\n")
		body, err := s.call(t, "api")
		if err != nil || s.got != "Bearer "+token || body != "you sent ***" {
			t.Errorf("%s: sent %q, answered %q, %v", token, s.got, body, err)
		}
	}
	s.put(t, "token", "canary\nX-Injected: 1")
	if _, err := s.call(t, "api"); err == nil || strings.Contains(err.Error(), "canary") {
		t.Errorf("a token with a line break: %v", err)
	}
	var rows []sealedRow
	if err := s.db.Read().Raw("SELECT sealed, secrets AS fingerprint_key FROM credential_versions").Scan(&rows).Error; err != nil || len(rows) != 1 {
		t.Fatal(err)
	}
	if n := len(rows[0].ciphertext(t)); n != 0 || strings.Contains(string(rows[0].FingerprintKey), `"fingerprint":"0`) {
		t.Errorf("%d values of references are stored", n)
	}
}

// Who may edit credentials must not thereby be able to send the server's secrets anywhere.
func TestOnlyAdministratorsDecideAboutReferences(t *testing.T) {
	t.Parallel()
	manager := identity.Caller{Name: "manager", Role: identity.CredentialManager, Folder: "/"}
	below := identity.Caller{Name: "admin of a folder", Role: identity.Admin, Folder: "/team"}
	s := setupOutside(t)
	s.put(t, "token", "canary-Token-1")
	s.bearer(t)
	const forbidden = "only an administrator may"
	refused := func(what string, err error) {
		t.Helper()
		if !fault.Is(err, fault.Invalid) || !strings.Contains(strings.Join(problemLines(err), "\n"), "forbidden: ") || !strings.Contains(fmt.Sprint(problemLines(err)), forbidden) {
			t.Errorf("%s: %v %v", what, err, problemLines(err))
		}
	}
	reference := func(id, folder, file string) credentials.Input {
		return input(t, fmt.Sprintf(`{"id": %q, "folder": %q, "type": "bearer_token", "fields": {"token": {"ref": "file:%s/%s"}}, "allowed_hosts": [%q], "test_url": %q}`,
			id, folder, s.folder, file, s.up.URL, s.up.URL))
	}
	_, err := s.Create(t.Context(), manager, reference("new", "/", "token"))
	refused("a manager creates one", err)
	_, err = s.Create(t.Context(), below, reference("new", "/team", "token"))
	refused("an administrator of a folder creates one", err)
	_, err = s.TestInput(t.Context(), manager, reference("new", "/", "token"))
	refused("a manager tests one that is not saved", err)
	_, err = s.TestInput(t.Context(), manager, reference("api", "/", "other"))
	refused("a manager tests another one", err)
	_, err = s.Patch(t.Context(), manager, "api", []byte(`{"fields": {"token": {"ref": "file:`+s.folder+`/other"}}}`), credentials.AnyRevision)
	refused("a manager changes one", err)
	for _, wider := range []string{`{"allowed_hosts": ["*"]}`, `{"allowed_hosts": ["*"], "fields": {"token": {"ref": "file:` + s.folder + `/token"}}}`} {
		_, err = s.Patch(t.Context(), manager, "api", []byte(wider), credentials.AnyRevision)
		refused("a manager widens", err)
	}
	if _, err := s.Patch(t.Context(), manager, "api", []byte(`{"name": "API", "fields": {"token": {"ref": "file:`+s.folder+`/token"}}}`), credentials.AnyRevision); err != nil {
		t.Errorf("a manager sends back what he read: %v", err)
	}
	if c := s.patch(t, "api", `{"allowed_hosts": ["*"]}`); c.Version != 1 {
		t.Errorf("an administrator widens: %+v", c)
	}
	if _, err := s.Patch(t.Context(), manager, "api", []byte(`{"allowed_hosts": ["`+s.up.URL+`", "a.example"], "fields": {"token": "canary-Own-1"}}`), credentials.AnyRevision); err != nil {
		t.Errorf("a manager enters a value instead: %v", err)
	}
	if _, err := s.call(t, "api"); err != nil || s.got != "Bearer canary-Own-1" {
		t.Errorf("sent %q, %v", s.got, err)
	}
}

func TestReferencesInOtherPlaces(t *testing.T) {
	t.Parallel()
	s := setupOutside(t)
	t.Run("client secret", func(t *testing.T) {
		t.Parallel()
		provider := oauthtest.New(t, oauthtest.Options{ClientSecret: "canary-Client-1"})
		s.create(t, fmt.Sprintf(`{"id": "oauth", "type": "oauth2", "allowed_hosts": [%q], "fields": {"grant_type": "client_credentials",
			"access_token_url": %q, "client_id": %q, "client_secret": {"ref": "file:%s/client"}}}`, s.up.URL, provider.TokenURL, provider.ClientID, s.folder))
		if _, err := s.call(t, "oauth"); err == nil || !strings.Contains(err.Error(), "does not exist on the server") {
			t.Errorf("a missing file: %v", err)
		}
		s.put(t, "client", "canary-Client-1")
		if _, err := s.call(t, "oauth"); err != nil {
			t.Error(err)
		}
	})
	t.Run("a map", func(t *testing.T) {
		t.Parallel()
		s.create(t, fmt.Sprintf(`{"id": "custom", "type": "custom", "fields": {"secret_headers": {"ref": "file:%s/headers"}}, "allowed_hosts": [%q]}`, s.folder, s.up.URL))
		s.put(t, "headers", "no JSON")
		if _, err := s.call(t, "custom"); err == nil || !strings.Contains(err.Error(), "must hold a JSON object of texts") {
			t.Errorf("no JSON: %v", err)
		}
		s.put(t, "headers", `{"X-Key": "canary-Key-1"}`)
		if _, err := s.call(t, "custom"); err != nil {
			t.Error(err)
		}
	})
	t.Run("inbound", func(t *testing.T) {
		t.Parallel()
		s.create(t, fmt.Sprintf(`{"id": "hook", "type": "bearer_token", "fields": {"token": {"ref": "file:%s/hook"}}, "allowed_hosts": ["a.example"]}`, s.folder))
		for i, token := range []string{"canary-Hook-1", "canary-Hook-2"} {
			s.put(t, "hook", token)
			r := httptest.NewRequestWithContext(context.Background(), http.MethodPost, "/hooks/x", http.NoBody)
			r.Header.Set("Authorization", "Bearer "+token)
			if _, err := s.Verify(t.Context(), "hook", "w", "/", r, nil); err != nil {
				t.Errorf("%d: %v", i, err)
			}
			r.Header.Set("Authorization", "Bearer file:"+s.folder+"/hook")
			if _, err := s.Verify(t.Context(), "hook", "w", "/", r, nil); !fault.Is(err, fault.Unauthenticated) {
				t.Errorf("the reference itself: %v", err)
			}
		}
	})
}

// What a row says of a reference is what was written.
func TestARewrittenReferenceIsRefused(t *testing.T) {
	t.Parallel()
	s := setupOutside(t)
	s.put(t, "token", "canary-Token-1")
	s.put(t, "other", "canary-Other-1")
	s.bearer(t)
	s.exec(t, "UPDATE credential_versions SET secrets = CAST(replace(CAST(secrets AS TEXT), '/token', '/other') AS BLOB)")
	if _, err := s.call(t, "api"); err == nil || s.got != "" {
		t.Errorf("sent %q, %v", s.got, err)
	}
}

// References move with an export, in both forms.
func TestReferencesAreExported(t *testing.T) {
	t.Parallel()
	s := setupOutside(t)
	c := s.bearer(t)
	doc, err := transfer.Export(c)
	if err != nil {
		t.Fatal(err)
	}
	var table bytes.Buffer
	if err := transfer.WriteCSV(&table, []map[string]any{doc}); err != nil {
		t.Fatal(err)
	}
	for form, read := range map[string]func() (transfer.File, error){
		"JSON": func() (transfer.File, error) {
			return transfer.ReadJSON(map[string]any{"items": []any{doc}})
		},
		"CSV": func() (transfer.File, error) { return transfer.ReadCSV(&table) },
	} {
		file, err := read()
		if err != nil {
			t.Fatalf("%s: %v", form, err)
		}
		plan, err := s.Import(t.Context(), admin, credentials.ImportOptions{}, file)
		if err != nil || plan.Unchanged != 1 {
			t.Errorf("%s: %+v, %v", form, plan, problemLines(err))
		}
	}
}
