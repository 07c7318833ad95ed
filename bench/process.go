package main

import (
	"bufio"
	"bytes"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"net/http"
	"os"
	"os/exec"
	"path/filepath"
	"strconv"
	"strings"
	"syscall"
	"time"
)

// process is a started program that printed where it listens.
type process struct {
	cmd  *exec.Cmd
	url  string
	done chan error
}

func startProcess(ctx context.Context, name string, args ...string) (*process, error) {
	cmd := exec.CommandContext(ctx, name, args...)
	cmd.Stderr = os.Stderr
	out, err := cmd.StdoutPipe()
	if err != nil {
		return nil, err
	}
	if err := cmd.Start(); err != nil {
		return nil, err
	}
	p := &process{cmd: cmd, done: make(chan error, 1)}
	lines := bufio.NewScanner(out)
	for lines.Scan() {
		if url, ok := strings.CutPrefix(lines.Text(), "listening on "); ok {
			p.url = url
			break
		}
	}
	go func() {
		_, _ = io.Copy(io.Discard, out)
		p.done <- cmd.Wait()
	}()
	if p.url == "" {
		return nil, fmt.Errorf("%s did not say where it listens: %w", name, <-p.done)
	}
	return p, nil
}

func (p *process) stop() error {
	if err := p.cmd.Process.Signal(syscall.SIGTERM); err != nil {
		return err
	}
	select {
	case <-p.done:
		return nil
	case <-time.After(40 * time.Second):
		return errors.Join(errors.New("did not stop within 40 s"), p.cmd.Process.Kill())
	}
}

// rss is the resident memory in bytes; peak is the most so far.
func (p *process) rss() (int64, error)  { return p.status("VmRSS:") }
func (p *process) peak() (int64, error) { return p.status("VmHWM:") }

func (p *process) status(field string) (int64, error) {
	status, err := os.ReadFile(fmt.Sprintf("/proc/%d/status", p.cmd.Process.Pid))
	if err != nil {
		return 0, err
	}
	for line := range strings.Lines(string(status)) {
		if rest, ok := strings.CutPrefix(line, field); ok {
			kb, err := strconv.ParseInt(strings.TrimSuffix(strings.TrimSpace(rest), " kB"), 10, 64)
			return kb << 10, err
		}
	}
	return 0, errors.New("no " + field)
}

// cpu is the processor time of all threads so far, from the scheduler's statistics (the 10 ms
// ticks of proc(5) stat are too coarse for a server at rest).
func (p *process) cpu() (time.Duration, error) {
	files, err := filepath.Glob(fmt.Sprintf("/proc/%d/task/*/schedstat", p.cmd.Process.Pid))
	if err != nil {
		return 0, err
	}
	var total int64
	for _, file := range files {
		stat, err := os.ReadFile(file)
		if errors.Is(err, fs.ErrNotExist) {
			continue // a thread that has ended
		}
		if err != nil {
			return 0, err
		}
		onCPU, _, _ := strings.Cut(string(stat), " ")
		ns, err := strconv.ParseInt(onCPU, 10, 64)
		if err != nil {
			return 0, err
		}
		total += ns
	}
	return time.Duration(total), nil
}

// startRole starts this program again as the floor or the upstream.
func startRole(ctx context.Context, role string, upstream ...string) (*target, error) {
	self, err := os.Executable()
	if err != nil {
		return nil, err
	}
	args := []string{role}
	if len(upstream) > 0 {
		args = append(args, "-upstream", upstream[0])
	}
	began := time.Now()
	p, err := startProcess(ctx, self, args...)
	if err != nil {
		return nil, err
	}
	if err := waitHealthy(ctx, p.url); err != nil {
		return nil, err
	}
	url := p.url
	if role == "floor" {
		url += "/hooks/bench"
	}
	return &target{url: url, process: p, coldStart: time.Since(began), stop: p.stop}, nil
}

type keyflow struct {
	binary, dir, upstream string
	options               options
}

// startKeyflow starts a server with its defaults on a new data folder and gives it the
// credential and the workflow.
func startKeyflow(ctx context.Context, k keyflow) (*target, error) {
	data, err := os.MkdirTemp(k.dir, "data-")
	if err != nil {
		return nil, err
	}
	args := []string{"serve", "--listen", "127.0.0.1:0", "--data-dir", data,
		"--egress-allow", strings.TrimPrefix(k.upstream, "http://")}
	if k.options.databaseURL != "" {
		args = append(args, "--database-url", k.options.databaseURL)
	}
	if k.options.profile != "" {
		args = append(args, "--cpu-profile", k.options.profile)
	}
	began := time.Now()
	p, err := startProcess(ctx, k.binary, args...)
	if err != nil {
		return nil, err
	}
	if err := waitHealthy(ctx, p.url); err != nil {
		return nil, err
	}
	t := &target{url: p.url + "/hooks/bench", process: p, coldStart: time.Since(began), stop: p.stop}
	if k.options.databaseURL == "" {
		t.disk = func() int64 { return folderSize(data) }
	}
	token, err := os.ReadFile(filepath.Join(data, "admin-token"))
	if err != nil {
		return nil, err
	}
	return t, k.prepare(ctx, p.url, strings.TrimSpace(string(token)))
}

// prepare makes the credential and the workflow.
func (k keyflow) prepare(ctx context.Context, url, token string) error {
	for _, call := range []struct {
		method, path string
		body         map[string]any
	}{
		{http.MethodDelete, "/api/v1/workflows/bench", nil},
		{http.MethodDelete, "/api/v1/credentials/bench?force=true", nil},
		{http.MethodPost, "/api/v1/credentials", map[string]any{
			"id": "bench", "name": "bench", "type": "basic_auth", "allowed_hosts": []string{k.upstream}, "allowed_workflows": []string{"/**"},
			"fields": map[string]any{"username": username, "password": password},
		}},
		{http.MethodPut, "/api/v1/workflows/bench", map[string]any{
			"id":       "bench",
			"triggers": map[string]any{"in": map[string]any{"type": "webhook", "path": "bench", "respond": "on_finish"}},
			"nodes": map[string]any{"call": map[string]any{
				"type": "web_request", "credential": "bench", "with": map[string]any{"method": "GET", "url": k.upstream + "/data"}, "output": "{{ this.body }}",
			}},
			"output": "{{ nodes.call.output }}",
		}},
	} {
		body, err := json.Marshal(call.body)
		if err != nil {
			return err
		}
		status, answer, err := api(ctx, call.method, url+call.path, token, body)
		if err != nil || status >= 400 && call.method != http.MethodDelete {
			return fmt.Errorf("%s %s: %d %s: %w", call.method, call.path, status, answer, err)
		}
	}
	return nil
}

func api(ctx context.Context, method, url, token string, body []byte) (int, string, error) {
	req, err := http.NewRequestWithContext(ctx, method, url, bytes.NewReader(body))
	if err != nil {
		return 0, "", err
	}
	req.Header.Set("Content-Type", "application/json")
	req.Header.Set("Authorization", "Bearer "+token)
	res, err := (&http.Client{Transport: &http.Transport{}}).Do(req)
	if err != nil {
		return 0, "", err
	}
	defer func() { _ = res.Body.Close() }()
	answer, err := io.ReadAll(res.Body)
	return res.StatusCode, string(answer), err
}

func waitHealthy(ctx context.Context, url string) error {
	deadline := time.Now().Add(30 * time.Second)
	for {
		if status, _, err := api(ctx, http.MethodGet, url+"/healthz", "", nil); err == nil && status == http.StatusOK {
			return nil
		}
		if time.Now().After(deadline) {
			return errors.New("not healthy within 30 s")
		}
		select {
		case <-ctx.Done():
			return ctx.Err()
		case <-time.After(2 * time.Millisecond):
		}
	}
}

func folderSize(dir string) int64 {
	var total int64
	_ = filepath.WalkDir(dir, func(_ string, d fs.DirEntry, err error) error {
		if err != nil || d.IsDir() {
			return nil //nolint:nilerr // a file that went away counts as nothing
		}
		if info, err := d.Info(); err == nil {
			total += info.Size()
		}
		return nil
	})
	return total
}
