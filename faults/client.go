//go:build unix

package main

import (
	"bytes"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"math/rand/v2"
	"net"
	"net/http"
	"net/url"
	"slices"
	"time"
)

// answer is what Keyflow said; err nil means that all of it arrived.
type answer struct {
	status int
	body   []byte
	err    error
}

// verdict is what an answer proves.
type verdict int

const (
	accepted verdict = iota
	refused          // for sure: nothing may come of it
	unknown          // the connection was lost
)

// verdict of a request that starts or changes something.
func (a *answer) verdict() verdict {
	var op *net.OpError
	switch {
	case a.err != nil && errors.As(a.err, &op) && op.Op == "dial":
		return refused // it was never sent
	case a.err != nil:
		return unknown
	case a.status < 300:
		return accepted
	default:
		return refused
	}
}

// client speaks to any of the processes, with the administrator's token.
type client struct {
	inst *installation
	http *http.Client
}

func newClient(inst *installation) *client {
	return &client{inst, &http.Client{Timeout: 60 * time.Second, Transport: &http.Transport{MaxIdleConnsPerHost: 256}}}
}

// do sends a request; header holds names and values in turn.
func (c *client) do(ctx context.Context, method, path string, body any, header ...string) answer {
	data := []byte{}
	if body != nil {
		var err error
		if data, err = json.Marshal(body); err != nil {
			return answer{err: err}
		}
	}
	to := c.inst.servers[rand.IntN(len(c.inst.servers))].listen
	req, err := http.NewRequestWithContext(ctx, method, "http://"+to+path, bytes.NewReader(data))
	if err != nil {
		return answer{err: err}
	}
	req.Header.Set("Authorization", "Bearer "+c.inst.token)
	req.Header.Set("Content-Type", "application/json")
	req.GetBody = nil // nothing is sent twice behind our back
	for i := 0; i+1 < len(header); i += 2 {
		req.Header.Set(header[i], header[i+1])
	}
	res, err := c.http.Do(req)
	if err != nil {
		return answer{err: err}
	}
	defer func() { _ = res.Body.Close() }()
	text, err := io.ReadAll(res.Body)
	return answer{res.StatusCode, text, err}
}

// hangUp sends a request and closes the connection without waiting for the answer.
func (c *client) hangUp(ctx context.Context, path string, body any, header ...string) answer {
	data, err := json.Marshal(body)
	if err != nil {
		return answer{err: err}
	}
	to := c.inst.servers[rand.IntN(len(c.inst.servers))].listen
	conn, err := (&net.Dialer{}).DialContext(ctx, "tcp", to)
	if err != nil {
		return answer{err: err}
	}
	text := fmt.Sprintf("POST %s HTTP/1.1\r\nHost: %s\r\nAuthorization: Bearer %s\r\nContent-Type: application/json\r\nContent-Length: %d\r\n",
		path, to, c.inst.token, len(data))
	for i := 0; i+1 < len(header); i += 2 {
		text += header[i] + ": " + header[i+1] + "\r\n"
	}
	_, err = conn.Write(append([]byte(text+"\r\n"), data...))
	pause(ctx, time.Duration(rand.IntN(4))*time.Millisecond)
	return answer{err: errors.Join(errors.New("hung up"), err, conn.Close())}
}

// read gets a document; the error says what was answered instead.
func (c *client) read(ctx context.Context, path string, into any) error {
	a := c.do(ctx, http.MethodGet, path, nil)
	if a.err != nil {
		return a.err
	}
	if a.status != http.StatusOK {
		return fmt.Errorf("GET %s: %d %s", path, a.status, a.body)
	}
	return json.Unmarshal(a.body, into)
}

// runView is a run as the API shows it.
type runView struct {
	ID, Workflow, Status string
	Trigger              struct {
		ID          string
		ScheduledAt *time.Time `json:"scheduled_at"`
	}
	CreatedAt  time.Time  `json:"created_at"`
	FinishedAt *time.Time `json:"finished_at"`
	Input      json.RawMessage
	Output     json.RawMessage
	Error      json.RawMessage
	Steps      []stepView
}

// stepView is a step of it.
type stepView struct {
	Node, Status string
	Index        *int
	Attempt      int
	FinishedAt   *time.Time `json:"finished_at"`
}

// final reports whether the run has ended.
func (r *runView) final() bool { return ended(r.Status) }

func ended(status string) bool {
	return slices.Contains([]string{"succeeded", "failed", "canceled"}, status)
}

// token is the driver's name for the run's start; runs that it starts inherit it.
func (r *runView) token() string {
	var in struct {
		N     string
		Input struct{ N string }
	}
	_ = json.Unmarshal(r.Input, &in) // a run that nobody of us started has no token
	if in.N == "" {
		return in.Input.N
	}
	return in.N
}

// runs lists the runs that the query selects, with at most so many pages of 200.
func (c *client) runs(ctx context.Context, query url.Values, pages int) ([]runView, error) {
	var all []runView
	query.Set("limit", "200")
	for range pages {
		var page struct {
			Items      []runView
			NextCursor *string `json:"next_cursor"`
		}
		if err := c.read(ctx, "/api/v1/runs?"+query.Encode(), &page); err != nil {
			return nil, err
		}
		all = append(all, page.Items...)
		if page.NextCursor == nil {
			break
		}
		query.Set("cursor", *page.NextCursor)
	}
	return all, nil
}
