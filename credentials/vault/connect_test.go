package vault_test

import (
	"context"
	"fmt"
	"net/http"
	"net/url"
	"strings"
	"testing"
	"time"

	"keyflow/credentials"
	"keyflow/credentials/masterkey"
	"keyflow/credentials/oauth/oauthtest"
	"keyflow/credentials/sqlstore"
	"keyflow/credentials/vault"
	"keyflow/internal/fault"
)

// begun starts a connect and lets the provider agree; it returns the callback's query.
func begun(t *testing.T, n *network, p *oauthtest.Server) url.Values {
	t.Helper()
	u, err := n.Connect(t.Context(), admin, "crm", "session-1")
	if err != nil {
		t.Fatal(err)
	}
	back, err := p.Visit(t.Context(), u)
	if err != nil {
		t.Fatal(err)
	}
	return back
}

func TestConnect(t *testing.T) {
	t.Parallel()
	n, p := online(t), provider(t)
	n.create(t, authorizationCode("crm", p))
	u, err := n.Connect(t.Context(), admin, "crm", "session-1")
	if err != nil {
		t.Fatal(err)
	}
	parsed, err := url.Parse(u)
	if err != nil {
		t.Fatal(err)
	}
	q := parsed.Query()
	if q.Get("redirect_uri") != "http://127.0.0.1:9/api/_/credentials/oauth_callback" || q.Get("code_challenge_method") != "S256" || len(q.Get("state")) < 43 {
		t.Errorf("authorization URL %s", u)
	}
	connect(t, n, p, "crm")
	if a := mustGet(t, n, "crm", p.ResourceURL); a.status != http.StatusOK {
		t.Errorf("status %d", a.status)
	}
}

func TestConnectSurvivesARestart(t *testing.T) {
	t.Parallel()
	n, p := online(t), provider(t)
	n.create(t, authorizationCode("crm", p))
	back := begun(t, n, p)
	again := onlineWith(t, n.db, n.dir)
	if _, err := again.Callback(t.Context(), admin, "session-1", back); err != nil {
		t.Fatal(err)
	}
	mustGet(t, again, "crm", p.ResourceURL)
}

func TestCallbackErrorsChangeNothing(t *testing.T) {
	t.Parallel()
	tests := map[string]struct {
		change  func(n *network, q url.Values)
		session string
		kind    fault.Kind
		message string
	}{
		"denied": {func(_ *network, q url.Values) {
			q.Del("code")
			q.Set("error", "access_denied")
			q.Set("error_description", "The person <b>said</b> no")
		}, "session-1", fault.Conflict, "access was denied at the provider: The person <b>said</b> no; nothing was changed"},
		"another error": {func(_ *network, q url.Values) { q.Set("error", "server_error") }, "session-1", fault.Conflict,
			"the provider answered server_error; nothing was changed"},
		"no state": {func(_ *network, q url.Values) { q.Del("state") }, "session-1", fault.Invalid,
			"the answer of the provider has no state, so it cannot be matched to a connect; open the credential and press Connect again"},
		"wrong state": {func(_ *network, q url.Values) { q.Set("state", "x"+q.Get("state")) }, "session-1", fault.Conflict,
			"this connect is unknown, was used already, or is older than ten minutes; open the credential and press Connect again"},
		"too late": {func(n *network, _ url.Values) { n.advance(10*time.Minute + time.Second) }, "session-1", fault.Conflict,
			"this connect is unknown, was used already, or is older than ten minutes; open the credential and press Connect again"},
		"another session": {func(*network, url.Values) {}, "session-2", fault.Forbidden,
			"this connect was begun in another browser session; open the credential and press Connect again"},
		"no session": {func(*network, url.Values) {}, "", fault.Forbidden,
			"this connect was begun in another browser session; open the credential and press Connect again"},
		"no code": {func(_ *network, q url.Values) { q.Del("code") }, "session-1", fault.Invalid,
			"the answer of the provider holds no code; nothing was changed"},
		"wrong issuer": {func(_ *network, q url.Values) { q.Set("iss", "https://evil.example.com") }, "session-1", fault.Conflict,
			"the answer comes from another provider (https://evil.example.com) than the one you were sent to; nothing was changed"},
	}
	for name, tt := range tests {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			n, p := online(t), provider(t)
			n.create(t, authorizationCode("crm", p))
			connect(t, n, p, "crm")
			before, asked := n.state(t, "crm"), len(p.TokenRequests())
			back := begun(t, n, p)
			tt.change(n, back)
			_, err := n.Callback(t.Context(), admin, tt.session, back)
			if !fault.Is(err, tt.kind) || fault.Message(err) != tt.message {
				t.Errorf("got %v %q, want %v %q", fault.KindOf(err), fault.Message(err), tt.kind, tt.message)
			}
			if after := n.state(t, "crm"); after != before || len(p.TokenRequests()) != asked {
				t.Errorf("state became %+v, %d token requests", after, len(p.TokenRequests())-asked)
			}
			mustGet(t, n, "crm", p.ResourceURL)
		})
	}
}

func TestStateWorksOnce(t *testing.T) {
	t.Parallel()
	n, p := online(t), provider(t)
	n.create(t, authorizationCode("crm", p))
	back := begun(t, n, p)
	if _, err := n.Callback(t.Context(), admin, "session-1", back); err != nil {
		t.Fatal(err)
	}
	asked := len(p.TokenRequests())
	if _, err := n.Callback(t.Context(), admin, "session-1", back); !fault.Is(err, fault.Conflict) {
		t.Errorf("second use: %v", err)
	}
	if len(p.TokenRequests()) != asked {
		t.Error("the code was sent again")
	}
}

func TestOwnIssuerIsAccepted(t *testing.T) {
	t.Parallel()
	n, p := online(t), provider(t)
	n.create(t, authorizationCode("crm", p))
	back := begun(t, n, p)
	back.Set("iss", p.URL)
	if _, err := n.Callback(t.Context(), admin, "session-1", back); err != nil {
		t.Error(err)
	}
}

func TestFailedExchange(t *testing.T) {
	t.Parallel()
	n, p := online(t), provider(t)
	n.create(t, authorizationCode("crm", p))
	back := begun(t, n, p)
	code := back.Get("code")
	p.FailNext(http.StatusBadRequest, "application/json", `{"error": "invalid_grant", "error_description": "code `+code+` is spent"}`)
	_, err := n.Callback(t.Context(), admin, "session-1", back)
	want := "the sign-in worked, but the provider gave no token: the provider answered invalid_grant: code *** is spent"
	if !fault.Is(err, fault.Conflict) || fault.Message(err) != want {
		t.Errorf("message %q, want %q", fault.Message(err), want)
	}
	if s := n.state(t, "crm"); s.Status != credentials.NeedsConnect {
		t.Errorf("state %+v", s)
	}
}

func TestChangedWhileSigningIn(t *testing.T) {
	t.Parallel()
	n, p := online(t), provider(t)
	n.create(t, authorizationCode("crm", p))
	back := begun(t, n, p)
	n.patch(t, "crm", `{"fields": {"scope": "read write"}}`)
	_, err := n.Callback(t.Context(), admin, "session-1", back)
	if !fault.Is(err, fault.Conflict) || !strings.HasPrefix(fault.Message(err), `credential "crm" was changed while you signed in`) {
		t.Errorf("got %v", err)
	}
}

// editedStore is a real store in which an edit comes just before each state, up to a number.
type editedStore struct {
	*sqlstore.Store
	edit  func()
	edits int
}

// SetState implements credentials.Store.
func (s *editedStore) SetState(ctx context.Context, id credentials.ID, revision int64, state credentials.State) (bool, error) {
	if s.edits > 0 {
		s.edits--
		s.edit()
	}
	return s.Store.SetState(ctx, id, revision, state)
}

func TestEditedWhileSigningIn(t *testing.T) {
	t.Parallel()
	n, p := online(t), provider(t)
	keys, err := masterkey.Open(n.dir, "")
	if err != nil {
		t.Fatal(err)
	}
	store := &editedStore{Store: sqlstore.New(n.db)}
	n.Vault, err = vault.New(vault.Options{
		Store: store, Tokens: store, Limits: store, Canary: store, Keyset: keys, PublicURL: "http://127.0.0.1:9", Transport: n.transport,
	})
	if err != nil {
		t.Fatal(err)
	}
	n.create(t, authorizationCode("crm", p))
	store.edit = func() { n.patch(t, "crm", fmt.Sprintf(`{"name": "CRM %d"}`, store.edits)) }

	store.edits = 2
	connect(t, n, p, "crm")
	store.edits = 2
	if err := n.Disconnect(t.Context(), admin, "crm"); err != nil {
		t.Fatal(err)
	}
	if s := n.state(t, "crm"); s.Status != credentials.NeedsConnect || store.edits != 0 {
		t.Errorf("state after the disconnect %+v, %d edits left", s, store.edits)
	}
	store.edits = 2
	store.edit = func() { n.patch(t, "crm", fmt.Sprintf(`{"fields": {"scope": "read %d"}}`, store.edits)) }
	if _, err := n.Callback(t.Context(), admin, "session-1", begun(t, n, p)); err != nil {
		t.Fatal(err)
	}
	if s := n.state(t, "crm"); s.Status != credentials.NeedsConnect || store.edits != 1 {
		t.Errorf("state after an edit that ended the grant %+v, %d edits left", s, store.edits)
	}
}

func TestConnectNeedsTheRightKindAndRights(t *testing.T) {
	t.Parallel()
	n, p := online(t), provider(t)
	n.create(t, clientCredentials("machine", p, ""))
	n.create(t, authorizationCode("crm", p))
	_, err := n.Connect(t.Context(), admin, "machine", "s")
	if !fault.Is(err, fault.Conflict) || fault.Message(err) != `credential "machine" is not connected by a person: only oauth2 with grant_type authorization_code is` {
		t.Errorf("client credentials: %v", err)
	}
	if _, err := n.Connect(t.Context(), admin, "crm", ""); !fault.Is(err, fault.Unauthenticated) {
		t.Errorf("without a session: %v", err)
	}
	viewer := admin
	viewer.Role = "viewer"
	if _, err := n.Connect(t.Context(), viewer, "crm", "s"); !fault.Is(err, fault.Forbidden) {
		t.Errorf("as viewer: %v", err)
	}
	if _, err := n.Connect(t.Context(), admin, "nope", "s"); !fault.Is(err, fault.NotFound) {
		t.Errorf("unknown: %v", err)
	}
}
