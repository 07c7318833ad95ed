package main

import (
	"bufio"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"net/http"
	"strings"
	"time"

	"github.com/spf13/cobra"
)

// reconnectAfter is the pause before a broken stream is opened again, and streamTries how many
// streams in a row may end without an event.
const (
	reconnectAfter = time.Second
	streamTries    = 5
)

// follow shows a run's steps as they change, until it ends.
func follow(cmd *cobra.Command, p process, c *client, id string) error {
	ctx := cmd.Context()
	var r runItem
	if err := c.call(ctx, http.MethodGet, runPath(id, ""), nil, &r); err != nil {
		return err
	}
	w := watching{client: c, path: runPath(id, "/events"), tree: newTree(p.stderr, r.Workflow)}
	for tries := 0; !w.ended; tries++ {
		before := w.last
		err := w.stream(ctx)
		if ctx.Err() != nil {
			return &exitError{exitFailed, fmt.Errorf("interrupted; the run continues: keyflow runs watch %s", id)}
		}
		if w.last != before {
			tries = 0
		}
		if w.ended {
			break
		}
		if e, refused := errors.AsType[*exitError](err); tries >= streamTries || refused && e.code != exitUnreachable {
			return err
		}
		select {
		case <-time.After(reconnectAfter):
		case <-ctx.Done():
		}
	}
	if err := c.call(ctx, http.MethodGet, runPath(id, ""), nil, &r); err != nil {
		return err
	}
	return w.tree.end(cmd.OutOrStdout(), r)
}

// watching is one run being followed.
type watching struct {
	client *client
	path   string
	tree   *tree
	last   string // id of the newest event
	ended  bool
}

// stream reads events until the connection ends. nil does not mean that the run has ended.
func (w *watching) stream(ctx context.Context) error {
	req, err := w.client.prepare(ctx, request{method: http.MethodGet, path: w.path})
	if err != nil {
		return err
	}
	req.Header.Set("Accept", "text/event-stream")
	if w.last != "" {
		req.Header.Set("Last-Event-ID", w.last)
	}
	res, err := w.client.do(req)
	if err != nil {
		return err
	}
	defer func() { _ = res.Body.Close() }()
	if res.StatusCode == http.StatusNoContent {
		w.ended = true
		return nil
	}
	lines := bufio.NewScanner(res.Body)
	lines.Buffer(nil, maxAnswerSize)
	var name, data string
	for lines.Scan() {
		field, value, _ := strings.Cut(lines.Text(), ": ")
		switch field {
		case "event":
			name = value
		case "id":
			w.last = value
		case "data":
			data = value
		case "": // the end of an event, or a comment
			if err := w.event(name, data); err != nil {
				return err
			}
			name, data = "", ""
		}
	}
	if err := lines.Err(); err != nil && !errors.Is(err, io.ErrUnexpectedEOF) {
		return &exitError{exitUnreachable, fmt.Errorf("the connection to %s broke: %w", w.client.base, err)}
	}
	return nil
}

func (w *watching) event(name, data string) error {
	var err error
	switch name {
	case "step":
		var s stepItem
		if err = json.Unmarshal([]byte(data), &s); err == nil {
			w.tree.step(s)
		}
	case "run":
		var r runItem
		if err = json.Unmarshal([]byte(data), &r); err == nil {
			w.ended = r.final()
		}
	}
	if err != nil {
		return &exitError{exitFailed, fmt.Errorf("%s sent events that this version does not understand: %w", w.client.base, err)}
	}
	return nil
}
