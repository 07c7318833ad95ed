package vault_test

import (
	"context"
	"errors"
	"fmt"
	"io"
	"net/http"
	"slices"
	"strings"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"keyflow/credentials"
	"keyflow/credentials/masterkey"
	"keyflow/credentials/sources"
	"keyflow/credentials/sqlstore"
	"keyflow/credentials/vault"
	"keyflow/internal/database"
	"keyflow/internal/database/databasetest"
)

// counter is an API that notes when it is called and how many calls are under way.
type counter struct {
	*upstream
	mu    sync.Mutex
	times []time.Time
	busy  atomic.Int64
	peak  atomic.Int64
}

func newCounter(t *testing.T, latency time.Duration) *counter {
	t.Helper()
	c := &counter{}
	c.upstream = serve(t, func(w http.ResponseWriter, r *http.Request) {
		c.mu.Lock()
		c.times = append(c.times, time.Now())
		c.mu.Unlock()
		busy := c.busy.Add(1)
		defer c.busy.Add(-1)
		for peak := c.peak.Load(); busy > peak && !c.peak.CompareAndSwap(peak, busy); peak = c.peak.Load() {
		}
		select {
		case <-time.After(latency):
		case <-r.Context().Done():
		}
	})
	return c
}

// burst is the largest number of calls in any span.
func (c *counter) burst(span time.Duration) int {
	c.mu.Lock()
	defer c.mu.Unlock()
	slices.SortFunc(c.times, time.Time.Compare)
	most, first := 0, 0
	for i, at := range c.times {
		for !c.times[first].After(at.Add(-span)) {
			first++
		}
		most = max(most, i-first+1)
	}
	return most
}

// crowd sends requests from many goroutines, each on its own client, and returns the errors.
func crowd(t *testing.T, vaults []*network, count int, use credentials.Use, target string) []error {
	t.Helper()
	use.Workflow, use.Folder = "sync", "/"
	var wg sync.WaitGroup
	errs := make([]error, count)
	for i := range count {
		client, err := vaults[i%len(vaults)].Resolver().Client(t.Context(), use)
		if err != nil {
			t.Fatal(err)
		}
		req, err := http.NewRequestWithContext(t.Context(), http.MethodGet, target, nil)
		if err != nil {
			t.Fatal(err)
		}
		wg.Go(func() {
			res, err := client.Do(req)
			if err == nil {
				_, err = io.Copy(io.Discard, res.Body)
				_ = res.Body.Close()
			}
			errs[i] = err
		})
	}
	wg.Wait()
	return slices.DeleteFunc(errs, func(err error) bool { return err == nil })
}

// sharing is two vaults, as in two processes, on one database.
func sharing(t *testing.T, db *database.DB) []*network {
	t.Helper()
	dir := t.TempDir()
	return []*network{onlineWith(t, db, dir), onlineWith(t, db, dir)}
}

func TestLimits(t *testing.T) {
	t.Parallel()
	const span = 700 * time.Millisecond // a busy machine delivers some calls late
	tests := map[string]struct {
		limits string
		calls  int
		check  func(t *testing.T, c *counter)
	}{
		"rate": {`{"requests": 8, "per": "1s"}`, 20, func(t *testing.T, c *counter) {
			t.Helper()
			if got := c.burst(span); got > 8 {
				t.Errorf("%d calls within %s, want at most 8", got, span)
			}
		}},
		"concurrency": {`{"concurrency": 3}`, 30, func(t *testing.T, c *counter) {
			t.Helper()
			if got := c.peak.Load(); got > 3 || got < 2 {
				t.Errorf("%d calls at once, want 3", got)
			}
		}},
		"both": {`{"requests": 10, "per": "1s", "concurrency": 2}`, 15, func(t *testing.T, c *counter) {
			t.Helper()
			if got, peak := c.burst(span), c.peak.Load(); got > 10 || peak > 2 {
				t.Errorf("%d calls within %s, %d at once", got, span, peak)
			}
		}},
	}
	for name, tt := range tests {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			run := func(t *testing.T, vaults []*network) {
				t.Helper()
				c := newCounter(t, 20*time.Millisecond)
				vaults[0].create(t, apiKey("key", c.host, "key-12345", `, "limits": `+tt.limits))
				if errs := crowd(t, vaults, tt.calls, credentials.Use{ID: "key"}, c.URL); len(errs) > 0 {
					t.Errorf("%d calls failed: %v", len(errs), errs[0])
				}
				if got := len(c.requests()); got != tt.calls {
					t.Errorf("%d calls, want %d", got, tt.calls)
				}
				tt.check(t, c)
			}
			t.Run("one process", func(t *testing.T) { t.Parallel(); run(t, []*network{online(t)}) })
			t.Run("two processes", func(t *testing.T) { t.Parallel(); run(t, sharing(t, databasetest.Postgres(t))) })
		})
	}
}

// Whoever can come back is told when; each span takes as many as the limit allows.
func TestLimitsSendAway(t *testing.T) {
	t.Parallel()
	n, c := online(t), newCounter(t, 0)
	n.create(t, apiKey("key", c.host, "key-12345", `, "limits": {"requests": 5, "per": "1h"}`))
	begun := time.Now()
	errs := crowd(t, []*network{n}, 20, credentials.Use{ID: "key", Park: true}, c.URL)
	if len(errs) != 15 || len(c.requests()) != 5 {
		t.Fatalf("%d sent away and %d calls, want 15 and 5", len(errs), len(c.requests()))
	}
	perHour := map[int]int{}
	for _, err := range errs {
		e := refusal(t, err, credentials.CodeLimit)
		perHour[int(e.Until.Sub(begun)/(59*time.Minute))]++
		if want := `the limits of credential "key" are used up; the step goes on at about ` + e.Until.UTC().Format(time.RFC3339); e.Message != want {
			t.Errorf("message %q, want %q", e.Message, want)
		}
	}
	if len(perHour) != 3 || perHour[1] != 5 || perHour[2] != 5 || perHour[3] != 5 {
		t.Errorf("they come back, by the hour: %v", perHour)
	}
}

// A test of the credential counts as a request; it is told at once when there is none left.
func TestCredentialTestWithUsedUpLimits(t *testing.T) {
	t.Parallel()
	n, c := online(t), newCounter(t, 0)
	n.create(t, apiKey("key", c.host, "key-12345", `, "limits": {"requests": 1, "per": "1h"}, "test_url": "`+c.URL+`"`))
	for i, want := range []string{"answered with status 200.", "Nothing was sent: the limits of the credential are used up until about "} {
		result, err := n.Test(t.Context(), admin, "key")
		if err != nil || result.OK != (i == 0) || !strings.Contains(result.Message, want) {
			t.Errorf("test %d: %+v, %v; want %q", i+1, result, err, want)
		}
	}
	if got := len(c.requests()); got != 1 {
		t.Errorf("%d requests, want 1", got)
	}
}

func TestSlotsSendAwayAfterASecond(t *testing.T) {
	t.Parallel()
	n, c := online(t), newCounter(t, 3*time.Second)
	n.create(t, apiKey("key", c.host, "key-12345", `, "limits": {"concurrency": 1}`))
	errs := crowd(t, []*network{n}, 3, credentials.Use{ID: "key", Park: true}, c.URL)
	if len(errs) != 2 {
		t.Fatalf("%d sent away, want 2", len(errs))
	}
	for _, err := range errs {
		if e := refusal(t, err, credentials.CodeLimit); time.Until(e.Until) > time.Minute {
			t.Errorf("to come back at %s", e.Until)
		}
	}
}

// A request that gives up leaves the queue; the limit itself may be changed or removed.
func TestLimitsGivenUpAndChanged(t *testing.T) {
	t.Parallel()
	n, c := online(t), newCounter(t, 0)
	n.create(t, apiKey("key", c.host, "key-12345", `, "limits": {"requests": 1, "per": "1h"}`))
	mustGet(t, n, "key", c.URL)
	ctx, cancel := context.WithTimeout(t.Context(), 50*time.Millisecond)
	defer cancel()
	req, err := http.NewRequestWithContext(ctx, http.MethodGet, c.URL, nil)
	if err != nil {
		t.Fatal(err)
	}
	if _, err := n.client(t, credentials.Use{ID: "key"}).Do(req); err == nil {
		t.Error("a request over the limit was sent")
	}
	n.patch(t, "key", `{"limits": {"requests": 3}}`)
	mustGet(t, n, "key", c.URL)
	mustGet(t, n, "key", c.URL)
	n.patch(t, "key", `{"limits": null}`)
	for range 5 {
		mustGet(t, n, "key", c.URL)
	}
	if got := len(c.requests()); got != 8 {
		t.Errorf("%d calls, want 8", got)
	}
}

// A permit is given back also when the answer is not read, or there is none.
func TestPermitsAreGivenBack(t *testing.T) {
	t.Parallel()
	n, c := online(t), newCounter(t, 0)
	n.create(t, apiKey("key", c.host, "key-12345", `, "limits": {"concurrency": 1}`))
	client := n.client(t, credentials.Use{ID: "key"})
	for range 3 {
		req, err := http.NewRequestWithContext(t.Context(), http.MethodGet, c.URL, nil)
		if err != nil {
			t.Fatal(err)
		}
		res, err := client.Do(req)
		if err != nil {
			t.Fatal(err)
		}
		_ = res.Body.Close()
		if _, err := n.get(t, "key", "http://127.0.0.1:1"); err == nil {
			t.Error("an answer from nowhere")
		}
	}
}

// A permit that could not be used in time is given back, and the request waits for another one;
// the limit counts both.
func TestLatePermits(t *testing.T) {
	t.Parallel()
	tests := map[string]struct {
		late int  // permits
		gone bool // the caller gives up meanwhile
		asks int  // whether all is ready, for each permit before and after it
		left int  // requests that the limit of three allows afterwards
	}{
		"another permit": {late: 1, asks: 4, left: 1},
		"always late":    {late: 3, asks: 6, left: 0}, // the last is used all the same
		"a caller gone":  {late: 1, gone: true, asks: 2, left: 2},
	}
	for name, tt := range tests {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			n, c := online(t), newCounter(t, 0)
			n.freeze()
			n.create(t, apiKey("key", c.host, "key-12345", `, "limits": {"requests": 3, "per": "1h", "concurrency": 1}`))
			ctx, cancel := context.WithCancel(t.Context())
			defer cancel()
			asked := 0
			client := n.client(t, credentials.Use{ID: "key", Ready: func(context.Context) {
				if asked++; asked%2 == 0 && asked <= 2*tt.late { // the permit is there, and the request not sent yet
					n.advance(2 * time.Second)
					if tt.gone {
						cancel()
					}
				}
			}})
			req, err := http.NewRequestWithContext(ctx, http.MethodGet, c.URL, nil)
			if err != nil {
				t.Fatal(err)
			}
			res, err := client.Do(req)
			if err == nil {
				err = res.Body.Close()
			}
			if tt.gone != errors.Is(err, context.Canceled) || !tt.gone && err != nil || asked != tt.asks {
				t.Fatalf("error %v after %d questions", err, asked)
			}
			errs := crowd(t, []*network{n}, 3, credentials.Use{ID: "key", Park: true}, c.URL)
			for _, err := range errs {
				refusal(t, err, credentials.CodeLimit)
			}
			if len(errs) != 3-tt.left {
				t.Errorf("%d sent away, want %d", len(errs), 3-tt.left)
			}
		})
	}
}

// A reference that takes longer to read than a permit lives costs no second permit.
func TestPermitOfASlowReference(t *testing.T) {
	t.Parallel()
	n, c := online(t), newCounter(t, 0)
	n.freeze()
	from, err := sources.New(sources.Options{Allow: []string{"env"}, Getenv: func(string) (string, bool) {
		n.advance(2 * time.Second)
		return "key-12345", true
	}})
	if err != nil {
		t.Fatal(err)
	}
	keys, err := masterkey.Open(n.dir, "")
	if err != nil {
		t.Fatal(err)
	}
	store := sqlstore.New(n.db)
	n.Vault, err = vault.New(vault.Options{
		Store: store, Tokens: store, Limits: store, Canary: store, Keyset: keys, Transport: n.transport, Now: n.now, Sources: from,
	})
	if err != nil {
		t.Fatal(err)
	}
	n.create(t, fmt.Sprintf(`{"id": "key", "type": "api_key", "allowed_hosts": [%q], "fields": {"key": "X-Key", "value": {"ref": "env:SLOW"}},
		"limits": {"requests": 2, "per": "1h", "concurrency": 1}}`, c.host))
	for _, err := range crowd(t, []*network{n}, 2, credentials.Use{ID: "key", Park: true}, c.URL) {
		t.Errorf("within the limit: %v", err)
	}
}
