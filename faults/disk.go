//go:build unix

package main

import (
	"context"
	"errors"
	"fmt"
	"io"
	"net/http"
	"os"
	"os/exec"
	"path/filepath"
	"strconv"
	"strings"
	"syscall"
	"time"
)

// smallDisk is the size of the file system that is filled.
const smallDisk = "64m"

// mount puts the data folder on a small file system of its own, when the fault asks for it.
func (r *round) mount() (unmount func(), err error) {
	if !r.fault.small {
		return func() {}, nil
	}
	dir := r.inst.servers[0].dir
	if out, err := exec.Command("mount", "-t", "tmpfs", "-o", "size="+smallDisk, "keyflow-faults", dir).CombinedOutput(); err != nil {
		return nil, fmt.Errorf("%s mounts a tmpfs, which needs root: %w: %s; run as root, or choose other -faults", r.fault.name, err, out)
	}
	return func() {
		r.end() // nothing holds it any more
		if out, err := exec.Command("umount", "-l", dir).CombinedOutput(); err != nil {
			r.blame("tool: umount %s: %v: %s", dir, err, out)
		}
	}, nil
}

// fillingDisk takes all the space for some seconds, again and again. New runs are refused
// meanwhile, and when there is space again the same process goes on.
func fillingDisk(ctx, loading context.Context, r *round) error {
	s := r.inst.servers[0]
	filler := filepath.Join(s.dir, "filler")
	for pause(loading, between(r.rng, 500*time.Millisecond, 2*time.Second)) {
		r.inject("the disk is full")
		if err := fill(filler); err != nil {
			return err
		}
		r.mustRefuse(ctx)
		pause(ctx, between(r.rng, 500*time.Millisecond, 3*time.Second))
		if err := os.Remove(filler); err != nil {
			return err
		}
		if err := r.recovered(ctx, time.Now()); err != nil {
			r.blame("recovery: with space again: %v", err)
		}
		if !s.alive() {
			return s.start(ctx) // the end itself was blamed
		}
	}
	return nil
}

// fill writes until nothing fits.
func fill(file string) error {
	f, err := os.Create(file)
	if err != nil {
		return err
	}
	block := make([]byte, 4096)
	for err == nil {
		_, err = f.Write(block)
	}
	if !errors.Is(err, syscall.ENOSPC) {
		return errors.Join(err, f.Close())
	}
	return f.Close()
}

// mustRefuse waits until a start is refused with 503 and readiness is gone.
func (r *round) mustRefuse(ctx context.Context) {
	for what, ask := range map[string]func() answer{
		"a start is refused with 503": func() answer {
			return r.client.do(ctx, http.MethodPost, "/api/v1/workflows/probe/runs", map[string]any{"input": map[string]any{"n": strings.Repeat("x", 8192)}})
		},
		"readiness is gone": func() answer { return r.client.do(ctx, http.MethodGet, "/readyz", nil) },
	} {
		err := within(ctx, 20*time.Second, again, what, func() bool {
			a := ask()
			return a.err == nil && a.status == http.StatusServiceUnavailable
		})
		if err != nil {
			r.blame("P4: while nothing can be written: %v", err)
		}
	}
}

// needStrace says how to get strace when a fault needs it.
func needStrace(faults []fault) error {
	for _, f := range faults {
		if _, err := exec.LookPath("strace"); f.strace && err != nil {
			return fmt.Errorf("%s needs strace: run scripts/setup faults, or apt-get install strace, or choose other -faults", f.name)
		}
	}
	return nil
}

// strace is the command line that makes system calls on the database fail. The process stays
// our own child: the tracer is its grandchild (-D).
func (s *server) strace(calls, inject string) []string {
	db := filepath.Join(s.dir, "keyflow.db")
	return []string{"strace", "-D", "-f", "-y", "--seccomp-bpf", "-o", s.straceLog(), "-P", db, "-P", db + "-wal", "-P", db + "-shm",
		"-e", "trace=" + calls, "-e", "inject=" + calls + ":" + inject}
}

func (s *server) straceLog() string { return s.dir + ".strace" }

// injected returns the calls that were made to fail.
func (s *server) injected() []string {
	text, err := os.ReadFile(s.straceLog())
	if err != nil {
		return nil
	}
	var lines []string
	for line := range strings.Lines(string(text)) {
		if strings.Contains(line, "(INJECTED)") {
			lines = append(lines, strings.TrimSpace(line))
		}
	}
	return lines
}

// restart kills the process and starts it anew; wrap stands before its command line.
func (r *round) restart(ctx context.Context, wrap ...string) error {
	s := r.inst.servers[0]
	if s.alive() {
		s.kill()
	}
	if err := os.Remove(s.straceLog()); err != nil && !errors.Is(err, os.ErrNotExist) {
		return err
	}
	return s.start(ctx, wrap...)
}

// failingOneSync makes one sync of the database fail in each life of the process. When it was
// a commit's, the process must stop and its successor knows everything that was accepted.
func failingOneSync(ctx, loading context.Context, r *round) error {
	s := r.inst.servers[0]
	for pause(loading, 100*time.Millisecond) {
		if err := r.restart(ctx, s.strace("fsync,fdatasync", "error=EIO:when="+strconv.Itoa(3+r.rng.IntN(60)))...); err != nil {
			return err
		}
		done := s.allowEnd()
		from := time.Now()
		lived, cancel := context.WithTimeout(loading, 5*time.Second)
		select {
		case <-done:
			r.inst.disturb(from)
		case <-lived.Done():
		}
		cancel()
		r.judgeSync(s)
	}
	return r.restart(ctx)
}

// judgeSync: a process that was told that a commit may not be on disk has to stop.
func (r *round) judgeSync(s *server) {
	for _, line := range s.injected() {
		r.inject("%s", line)
		if strings.Contains(line, "-wal>") && s.alive() {
			if within(context.Background(), 5*time.Second, again, "it stops", func() bool { return !s.alive() }) != nil {
				r.blame("P4: a sync of the write-ahead log failed and the process went on: %s", line)
			}
		}
	}
}

// failingOneWrite makes one write to the database fail in each life of the process, which goes on.
func failingOneWrite(ctx, loading context.Context, r *round) error {
	s := r.inst.servers[0]
	for pause(loading, 100*time.Millisecond) {
		failure := []string{"EIO", "ENOSPC"}[r.rng.IntN(2)]
		if err := r.restart(ctx, s.strace("pwrite64", "error="+failure+":when="+strconv.Itoa(5+r.rng.IntN(200)))...); err != nil {
			return err
		}
		pause(loading, between(r.rng, time.Second, 3*time.Second))
		for _, line := range s.injected() {
			r.inject("%s", line)
		}
	}
	return r.restart(ctx)
}

// refusingWrites makes every write fail as on a read-only file system, for some seconds.
func refusingWrites(ctx, loading context.Context, r *round) error {
	s := r.inst.servers[0]
	for pause(loading, between(r.rng, 500*time.Millisecond, 2*time.Second)) {
		r.inject("the disk is read-only")
		tracer := exec.Command("strace", "-f", "-p", strconv.Itoa(s.pid()), "-o", "/dev/null",
			"-P", filepath.Join(s.dir, "keyflow.db"), "-P", filepath.Join(s.dir, "keyflow.db-wal"),
			"-e", "trace=pwrite64,ftruncate", "-e", "inject=pwrite64,ftruncate:error=EROFS")
		tracer.Stderr = io.Discard
		if err := tracer.Start(); err != nil {
			return err
		}
		r.mustRefuse(ctx)
		pause(ctx, between(r.rng, 100*time.Millisecond, 2*time.Second))
		if err := tracer.Process.Signal(syscall.SIGINT); err != nil { // it lets go of the process
			return err
		}
		_ = tracer.Wait() // its exit code is that of the signal
		if err := r.recovered(ctx, time.Now()); err != nil {
			r.blame("recovery: writable again: %v", err)
		}
		if !s.alive() {
			return s.start(ctx)
		}
	}
	return nil
}
