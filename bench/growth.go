package main

import (
	"cmp"
	"context"
	"errors"
	"flag"
	"fmt"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"text/tabwriter"
	"time"
)

// growth measures curves: how a figure changes while something grows that should not matter.
// Each is printed as a table with the ratio of the last to the first point, or the last point
// itself, against its target (docs/explanation/performance.md).
type growth struct {
	largest int           // sizes over it are left out
	huge    bool          // the sizes that take an hour, too
	window  time.Duration // how long a server at rest is watched
	seconds int           // of load per point

	binary, dir string
	upstream    *target
}

// curve is one measurement at growing sizes.
type curve struct {
	name, of string
	sizes    []int
	huge     []int // sizes after them, with -huge
	measure  func(ctx context.Context, g *growth, size int) (point, error)
	targets  []goal
}

// point is what was measured at one size, in the order in which it is printed.
type point []figure

type figure struct {
	name  string
	value float64
}

func (p point) get(name string) float64 {
	i := slices.IndexFunc(p, func(f figure) bool { return f.name == name })
	if i < 0 {
		return 0
	}
	return p[i].value
}

// goal is the most that a figure may be.
type goal struct {
	figure string
	how    judge
	most   float64
}

// judge says what of a curve is compared with the target.
type judge string

const (
	ratio   judge = "last/first"
	inverse judge = "first/last" // of a figure that should not fall
	last    judge = "last"
	growing judge = "growth per unit" // (last − first) / (size of last − size of first)
	spent   judge = "last − first"
)

func (j judge) of(name string, sizes []int, points []point) float64 {
	first, end := points[0].get(name), points[len(points)-1].get(name)
	switch j {
	case ratio:
		return end / first
	case inverse:
		return first / end
	case growing:
		return (end - first) / float64(max(sizes[len(sizes)-1]-sizes[0], 1))
	case spent:
		return end - first
	default:
		return end
	}
}

func curves() []curve {
	return []curve{workflowsCurve(), waitingCurve(), runsCurve(), credentialsCurve(), nodesCurve(), elementsCurve(), concurrentCurve(), inputsCurve()}
}

// measureGrowth is the command `bench growth [names]`.
func measureGrowth(ctx context.Context, args []string) error {
	g := &growth{}
	flags := flag.NewFlagSet("growth", flag.ContinueOnError)
	flags.IntVar(&g.largest, "largest", 1_000_000, "leave out sizes over this one (1000 for a run of a few minutes)")
	flags.BoolVar(&g.huge, "huge", false, "also the sizes that take very long: 10,000,000 stored runs")
	flags.DurationVar(&g.window, "window", 65*time.Second, "how long a server at rest is watched; over a minute sees all its periodic work")
	flags.IntVar(&g.seconds, "seconds", 10, "seconds of load per point")
	list := flags.Bool("list", false, "print the names of the curves")
	if err := flags.Parse(args); err != nil {
		return err
	}
	chosen, err := choose(flags.Args())
	if err != nil || *list {
		for _, c := range chosen {
			fmt.Printf("%-12s %s\n", c.name, c.of)
		}
		return err
	}
	if g.dir, err = os.MkdirTemp("", "keyflow-growth-"); err != nil {
		return err
	}
	defer func() { _ = os.RemoveAll(g.dir) }()
	if g.binary, err = build(ctx, g.dir); err != nil {
		return err
	}
	if g.upstream, err = startRole(ctx, "upstream"); err != nil {
		return err
	}
	defer func() { _ = g.upstream.process.stop() }()
	var failed []error
	for _, c := range chosen {
		if err := g.run(ctx, c); err != nil {
			failed = append(failed, fmt.Errorf("%s: %w", c.name, err))
			fmt.Printf("failed: %v\n\n", err)
		}
	}
	return errors.Join(failed...)
}

// choose returns the curves of these names; all without any.
func choose(names []string) ([]curve, error) {
	all := curves()
	if len(names) == 0 {
		return all, nil
	}
	var chosen []curve
	for _, name := range names {
		i := slices.IndexFunc(all, func(c curve) bool { return c.name == name })
		if i < 0 {
			return nil, fmt.Errorf("no curve %q; -list prints them (flags stand before names)", name)
		}
		chosen = append(chosen, all[i])
	}
	return chosen, nil
}

func (g *growth) run(ctx context.Context, c curve) error {
	sizes := slices.Clone(c.sizes)
	if g.huge {
		sizes = append(sizes, c.huge...)
	} else {
		sizes = slices.DeleteFunc(sizes, func(n int) bool { return n > g.largest })
	}
	if len(sizes) < 2 {
		sizes = slices.Clone(c.sizes[:2])
	}
	fmt.Printf("%s: %s\n", c.name, c.of)
	points := make([]point, len(sizes))
	for i, size := range sizes {
		fmt.Fprintf(os.Stderr, "%s: %d\n", c.name, size)
		var err error
		if points[i], err = c.measure(ctx, g, size); err != nil {
			return fmt.Errorf("at %d: %w", size, err)
		}
	}
	table(sizes, points)
	for _, t := range c.targets {
		got := t.how.of(t.figure, sizes, points)
		verdict := "reached"
		if got > t.most {
			verdict = "MISSED"
		}
		fmt.Printf("  %s, %s: %.4g (target: at most %.4g): %s\n", t.figure, t.how, got, t.most, verdict)
	}
	fmt.Println()
	return nil
}

func table(sizes []int, points []point) {
	t := tabwriter.NewWriter(os.Stdout, 0, 0, 2, ' ', tabwriter.AlignRight)
	names := make([]string, len(points[0]))
	for i, f := range points[0] {
		names[i] = f.name
	}
	fmt.Fprintf(t, "size\t%s\t\n", strings.Join(names, "\t"))
	for i, p := range points {
		fmt.Fprintf(t, "%d\t", sizes[i])
		for _, f := range p {
			fmt.Fprintf(t, "%.*f\t", digits(f.value), f.value)
		}
		fmt.Fprintln(t)
	}
	_ = t.Flush()
}

// digits behind the point that are worth printing.
func digits(v float64) int {
	switch v = max(v, -v); {
	case v >= 100, v == 0:
		return 0
	case v >= 10:
		return 1
	default:
		return 3
	}
}

// folder makes a data folder for one point.
func (g *growth) folder() (string, error) { return os.MkdirTemp(g.dir, "data-") }

// host is the address that workflows of the bench call.
func (g *growth) host() string { return strings.TrimPrefix(g.upstream.url, "http://") }

// mib is a number of bytes in MiB.
func mib(bytes int64) float64 { return float64(bytes) / (1 << 20) }

// ms is a duration in milliseconds.
func ms(d time.Duration) float64 { return float64(d) / float64(time.Millisecond) }

// median of durations.
func median(of []time.Duration) time.Duration {
	slices.SortFunc(of, cmp.Compare[time.Duration])
	return of[len(of)/2]
}

// newFolder makes a data folder and fills it: with what make does through a server of it, and
// then, while it is stopped, with what fill does in its database.
func (g *growth) newFolder(ctx context.Context, through func(s *server) error, fill func(f *filler) error) (string, error) {
	data, err := g.folder()
	if err != nil {
		return "", err
	}
	s, err := g.serve(ctx, data)
	if err != nil {
		return "", err
	}
	if err := errors.Join(through(s), s.process.stop()); err != nil {
		return "", err
	}
	f, err := openFiller(ctx, data)
	if err != nil {
		return "", err
	}
	return data, errors.Join(fill(f), f.close())
}

// remove gives the space of a data folder back.
func (g *growth) remove(data string) { _ = os.RemoveAll(filepath.Clean(data)) }
