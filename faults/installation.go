//go:build unix

package main

import (
	"context"
	"crypto/rand"
	"encoding/base64"
	"errors"
	"fmt"
	"net"
	"net/http"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"sync"
	"syscall"
	"time"
)

// startsWithin and stopsWithin bound what a process may take; the product promises 30 s of
// grace to the requests in flight.
const (
	startsWithin = 60 * time.Second
	stopsWithin  = 45 * time.Second
)

// span is a time during which work may have been interrupted.
type span struct{ from, to time.Time }

// installation is the Keyflow under test: what stays while its processes come and go.
type installation struct {
	binary   string
	database string // URL; "" is SQLite
	upstream string
	token    string
	clock    string // file of KEYFLOW_TEST_CLOCK_OFFSET
	env      []string
	servers  []*server
	blame    func(format string, args ...any) // takes violations

	mu        sync.Mutex
	disturbed []span
	woken     []time.Time   // when a stopped process was let go on
	ahead     time.Duration // by which the processes' clocks are set forward
	maxRSS    int64
}

// server is one process of it and its successors on the same address and folder.
type server struct {
	of          *installation
	listen, dir string

	mu    sync.Mutex
	cmd   *exec.Cmd
	done  chan struct{} // closed when the process has ended
	asked bool          // its end was wanted, or is allowed
	heard bool          // it has answered
}

func newInstallation(r *round, u *upstream, database string) (*installation, error) {
	key := make([]byte, 32)
	if _, err := rand.Read(key); err != nil {
		return nil, err
	}
	inst := &installation{
		binary: r.binary, database: database, upstream: u.server.URL, token: rand.Text(), clock: filepath.Join(r.dir, "clock"),
	}
	inst.env = []string{
		"PATH=" + os.Getenv("PATH"), "TMPDIR=" + os.TempDir(), "GORACE=halt_on_error=1", "KEYFLOW_ADMIN_TOKEN=" + inst.token,
		"KEYFLOW_MASTER_KEY=" + base64.StdEncoding.EncodeToString(key), "KEYFLOW_TEST_CLOCK_OFFSET=" + inst.clock,
	}
	processes := 1
	if database != "" {
		processes = 2
	}
	for i := range processes {
		listen, err := freeAddress()
		if err != nil {
			return nil, err
		}
		s := &server{of: inst, listen: listen, dir: filepath.Join(r.dir, fmt.Sprintf("data-%d", i))}
		if err := os.MkdirAll(s.dir, 0o700); err != nil {
			return nil, err
		}
		inst.servers = append(inst.servers, s)
	}
	return inst, inst.setClock(0)
}

// freeAddress finds a port below those that connections take, so that it is still free when
// a process is started again.
func freeAddress() (string, error) {
	var one [2]byte
	for range 1000 {
		_, _ = rand.Read(one[:])
		address := fmt.Sprintf("127.0.0.1:%d", 12_000+(int(one[0])<<8|int(one[1]))%20_000)
		l, err := (&net.ListenConfig{}).Listen(context.Background(), "tcp", address)
		if err == nil {
			return address, l.Close()
		}
	}
	return "", errors.New("no free port between 12000 and 32000")
}

// setClock sets the clocks of all processes ahead, at once.
func (i *installation) setClock(ahead time.Duration) error {
	i.mu.Lock()
	defer i.mu.Unlock()
	i.ahead = ahead
	if err := os.WriteFile(i.clock+"~", []byte(ahead.String()), 0o600); err != nil {
		return err
	}
	return os.Rename(i.clock+"~", i.clock)
}

// disturb notes that steps at work since from may have been interrupted.
func (i *installation) disturb(from time.Time) {
	i.mu.Lock()
	defer i.mu.Unlock()
	i.disturbed = append(i.disturbed, span{from, time.Now()})
}

// wake lets a stopped process go on.
func (s *server) wake() {
	s.of.mu.Lock()
	s.of.woken = append(s.of.woken, time.Now())
	s.of.mu.Unlock()
	s.signal(syscall.SIGCONT)
}

// start starts a process and waits until it answers; wrap stands before the command line.
func (s *server) start(ctx context.Context, wrap ...string) error {
	args := append(wrap, s.of.binary, "serve", "--listen", s.listen, "--data-dir", s.dir, "--log-level", "warn",
		"--egress-allow", strings.TrimPrefix(s.of.upstream, "http://"))
	if s.of.database != "" {
		args = append(args, "--database-url", s.of.database)
	}
	log, err := os.OpenFile(s.dir+".log", os.O_CREATE|os.O_APPEND|os.O_WRONLY, 0o600)
	if err != nil {
		return err
	}
	cmd := exec.Command(args[0], args[1:]...)
	cmd.Env, cmd.Stdout, cmd.Stderr = s.of.env, log, log
	if err := errors.Join(cmd.Start(), log.Close()); err != nil {
		return err
	}
	done := make(chan struct{})
	s.mu.Lock()
	s.cmd, s.done, s.asked, s.heard = cmd, done, false, false
	s.mu.Unlock()
	go s.attend(cmd, done, len(wrap) > 0)
	return s.answers(ctx, done)
}

// attend waits for the end of a process and blames it when nobody wanted that. One whose start
// is disturbed may refuse to start.
func (s *server) attend(cmd *exec.Cmd, done chan struct{}, disturbed bool) {
	_ = cmd.Wait()
	s.mu.Lock()
	asked := s.asked || disturbed && !s.heard
	s.mu.Unlock()
	if !asked {
		s.of.disturb(time.Now())
		s.of.blame("process: ended by itself with %v (log: %s.log)", cmd.ProcessState, s.dir)
	}
	close(done)
}

// answers waits until the process listens.
func (s *server) answers(ctx context.Context, done chan struct{}) error {
	client := &http.Client{Timeout: time.Second, Transport: &http.Transport{DisableKeepAlives: true}}
	return within(ctx, startsWithin, 5*time.Millisecond, "the process answers (log: "+s.dir+".log)", func() bool {
		select {
		case <-done:
			return true // whoever started it looks at it again
		default:
		}
		req, err := http.NewRequestWithContext(ctx, http.MethodGet, "http://"+s.listen+"/healthz", nil)
		if err != nil {
			return false
		}
		res, err := client.Do(req)
		if err != nil {
			return false
		}
		if res.Body.Close() != nil || res.StatusCode != http.StatusOK {
			return false
		}
		s.mu.Lock()
		defer s.mu.Unlock()
		s.heard = true
		return true
	})
}

// signal sends one to the process at hand.
func (s *server) signal(sig syscall.Signal) {
	s.mu.Lock()
	defer s.mu.Unlock()
	_ = s.cmd.Process.Signal(sig) // it may have ended
}

// allowEnd says that the process may end from now on, and returns what its end closes.
func (s *server) allowEnd() chan struct{} {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.asked = true
	return s.done
}

// kill is kill -9.
func (s *server) kill() {
	done, from := s.allowEnd(), time.Now()
	s.signal(syscall.SIGKILL)
	<-done
	s.of.disturb(from)
}

// terminate is SIGTERM; the process must end in time with exit code 0.
func (s *server) terminate() {
	done, from := s.allowEnd(), time.Now()
	s.signal(syscall.SIGTERM)
	timer := time.NewTimer(stopsWithin)
	defer timer.Stop()
	select {
	case <-done:
	case <-timer.C:
		s.of.blame("process: does not stop within %v after SIGTERM", stopsWithin)
		s.kill()
		return
	}
	s.of.disturb(from)
	if code := s.exitCode(); code != 0 {
		s.of.blame("process: exit code %d after SIGTERM (log: %s.log)", code, s.dir)
	}
}

func (s *server) exitCode() int {
	s.mu.Lock()
	defer s.mu.Unlock()
	return s.cmd.ProcessState.ExitCode()
}

func (s *server) alive() bool {
	s.mu.Lock()
	defer s.mu.Unlock()
	select {
	case <-s.done:
		return false
	default:
		return true
	}
}

func (s *server) pid() int {
	s.mu.Lock()
	defer s.mu.Unlock()
	return s.cmd.Process.Pid
}

// watch notes the largest resident memory of all processes until ctx is done.
func (i *installation) watch(ctx context.Context) {
	for pause(ctx, 200*time.Millisecond) {
		for _, s := range i.servers {
			if status, err := os.ReadFile(fmt.Sprintf("/proc/%d/status", s.pid())); err == nil {
				i.mu.Lock()
				i.maxRSS = max(i.maxRSS, residentBytes(string(status)))
				i.mu.Unlock()
			}
		}
	}
}

// residentBytes reads VmRSS of proc(5) status.
func residentBytes(status string) int64 {
	for line := range strings.Lines(status) {
		var kb int64
		if n, _ := fmt.Sscanf(line, "VmRSS: %d kB", &kb); n == 1 {
			return kb << 10
		}
	}
	return 0
}

// pause waits; false when ctx ended first.
func pause(ctx context.Context, d time.Duration) bool {
	timer := time.NewTimer(d)
	defer timer.Stop()
	select {
	case <-timer.C:
		return true
	case <-ctx.Done():
		return false
	}
}

// within asks until ok, for at most limit.
func within(ctx context.Context, limit, every time.Duration, what string, ok func() bool) error {
	deadline := time.Now().Add(limit)
	for !ok() {
		if time.Now().After(deadline) {
			return fmt.Errorf("not within %v: %s", limit, what)
		}
		if !pause(ctx, every) {
			return ctx.Err()
		}
	}
	return nil
}
