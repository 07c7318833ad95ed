package main

import (
	"errors"
	"fmt"
	"io"
	"net/http"
	"os"
	"path/filepath"
	"strings"
	"testing"
)

// F35: nobody reads the log, and its pipe is full: requests are answered and runs go on.
func TestBlockedLog(t *testing.T) {
	t.Parallel()
	reader, writer, err := os.Pipe() // 64 KiB, and nobody reads
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = errors.Join(reader.Close(), writer.Close()) })
	s := prepare(t, "", nil, "--log-level", "debug")
	s.cmd.Stderr = writer
	s.start(nil)
	s.apply("echo", hook("echo", `"{{ input.n }}"`))
	long := strings.Repeat("x", 1000)
	eventually(t, "the webhooks are there", func() bool { return s.stranger("/hooks/none", "{}").status == http.StatusNotFound })
	for n := range 300 {
		if a := s.stranger("/hooks/"+long, "{}"); a.status != http.StatusNotFound {
			t.Fatalf("call %d: %d", n, a.status)
		}
	}
	if a := s.stranger("/hooks/echo", `{"n": 7}`); a.status != http.StatusOK || strings.TrimSpace(a.body) != "7" {
		t.Errorf("beside a blocked log: %d %s", a.status, a.body)
	}
	if code := s.stop(); code != exitOK {
		t.Errorf("stop: %d", code)
	}
}

// F7: a server that has used up its file handles answers again when they are free.
func TestOpenFileLimit(t *testing.T) {
	t.Parallel()
	s := prepare(t, "", nil)
	self := s.cmd.Path
	s.cmd.Path = "/bin/sh"
	s.cmd.Args = append([]string{"/bin/sh", "-c", `ulimit -n 96; exec "$0" "$@"`, self}, s.cmd.Args[1:]...)
	s.start(nil)
	s.apply("echo", hook("echo", `"{{ input.n }}"`))
	var open []interface{ Close() error }
	for range 150 {
		c := s.dial()
		open = append(open, c)
		fmt.Fprint(c, "POST /hooks/echo HTTP/1.1\r\nHost: x\r\nContent-Length: 100\r\n\r\n{")
	}
	for _, c := range open {
		_ = c.Close()
	}
	eventually(t, "the server answers again", func() bool {
		req, err := http.NewRequestWithContext(t.Context(), http.MethodPost, s.url+"/hooks/echo", strings.NewReader(`{"n": 7}`))
		if err != nil {
			t.Fatal(err)
		}
		res, err := http.DefaultClient.Do(req)
		if err != nil {
			return false
		}
		return res.Body.Close() == nil && res.StatusCode == http.StatusOK
	})
	if _, err := os.Stat(filepath.Join(s.dir, "keyflow.db")); err != nil {
		t.Error(err)
	}
	if log := s.stderr.String(); strings.Count(log, "\n") > 200 {
		t.Errorf("a line for each refusal:\n%.2000s", log)
	}
}

// The log waits for its reader up to a bound, in order, and counts what it dropped.
func TestLogPipe(t *testing.T) {
	t.Parallel()
	reader, writer := io.Pipe()
	p := newLogPipe(writer)
	long := strings.Repeat("x", 1<<20)
	for i := range 10 {
		if n, err := fmt.Fprintf(p, "%d %s\n", i, long); n != len(long)+3 || err != nil {
			t.Errorf("line %d: %d %v", i, n, err)
		}
	}
	if got := p.dropped.Load(); got != 7 {
		t.Errorf("%d lines dropped, want 7: three fit", got)
	}
	read := make(chan string)
	go func() {
		text, _ := io.ReadAll(reader)
		read <- string(text)
	}()
	p.close()
	_ = writer.Close()
	if text := <-read; len(text) != 3*(len(long)+3) || !strings.HasPrefix(text, "0 ") || !strings.Contains(text, "\n2 ") {
		t.Errorf("%d bytes came", len(text))
	}
}
