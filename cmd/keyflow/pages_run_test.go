package main

import (
	"bufio"
	"bytes"
	"fmt"
	"io"
	"maps"
	"os"
	"os/exec"
	"path/filepath"
	"regexp"
	"slices"
	"strconv"
	"strings"
	"syscall"
	"testing"
	"time"

	"keyflow/internal/database/databasetest"
)

// reader is somebody who follows a page: a folder, a shell, a server and an upstream.
type reader struct {
	t        *testing.T
	dir      string
	env      []string
	shell    io.Writer
	output   *bufio.Reader
	replaces map[string]string // texts of the page -> what they are here
	ids      map[string]string // UUIDs of the page -> those that were printed
	server   *program
}

// program is a server in the background.
type program struct {
	cmd   *exec.Cmd
	ended chan error
}

func runPage(t *testing.T, blocks []block) {
	t.Helper()
	r := newReader(t)
	if !servesItself(blocks) {
		s := serve(t, filepath.Join(r.dir, "keyflow-data"))
		r.replaces["127.0.0.1:8080"] = strings.TrimPrefix(s.url, "http://")
		r.env = append(r.env, "KEYFLOW_URL="+s.url)
	}
	r.openShell()
	sessions := 0
	for _, b := range blocks {
		if b.file != "" {
			path := filepath.Join(r.dir, filepath.FromSlash(b.file))
			if err := os.MkdirAll(filepath.Dir(path), 0o755); err != nil {
				t.Fatal(err)
			}
			if err := os.WriteFile(path, []byte(r.here(b.content)), 0o600); err != nil {
				t.Fatal(err)
			}
			continue
		}
		sessions++
		r.session(b)
	}
	if sessions == 0 {
		t.Error("the page has no session to run")
	}
}

func newReader(t *testing.T) *reader {
	t.Helper()
	self, err := os.Executable()
	if err != nil {
		t.Fatal(err)
	}
	dir := t.TempDir()
	if err := os.Symlink(self, filepath.Join(dir, "keyflow")); err != nil {
		t.Fatal(err)
	}
	if err := os.WriteFile(filepath.Join(dir, ".curlrc"), []byte("silent\nshow-error\n"), 0o600); err != nil {
		t.Fatal(err)
	}
	upstream := newPageUpstream(t)
	return &reader{
		t: t, dir: dir, ids: map[string]string{},
		env: []string{
			asKeyflow + "=1", "PATH=" + dir + ":" + os.Getenv("PATH"), "TMPDIR=" + os.TempDir(), "HOME=" + dir, "PWD=" + dir,
			"LC_ALL=C.UTF-8", "TZ=UTC", "GORACE=halt_on_error=1", "KEYFLOW_LISTEN=127.0.0.1:0", "KEYFLOW_URL=http://127.0.0.1:0",
		},
		replaces: map[string]string{
			"https://api.example.com": "http://" + upstream,
			"api.example.com":         upstream,
			"127.0.0.1:9000":          upstream,
		},
	}
}

func servesItself(blocks []block) bool {
	for _, b := range blocks {
		if slices.ContainsFunc(b.steps, func(s step) bool { return strings.Contains(s.command, "keyflow serve") }) {
			return true
		}
	}
	return false
}

// background commands go on until the page ends, or until ^C.
var background = regexp.MustCompile(`^((?:[A-Z_]+=\S+ +)*)((?:\./)?keyflow (?:serve|demo api)\b)`)

// here is a text of the page with the addresses and ids of this test.
func (r *reader) here(text string) string {
	if strings.Contains(text, "postgres://") && r.replaces["postgres://keyflow:secret@db.example.com/keyflow"] == "" {
		r.replaces["postgres://keyflow:secret@db.example.com/keyflow"] = databasetest.PostgresURL(r.t)
	}
	for _, pairs := range []map[string]string{r.replaces, r.ids} {
		for _, from := range longestFirst(pairs) {
			text = strings.ReplaceAll(text, from, pairs[from])
		}
	}
	return text
}

func longestFirst(pairs map[string]string) []string {
	return slices.SortedFunc(maps.Keys(pairs), func(a, b string) int { return len(b) - len(a) })
}

// openShell starts the shell in which all commands of the page run, so that variables stay.
func (r *reader) openShell() {
	r.t.Helper()
	shell := exec.CommandContext(r.t.Context(), "bash", "--norc", "--noprofile")
	shell.Dir, shell.Env = r.dir, r.env
	in, err := shell.StdinPipe()
	if err != nil {
		r.t.Fatal(err)
	}
	out, err := shell.StdoutPipe()
	if err != nil {
		r.t.Fatal(err)
	}
	shell.Stderr = shell.Stdout
	if err := shell.Start(); err != nil {
		r.t.Fatal(err)
	}
	r.shell, r.output = in, bufio.NewReader(out)
	r.t.Cleanup(func() {
		_ = in.Close()
		_ = shell.Wait() // its last command decides its exit code
	})
}

// session types the commands of a session one after the other.
func (r *reader) session(b block) {
	r.t.Helper()
	for i, s := range b.steps {
		switch {
		case s.command == "^C":
			r.interrupt()
		case strings.HasPrefix(s.command, "go build"): // the test is the program
		case background.MatchString(s.command):
			r.start(s)
		default:
			mayFail := i+1 < len(b.steps) && strings.HasPrefix(b.steps[i+1].command, "echo $?")
			r.run(s, b.typed, mayFail)
		}
	}
}

// endOfCommand is printed after each command, before its exit code.
const endOfCommand = '\x01'

func (r *reader) run(s step, typed string, mayFail bool) {
	r.t.Helper()
	input := filepath.Join(r.t.TempDir(), "typed")
	if err := os.WriteFile(input, []byte(typed), 0o600); err != nil {
		r.t.Fatal(err)
	}
	command := r.here(s.command)
	if _, err := fmt.Fprintf(r.shell, "{ (exit ${rc:-0})\n%s\n} < %s; rc=$?; printf '\\001%%d\\n' $rc\n", command, input); err != nil {
		r.t.Fatal(err)
	}
	output, err := r.output.ReadString(endOfCommand)
	if err != nil {
		r.t.Fatalf("$ %s\n%s\nthe shell ended: %v", command, output, err)
	}
	code, err := r.output.ReadString('\n')
	if err != nil {
		r.t.Fatal(err)
	}
	output = strings.TrimRight(strings.TrimSuffix(output, string(endOfCommand)), "\n")
	r.t.Logf("$ %s\n%s", command, output)
	if rc, _ := strconv.Atoi(strings.TrimSpace(code)); rc != 0 && !mayFail {
		r.t.Fatalf("$ %s\n%s\nexit code %d", command, output, rc)
	}
	r.compare(command, s.output, output)
}

// unseen are lines that need not be there: prompts, which only a terminal shows, and states
// between the start and the end of a step, which a quick step may pass unnoticed.
var unseen = regexp.MustCompile(`(?m)^.*\(not shown.*\):\n?|^ +[▸…] .*\n?`)

// compare fails unless the output is what the page shows. A step without output shows none.
func (r *reader) compare(command string, page []string, output string) {
	r.t.Helper()
	var lines []string
	for _, line := range page {
		if !unseen.MatchString(line) {
			lines = append(lines, r.here(line))
		}
	}
	output = unseen.ReplaceAllString(output, "")
	for len(lines) > 0 && lines[len(lines)-1] == "" {
		lines = lines[:len(lines)-1]
	}
	if len(lines) == 0 {
		return
	}
	pattern, names := expected(lines, r.ids)
	found := pattern.FindStringSubmatch(output)
	if found == nil {
		r.t.Fatalf("$ %s\nprints\n%s\nand the page says\n%s", command, output, strings.Join(lines, "\n"))
	}
	for i, name := range names {
		r.ids[name] = found[i+1]
	}
}

// start runs a server in the background and reads the lines that the page shows of it.
func (r *reader) start(s step) {
	r.t.Helper()
	command := r.here(s.command)
	cmd := exec.CommandContext(r.t.Context(), "bash", "-c", background.ReplaceAllString(command, "${1}exec ${2}"))
	cmd.Dir, cmd.Env = r.dir, append(r.env, "KEYFLOW_EGRESS_ALLOW=private")
	var logs bytes.Buffer
	cmd.Stderr = &logs
	out, err := cmd.StdoutPipe()
	if err != nil {
		r.t.Fatal(err)
	}
	if err := cmd.Start(); err != nil {
		r.t.Fatal(err)
	}
	p := &program{cmd: cmd, ended: make(chan error, 1)}
	hung := time.AfterFunc(time.Minute, func() { _ = cmd.Process.Kill() })
	var printed []string
	lines := bufio.NewScanner(out)
	for len(printed) < max(1, len(s.output)) && lines.Scan() {
		printed = append(printed, lines.Text())
	}
	hung.Stop()
	go func() {
		_, _ = io.Copy(io.Discard, out)
		p.ended <- cmd.Wait()
	}()
	r.t.Cleanup(func() { _ = cmd.Process.Kill() })
	if len(printed) == 0 {
		r.t.Fatalf("$ %s\nends: %v\n%s", command, <-p.ended, logs.String())
	}
	r.listening(p, printed[0])
	r.compare(command, s.output, strings.Join(printed, "\n"))
}

// listening notes where a program listens, which is the end of its first line.
func (r *reader) listening(p *program, line string) {
	r.t.Helper()
	_, address, found := strings.Cut(line, "http://")
	if !found {
		r.t.Fatalf("%s does not say where it listens: %s", p.cmd, line)
	}
	if strings.HasPrefix(line, "a protected API") {
		r.replaces["127.0.0.1:9000"] = address
		return
	}
	r.server = p
	r.replaces["127.0.0.1:8080"] = address
	if _, err := fmt.Fprintf(r.shell, "export KEYFLOW_URL=http://%s\n", address); err != nil {
		r.t.Fatal(err)
	}
}

// interrupt is Ctrl-C for the server.
func (r *reader) interrupt() {
	r.t.Helper()
	if r.server == nil {
		r.t.Fatal("^C, but the page has started no server")
	}
	if err := r.server.cmd.Process.Signal(syscall.SIGINT); err != nil {
		r.t.Fatal(err)
	}
	select {
	case err := <-r.server.ended:
		if err != nil {
			r.t.Errorf("the server ended with %v", err)
		}
	case <-time.After(45 * time.Second):
		r.t.Fatal("the server did not stop within 45 s")
	}
	r.server = nil
}
