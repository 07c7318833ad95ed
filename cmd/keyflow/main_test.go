package main

import (
	"bufio"
	"bytes"
	"encoding/json"
	"fmt"
	"io"
	"net/http"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"sync"
	"syscall"
	"testing"
	"time"

	"keyflow/internal/database/databasetest"
)

// asKeyflow makes the test binary behave as the program itself, so that tests start real
// processes, with the race detector in them when the tests have it.
const asKeyflow = "KEYFLOW_TEST_AS_PROGRAM"

func TestMain(m *testing.M) {
	if os.Getenv(asKeyflow) == "1" {
		main()
		return
	}
	os.Exit(m.Run())
}

// command is a keyflow process that has not started yet; only env reaches it.
func command(t *testing.T, env []string, args ...string) *exec.Cmd {
	t.Helper()
	requireAddress(t, env, args)
	self, err := os.Executable()
	if err != nil {
		t.Fatal(err)
	}
	cmd := exec.CommandContext(t.Context(), self, args...)
	cmd.Env = append([]string{asKeyflow + "=1", "PATH=" + os.Getenv("PATH"), "TMPDIR=" + os.TempDir(), "GORACE=halt_on_error=1"}, env...)
	cmd.Dir = t.TempDir()
	return cmd
}

// result is what a command printed and returned.
type result struct {
	code           int
	stdout, stderr string
}

// keyflow runs a command to its end.
func keyflow(t *testing.T, env []string, args ...string) result {
	t.Helper()
	return keyflowIn(t, "", env, args...)
}

// keyflowIn is keyflow with a text on stdin.
func keyflowIn(t *testing.T, stdin string, env []string, args ...string) result {
	t.Helper()
	cmd := command(t, env, args...)
	var stdout, stderr bytes.Buffer
	cmd.Stdin, cmd.Stdout, cmd.Stderr = strings.NewReader(stdin), &stdout, &stderr
	err := cmd.Run()
	if cmd.ProcessState == nil {
		t.Fatalf("keyflow %v: %v", args, err)
	}
	return result{cmd.ProcessState.ExitCode(), stdout.String(), stderr.String()}
}

// instance is a running server process.
type instance struct {
	t      *testing.T
	cmd    *exec.Cmd
	url    string
	token  string
	dir    string
	stdout string // until it listened
	stderr *syncBuffer
	done   chan struct{}
}

type syncBuffer struct {
	mu sync.Mutex
	b  bytes.Buffer
}

func (s *syncBuffer) Write(p []byte) (int, error) {
	s.mu.Lock()
	defer s.mu.Unlock()
	return s.b.Write(p)
}

func (s *syncBuffer) String() string {
	s.mu.Lock()
	defer s.mu.Unlock()
	return s.b.String()
}

// serve starts a server on dir (made when "") and a free port, and waits until it listens.
// It is killed when the test ends, unless it has ended before.
func serve(t *testing.T, dir string, args ...string) *instance {
	t.Helper()
	return serveWith(t, dir, nil, args...)
}

// serveWith is serve with variables; KEYFLOW_ADMIN_TOKEN among them is the token to use.
func serveWith(t *testing.T, dir string, env []string, args ...string) *instance {
	t.Helper()
	s := prepare(t, dir, env, args...)
	s.start(env)
	return s
}

// eachDatabase runs a test on SQLite and on Postgres: database is what serve needs for that.
func eachDatabase(t *testing.T, test func(t *testing.T, database ...string)) {
	t.Helper()
	t.Run("sqlite", func(t *testing.T) {
		t.Parallel()
		test(t)
	})
	t.Run("postgres", func(t *testing.T) {
		t.Parallel()
		test(t, "--database-url", databasetest.PostgresURL(t))
	})
}

// prepare is serveWith without the start.
func prepare(t *testing.T, dir string, env []string, args ...string) *instance {
	t.Helper()
	if dir == "" {
		dir = t.TempDir()
	}
	s := &instance{t: t, dir: dir, stderr: &syncBuffer{}, done: make(chan struct{})}
	s.cmd = command(t, env, append([]string{"serve", "--listen", "127.0.0.1:0", "--data-dir", dir, "--egress-allow", "private"}, args...)...)
	s.cmd.Stderr = s.stderr
	return s
}

// start starts a prepared server and waits until it listens.
func (s *instance) start(env []string) {
	t := s.t
	t.Helper()
	out, err := s.cmd.StdoutPipe()
	if err != nil {
		t.Fatal(err)
	}
	if err := s.cmd.Start(); err != nil {
		t.Fatal(err)
	}
	t.Cleanup(s.kill)
	lines := bufio.NewScanner(out)
	for lines.Scan() {
		s.stdout += lines.Text() + "\n"
		if url, ok := strings.CutPrefix(lines.Text(), "listening on "); ok {
			s.url = url
			break
		}
	}
	go func() {
		defer close(s.done)
		_, _ = io.Copy(io.Discard, out)
		_ = s.cmd.Wait()
	}()
	if s.url == "" {
		<-s.done
		t.Fatalf("the server did not start: %s", s.stderr)
	}
	for _, v := range env {
		if token, ok := strings.CutPrefix(v, "KEYFLOW_ADMIN_TOKEN="); ok {
			s.token = token
			return
		}
	}
	token, err := os.ReadFile(filepath.Join(s.dir, "admin-token"))
	if err != nil {
		t.Fatal(err)
	}
	s.token = strings.TrimSpace(string(token))
}

// kill is kill -9.
func (s *instance) kill() {
	_ = s.cmd.Process.Kill() // it may have ended
	<-s.done
}

// stop is SIGTERM; it returns the exit code.
func (s *instance) stop() int {
	s.t.Helper()
	if err := s.cmd.Process.Signal(syscall.SIGTERM); err != nil {
		s.t.Fatal(err)
	}
	select {
	case <-s.done:
	case <-time.After(45 * time.Second):
		s.t.Fatal("the server did not stop within 45 s")
	}
	return s.cmd.ProcessState.ExitCode()
}

// env is what client commands need to reach the server.
func (s *instance) env() []string {
	return []string{"KEYFLOW_URL=" + s.url, "KEYFLOW_TOKEN=" + s.token}
}

// answer is what the API said.
type answer struct {
	status int
	header http.Header
	body   string
	json   map[string]any
}

// do sends a request with the administrator's token; body is marshalled unless it is a string.
func (s *instance) do(method, path string, body any, header ...string) answer {
	s.t.Helper()
	var data []byte
	switch body := body.(type) {
	case nil:
	case string:
		data = []byte(body)
	default:
		var err error
		if data, err = json.Marshal(body); err != nil {
			s.t.Fatal(err)
		}
	}
	req, err := http.NewRequestWithContext(s.t.Context(), method, s.url+path, bytes.NewReader(data))
	if err != nil {
		s.t.Fatal(err)
	}
	req.Header.Set("Authorization", "Bearer "+s.token)
	req.Header.Set("Content-Type", "application/json")
	for i := 0; i+1 < len(header); i += 2 {
		if header[i+1] == "" {
			req.Header.Del(header[i])
		} else {
			req.Header.Set(header[i], header[i+1])
		}
	}
	res, err := http.DefaultClient.Do(req)
	if err != nil {
		s.t.Fatalf("%s %s: %v\n%s", method, path, err, s.stderr)
	}
	defer res.Body.Close()
	text, err := io.ReadAll(res.Body)
	if err != nil {
		s.t.Fatal(err)
	}
	a := answer{status: res.StatusCode, header: res.Header, body: string(text)}
	_ = json.Unmarshal(text, &a.json) // lists and texts stay in body
	return a
}

// must is do with a status that means success.
func (s *instance) must(method, path string, body any) answer {
	s.t.Helper()
	a := s.do(method, path, body)
	if a.status >= 300 {
		s.t.Fatalf("%s %s: %d %s", method, path, a.status, a.body)
	}
	return a
}

// apply stores a workflow written as JSON text.
func (s *instance) apply(id, definition string) {
	s.t.Helper()
	s.must(http.MethodPut, "/api/v1/workflows/"+id, definition)
}

// run starts a run and waits for its end.
func (s *instance) run(workflow string, input any) answer {
	s.t.Helper()
	return s.must(http.MethodPost, "/api/v1/workflows/"+workflow+"/runs?wait=60s", map[string]any{"input": input})
}

// eventually asks until ok, for at most a minute.
func eventually(t *testing.T, what string, ok func() bool) {
	t.Helper()
	deadline := time.NewTimer(time.Minute)
	defer deadline.Stop()
	tick := time.NewTicker(20 * time.Millisecond)
	defer tick.Stop()
	for !ok() {
		select {
		case <-deadline.C:
			t.Fatalf("not within a minute: %s", what)
		case <-tick.C:
		}
	}
}

func text(v any) string {
	if s, ok := v.(string); ok {
		return s
	}
	return fmt.Sprint(v)
}

func decode(t *testing.T, from string, into any) {
	t.Helper()
	if err := json.Unmarshal([]byte(from), into); err != nil {
		t.Fatalf("%v in %q", err, from)
	}
}
