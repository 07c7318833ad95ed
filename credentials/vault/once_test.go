package vault_test

import (
	"fmt"
	"net/http"
	"strings"
	"sync/atomic"
	"testing"

	"keyflow/credentials"
)

// breakingUpstream answers its first request and closes the kept connection on all later ones,
// without an answer.
func breakingUpstream(t *testing.T, answer string) *upstream {
	t.Helper()
	var requests atomic.Int32
	return serve(t, func(w http.ResponseWriter, _ *http.Request) {
		if requests.Add(1) > 1 {
			panic(http.ErrAbortHandler)
		}
		w.Header().Set("Content-Type", "application/json")
		fmt.Fprint(w, answer)
	})
}

// TestABrokenConnectionIsNotTriedAgain requires that whatever the vault sends is sent once: what
// net/http takes for idempotent, and what carries an Idempotency-Key.
func TestABrokenConnectionIsNotTriedAgain(t *testing.T) {
	t.Parallel()
	tests := map[string]struct {
		credential string // with the URL of the upstream for %[1]s, its host for %[2]s
		answer     string
		use        func(t *testing.T, n *network, url string)
	}{
		"POST of a run": {
			credential: `{"id": "crm", "type": "bearer_token", "allowed_hosts": [%[2]q], "fields": {"token": "canary-Token-1"}}`,
			use: func(t *testing.T, n *network, url string) {
				t.Helper()
				req, err := http.NewRequestWithContext(t.Context(), http.MethodPost, url, strings.NewReader("pay"))
				if err != nil {
					t.Fatal(err)
				}
				req.Header.Set("Idempotency-Key", "1")
				if res, err := n.client(t, credentials.Use{ID: "crm"}).Do(req); err == nil {
					res.Body.Close()
				}
			},
		},
		"GET of a test": {
			credential: `{"id": "crm", "type": "bearer_token", "allowed_hosts": [%[2]q], "test_url": %[1]q, "fields": {"token": "canary-Token-1"}}`,
			use: func(t *testing.T, n *network, _ string) {
				t.Helper()
				if _, err := n.Test(t.Context(), admin, "crm"); err != nil {
					t.Fatal(err)
				}
			},
		},
		"GET for a token": {
			credential: `{"id": "crm", "type": "oauth2", "allowed_hosts": [%[2]q], "fields": {"grant_type": "client_credentials",
				"access_token_url": %[1]q, "token_method": "GET", "client_id": "it", "client_secret": "canary-Secret-1"}}`,
			answer: `{"access_token": "canary-Access-1", "token_type": "Bearer", "expires_in": 3600}`,
			use: func(t *testing.T, n *network, _ string) {
				t.Helper()
				_ = n.Refresh(t.Context(), admin, "crm") // the second one fails
			},
		},
	}
	for name, tt := range tests {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			n, up := online(t), breakingUpstream(t, tt.answer)
			n.create(t, fmt.Sprintf(tt.credential, up.URL, up.host))
			tt.use(t, n, up.URL)
			tt.use(t, n, up.URL)
			if got := len(up.requests()); got != 2 {
				t.Errorf("%d requests reached the upstream, want 2: one for each use", got)
			}
		})
	}
}
