package vault_test

import (
	"bytes"
	"fmt"
	"io"
	"net/http"
	"strings"
	"testing"

	"keyflow/credentials"
	"keyflow/credentials/masterkey"
	"keyflow/credentials/sqlstore"
	"keyflow/credentials/vault"
	"keyflow/internal/database/databasetest"
)

// canned answers every request with the same 2 KB of JSON.
type canned struct{ body []byte }

// RoundTrip implements http.RoundTripper.
func (c canned) RoundTrip(req *http.Request) (*http.Response, error) {
	return &http.Response{
		StatusCode: http.StatusOK, Status: "200 OK", Request: req, ContentLength: int64(len(c.body)),
		Header: http.Header{"Content-Type": {"application/json"}, "Date": {"Sun, 01 Mar 2026 12:00:00 GMT"}},
		Body:   io.NopCloser(bytes.NewReader(c.body)),
	}, nil
}

// BenchmarkRequest is what a credential adds to a request: resolve, authenticate, check the
// host, judge and redact an answer of 2 KB.
func BenchmarkRequest(b *testing.B) {
	body := []byte(`{"rows": [` + strings.TrimSuffix(strings.Repeat(`{"id": 1, "name": "Basic Bearer", "email": "someone@example.com"},`, 31), ",") + `]}`)
	for _, count := range []int{10, 10_000} {
		b.Run(fmt.Sprintf("%d credentials", count), func(b *testing.B) {
			keys, err := masterkey.Open(b.TempDir(), "")
			if err != nil {
				b.Fatal(err)
			}
			store := sqlstore.New(databasetest.SQLite(b))
			v, err := vault.New(vault.Options{Store: store, Tokens: store, Limits: store, Canary: store, Keyset: keys, Transport: canned{body}})
			if err != nil {
				b.Fatal(err)
			}
			for i := range count {
				_, err := v.Create(b.Context(), admin, credentials.Input{
					ID: credentials.ID(fmt.Sprintf("c%d", i)), Type: "basic_auth", AllowedHosts: []string{"api.example.com", "*.example.org"},
					Fields: map[string]any{"username": "it", "password": fmt.Sprintf("password-%08d", i)},
				})
				if err != nil {
					b.Fatal(err)
				}
			}
			resolver := v.Resolver()
			request := func(i int) {
				client, err := resolver.Client(b.Context(), credentials.Use{ID: credentials.ID(fmt.Sprintf("c%d", i%count)), Workflow: "sync", Folder: "/hr"})
				if err != nil {
					b.Fatal(err)
				}
				req, err := http.NewRequestWithContext(b.Context(), http.MethodGet, "https://api.example.com/rows", nil)
				if err != nil {
					b.Fatal(err)
				}
				res, err := client.Do(req)
				if err != nil {
					b.Fatal(err)
				}
				if got, err := io.ReadAll(res.Body); err != nil || len(got) != len(body) {
					b.Fatal(len(got), err)
				}
			}
			for i := range count {
				request(i) // the first use of each opens it
			}
			b.ReportAllocs()
			i := 0
			for b.Loop() {
				request(i)
				i++
			}
		})
	}
}
