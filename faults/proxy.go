package main

import (
	"bytes"
	"context"
	"io"
	"net"
	"net/url"
	"path/filepath"
	"sync"
	"sync/atomic"
)

// proxy stands between Keyflow and Postgres, cuts connections and loses answers. It is safe
// for concurrent use.
type proxy struct {
	listener      net.Listener
	network, addr string
	lose          atomic.Bool // the answer to the next COMMIT

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
		s := &session{proxy: p, in: in, out: out}
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

// loseNextCommit arms the loss of one answer.
func (p *proxy) loseNextCommit() { p.lose.Store(true) }

// session is one connection through the proxy.
type session struct {
	proxy   *proxy
	in, out net.Conn
	doomed  atomic.Bool // what the server says next is lost, and the connection with it
}

// forward copies what Keyflow says. A COMMIT is a simple query of its own.
func (s *session) forward() {
	defer s.close()
	buffer := make([]byte, 64<<10)
	for {
		n, err := s.in.Read(buffer)
		if bytes.Contains(bytes.ToLower(buffer[:n]), []byte("commit\x00")) && s.proxy.lose.CompareAndSwap(true, false) {
			s.doomed.Store(true)
		}
		if _, wrong := s.out.Write(buffer[:n]); err != nil || wrong != nil {
			return
		}
	}
}

// backward copies what Postgres says, up to the answer that is lost.
func (s *session) backward() {
	defer s.close()
	buffer := make([]byte, 64<<10)
	for {
		n, err := s.out.Read(buffer)
		if s.doomed.Load() {
			return
		}
		if _, wrong := s.in.Write(buffer[:n]); err != nil || wrong != nil {
			return
		}
	}
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
