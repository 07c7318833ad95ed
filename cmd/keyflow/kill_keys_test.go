package main

import (
	"context"
	"flag"
	"fmt"
	"io"
	mathrand "math/rand/v2"
	"net/http"
	"net/http/httptest"
	"strings"
	"testing"
	"time"

	"keyflow/credentials"
	"keyflow/credentials/masterkey"
	credentialstore "keyflow/credentials/sqlstore"
	"keyflow/credentials/vault"
	"keyflow/internal/database"
	"keyflow/internal/identity"
)

// The size of TestKillDuringKeyRotation; the full one is:
// go test ./cmd/keyflow -run KillDuringKeyRotation -key-kills 50 -key-credentials 10000
var (
	keyKills       = flag.Int("key-kills", 4, "kills of TestKillDuringKeyRotation")
	keyCredentials = flag.Int("key-credentials", 300, "credentials of TestKillDuringKeyRotation")
)

// offline opens the vault in the data folder of a server that does not run.
func offline(t *testing.T, dir string, transport http.RoundTripper, use func(v *vault.Vault, db *database.DB)) {
	t.Helper()
	keys, err := masterkey.Open(dir, "")
	if err != nil {
		t.Fatal(err)
	}
	db, err := database.Open(t.Context(), database.Options{Dir: dir})
	if err != nil {
		t.Fatal(err)
	}
	defer func() {
		if err := db.Close(); err != nil {
			t.Fatal(err)
		}
	}()
	store := credentialstore.New(db)
	v, err := vault.New(vault.Options{Store: store, Tokens: store, Limits: store, Canary: store, Keyset: keys, Transport: transport})
	if err != nil {
		t.Fatal(err)
	}
	use(v, db)
}

// manyCredentials makes n bearer tokens; the token of each names it.
func manyCredentials(t *testing.T, dir string, n int, host string) {
	t.Helper()
	offline(t, dir, nil, func(v *vault.Vault, db *database.DB) {
		if err := db.Write().Exec("PRAGMA synchronous = OFF").Error; err != nil { // nothing is killed yet
			t.Fatal(err)
		}
		for i := range n {
			id := fmt.Sprintf("c-%05d", i)
			_, err := v.Create(t.Context(), identity.System(), credentials.Input{
				ID: credentials.ID(id), Type: "bearer_token", AllowedHosts: []string{host}, Fields: map[string]any{"token": "token-of-" + id},
			})
			if err != nil {
				t.Fatal(err)
			}
		}
	})
}

// answering is an upstream that gives back what a request carried, without a network.
type answering struct{}

func (answering) RoundTrip(r *http.Request) (*http.Response, error) {
	return &http.Response{StatusCode: http.StatusOK, Header: http.Header{"X-Got": r.Header["Authorization"]}, Body: http.NoBody, Request: r}, nil
}

// seen is answering for one credential: redaction would hide what it got, so it is compared here.
type seen struct{ token string }

func (s *seen) RoundTrip(r *http.Request) (*http.Response, error) {
	s.token = strings.TrimPrefix(r.Header.Get("Authorization"), "Bearer ")
	return answering{}.RoundTrip(r)
}

// readableAll fails unless each of n credentials sends its own token.
func readableAll(t *testing.T, dir string, n int, host string) (status credentials.KeyStatus) {
	t.Helper()
	wire := &seen{}
	offline(t, dir, wire, func(v *vault.Vault, _ *database.DB) {
		for i := range n {
			id := fmt.Sprintf("c-%05d", i)
			c, err := v.Resolver().Client(t.Context(), credentials.Use{ID: credentials.ID(id), Workflow: "w", Folder: "/"})
			if err != nil {
				t.Fatalf("%s: %v", id, err)
			}
			req, err := http.NewRequestWithContext(t.Context(), http.MethodGet, host, nil)
			if err != nil {
				t.Fatal(err)
			}
			res, err := c.Do(req)
			if err != nil {
				t.Fatalf("%s: %v", id, err)
			}
			_ = res.Body.Close()
			if wire.token != "token-of-"+id {
				t.Fatalf("%s sent %q", id, wire.token)
			}
		}
		var err error
		if status, err = v.Keys(t.Context(), identity.System()); err != nil {
			t.Fatal(err)
		}
	})
	return status
}

// kill -9 at any instant of a rotation of the master key: everything stays readable, runs that
// were under way succeed, and the next start goes on.
func TestKillDuringKeyRotation(t *testing.T) {
	t.Parallel()
	up := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, _ *http.Request) { _, _ = io.WriteString(w, "{}") }))
	t.Cleanup(up.Close)
	dir := t.TempDir()
	begun := time.Now()
	manyCredentials(t, dir, *keyCredentials, up.URL)
	t.Logf("%d credentials made in %v", *keyCredentials, time.Since(begun).Round(time.Millisecond))
	span := time.Duration(*keyCredentials) * 200 * time.Microsecond // about what a rotation takes
	interrupted := 0
	for round := range *keyKills {
		s := serve(t, dir)
		s.apply("sync", `{"id": "sync", "nodes": {"a": {"type": "web_request", "credential": "c-00000", "with": {"url": "`+up.URL+`"}},
			"b": {"type": "web_request", "needs": ["a"], "credential": "c-00001", "with": {"url": "`+up.URL+`"}},
			"c": {"type": "web_request", "needs": ["b"], "credential": "c-00002", "with": {"url": "`+up.URL+`"}}}}`)
		asked := make(chan struct{})
		go func() {
			defer close(asked)
			rotateUnheard(t.Context(), s)
		}()
		if round%3 > 0 {
			<-asked
		}
		id := text(s.must(http.MethodPost, "/api/v1/workflows/sync/runs", map[string]any{}).json["id"])
		<-time.After(mathrand.N(span))
		s.kill()
		<-asked

		status := readableAll(t, dir, *keyCredentials, up.URL)
		if status.Rotation.Pending > 0 {
			interrupted++
		}
		t.Logf("round %d: %d keys, %d texts still sealed with older ones", round, len(status.Keys), status.Rotation.Pending)
		s = serve(t, dir)
		eventually(t, "the run ends after the restart", func() bool {
			run := s.must(http.MethodGet, "/api/v1/runs/"+id, nil)
			if run.json["status"] == "failed" {
				t.Fatalf("round %d: %s", round, run.body)
			}
			return run.json["status"] == "succeeded"
		})
		s.kill()
	}
	s := serve(t, dir)
	eventually(t, "the rotation ends by itself", func() bool {
		var status credentials.KeyStatus
		decode(t, s.must(http.MethodGet, "/api/v1/keys", nil).body, &status)
		return status.Rotation.Pending == 0 && !status.Rotation.Running
	})
	if code := s.stop(); code != exitOK {
		t.Errorf("stop: %d\n%s", code, s.stderr)
	}
	status := readableAll(t, dir, *keyCredentials, up.URL)
	if last := status.Keys[len(status.Keys)-1]; !last.Primary || last.Sealed < 2**keyCredentials || status.Rotation.Pending > 0 {
		t.Errorf("at the end: %+v", status)
	}
	t.Logf("%d kills over %d credentials, %d of them in the middle of a rotation; %d keys at the end", *keyKills, *keyCredentials, interrupted, len(status.Keys))
}

// rotateUnheard asks for a rotation from a server that may be killed before it answers.
func rotateUnheard(ctx context.Context, s *instance) {
	req, err := http.NewRequestWithContext(ctx, http.MethodPost, s.url+"/api/v1/keys/rotate", nil)
	if err != nil {
		return
	}
	req.Header.Set("Authorization", "Bearer "+s.token)
	if res, err := http.DefaultClient.Do(req); err == nil {
		_ = res.Body.Close()
	}
}
