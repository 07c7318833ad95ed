package main

import (
	"bytes"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"net/http"
	"os"
	"path/filepath"
	"strings"
	"time"
)

// server is a Keyflow process on a data folder, and a client of it.
type server struct {
	ctx     context.Context
	process *process
	client  *http.Client
	token   string
	began   time.Time     // when it was started
	healthy time.Duration // from then until it answered
}

// serve starts the binary with its defaults and the given flags. It logs errors only: the
// curves send requests that no user would.
func (g *growth) serve(ctx context.Context, data string, flags ...string) (*server, error) {
	s := &server{ctx: ctx, began: time.Now(), client: &http.Client{Transport: &http.Transport{MaxIdleConnsPerHost: 256}}}
	args := append([]string{"serve", "--listen", "127.0.0.1:0", "--data-dir", data, "--egress-allow", g.host(), "--log-level", "error"}, flags...)
	var err error
	if s.process, err = startProcess(ctx, g.binary, args...); err != nil {
		return nil, err
	}
	if err := waitHealthy(ctx, s.process.url); err != nil {
		return nil, errors.Join(err, s.process.stop())
	}
	s.healthy = time.Since(s.began)
	token, err := os.ReadFile(filepath.Join(data, "admin-token"))
	s.token = strings.TrimSpace(string(token))
	return s, err
}

// call sends a request and reads the answer into into, when that is not nil. An answer that
// is no success is an error.
func (s *server) call(method, path string, body, into any) error {
	status, answer, err := s.send(method, path, body)
	if err != nil {
		return err
	}
	if status >= http.StatusBadRequest {
		return fmt.Errorf("%s %s: %d %s", method, path, status, answer)
	}
	if into == nil {
		return nil
	}
	return json.Unmarshal(answer, into)
}

func (s *server) send(method, path string, body any) (status int, answer []byte, err error) {
	raw, ok := body.([]byte)
	if !ok && body != nil {
		if raw, err = json.Marshal(body); err != nil {
			return 0, nil, err
		}
	}
	req, err := http.NewRequestWithContext(s.ctx, method, s.process.url+path, bytes.NewReader(raw))
	if err != nil {
		return 0, nil, err
	}
	req.Header.Set("Content-Type", "application/json")
	req.Header.Set("Authorization", "Bearer "+s.token)
	res, err := s.client.Do(req)
	if err != nil {
		return 0, nil, err
	}
	answer, err = io.ReadAll(res.Body)
	return res.StatusCode, answer, errors.Join(err, res.Body.Close())
}

// run is what the API says about a run, as far as the curves look at it.
type run struct {
	ID         string    `json:"id"`
	Status     string    `json:"status"`
	CreatedAt  time.Time `json:"created_at"`
	FinishedAt time.Time `json:"finished_at"`
}

// start starts a run.
func (s *server) start(workflow string, input any) (r run, err error) {
	return r, s.call(http.MethodPost, "/api/v1/workflows/"+workflow+"/runs", map[string]any{"input": input}, &r)
}

// until asks for the run until it has the status, or has ended otherwise: an error.
func (s *server) until(id, status string, limit time.Duration) (r run, err error) {
	for deadline := time.Now().Add(limit); time.Now().Before(deadline); time.Sleep(20 * time.Millisecond) {
		if err := s.call(http.MethodGet, "/api/v1/runs/"+id, nil, &r); err != nil {
			return r, err
		}
		switch {
		case r.Status == status:
			return r, nil
		case !r.FinishedAt.IsZero():
			return r, fmt.Errorf("run %s is %s, not %s", id, r.Status, status)
		}
	}
	return r, fmt.Errorf("run %s is still %s after %s", id, r.Status, limit)
}

// loaded waits until the server knows every trigger: only then an unknown webhook is not found.
func (s *server) loaded(limit time.Duration) (since time.Duration, err error) {
	for deadline := time.Now().Add(limit); time.Now().Before(deadline); time.Sleep(2 * time.Millisecond) {
		status, _, err := s.send(http.MethodPost, "/hooks/no-such-hook", nil)
		if err != nil {
			return 0, err
		}
		if status == http.StatusNotFound {
			return time.Since(s.began), nil
		}
	}
	return 0, fmt.Errorf("the triggers were not loaded within %s", limit)
}

// page is the median time that GET of a path takes.
func (s *server) page(path string) (float64, error) {
	times := make([]time.Duration, 15)
	for i := range times {
		began := time.Now()
		if err := s.call(http.MethodGet, path, nil, nil); err != nil {
			return 0, err
		}
		times[i] = time.Since(began)
	}
	return ms(median(times)), nil
}

// rest watches a server that has nothing to do: processor time in ms per second, and memory.
func (s *server) rest(window time.Duration) (cpu float64, rss int64, err error) {
	before, err := s.process.cpu()
	if err != nil {
		return 0, 0, err
	}
	began := time.Now()
	select {
	case <-s.ctx.Done():
		return 0, 0, s.ctx.Err()
	case <-time.After(window):
	}
	after, err := s.process.cpu()
	if err != nil {
		return 0, 0, err
	}
	rss, err = s.process.rss()
	return ms(after-before) / time.Since(began).Seconds(), rss, err
}
