//go:build unix

package main

import (
	"context"
	"io"
	"net"
	"net/url"
	"path/filepath"
	"sync"
	"sync/atomic"
	"time"
)

// proxy stands between Keyflow and Postgres, cuts connections and breaks COMMITs. It is safe
// for concurrent use.
type proxy struct {
	listener      net.Listener
	network, addr string
	armed         atomic.Pointer[brokenCommit] // befalls the next COMMIT

	mu    sync.Mutex
	conns map[net.Conn]bool
}

// newProxy stands before the server of a URL: a TCP address, or a folder with a socket.
func newProxy(server *url.URL) (*proxy, error) {
	l, err := (&net.ListenConfig{}).Listen(context.Background(), "tcp", "127.0.0.1:0")
	if err != nil {
		return nil, err
	}
	p := &proxy{listener: l, network: "tcp", addr: server.Host, conns: map[net.Conn]bool{}}
	if dir := server.Query().Get("host"); dir != "" {
		p.network, p.addr = "unix", filepath.Join(dir, ".s.PGSQL.5432")
	}
	go p.serve()
	return p, nil
}

func (p *proxy) serve() {
	for {
		in, err := p.listener.Accept()
		if err != nil {
			return // closed
		}
		out, err := (&net.Dialer{}).DialContext(context.Background(), p.network, p.addr)
		if err != nil {
			_ = in.Close() // Postgres is away
			continue
		}
		p.mu.Lock()
		p.conns[in], p.conns[out] = true, true
		p.mu.Unlock()
		s := &session{proxy: p, in: in, out: out, ended: make(chan struct{})}
		go s.forward()
		go s.backward()
	}
}

// cut closes every connection.
func (p *proxy) cut() {
	p.mu.Lock()
	defer p.mu.Unlock()
	for c := range p.conns {
		_ = c.Close()
		delete(p.conns, c)
	}
}

func (p *proxy) close() {
	_ = p.listener.Close()
	p.cut()
}

// brokenCommit is a COMMIT whose sender never gets the answer.
type brokenCommit struct {
	late time.Duration // its connection is cut at once, and the COMMIT reaches the server so much later

	began     time.Time     // when the COMMIT was sent
	prepared  bool          // as a prepared statement: only the journal's is one
	committed bool          // the server says so
	over      chan struct{} // closed when nothing of it is left
}

// breakCommit breaks the next COMMIT and waits until it is over; nil when none was sent before
// ctx was done.
func (p *proxy) breakCommit(ctx context.Context, late time.Duration) *brokenCommit {
	b := &brokenCommit{late: late, over: make(chan struct{})}
	p.armed.Store(b)
	select {
	case <-b.over:
		return b
	case <-ctx.Done():
	}
	if p.armed.CompareAndSwap(b, nil) {
		return nil
	}
	<-b.over // it was sent at the last moment
	return b
}

// session is one connection through the proxy.
type session struct {
	proxy   *proxy
	in, out net.Conn
	broken  atomic.Pointer[brokenCommit] // once it was sent, nothing is answered any more
	ended   chan struct{}                // closed when the server says no more
}

func (s *session) close() {
	s.proxy.mu.Lock()
	defer s.proxy.mu.Unlock()
	for _, c := range []io.Closer{s.in, s.out} {
		_ = c.Close()
	}
	delete(s.proxy.conns, s.in)
	delete(s.proxy.conns, s.out)
}
