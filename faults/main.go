//go:build unix

// Command faults breaks a running Keyflow in many ways and checks that it keeps its promises
// (docs/explanation/faults.md): it starts the real binary, drives a mix of workflows against an upstream
// of its own, kills, stops, starves and disturbs it, heals it, and compares what it promised
// with what it did.
//
// The recorder is this program: the upstream writes down every call, the driver every answer,
// and neither dies with Keyflow. It knows nothing of Keyflow's packages, only its API.
package main

import (
	"context"
	"errors"
	"flag"
	"fmt"
	"io"
	"math/rand/v2"
	"os"
	"os/exec"
	"os/signal"
	"path/filepath"
	"runtime/debug"
	"slices"
	"strings"
	"time"
)

// options say what to break, and for how long.
type options struct {
	duration time.Duration
	span     time.Duration // of load in one round
	rate     int           // starts per second
	burst    int           // callers at once
	seed     uint64
	faults   []fault
	database string // URL of a Postgres server; "" is SQLite
	verbose  bool
}

func main() {
	ctx, stop := signal.NotifyContext(context.Background(), os.Interrupt)
	defer stop()
	o, err := parse(os.Args[1:], os.Stderr)
	if errors.Is(err, flag.ErrHelp) {
		return
	}
	if err == nil {
		err = run(ctx, o, os.Stdout)
	}
	if err != nil {
		fmt.Fprintln(os.Stderr, "faults:", err)
		os.Exit(1)
	}
}

func parse(args []string, stderr io.Writer) (o options, err error) {
	flags := flag.NewFlagSet("faults", flag.ContinueOnError)
	flags.SetOutput(stderr)
	flags.DurationVar(&o.duration, "duration", 5*time.Minute, "begin rounds for this long; each fault gets one at least")
	flags.DurationVar(&o.span, "span", 8*time.Second, "time of load and faults in one round")
	flags.IntVar(&o.rate, "rate", 40, "runs to start per second")
	flags.IntVar(&o.burst, "burst", 10_000, "callers at once in a round of burst")
	flags.Uint64Var(&o.seed, "seed", uint64(time.Now().UnixNano())%1_000_000, "seed of the first round; each round prints its own")
	names := flags.String("faults", "", "faults to inject, with commas (default: all that the database allows)")
	database := flags.String("database", "sqlite", "sqlite, or postgres: the server of KEYFLOW_TEST_POSTGRES (scripts/with-postgres makes one)")
	flags.BoolVar(&o.verbose, "v", false, "print each fault as it happens")
	if err := flags.Parse(args); err != nil {
		return o, err
	}
	switch *database {
	case "sqlite":
	case "postgres":
		if o.database = os.Getenv("KEYFLOW_TEST_POSTGRES"); o.database == "" {
			return o, errors.New("KEYFLOW_TEST_POSTGRES is not set: run scripts/with-postgres go run ./faults -database postgres")
		}
	default:
		return o, fmt.Errorf("-database: sqlite or postgres, not %q", *database)
	}
	o.faults, err = choose(*names, o.database != "")
	return o, err
}

// choose returns the named faults, or all, as far as the database allows them.
func choose(names string, postgres bool) ([]fault, error) {
	all := slices.DeleteFunc(faultList(), func(f fault) bool { return f.only == onSQLite && postgres || f.only == onPostgres && !postgres })
	if names == "" {
		return all, nil
	}
	var chosen []fault
	for name := range strings.SplitSeq(names, ",") {
		i := slices.IndexFunc(all, func(f fault) bool { return f.name == name })
		if i < 0 {
			var known []string
			for _, f := range all {
				known = append(known, f.name)
			}
			return nil, fmt.Errorf("-faults: %q is none of %s", name, strings.Join(known, ", "))
		}
		chosen = append(chosen, all[i])
	}
	return chosen, nil
}

// run builds Keyflow and breaks it in rounds until the time is over. The error counts the
// violations; they and the table are on w.
func run(ctx context.Context, o options, w io.Writer) error {
	dir, err := os.MkdirTemp("", "keyflow-faults-")
	if err != nil {
		return err
	}
	binary := filepath.Join(dir, "keyflow")
	if err := build(ctx, binary); err != nil {
		return err
	}
	if err := needStrace(o.faults); err != nil {
		return err
	}
	violations, err := campaign(ctx, o, binary, w)
	if err == nil && violations > 0 {
		err = fmt.Errorf("%d violations; the folders of their rounds are in %s", violations, dir)
	}
	if err != nil {
		return err
	}
	return os.RemoveAll(dir)
}

// campaign plays rounds until the time is over, in folders beside the binary, and prints the table.
func campaign(ctx context.Context, o options, binary string, w io.Writer) (violations int, err error) {
	dir := filepath.Dir(binary)
	fmt.Fprintf(w, "seed %d, %d faults, rounds of %v at %d starts per second\n", o.seed, len(o.faults), o.span, o.rate)
	var t table
	order := rand.New(rand.NewPCG(o.seed, 0))
	queue := []fault{}
	for n, began := 0, time.Now(); ctx.Err() == nil && (n < len(o.faults) || time.Since(began) < o.duration); n++ {
		if len(queue) == 0 {
			queue = slices.Clone(o.faults)
			order.Shuffle(len(queue), func(i, j int) { queue[i], queue[j] = queue[j], queue[i] })
		}
		r := round{options: o, fault: queue[0], seed: o.seed + uint64(n), dir: filepath.Join(dir, fmt.Sprintf("round-%d", n)), binary: binary, out: w}
		queue = queue[1:]
		s, err := r.play(ctx)
		if ctx.Err() != nil {
			break
		}
		if err != nil {
			return t.violations, fmt.Errorf("round %d (%s, seed %d): %w; its folder is %s", n, r.fault.name, r.seed, err, r.dir)
		}
		t.add(r.fault.name, s)
		r.tell(n, s)
	}
	t.print(w)
	return t.violations, nil //nolint:nilerr // a round that was interrupted does not count
}

// build makes the binary, with the race detector when this program has it.
func build(ctx context.Context, binary string) error {
	args := []string{"build", "-buildvcs=false", "-o", binary}
	if info, ok := debug.ReadBuildInfo(); ok {
		for _, s := range info.Settings {
			if s.Key == "-race" && s.Value == "true" {
				args = append(args, "-race")
			}
		}
	}
	out, err := exec.CommandContext(ctx, "go", append(args, "keyflow/cmd/keyflow")...).CombinedOutput()
	if err != nil {
		return fmt.Errorf("build keyflow: %w\n%s", err, out)
	}
	return nil
}
