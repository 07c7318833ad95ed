package vault_test

import (
	"context"
	"errors"
	"net/http"
	"strings"
	"sync/atomic"
	"testing"
	"time"

	"keyflow/credentials"
	"keyflow/credentials/masterkey"
	"keyflow/credentials/sqlstore"
	"keyflow/credentials/vault"
)

// failingTokens is a real token store whose next writes of tokens fail.
type failingTokens struct {
	credentials.TokenStore
	fail atomic.Int64
}

var errDisk = errors.New("disk full")

// SwapToken implements credentials.TokenStore. Notes of a renewal that begins pass.
func (f *failingTokens) SwapToken(ctx context.Context, next credentials.Token, seen int64) (bool, error) {
	if next.Generation > seen && f.fail.Add(-1) >= 0 {
		return false, errDisk
	}
	return f.TokenStore.SwapToken(ctx, next, seen)
}

// A rotated refresh token is not lost because the store fails for a moment.
func TestTokenSurvivesAFailingStore(t *testing.T) {
	t.Parallel()
	tests := map[string]struct {
		failures int64
		lost     bool // for the request that renews
	}{
		"for a moment":               {2, false},
		"until the request gives up": {5, true},
	}
	for name, tt := range tests {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			n, p := online(t), provider(t)
			n.create(t, authorizationCode("crm", p))
			connect(t, n, p, "crm")

			store := sqlstore.New(n.db)
			tokens := &failingTokens{TokenStore: store}
			keys, err := masterkey.Open(n.dir, "")
			if err != nil {
				t.Fatal(err)
			}
			n.Vault, err = vault.New(vault.Options{
				Store: store, Tokens: tokens, Limits: store, Canary: store, Keyset: keys, Transport: n.transport,
				Now: n.now,
			})
			if err != nil {
				t.Fatal(err)
			}
			n.advance(2 * time.Hour)
			tokens.fail.Store(tt.failures)
			_, err = n.get(t, "crm", p.ResourceURL)
			if lost := errors.Is(err, errDisk); lost != tt.lost || err != nil && !lost {
				t.Fatalf("error %v", err)
			}
			asked := len(p.TokenRequests())
			if a := mustGet(t, n, "crm", p.ResourceURL); a.status != http.StatusOK {
				t.Errorf("status %d", a.status)
			}
			if got := len(p.TokenRequests()); got != asked {
				t.Errorf("the provider was asked again, with a refresh token that is spent")
			}
		})
	}
}

func TestInterruptedRenewalIsTold(t *testing.T) {
	t.Parallel()
	n, p := online(t), provider(t)
	n.create(t, authorizationCode("crm", p))
	connect(t, n, p, "crm")
	n.advance(2 * time.Hour)
	p.FailNext(http.StatusBadGateway, "text/plain", "the answer was lost")
	_, err := n.get(t, "crm", p.ResourceURL)
	refusal(t, err, "network")
	p.RevokeAll()
	n.advance(time.Minute)
	_, err = n.get(t, "crm", p.ResourceURL)
	if e := refusal(t, err, credentials.CodeNeedsConnect); !strings.HasSuffix(e.Message, "; an earlier renewal was sent and its answer lost, which spends the refresh token at some providers") {
		t.Errorf("message %q", e.Message)
	}
}

// Another process renews with the same refresh token; this one was too late.
func TestLoserOfARaceUsesTheWinnersToken(t *testing.T) {
	t.Parallel()
	n, p := online(t), provider(t)
	n.create(t, authorizationCode("crm", p))
	connect(t, n, p, "crm")
	mustGet(t, n, "crm", p.ResourceURL) // remembers the first token
	other := onlineWith(t, n.db, n.dir)
	n.advance(2 * time.Hour)
	other.advance(2 * time.Hour)
	mustGet(t, other, "crm", p.ResourceURL)
	asked := len(p.TokenRequests())
	mustGet(t, n, "crm", p.ResourceURL)
	if got := len(p.TokenRequests()); got != asked {
		t.Errorf("%d token requests, want %d: the newer token is in the store", got, asked)
	}
}

func TestNoAuthCannotBeRefused(t *testing.T) {
	t.Parallel()
	n := online(t)
	api := serve(t, func(w http.ResponseWriter, _ *http.Request) { w.WriteHeader(http.StatusUnauthorized) })
	n.create(t, `{"id": "open", "type": "no_auth"}`)
	if a := mustGet(t, n, "open", api.URL); a.status != http.StatusUnauthorized {
		t.Errorf("status %d", a.status)
	}
	if s := n.state(t, "open"); s.Status != credentials.OK {
		t.Errorf("state %+v", s)
	}
}
