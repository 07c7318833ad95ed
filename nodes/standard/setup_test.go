package standard_test

import (
	"errors"
	"io"
	"net/http"
	"net/http/httptest"
	"sync"
	"testing"

	"github.com/mccutchen/go-httpbin/v2/httpbin"

	"keyflow/nodes"
	"keyflow/nodes/standard"
)

func typeOf(t *testing.T, name string) nodes.Type {
	t.Helper()
	kind, ok := nodes.NewRegistry(standard.Types()...).Lookup(name)
	if !ok {
		t.Fatalf("there is no type %s", name)
	}
	return kind
}

// serve starts a server and returns its URL.
func serve(t *testing.T, handler http.HandlerFunc) string {
	t.Helper()
	server := httptest.NewServer(handler)
	t.Cleanup(server.Close)
	return server.URL
}

// bin starts a real go-httpbin and returns its URL.
func bin(t *testing.T) string {
	t.Helper()
	return serve(t, httpbin.New().ServeHTTP)
}

// recorder keeps the last request that a server saw.
type recorder struct {
	mu   sync.Mutex
	req  *http.Request
	body []byte
}

func (r *recorder) ServeHTTP(w http.ResponseWriter, req *http.Request) {
	body, err := io.ReadAll(req.Body)
	if err != nil {
		http.Error(w, err.Error(), http.StatusBadRequest)
		return
	}
	r.mu.Lock()
	defer r.mu.Unlock()
	r.req, r.body = req, body
}

func (r *recorder) last(t *testing.T) (*http.Request, string) {
	t.Helper()
	r.mu.Lock()
	defer r.mu.Unlock()
	if r.req == nil {
		t.Fatal("no request arrived")
	}
	return r.req, string(r.body)
}

// stepError returns err as the engine will see it.
func stepError(t *testing.T, err error) *nodes.Error {
	t.Helper()
	e, ok := errors.AsType[*nodes.Error](err)
	if !ok {
		t.Fatalf("error is %v (%T), want a *nodes.Error", err, err)
	}
	return e
}
