package webhook_test

import (
	"context"
	"encoding/json"
	"errors"
	"net/http"
	"net/http/httptest"
	"strings"
	"testing"
	"testing/synctest"

	"github.com/google/go-cmp/cmp"

	"keyflow/credentials"
	"keyflow/internal/fault"
	"keyflow/triggers"
	"keyflow/triggers/internal/firingtest"
)

// post calls a webhook without a network, for fake time.
func post(t *testing.T, hooks http.Handler, path, key, body string) *httptest.ResponseRecorder {
	t.Helper()
	r := httptest.NewRequestWithContext(t.Context(), http.MethodPost, path, strings.NewReader(body))
	r.Header.Set("X-Key", key)
	w := httptest.NewRecorder()
	hooks.ServeHTTP(w, r)
	return w
}

// Three bodies of 5 MiB are read at once. The fourth waits and is refused in the end, while
// small ones pass.
func TestHookBoundsLargeBodies(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		h := firingtest.Setup(t)
		h.Apply(t, "flow", hooks, `"vars": {"k": "v"}`)
		if err := h.Manager.Load(t.Context()); err != nil {
			t.Fatal(err)
		}
		h.Starter.Large = make(chan struct{})
		body := `"` + strings.Repeat("a", 5<<20-2) + `"`
		answers := make(chan int, 3)
		for range 3 {
			go func() { answers <- post(t, h.Manager.Hooks(), "/hooks/plain", "", body).Code }()
		}
		synctest.Wait()
		fourth := make(chan *httptest.ResponseRecorder)
		go func() { fourth <- post(t, h.Manager.Hooks(), "/hooks/plain", "", body) }()
		synctest.Wait()
		if w := post(t, h.Manager.Hooks(), "/hooks/plain", "", `{"small": true}`); w.Code != 202 {
			t.Errorf("a small body meanwhile: %d %s", w.Code, w.Body)
		}
		want := strings.Replace(problemText(503, "Service Unavailable", "the call was not accepted: too many large bodies at once"), "req-1", "", 1)
		if w := <-fourth; w.Code != 503 || !sameJSON(t, w.Body.String(), want) || w.Header().Get("Retry-After") != "5" {
			t.Errorf("the fourth: %d %v %s", w.Code, w.Header(), w.Body)
		}
		close(h.Starter.Large)
		for range 3 {
			if code := <-answers; code != 202 {
				t.Errorf("a body that was let in: %d", code)
			}
		}
		if w := post(t, h.Manager.Hooks(), "/hooks/plain", "", body); w.Code != 202 {
			t.Errorf("a large body afterwards: %d %s", w.Code, w.Body)
		}
	})
}

// slowVerifier answers wrong keys at once and the right one only when it is let go.
type slowVerifier struct{ right chan struct{} }

func (v slowVerifier) Verify(_ context.Context, _ credentials.ID, _, _ string, r *http.Request, _ []byte) ([]string, error) {
	if r.Header.Get("X-Key") != "right-key-123" {
		return nil, fault.New(fault.Unauthenticated, "no")
	}
	<-v.right
	return []string{"X-Key"}, nil
}

// Unverify has nothing to forget: no request is held to be used once.
func (slowVerifier) Unverify(context.Context, credentials.ID, *http.Request, []byte) {}

// Guesses sent all at once do not overtake the count.
func TestHookLimitsParallelGuesses(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		h := firingtest.Setup(t)
		h.Apply(t, "flow", hooks, `"vars": {"k": "v"}`)
		v := slowVerifier{make(chan struct{})}
		manager := triggers.New(triggers.Options{Store: h.Store, Catalog: h.Catalog, Starter: h.Starter, Verifier: v})
		if err := manager.Load(t.Context()); err != nil {
			t.Fatal(err)
		}
		right := make(chan int)
		go func() { right <- post(t, manager.Hooks(), "/hooks/key", "right-key-123", "{}").Code }()
		synctest.Wait()
		for range 10 {
			post(t, manager.Hooks(), "/hooks/key", "guess", "{}")
		}
		close(v.right)
		if code := <-right; code != 429 || len(h.Starter.All()) != 0 {
			t.Errorf("the right one among the guesses: %d, %d runs", code, len(h.Starter.All()))
		}
	})
}

func sameJSON(t *testing.T, got, want string) bool {
	t.Helper()
	var a, b any
	if err := errors.Join(json.Unmarshal([]byte(got), &a), json.Unmarshal([]byte(want), &b)); err != nil {
		t.Fatalf("%v: %s", err, got)
	}
	return cmp.Equal(a, b)
}
