package main

import (
	"bufio"
	"context"
	"io"
	"net/http"
	"os"
	"os/exec"
	"path/filepath"
	"regexp"
	"strings"
	"testing"
)

// tour is the README's "Five minutes": files, and sessions of commands with what they print.
type tour struct {
	t        *testing.T
	dir      string
	replaces []string // texts of the README and what they are here, in pairs
}

var (
	tourBlock  = regexp.MustCompile("(?s)(?:<!-- type: ([^\n]*) -->\n)?```(console|json title=(\\S+))\n(.*?)```")
	tourVaries = regexp.MustCompile(`[0-9a-f-]{36}|\d+(\.\d+)?(ms|s)\b`)
)

// TestREADMETour follows the tour in a fresh folder with the program itself: every command
// succeeds and prints what the README says.
func TestREADMETour(t *testing.T) {
	t.Parallel()
	readme, err := os.ReadFile(filepath.Join("..", "..", "README.md"))
	if err != nil {
		t.Fatal(err)
	}
	_, text, _ := strings.Cut(string(readme), "## Five minutes")
	text, _, _ = strings.Cut(text, "\n## ")
	r := &tour{t: t, dir: t.TempDir()}
	self, err := os.Executable()
	if err != nil {
		t.Fatal(err)
	}
	if err := os.Symlink(self, filepath.Join(r.dir, "keyflow")); err != nil {
		t.Fatal(err)
	}
	commands := 0
	for _, block := range tourBlock.FindAllStringSubmatch(text, -1) {
		if file := block[3]; file != "" {
			if err := os.WriteFile(filepath.Join(r.dir, file), []byte(r.here(block[4])), 0o600); err != nil {
				t.Fatal(err)
			}
			continue
		}
		for _, step := range strings.Split("\n"+block[4], "\n$ ")[1:] {
			command, output, _ := strings.Cut(step, "\n")
			commands++
			r.step(command, output, block[1])
		}
	}
	if commands < 10 {
		t.Errorf("the tour has %d commands", commands)
	}
}

func (r *tour) here(text string) string { return strings.NewReplacer(r.replaces...).Replace(text) }

// step runs a command; a server goes on in the background.
func (r *tour) step(command, output, typed string) {
	r.t.Helper()
	switch {
	case strings.HasPrefix(command, "go build"):
	case strings.HasPrefix(command, "./keyflow serve"):
		r.replaces = append(r.replaces, "127.0.0.1:8080", r.background(command))
	case strings.HasPrefix(command, "./keyflow demo api"):
		r.replaces = append(r.replaces, "127.0.0.1:9000", r.background(command))
	default:
		printed := r.output(command, output, typed)
		got := tourVaries.ReplaceAllString(printed, "…")
		for line := range strings.Lines(r.here(output)) {
			line = tourVaries.ReplaceAllString(strings.TrimSpace(line), "…")
			if !strings.Contains(line, "(not shown") && !strings.Contains(line, "▸") && !strings.Contains(got, line) {
				r.t.Errorf("%s: no line %q in\n%s", command, line, printed)
			}
		}
	}
}

// output is what a command prints. The test is its own curl.
func (r *tour) output(command, prompt, typed string) string {
	r.t.Helper()
	if url, ok := strings.CutPrefix(r.here(command), "curl -X POST "); ok {
		res, err := http.Post(url, "", nil)
		if err != nil {
			r.t.Fatal(err)
		}
		defer res.Body.Close()
		body, err := io.ReadAll(res.Body)
		if err != nil || res.StatusCode >= http.StatusBadRequest {
			r.t.Fatalf("%s: %s, %v\n%s", command, res.Status, err, body)
		}
		return string(body)
	}
	cmd := r.shell(r.t.Context(), r.here(command))
	if strings.Contains(prompt, "(not shown") {
		cmd.Stdin = strings.NewReader(typed + "\n")
	}
	printed, err := cmd.CombinedOutput()
	if err != nil {
		r.t.Fatalf("%s: %v\n%s", command, err, printed)
	}
	return string(printed)
}

func (r *tour) shell(ctx context.Context, command string) *exec.Cmd {
	cmd := exec.CommandContext(ctx, "sh", "-c", "exec "+command)
	cmd.Dir = r.dir
	cmd.Env = []string{
		asKeyflow + "=1", "PATH=" + os.Getenv("PATH"), "HOME=" + r.dir, "TMPDIR=" + os.TempDir(), "GORACE=halt_on_error=1",
		"KEYFLOW_LISTEN=127.0.0.1:0", "KEYFLOW_URL=" + r.here("http://127.0.0.1:8080"),
	}
	return cmd
}

// background starts a server on a free port and returns its address, which its first line ends with.
func (r *tour) background(command string) string {
	r.t.Helper()
	cmd := r.shell(r.t.Context(), command) // killed when the test ends
	out, err := cmd.StdoutPipe()
	if err != nil {
		r.t.Fatal(err)
	}
	if err := cmd.Start(); err != nil {
		r.t.Fatal(err)
	}
	lines := bufio.NewReader(out)
	first, err := lines.ReadString('\n')
	_, address, found := strings.Cut(strings.TrimSpace(first), "http://")
	if err != nil || !found {
		r.t.Fatalf("%s printed %q, %v", command, first, err)
	}
	drained := make(chan struct{})
	go func() {
		defer close(drained)
		_, _ = io.Copy(io.Discard, lines)
		_ = cmd.Wait()
	}()
	r.t.Cleanup(func() {
		_ = cmd.Process.Kill()
		<-drained
	})
	return address
}
