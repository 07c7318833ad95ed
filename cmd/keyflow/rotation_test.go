package main

import (
	"bytes"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"net/http"
	"net/http/httptest"
	"slices"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"
)

const (
	formerKey = "former-key-1b5d"
	nextKey   = "next-key-77e02"
)

// lock is a service that lets in whoever shows one of its keys, and notes what each call showed.
type lock struct {
	*httptest.Server
	mu      sync.Mutex
	accepts []string
	seen    map[string][]string // path -> keys
}

func newLock(t *testing.T, accepts ...string) *lock {
	t.Helper()
	l := &lock{accepts: accepts, seen: make(map[string][]string)}
	l.Server = httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		key := r.Header.Get("X-Key")
		l.mu.Lock()
		defer l.mu.Unlock()
		l.seen[r.URL.Path] = append(l.seen[r.URL.Path], key)
		if !slices.Contains(l.accepts, key) {
			w.WriteHeader(http.StatusUnauthorized)
		}
	}))
	t.Cleanup(l.Close)
	return l
}

func (l *lock) accept(keys ...string) {
	l.mu.Lock()
	defer l.mu.Unlock()
	l.accepts = keys
}

// keys returns what calls of a path showed.
func (l *lock) keys(path string) []string {
	l.mu.Lock()
	defer l.mu.Unlock()
	return append([]string(nil), l.seen[path]...)
}

// showed returns the paths that were called with a key.
func (l *lock) showed(key string) (paths []string) {
	l.mu.Lock()
	defer l.mu.Unlock()
	for path, keys := range l.seen {
		if slices.Contains(keys, key) {
			paths = append(paths, path)
		}
	}
	return paths
}

// useLock stores a credential of l with the former key and the workflow "load", which calls it once.
func useLock(s *instance, l *lock) {
	s.t.Helper()
	s.must(http.MethodPost, "/api/v1/credentials", map[string]any{
		"id": "key", "type": "api_key", "allowed_hosts": []string{l.URL}, "test_url": l.URL + "/test", "grace": "1h",
		"fields": map[string]any{"key": "X-Key", "value": formerKey},
	})
	s.apply("load", `{"id": "load", "nodes": {"call": {"type": "web_request", "credential": "key", "with": {"url": "`+l.URL+`/{{ input.n }}"}}}}`)
}

// load starts runs at a constant pace, whether or not earlier ones have ended.
type load struct {
	s    *instance
	stop context.CancelFunc
	done chan struct{}
	mu   sync.Mutex
	ids  []string // of the runs, in the order of n
	errs []error
	wg   sync.WaitGroup
}

func newLoad(s *instance, every time.Duration) *load {
	s.t.Helper()
	ctx, cancel := context.WithCancel(s.t.Context())
	l := &load{s: s, stop: cancel, done: make(chan struct{})}
	s.t.Cleanup(cancel)
	go func() {
		defer close(l.done)
		tick := time.NewTicker(every)
		defer tick.Stop()
		for {
			select {
			case <-tick.C:
				l.start(s.t.Context())
			case <-ctx.Done():
				l.wg.Wait()
				return
			}
		}
	}()
	return l
}

func (l *load) start(ctx context.Context) {
	l.mu.Lock()
	n := len(l.ids)
	l.ids = append(l.ids, "")
	l.mu.Unlock()
	l.wg.Go(func() {
		id, err := startRun(ctx, l.s, fmt.Sprintf(`{"input": {"n": %d}}`, n))
		l.mu.Lock()
		defer l.mu.Unlock()
		l.ids[n] = id
		if err != nil {
			l.errs = append(l.errs, err)
		}
	})
}

// startRun is for goroutines: it does not end the test.
func startRun(ctx context.Context, s *instance, body string) (string, error) {
	req, err := http.NewRequestWithContext(ctx, http.MethodPost, s.url+"/api/v1/workflows/load/runs", bytes.NewReader([]byte(body)))
	if err != nil {
		return "", err
	}
	req.Header.Set("Authorization", "Bearer "+s.token)
	req.Header.Set("Content-Type", "application/json")
	res, err := http.DefaultClient.Do(req)
	if err != nil {
		return "", err
	}
	defer res.Body.Close()
	var run struct {
		ID string `json:"id"`
	}
	if err := json.NewDecoder(res.Body).Decode(&run); err != nil || res.StatusCode != http.StatusAccepted {
		return "", errors.Join(err, fmt.Errorf("start of a run: status %d", res.StatusCode))
	}
	return run.ID, nil
}

// begun is how many runs were started, or are about to be.
func (l *load) begun() int {
	l.mu.Lock()
	defer l.mu.Unlock()
	return len(l.ids)
}

// more waits for a number of further runs and returns the first that began after the call.
func (l *load) more(runs int) (first int) {
	l.s.t.Helper()
	first = l.begun()
	eventually(l.s.t, "further runs begin", func() bool { return l.begun() >= first+runs })
	return first
}

// end stops the load and returns the ids of all runs once they have been started.
func (l *load) end() []string {
	l.s.t.Helper()
	l.stop()
	<-l.done
	for _, err := range l.errs {
		l.s.t.Error(err)
	}
	return l.ids
}

func (s *instance) says(stdin string, args ...string) result {
	s.t.Helper()
	r := keyflowIn(s.t, stdin, s.env(), args...)
	if r.code != exitOK {
		s.t.Fatalf("keyflow %v: %d %s%s", args, r.code, r.stdout, r.stderr)
	}
	return r
}

// P9: under a constant load of 50 runs a second, replacing a secret and taking it back loses no
// run, and every call shows exactly the old or the new secret.
func TestRotationUnderLoadLosesNoRun(t *testing.T) {
	t.Parallel()
	service := newLock(t, formerKey, nextKey)
	s := serve(t, "")
	useLock(s, service)
	l := newLoad(s, 20*time.Millisecond)
	l.more(40)
	s.says(`{"fields": {"value": "`+nextKey+`"}}`, "credentials", "candidate", "key", "--from-file", "-")
	l.more(30)
	r := s.says("", "credentials", "test", "key", "--candidate")
	if paths := service.showed(nextKey); len(paths) != 1 || paths[0] != "/test" {
		t.Errorf("the candidate was used before its promotion: %q", paths)
	}
	s.says("", "credentials", "promote", "key", "--yes")
	promoted := l.more(60)
	rollingBack := l.begun()
	eventually(t, "the runs begun before the rollback have made their calls", func() bool {
		for n := promoted; n < rollingBack; n++ {
			if len(service.keys(fmt.Sprint("/", n))) == 0 {
				return false
			}
		}
		return true
	})
	s.says("", "credentials", "rollback", "key", "--yes")
	rolledBack := l.more(40)
	ids := l.end()
	if !strings.HasPrefix(r.stdout, "ok: ") {
		t.Errorf("test --candidate said %s", r.stdout)
	}

	for n, id := range ids {
		if id == "" {
			continue // reported by end
		}
		var run answer
		eventually(t, "run "+id+" ends", func() bool {
			run = s.must(http.MethodGet, "/api/v1/runs/"+id, nil)
			return run.json["finished_at"] != nil
		})
		if run.json["status"] != "succeeded" {
			t.Errorf("run %d: %s", n, run.body)
		}
		keys := service.keys(fmt.Sprint("/", n))
		if len(keys) != 1 || keys[0] != formerKey && keys[0] != nextKey {
			t.Errorf("run %d of %d called with %q, want once with one of the keys", n, len(ids), keys)
			continue
		}
		// Runs that begin after a command has returned use what it says.
		switch old := keys[0] == formerKey; {
		case n >= promoted && n < rollingBack && old:
			t.Errorf("run %d began after the promotion and used the former key", n)
		case n >= rolledBack && !old:
			t.Errorf("run %d began after the rollback and used the promoted key", n)
		}
	}
	tests := service.keys("/test")
	if len(tests) != 2 || tests[0] != nextKey || tests[1] != nextKey {
		t.Errorf("tests of the candidate showed %q", tests)
	}
	versions := s.says("", "credentials", "versions", "key")
	var table [][]string
	for line := range strings.Lines(versions.stdout) {
		table = append(table, strings.Fields(line)[:3])
	}
	want := [][]string{{"VERSION", "CURRENT", "ORIGIN"}, {"3", "yes", "rollback"}, {"2", "no", "promotion"}, {"1", "no", "edit"}}
	if diff := cmp.Diff(want, table); diff != "" {
		t.Errorf("versions (-want +got):\n%s", diff)
	}
}

func TestPromotedSecretThatIsRefusedFallsBack(t *testing.T) {
	t.Parallel()
	service := newLock(t, formerKey)
	s := serve(t, "")
	useLock(s, service)
	stage := []string{"credentials", "candidate", "key", "--from-file", "-"}
	s.says(`{"fields": {"value": "wrong-key-000"}}`, stage...)
	r := keyflow(t, s.env(), "credentials", "promote", "key", "--yes")
	if r.code == exitOK || !strings.Contains(r.stderr, "did not pass its test and was not promoted") {
		t.Errorf("a wrong secret was promoted: %d %s%s", r.code, r.stdout, r.stderr)
	}
	service.accept(formerKey, nextKey)
	s.says(`{"fields": {"value": "`+nextKey+`"}}`, stage...)
	s.says("", "credentials", "promote", "key", "--yes", "--fall-back")
	service.accept(formerKey)
	if run := s.run("load", map[string]any{"n": 1}); run.json["status"] != "succeeded" {
		t.Errorf("run: %s", run.body)
	}
	if keys := fmt.Sprint(service.keys("/1")); keys != fmt.Sprint([]string{nextKey, formerKey}) {
		t.Errorf("the run called with %s", keys)
	}
	c := s.must(http.MethodGet, "/api/v1/credentials/key", nil)
	for _, want := range []string{`"version":3`, "the fields of version 1 came back as version 3", `"fall_back":null`} {
		if !strings.Contains(c.body, want) {
			t.Errorf("the credential lacks %s: %s", want, c.body)
		}
	}
	eventually(t, "the log says so", func() bool {
		return strings.Contains(s.stderr.String(), "credential fell back to its former fields")
	})
}
