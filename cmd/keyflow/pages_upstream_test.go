package main

import (
	"bytes"
	"context"
	"encoding/json"
	"fmt"
	"net/http"
	"net/http/httptest"
	"strconv"
	"strings"
	"sync/atomic"
	"testing"
)

// newPageUpstream starts the API that the pages of docs/ call api.example.com, and returns its
// host and port.
func newPageUpstream(t *testing.T) string {
	t.Helper()
	mux := http.NewServeMux()
	answer := func(status int, format string, args ...any) http.HandlerFunc {
		return func(w http.ResponseWriter, _ *http.Request) {
			w.Header().Set("Content-Type", "application/json")
			w.WriteHeader(status)
			_, _ = fmt.Fprintf(w, format, args...) // the client is gone when this fails
		}
	}
	basic := func(next http.HandlerFunc) http.HandlerFunc {
		return func(w http.ResponseWriter, r *http.Request) {
			if user, password, _ := r.BasicAuth(); user != "it" || password != "orders-2026" && password != "orders-2027" {
				next = answer(http.StatusUnauthorized, `{"error": "wrong user name or password"}`)
			}
			next(w, r)
		}
	}
	mux.HandleFunc("GET /status", answer(http.StatusOK, `{"status": "ok"}`))
	mux.HandleFunc("GET /orders", basic(answer(http.StatusOK, `{"orders": [{"id": 1001, "total": 250}, {"id": 1002, "total": 75}]}`)))
	mux.HandleFunc("GET /health", answer(http.StatusInternalServerError, `{"error": "maintenance"}`))
	mux.HandleFunc("POST /oauth/token", pageToken)
	mux.HandleFunc("GET /people", func(w http.ResponseWriter, r *http.Request) {
		if r.Header.Get("Authorization") != "Bearer token-1" {
			answer(http.StatusUnauthorized, `{}`)(w, r)
			return
		}
		answer(http.StatusOK, `{"people": ["Kim", "Lee", "Park"]}`)(w, r)
	})
	mux.HandleFunc("POST /tickets", answer(http.StatusCreated, `{"id": 7}`))
	mux.HandleFunc("GET /contacts", pageContacts)
	var reports atomic.Int32
	mux.HandleFunc("GET /reports/daily", func(w http.ResponseWriter, r *http.Request) {
		if reports.Add(1) == 1 {
			w.Header().Set("Retry-After", "1")
			answer(http.StatusTooManyRequests, `{"error": "slow down"}`)(w, r)
			return
		}
		answer(http.StatusOK, `{"rows": 12}`)(w, r)
	})
	mux.HandleFunc("POST /builds", func(w http.ResponseWriter, r *http.Request) {
		var body struct{ Callback string }
		if err := json.NewDecoder(r.Body).Decode(&body); err != nil {
			t.Errorf("POST /builds: %v", err)
		}
		go callBack(context.WithoutCancel(r.Context()), body.Callback)
		answer(http.StatusAccepted, `{"build": 42}`)(w, r)
	})
	srv := httptest.NewServer(mux)
	t.Cleanup(srv.Close)
	return strings.TrimPrefix(srv.URL, "http://")
}

// pageToken is the token endpoint of the client credentials grant.
func pageToken(w http.ResponseWriter, r *http.Request) {
	id, secret, _ := r.BasicAuth()
	w.Header().Set("Content-Type", "application/json")
	if id != "keyflow" || secret != "c1ient-s3cret" || r.FormValue("grant_type") != "client_credentials" {
		w.WriteHeader(http.StatusUnauthorized)
		_, _ = fmt.Fprint(w, `{"error": "invalid_client"}`)
		return
	}
	_, _ = fmt.Fprint(w, `{"access_token": "token-1", "token_type": "bearer", "expires_in": 3600}`)
}

// pageContacts gives three pages of two contacts each.
func pageContacts(w http.ResponseWriter, r *http.Request) {
	page, err := strconv.Atoi(r.URL.Query().Get("page"))
	if err != nil {
		page = 1
	}
	next := "null"
	if page < 3 {
		next = fmt.Sprintf(`"http://%s/contacts?page=%d"`, r.Host, page+1)
	}
	w.Header().Set("Content-Type", "application/json")
	_, _ = fmt.Fprintf(w, `{"contacts": [{"id": %d}, {"id": %d}], "next": %s}`, 2*page-1, 2*page, next)
}

// callBack is what the build service does when the build has ended.
func callBack(ctx context.Context, url string) {
	req, err := http.NewRequestWithContext(ctx, http.MethodPost, url, bytes.NewBufferString(`{"result": "passed"}`))
	if err != nil {
		return // the run then fails with a timeout, and the page's test with it
	}
	req.Header.Set("Content-Type", "application/json")
	if res, err := http.DefaultClient.Do(req); err == nil {
		_ = res.Body.Close()
	}
}
