package main

import (
	"bufio"
	"bytes"
	"context"
	"log/slog"
	"net"
	"net/http"
	"net/http/httptest"
	"os"
	"path/filepath"
	"strings"
	"syscall"
	"testing"
	"time"
)

// BenchmarkWebhookRun is the path of docs/explanation/performance.md without a network in front: a
// webhook that answers with the result of one call with Basic Auth, 64 at once, every run
// stored. cpu-us/op is the processor time of the whole process, the tiny upstream included;
// allocations are those of a run alone.
func BenchmarkWebhookRun(b *testing.B) {
	upstream := cannedUpstream(b)
	handler := benchServer(b, upstream)
	for range 300 { // plans, prepared statements, connections
		call(b, handler)
	}
	b.SetParallelism(32)
	b.ReportAllocs()
	before := cpuTime(b)
	b.ResetTimer()
	b.RunParallel(func(p *testing.PB) {
		for p.Next() {
			call(b, handler)
		}
	})
	b.StopTimer()
	b.ReportMetric(float64((cpuTime(b)-before).Microseconds())/float64(b.N), "cpu-us/op")
}

// call is one webhook; its request and answer cost as little as possible.
func call(b *testing.B, handler http.Handler) {
	req := httptest.NewRequestWithContext(b.Context(), http.MethodPost, "http://bench/hooks/bench", strings.NewReader(`{"id": 7}`))
	req.Header.Set("Content-Type", "application/json")
	rec := httptest.NewRecorder()
	handler.ServeHTTP(rec, req)
	if rec.Code != http.StatusOK || !bytes.Contains(rec.Body.Bytes(), []byte(`"floor"`)) {
		b.Errorf("%d %s", rec.Code, rec.Body)
	}
}

// benchServer is a server with its defaults on a new SQLite database, with the workflow.
func benchServer(b *testing.B, upstream string) http.Handler {
	b.Helper()
	dir := b.TempDir()
	ctx, stop := context.WithCancel(b.Context())
	s, err := newServer(ctx, config{
		httpConfig:    httpConfig{listen: "127.0.0.1:0"},
		storageConfig: storageConfig{dataDir: dir},
		egressConfig:  egressConfig{egressAllow: []string{upstream}},
		concurrency:   256,
	}, slog.New(slog.DiscardHandler))
	if err != nil {
		b.Fatal(err)
	}
	ended := make(chan error, 1)
	go func() { ended <- s.run(ctx) }()
	b.Cleanup(func() {
		stop()
		if err := <-ended; err != nil {
			b.Error(err)
		}
	})
	token, err := os.ReadFile(filepath.Join(dir, "admin-token"))
	if err != nil {
		b.Fatal(err)
	}
	for _, c := range [][3]string{
		{http.MethodPost, "/api/v1/credentials", `{"id": "bench", "name": "bench", "type": "basic_auth", "allowed_hosts": ["http://` + upstream + `"],
			"allowed_workflows": ["/**"], "fields": {"username": "bench", "password": "correct-horse-battery-staple"}}`},
		{http.MethodPut, "/api/v1/workflows/bench", `{"id": "bench",
			"triggers": {"in": {"type": "webhook", "path": "bench", "respond": "on_finish"}},
			"nodes": {"call": {"type": "web_request", "credential": "bench", "with": {"url": "http://` + upstream + `/data"}, "output": "{{ this.body }}"}},
			"output": "{{ nodes.call.output }}"}`},
	} {
		req := httptest.NewRequestWithContext(ctx, c[0], c[1], strings.NewReader(c[2]))
		req.Header.Set("Authorization", "Bearer "+strings.TrimSpace(string(token)))
		req.Header.Set("Content-Type", "application/json")
		rec := httptest.NewRecorder()
		s.http.Handler.ServeHTTP(rec, req)
		if rec.Code >= http.StatusBadRequest {
			b.Fatalf("%s %s: %d %s", c[0], c[1], rec.Code, rec.Body)
		}
	}
	return s.http.Handler
}

// cannedUpstream answers every request with the same bytes and allocates nothing for it.
func cannedUpstream(b *testing.B) (address string) {
	b.Helper()
	l, err := (&net.ListenConfig{}).Listen(b.Context(), "tcp", "127.0.0.1:0")
	if err != nil {
		b.Fatal(err)
	}
	b.Cleanup(func() { _ = l.Close() })
	const body = `{"id":7,"name":"floor","items":[1,2,3],"ok":true}`
	canned := []byte("HTTP/1.1 200 OK\r\nContent-Type: application/json\r\nDate: " + time.Now().UTC().Format(http.TimeFormat) +
		"\r\nContent-Length: 49\r\n\r\n" + body)
	go func() {
		for {
			conn, err := l.Accept()
			if err != nil {
				return
			}
			go func() {
				defer func() { _ = conn.Close() }()
				r := bufio.NewReader(conn)
				for {
					line, err := r.ReadSlice('\n')
					if err != nil {
						return
					}
					if len(line) > 2 {
						continue
					}
					if _, err := conn.Write(canned); err != nil {
						return
					}
				}
			}()
		}
	}()
	return l.Addr().String()
}

// cpuTime is the processor time of this process so far.
func cpuTime(b *testing.B) time.Duration {
	b.Helper()
	var u syscall.Rusage
	if err := syscall.Getrusage(syscall.RUSAGE_SELF, &u); err != nil {
		b.Fatal(err)
	}
	return time.Duration(u.Utime.Nano() + u.Stime.Nano())
}
