// Command bench measures Keyflow against the limit of the machine: one run of this program
// starts the floor and Keyflow one after the other, several rounds, on the same work, and
// prints medians with their range and the ratio to the floor (docs/explanation/performance.md).
//
// The work: an inbound webhook calls a local upstream once with Basic Auth and answers with
// its JSON. The floor does that with net/http alone: no workflow, no store, no history. The
// load generator is wrk; it, the upstream and the system under test share the machine.
//
//	bench                     throughput, latency, memory, disk
//	bench growth [names]      how figures change while something grows
package main

import (
	"context"
	"errors"
	"flag"
	"fmt"
	"os"
	"os/exec"
	"os/signal"
	"path/filepath"
	"strconv"
	"strings"
	"text/tabwriter"
	"time"
)

type options struct {
	rounds      int
	seconds     int
	warmup      int
	connections []int
	databaseURL string
	profile     string
}

func main() {
	ctx, stop := signal.NotifyContext(context.Background(), os.Interrupt)
	defer stop()
	if len(os.Args) > 1 && (os.Args[1] == "floor" || os.Args[1] == "upstream") {
		exit(serveRole(ctx, os.Args[1], os.Args[2:]))
	}
	if len(os.Args) > 1 && os.Args[1] == "growth" {
		exit(measureGrowth(ctx, os.Args[2:]))
	}
	var o options
	var connections string
	flag.IntVar(&o.rounds, "rounds", 3, "rounds of each measurement")
	flag.IntVar(&o.seconds, "seconds", 20, "seconds of each measurement")
	flag.IntVar(&o.warmup, "warmup", 4, "seconds before it")
	flag.StringVar(&connections, "connections", "1,16,64", "numbers of connections")
	flag.StringVar(&o.databaseURL, "database-url", "", "measure Keyflow on this Postgres database instead of SQLite")
	flag.StringVar(&o.profile, "profile", "", "write a CPU profile of Keyflow to this file")
	flag.Parse()
	for c := range strings.SplitSeq(connections, ",") {
		n, err := strconv.Atoi(c)
		if err != nil || n < 1 {
			exit(fmt.Errorf("-connections: %q is not a number", c))
		}
		o.connections = append(o.connections, n)
	}
	exit(bench(ctx, o))
}

func exit(err error) {
	if err != nil {
		fmt.Fprintln(os.Stderr, "bench:", err)
		os.Exit(1)
	}
	os.Exit(0)
}

// system is one thing under test.
type system struct {
	name  string
	start func(ctx context.Context) (*target, error)
}

// target is a started system: where the load goes and what to look at.
type target struct {
	url       string
	process   *process
	coldStart time.Duration
	disk      func() int64 // bytes on disk now; nil when it stores nothing
	stop      func() error
}

func bench(ctx context.Context, o options) error {
	if _, err := exec.LookPath("wrk"); err != nil {
		return errors.New("wrk is not installed: apt-get install wrk")
	}
	dir, err := os.MkdirTemp("", "keyflow-bench-")
	if err != nil {
		return err
	}
	defer func() { _ = os.RemoveAll(dir) }()
	binary, err := build(ctx, dir)
	if err != nil {
		return err
	}
	upstream, err := startRole(ctx, "upstream")
	if err != nil {
		return err
	}
	defer func() { _ = upstream.process.stop() }()
	systems := []system{
		{"floor", func(ctx context.Context) (*target, error) { return startRole(ctx, "floor", upstream.url) }},
		{"keyflow", func(ctx context.Context) (*target, error) {
			return startKeyflow(ctx, keyflow{binary: binary, dir: dir, upstream: upstream.url, options: o})
		}},
	}
	results := map[string][]result{}
	for round := range o.rounds {
		for _, s := range systems {
			fmt.Fprintf(os.Stderr, "round %d of %d: %s\n", round+1, o.rounds, s.name)
			r, err := measure(ctx, s, o)
			if err != nil {
				return fmt.Errorf("%s: %w", s.name, err)
			}
			results[s.name] = append(results[s.name], r)
		}
	}
	report(o, results)
	return nil
}

// build makes the program that is measured.
func build(ctx context.Context, dir string) (binary string, err error) {
	binary = filepath.Join(dir, "keyflow")
	if out, err := exec.CommandContext(ctx, "go", "build", "-o", binary, "./cmd/keyflow").CombinedOutput(); err != nil {
		return "", fmt.Errorf("build keyflow: %w\n%s", err, out)
	}
	return binary, nil
}

// result is what one round of one system gave.
type result struct {
	load             map[int]load // by connections
	coldStart        time.Duration
	idleRSS, loadRSS int64 // bytes
	cpuPerRun        time.Duration
	diskPerRun       float64
	runs             int64
}

func measure(ctx context.Context, s system, o options) (r result, err error) {
	t, err := s.start(ctx)
	if err != nil {
		return r, err
	}
	defer func() { err = errors.Join(err, t.stop()) }()
	r.coldStart, r.load = t.coldStart, map[int]load{}
	if r.idleRSS, err = t.process.rss(); err != nil {
		return r, err
	}
	var disk int64
	if t.disk != nil {
		disk = t.disk()
	}
	cpu, err := t.process.cpu()
	if err != nil {
		return r, err
	}
	for _, c := range o.connections {
		if _, err := wrk(ctx, t.url, c, o.warmup); err != nil {
			return r, err
		}
		l, err := wrk(ctx, t.url, c, o.seconds)
		if err != nil {
			return r, err
		}
		r.load[c] = l
		rss, err := t.process.rss()
		if err != nil {
			return r, err
		}
		r.loadRSS = max(r.loadRSS, rss)
	}
	r.runs = 0
	for _, l := range r.load {
		r.runs += l.requests
	}
	after, err := t.process.cpu()
	if err != nil {
		return r, err
	}
	measured := float64(o.seconds) / float64(o.seconds+o.warmup) // warm-up runs count in CPU and disk, not in requests
	r.cpuPerRun = time.Duration(float64(after-cpu) * measured / float64(max(r.runs, 1)))
	if t.disk != nil {
		r.diskPerRun = float64(t.disk()-disk) * measured / float64(max(r.runs, 1))
	}
	return r, nil
}

func report(o options, results map[string][]result) {
	t := tabwriter.NewWriter(os.Stdout, 0, 0, 2, ' ', tabwriter.AlignRight)
	fmt.Fprintln(t, "connections\tsystem\truns/s median (min–max)\tratio to floor\tp50 ms\tp99 ms\terrors\t")
	for _, c := range o.connections {
		floor := spread(results["floor"], func(r result) float64 { return r.load[c].perSecond })
		for _, name := range []string{"floor", "keyflow"} {
			rs := results[name]
			rate := spread(rs, func(r result) float64 { return r.load[c].perSecond })
			p50 := spread(rs, func(r result) float64 { return float64(r.load[c].p50) / 1e6 })
			p99 := spread(rs, func(r result) float64 { return float64(r.load[c].p99) / 1e6 })
			errs := spread(rs, func(r result) float64 { return float64(r.load[c].errors) })
			fmt.Fprintf(t, "%d\t%s\t%.0f (%.0f–%.0f)\t%.2f\t%.2f\t%.1f\t%.0f\t\n", c, name, rate.median, rate.min, rate.max, rate.median/floor.median, p50.median, p99.median, errs.max)
		}
	}
	_ = t.Flush()
	fmt.Println()
	t = tabwriter.NewWriter(os.Stdout, 0, 0, 2, ' ', tabwriter.AlignRight)
	fmt.Fprintln(t, "system\tcold start s\tRSS idle MiB\tRSS under load MiB\tCPU per run ms\tdisk per run bytes\t")
	for _, name := range []string{"floor", "keyflow"} {
		rs := results[name]
		fmt.Fprintf(t, "%s\t%.3f\t%.0f\t%.0f\t%.3f\t%.0f\t\n", name,
			spread(rs, func(r result) float64 { return r.coldStart.Seconds() }).median,
			spread(rs, func(r result) float64 { return float64(r.idleRSS) / (1 << 20) }).median,
			spread(rs, func(r result) float64 { return float64(r.loadRSS) / (1 << 20) }).median,
			spread(rs, func(r result) float64 { return r.cpuPerRun.Seconds() * 1e3 }).median,
			spread(rs, func(r result) float64 { return r.diskPerRun }).median)
	}
	_ = t.Flush()
}
