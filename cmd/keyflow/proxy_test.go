package main

import (
	"io"
	"net"
	"net/http"
	"net/http/httptest"
	"strings"
	"sync/atomic"
	"testing"
)

// Workflows call through the egress proxy, by address, and what is not allowed is not asked of
// it. Its password shows nowhere.
func TestServeEgressProxy(t *testing.T) {
	t.Parallel()
	upstream := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, _ *http.Request) { _, _ = io.WriteString(w, "reached") }))
	t.Cleanup(upstream.Close)
	var tunnels, others atomic.Int32
	proxy := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		if _, password, _ := (&http.Request{Header: http.Header{"Authorization": r.Header["Proxy-Authorization"]}}).BasicAuth(); password != "canary-proxy-password" || r.Host != upstream.Listener.Addr().String() {
			others.Add(1)
			w.WriteHeader(http.StatusForbidden)
			return
		}
		tunnels.Add(1)
		target, err := net.Dial("tcp", r.Host)
		if err != nil {
			t.Error(err)
			return
		}
		w.WriteHeader(http.StatusOK)
		conn, buffered, err := http.NewResponseController(w).Hijack()
		if err != nil {
			t.Error(err)
			return
		}
		go func() {
			defer target.Close()
			_, _ = io.Copy(target, buffered)
		}()
		defer conn.Close()
		_, _ = io.Copy(conn, target)
	}))
	t.Cleanup(proxy.Close)
	s := serveWith(t, "", []string{"KEYFLOW_EGRESS_PROXY=http://keyflow:canary-proxy-password@" + proxy.Listener.Addr().String()}, "--max-output", "2KiB")
	s.apply("call", `{"id": "call", "input": {"type": "object"}, "nodes": {
		"get": {"type": "web_request", "with": {"url": "{{ input.url }}"}}, "many": {"type": "transform", "needs": ["get"], "with": {"value": "{{ repeat('x', 2047) }}"}}}, "output": "{{ nodes.get.output.body }}"}`)
	if a := s.run("call", map[string]any{"url": upstream.URL}); a.json["status"] != "failed" || !strings.Contains(a.body, `"code":"too_large","message":"the output has 2049 bytes; at most 2048 are allowed`) || tunnels.Load() != 1 {
		t.Errorf("%d tunnels: %s", tunnels.Load(), a.body)
	}
	a := s.run("call", map[string]any{"url": "http://169.254.169.254/"})
	if !strings.Contains(a.body, `"host_not_allowed"`) || others.Load() != 0 {
		t.Errorf("%d requests: %s", others.Load(), a.body)
	}
	if strings.Contains(s.stderr.String(), "canary") {
		t.Error("the log shows the password")
	}
}
