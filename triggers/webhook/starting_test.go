package webhook_test

import (
	"context"
	"net/http"
	"net/http/httptest"
	"strings"
	"sync"
	"testing"
	"time"

	"keyflow/triggers/internal/firingtest"
)

// waited is a context that tells when somebody first waits for its end.
type waited struct {
	context.Context
	once  sync.Once
	begun chan struct{}
}

func (w *waited) Done() <-chan struct{} {
	w.once.Do(func() { close(w.begun) })
	return w.Context.Done()
}

// A call that comes before a starting process knows its workflows waits for them: it gets
// neither a 404 for a webhook that exists nor a 503 for one that does not.
func TestHookOfAStartingProcess(t *testing.T) {
	t.Parallel()
	h, _ := hookServer(t)
	for path, want := range map[string]int{"/hooks/plain": http.StatusAccepted, "/hooks/nope": http.StatusNotFound} {
		starting := firingtest.SetupOn(h.Database, time.Now).Manager
		post := func(ctx context.Context) *httptest.ResponseRecorder {
			w := httptest.NewRecorder()
			starting.Hooks().ServeHTTP(w, httptest.NewRequestWithContext(ctx, http.MethodPost, path, strings.NewReader("{}")))
			return w
		}
		gone, cancel := context.WithCancel(t.Context())
		cancel()
		if got := post(gone); got.Code != http.StatusServiceUnavailable || got.Header().Get("Retry-After") == "" {
			t.Errorf("%s, waited in vain: %d, Retry-After %q", path, got.Code, got.Header().Get("Retry-After"))
		}
		ctx := &waited{Context: t.Context(), begun: make(chan struct{})}
		answers := make(chan *httptest.ResponseRecorder)
		go func() { answers <- post(ctx) }()
		select {
		case <-ctx.begun:
		case got := <-answers:
			t.Fatalf("%s: %d before the workflows are known", path, got.Code)
		}
		if err := starting.Load(t.Context()); err != nil {
			t.Fatal(err)
		}
		if got := <-answers; got.Code != want {
			t.Errorf("%s: %d %s, want %d", path, got.Code, got.Body, want)
		}
	}
}
