package vault_test

import (
	"errors"
	"net/http"
	"testing"
	"time"

	"keyflow/credentials"
	"keyflow/internal/database/databasetest"
)

// whether tells which credentials the vault said are connected since the last call.
func (n *network) whether() (ids []credentials.ID) {
	for {
		select {
		case id := <-n.told:
			ids = append(ids, id)
		default:
			return ids
		}
	}
}

// A use that parks is told to wait for a person, as long as nothing was done that could be
// done twice; any other gets the same error without that.
func TestHold(t *testing.T) {
	t.Parallel()
	park := credentials.Use{ID: "crm", Park: true}
	tests := map[string]struct {
		use    credentials.Use
		rules  string // failure_rules, when not the default
		status int    // of the answer to a call before, with the same client; 0: no call
		revoke bool   // before the call: it is answered 401, and the renewal is refused
		hold   bool
	}{
		"never connected":                           {use: park, hold: true},
		"caller that cannot wait":                   {use: credentials.Use{ID: "crm"}},
		"revoked":                                   {use: park, revoke: true, hold: true},
		"revoked, and something was done before":    {use: park, status: http.StatusOK, revoke: true},
		"revoked, one request ever":                 {use: credentials.Use{ID: "crm", Park: true, AtMostOnce: true}, revoke: true},
		"one request ever, which was not sent":      {use: credentials.Use{ID: "crm", Park: true, AtMostOnce: true}, hold: true},
		"revoked, by a rule that is no refusal":     {use: park, rules: `[{"status": [401], "action": "renew", "body": "false"}, {"status": [403], "action": "renew"}]`, revoke: true},
		"revoked, by a rule that says not executed": {use: park, rules: `[{"status": [403], "action": "renew", "not_executed": true}]`, revoke: true, hold: true},
	}
	for name, tt := range tests {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			n, p := online(t), provider(t)
			n.create(t, authorizationCode("crm", p))
			target := p.ResourceURL
			if tt.rules != "" { // an API of its own way to refuse
				api := serve(t, func(w http.ResponseWriter, _ *http.Request) { w.WriteHeader(http.StatusForbidden) })
				target = api.URL
				n.patch(t, "crm", `{"failure_rules": `+tt.rules+`, "allowed_hosts": [`+quoted(t, api.URL)+`], "fields": {"client_secret": `+quoted(t, p.ClientSecret)+`}}`)
			}
			if tt.revoke {
				connect(t, n, p, "crm")
			}
			client := n.client(t, tt.use)
			if tt.status != 0 {
				if a, err := call(t, client, http.MethodGet, target, ""); err != nil || a.status != tt.status {
					t.Fatalf("first call: %d, %v", a.status, err)
				}
			}
			if tt.revoke {
				p.RevokeAll()
			}
			_, err := call(t, client, http.MethodPost, target, "body")
			e := refusal(t, err, credentials.CodeNeedsConnect)
			if e.Hold != tt.hold || !e.Until.IsZero() {
				t.Errorf("hold is %v, want %v: %+v", e.Hold, tt.hold, e)
			}
			if ok, err := n.Connected(t.Context(), "crm"); ok || err != nil {
				t.Errorf("connected: %v, %v; want false", ok, err)
			}
		})
	}
}

func TestConnectedIsTold(t *testing.T) {
	t.Parallel()
	tests := map[string]struct {
		change func(t *testing.T, n *network)
	}{
		"edit that needs no person": {change: func(t *testing.T, n *network) {
			t.Helper()
			n.patch(t, "crm", `{"fields": {"grant_type": "client_credentials"}}`)
		}},
		"import that needs no person": {change: func(t *testing.T, n *network) {
			t.Helper()
			_, err := n.Import(t.Context(), admin, credentials.ImportOptions{}, jsonFile(t, `[{"id": "crm", "fields": {"grant_type": "client_credentials"}}, {"id": "new", "type": "no_auth"}]`))
			if err != nil {
				t.Fatal(err)
			}
		}},
		"delete": {change: func(t *testing.T, n *network) {
			t.Helper()
			if err := n.Delete(t.Context(), admin, "crm", true); err != nil {
				t.Fatal(err)
			}
		}},
	}
	for name, tt := range tests {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			n, p := online(t), provider(t)
			n.create(t, authorizationCode("crm", p))
			n.patch(t, "crm", `{"name": "Another name"}`)
			if ids := n.whether(); len(ids) != 0 {
				t.Fatalf("%v said to be connected before anything happened", ids)
			}
			tt.change(t, n)
			if ids := n.whether(); len(ids) != 1 || ids[0] != "crm" {
				t.Errorf("told %v", ids)
			}
			if ok, err := n.Connected(t.Context(), "crm"); !ok || err != nil {
				t.Errorf("connected: %v, %v", ok, err)
			}
		})
	}
	t.Run("connect, and a refresh that works again", func(t *testing.T) {
		t.Parallel()
		n, p := online(t), provider(t)
		n.create(t, authorizationCode("crm", p))
		connect(t, n, p, "crm")
		if ids := n.whether(); len(ids) == 0 || ids[0] != "crm" {
			t.Errorf("after the connect: told %v", ids)
		}
		p.FailNext(http.StatusBadRequest, "application/json", `{"error": "invalid_grant"}`)
		if err := n.Refresh(t.Context(), admin, "crm"); err == nil {
			t.Fatal("the refused refresh worked")
		}
		if ids, state := n.whether(), n.state(t, "crm"); len(ids) != 0 || state.Status != credentials.NeedsReconnect {
			t.Errorf("after a refused refresh: told %v, state %+v", ids, state)
		}
		if err := n.Refresh(t.Context(), admin, "crm"); err != nil {
			t.Fatal(err)
		}
		if ids := n.whether(); len(ids) != 1 || ids[0] != "crm" {
			t.Errorf("after the refresh: told %v", ids)
		}
	})
}

// What another process connected works here at once, although the renewal here was refused a
// moment ago and rests for a minute.
func TestConnectInAnotherProcess(t *testing.T) {
	t.Parallel()
	vaults, p := sharing(t, databasetest.Postgres(t)), provider(t)
	here, there := vaults[0], vaults[1]
	here.create(t, authorizationCode("crm", p))
	connect(t, here, p, "crm")
	mustGet(t, here, "crm", p.ResourceURL)
	p.RevokeAll()
	var e *credentials.Error
	if _, err := here.get(t, "crm", p.ResourceURL); !errors.As(err, &e) || e.Code != credentials.CodeNeedsConnect {
		t.Fatalf("after the revocation: %v", err)
	}
	connect(t, there, p, "crm")
	begun := time.Now()
	if a := mustGet(t, here, "crm", p.ResourceURL); a.status != http.StatusOK || time.Since(begun) > 20*time.Second {
		t.Errorf("status %d after %s", a.status, time.Since(begun))
	}
}
