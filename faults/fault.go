//go:build unix

package main

import (
	"context"
	"math/rand/v2"
	"syscall"
	"time"
)

// where says which databases a fault makes sense on.
type where int

const (
	anywhere where = iota
	onSQLite
	onPostgres
)

// fault is one way to break things. inject does so again and again until loading ends, and
// leaves all healed: every process up, nothing held back.
type fault struct {
	name    string
	only    where
	nasty   int  // of a thousand tokens that the upstream treats badly
	hangsUp int  // of a thousand requests whose sender does not wait for the answer
	clocks  bool // stored times mean nothing
	small   bool // the data folder is a small file system
	strace  bool // it needs strace
	inject  func(ctx, loading context.Context, r *round) error
}

// faultList is every fault.
func faultList() []fault {
	return []fault{
		{name: "kill", nasty: 300, hangsUp: 50, inject: killing},
		{name: "term", nasty: 300, hangsUp: 50, inject: terminating},
		{name: "pause", nasty: 100, inject: pausing},
		{name: "upstream", nasty: 900, inject: leavingAlone},
		{name: "hangup", nasty: 300, hangsUp: 500, inject: leavingAlone},
		{name: "clock", nasty: 100, clocks: true, inject: settingClocks},
		{name: "burst", inject: bursting},
		{name: "disk-full", only: onSQLite, small: true, inject: fillingDisk},
		{name: "read-only", only: onSQLite, strace: true, inject: refusingWrites},
		{name: "write", only: onSQLite, strace: true, inject: failingOneWrite},
		{name: "sync", only: onSQLite, strace: true, inject: failingOneSync},
		{name: "pg-restart", only: onPostgres, nasty: 100, inject: restartingPostgres},
		{name: "pg-cut", only: onPostgres, nasty: 100, inject: cuttingConnections},
		{name: "pg-commit", only: onPostgres, nasty: 100, inject: losingCommits},
		{name: "pg-late", only: onPostgres, nasty: 100, inject: outlivingCommits},
	}
}

// between is a random duration.
func between(rng *rand.Rand, low, high time.Duration) time.Duration {
	return low + time.Duration(rng.Int64N(int64(high-low)))
}

// victim is a random process.
func (r *round) victim() *server { return r.inst.servers[r.rng.IntN(len(r.inst.servers))] }

// killing is kill -9 at random instants, also while a process is just starting.
func killing(ctx, loading context.Context, r *round) error {
	for pause(loading, between(r.rng, 50*time.Millisecond, 2500*time.Millisecond)) {
		s := r.victim()
		r.inject("kill -9 %s", s.listen)
		s.kill()
		began := time.Now()
		if r.rng.IntN(4) == 0 {
			if err := r.killAtStart(ctx, s); err != nil {
				return err
			}
		}
		if err := s.start(ctx); err != nil {
			return err
		}
		if r.rng.IntN(2) == 0 {
			if err := r.recovered(ctx, began); err != nil {
				r.blame("recovery: after kill -9: %v", err)
			}
		}
	}
	return nil
}

// killAtStart starts a process and kills it before, or when, it is ready.
func (r *round) killAtStart(ctx context.Context, s *server) error {
	r.inject("kill -9 %s while it starts", s.listen)
	brief, cancel := context.WithTimeout(ctx, between(r.rng, time.Millisecond, 150*time.Millisecond))
	defer cancel()
	if err := s.start(brief); err != nil && brief.Err() == nil {
		return err
	}
	s.kill()
	return nil
}

// terminating is SIGTERM under load: exit code 0, and the successor goes on.
func terminating(ctx, loading context.Context, r *round) error {
	for pause(loading, between(r.rng, 500*time.Millisecond, 2500*time.Millisecond)) {
		s := r.victim()
		r.inject("SIGTERM %s", s.listen)
		s.terminate()
		began := time.Now()
		if err := s.start(ctx); err != nil {
			return err
		}
		if err := r.recovered(ctx, began); err != nil {
			r.blame("recovery: after SIGTERM: %v", err)
		}
	}
	return nil
}

// pausing stops a process with SIGSTOP. A second one takes its runs over after 5 s; without a
// second one it goes on as if nothing had happened.
func pausing(ctx, loading context.Context, r *round) error {
	for pause(loading, between(r.rng, 200*time.Millisecond, time.Second)) {
		s := r.victim()
		from := time.Now()
		length := between(r.rng, 500*time.Millisecond, 5*time.Second)
		if len(r.inst.servers) > 1 {
			length = between(r.rng, 4*time.Second, 9*time.Second)
		}
		r.inject("SIGSTOP %s for %v", s.listen, length)
		s.signal(syscall.SIGSTOP)
		pause(ctx, length)
		s.wake()
		if len(r.inst.servers) > 1 {
			r.inst.disturb(from)
		}
		if err := r.recovered(ctx, time.Now()); err != nil {
			r.blame("recovery: after SIGSTOP: %v", err)
		}
	}
	return nil
}

// leavingAlone is for faults that lie outside: the upstream, the callers.
func leavingAlone(_, loading context.Context, r *round) error {
	r.inject("the load itself")
	<-loading.Done()
	return nil
}

// settingClocks sets the clocks of all processes forward by up to two hours, and back by up to
// one; in the end they are where they were at their latest. The schedule meets each jump on its
// own: of one outage it counts 10,000 missed occurrences at least, and no more for sure.
func settingClocks(_, loading context.Context, r *round) error {
	latest, ahead := time.Duration(0), time.Duration(0)
	for pause(loading, between(r.rng, 1500*time.Millisecond, 2500*time.Millisecond)) {
		if r.rng.IntN(3) == 0 {
			ahead -= between(r.rng, time.Second, time.Hour)
		} else {
			ahead = min(ahead, latest) + between(r.rng, time.Second, 2*time.Hour)
		}
		r.inject("clocks %v ahead", ahead.Round(time.Second))
		if err := r.inst.setClock(ahead); err != nil {
			return err
		}
		latest = max(latest, ahead)
	}
	return r.inst.setClock(latest)
}
