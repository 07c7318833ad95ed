//go:build unix

package main

import (
	"encoding/json"
	"fmt"
	"hash/fnv"
	"io"
	"net/http"
	"net/http/httptest"
	"slices"
	"strconv"
	"strings"
	"sync"
	"time"
)

// call is one request that reached the upstream.
type call struct {
	run, node string
	index     int
	token     string
	began     time.Time // when it was seen, by this program's clock
	cut       bool      // acted upon, and the connection was cut: the sender may repeat it
	left      bool      // the caller went away before the answer: it may have done so before this was read
}

// upstream is the world outside: it writes down every call and answers it well, slowly, badly
// or not at all, as the path and the mood say. It is safe for concurrent use.
type upstream struct {
	server *httptest.Server
	// nasty of a thousand tokens get bad answers on /flaky and /risky.
	nasty int
	// asked takes the URLs that are to be called back.
	asked chan asked

	mu    sync.Mutex
	calls []call
	bad   map[string]int // bad answers left, by run/node/index
}

// asked is a wish to be called back.
type asked struct{ token, url string }

// hangs is how long the upstream keeps a caller waiting that it will never answer.
const hangs = 20 * time.Second

func newUpstream(nasty int) *upstream {
	u := &upstream{nasty: nasty, asked: make(chan asked, 1024), bad: map[string]int{}}
	u.server = httptest.NewServer(u)
	return u
}

// ServeHTTP answers /ok, /slow, /flaky, /risky and /callback.
func (u *upstream) ServeHTTP(w http.ResponseWriter, r *http.Request) {
	began := time.Now()
	body, err := io.ReadAll(r.Body)
	var in struct{ N, URL string }
	if err != nil || json.Unmarshal(body, &in) != nil {
		http.Error(w, "this is no call of ours", http.StatusBadRequest)
		return // half a request of a process that was killed: nothing was acted upon
	}
	c := call{token: in.N, began: began}
	key := r.Header.Get("Idempotency-Key") + r.Header.Get("Webhook-Id")
	c.run, c.node, c.index = split(key)
	mood := hash(in.N, c.node, strconv.Itoa(c.index))
	wrong := u.wrong(r.URL.Path, key, mood)
	c.cut = wrong == cuts || wrong == breaksOff
	u.mu.Lock()
	u.calls = append(u.calls, c)
	n := len(u.calls) - 1
	u.mu.Unlock()
	defer func() {
		if r.Context().Err() != nil {
			u.mu.Lock()
			defer u.mu.Unlock()
			u.calls[n].left = true
		}
	}()
	if r.URL.Path == "/callback" {
		u.asked <- asked{in.N, in.URL}
	}
	if r.URL.Path != "/ok" {
		linger(r, time.Duration(mood%300)*time.Millisecond)
	}
	u.answer(w, r, wrong, in.N)
}

// Ways to answer badly.
const (
	fine = iota
	refuses
	unavailable
	cuts
	breaksOff
	stalls
)

// wrong decides how the call is answered: some keys get one to three bad answers first. Whoever
// must not repeat (/risky) gets none that it could not tell from an end.
func (u *upstream) wrong(path, key string, mood uint64) int {
	if path != "/flaky" && path != "/risky" || int(mood%1000) >= u.nasty {
		return fine
	}
	u.mu.Lock()
	defer u.mu.Unlock()
	left, known := u.bad[key]
	if !known {
		left = 1 + int(mood>>10%3)
	}
	u.bad[key] = left - 1
	if left <= 0 {
		return fine
	}
	if path == "/risky" {
		return []int{refuses, unavailable, cuts, breaksOff}[(mood>>20)%4]
	}
	return 1 + int((mood>>20)+uint64(left))%stalls
}

func (u *upstream) answer(w http.ResponseWriter, r *http.Request, how int, token string) {
	switch how {
	case refuses:
		http.Error(w, "not now", http.StatusInternalServerError)
	case unavailable:
		w.Header().Set("Retry-After", "1")
		http.Error(w, "too much", http.StatusServiceUnavailable)
	case cuts:
		panic(http.ErrAbortHandler)
	case breaksOff:
		w.Header().Set("Content-Length", "1000")
		_, _ = io.WriteString(w, `{"n":`)
		panic(http.ErrAbortHandler)
	case stalls:
		linger(r, hangs)
	default:
		w.Header().Set("Content-Type", "application/json")
		_ = json.NewEncoder(w).Encode(map[string]string{"n": token})
	}
}

// linger waits, unless the caller goes away first.
func linger(r *http.Request, d time.Duration) {
	timer := time.NewTimer(d)
	defer timer.Stop()
	select {
	case <-timer.C:
	case <-r.Context().Done():
	}
}

// recorded returns the calls so far.
func (u *upstream) recorded() []call {
	u.mu.Lock()
	defer u.mu.Unlock()
	return slices.Clone(u.calls)
}

// split takes run/node/index apart.
func split(key string) (run, node string, index int) {
	parts := strings.Split(key, "/")
	if len(parts) != 3 {
		return key, "", 0
	}
	index, err := strconv.Atoi(parts[2])
	if err != nil {
		return key, "", 0
	}
	return parts[0], parts[1], index
}

// hash makes the upstream's moods depend on the seed alone.
func hash(parts ...string) uint64 {
	h := fnv.New64a()
	for _, p := range parts {
		_, _ = fmt.Fprintf(h, "%s\x00", p)
	}
	return h.Sum64()
}
