package demo

import (
	"encoding/json"
	"fmt"
	"io"
	"net/http"
	"sync"
)

// OrdersUser is the user name that Orders accepts.
const OrdersUser = "it"

// Orders is the API that the README's tour calls: GET /orders takes Basic authentication, and
// POST /password changes the password. It writes a line for each request to its log, without
// secrets. It is safe for concurrent use.
type Orders struct {
	mux *http.ServeMux
	log io.Writer

	mu      sync.Mutex
	version int // of the password
}

// NewOrders returns an API that accepts the first password.
func NewOrders(log io.Writer) *Orders {
	o := &Orders{mux: http.NewServeMux(), log: log, version: 1}
	o.mux.HandleFunc("GET /orders", o.list)
	o.mux.HandleFunc("POST /password", o.change)
	return o
}

// ServeHTTP implements http.Handler.
func (o *Orders) ServeHTTP(w http.ResponseWriter, r *http.Request) { o.mux.ServeHTTP(w, r) }

// Password is the password that is accepted now.
func (o *Orders) Password() string {
	o.mu.Lock()
	defer o.mu.Unlock()
	return fmt.Sprintf("demo-password-%d", o.version)
}

func (o *Orders) list(w http.ResponseWriter, r *http.Request) {
	user, password, given := r.BasicAuth()
	w.Header().Set("Content-Type", "application/json")
	switch {
	case !given:
		o.answer(w, http.StatusUnauthorized, "no Basic authentication", map[string]string{"error": "not authorized"})
	case !same(user, OrdersUser) || !same(password, o.Password()):
		o.answer(w, http.StatusUnauthorized, "wrong user or password", map[string]string{"error": "not authorized"})
	default:
		o.answer(w, http.StatusOK, "the right user and password", []map[string]int{{"id": 1001, "total": 250}, {"id": 1002, "total": 75}})
	}
}

func (o *Orders) answer(w http.ResponseWriter, status int, saw string, body any) {
	o.mu.Lock()
	_, _ = fmt.Fprintf(o.log, "GET /orders: %s, answered %d\n", saw, status) // for a person who may have gone
	o.mu.Unlock()
	w.WriteHeader(status)
	_ = json.NewEncoder(w).Encode(body) // the client is gone when this fails
}

func (o *Orders) change(w http.ResponseWriter, _ *http.Request) {
	o.mu.Lock()
	o.version++
	o.mu.Unlock()
	_, _ = fmt.Fprintf(w, "the password is now %s\n", o.Password())
}
