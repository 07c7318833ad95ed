//go:build unix

package main

import (
	"bytes"
	"context"
	"embed"
	"errors"
	"fmt"
	"io"
	"math/rand/v2"
	"net/http"
	"net/url"
	"os"
	"slices"
	"sync"
	"time"
)

// definitions are the workflows; their upstream is a placeholder.
//
//go:embed workflows/*.json
var definitions embed.FS

const upstreamPlaceholder = "http://upstream.invalid"

// restsWithin bounds the time from the end of a fault until every run has ended.
const restsWithin = 2 * time.Minute

// round is one fault, or several of one kind, on an installation of its own.
type round struct {
	options
	fault  fault
	seed   uint64
	dir    string
	binary string
	out    io.Writer

	inst   *installation
	up     *upstream
	client *client
	driver *driver
	rng    *rand.Rand
	proxy  *proxy // before Postgres; else nil

	mu sync.Mutex // for findings
	findings
}

// findings is what a round records while it runs.
type findings struct {
	injected   int
	recovery   time.Duration // the longest
	violations []string
	notes      []string
}

// summary is the result of a round.
type summary struct {
	findings
	accepted, refused, unknown        int // requests
	runs, succeeded, failed, canceled int
	calls, repeated, resumed, cron    int
	rest                              time.Duration
	rss                               int64
}

// blame records a violation.
func (r *round) blame(format string, args ...any) {
	r.mu.Lock()
	defer r.mu.Unlock()
	r.violations = append(r.violations, fmt.Sprintf(format, args...))
}

// inject counts a fault.
func (r *round) inject(format string, args ...any) {
	r.mu.Lock()
	defer r.mu.Unlock()
	r.injected++
	if r.verbose {
		fmt.Fprintf(r.out, "    %s\n", fmt.Sprintf(format, args...))
	}
}

// play carries the round out. The error is one of the tool or of the machine, not of Keyflow.
func (r *round) play(ctx context.Context) (s summary, err error) {
	r.rng = rand.New(rand.NewPCG(r.seed, 2))
	if err := os.MkdirAll(r.dir, 0o700); err != nil {
		return s, err
	}
	r.up = newUpstream(r.fault.nasty)
	defer r.up.server.CloseClientConnections()
	database, drop, err := r.makeDatabase(ctx)
	if err != nil {
		return s, err
	}
	defer drop()
	if r.inst, err = newInstallation(r, r.up, database); err != nil {
		return s, err
	}
	r.inst.blame = r.blame
	r.client = newClient(r.inst)
	defer r.end()
	unmount, err := r.mount()
	if err != nil {
		return s, err
	}
	defer unmount()
	if err := r.begin(ctx); err != nil {
		return s, err
	}
	return r.breakAndHeal(ctx)
}

// begin starts the processes and applies the workflows.
func (r *round) begin(ctx context.Context) error {
	for _, s := range r.inst.servers {
		if err := s.start(ctx); err != nil {
			return err
		}
	}
	files, err := definitions.ReadDir("workflows")
	if err != nil {
		return err
	}
	for pass := range 2 { // the first stores those that name no other
		for _, f := range files {
			text, err := definitions.ReadFile("workflows/" + f.Name())
			if err != nil {
				return err
			}
			text = bytes.ReplaceAll(text, []byte(upstreamPlaceholder), []byte(r.up.server.URL))
			id := f.Name()[:len(f.Name())-len(".json")]
			a := r.client.do(ctx, http.MethodPut, "/api/v1/workflows/"+id, rawJSON(text))
			if pass == 1 && a.verdict() != accepted {
				return fmt.Errorf("apply %s: %d %s %w", id, a.status, a.body, a.err)
			}
		}
	}
	return r.warmUp(ctx)
}

// warmUp waits until every process knows every webhook: those that did not store a workflow
// hear of it within a second or two.
func (r *round) warmUp(ctx context.Context) error {
	for i := range r.inst.servers {
		err := within(ctx, startsWithin, again, "all processes know all webhooks", func() bool {
			var list struct{ Items []struct{ Type string } }
			if r.only(i).read(ctx, "/api/v1/triggers", &list) != nil {
				return false
			}
			return len(list.Items) == triggers
		})
		if err != nil {
			return err
		}
	}
	return nil
}

// triggers is how many the workflows have together.
const triggers = 7

// only is a client of one process.
func (r *round) only(i int) *client {
	return &client{&installation{servers: r.inst.servers[i : i+1], token: r.inst.token}, r.client.http}
}

// rawJSON is a document that is sent as it is.
type rawJSON []byte

// MarshalJSON implements json.Marshaler.
func (j rawJSON) MarshalJSON() ([]byte, error) { return j, nil }

// end lets nothing of the round live on.
func (r *round) end() {
	for _, s := range r.inst.servers {
		if s.cmd != nil && s.alive() {
			s.kill()
		}
	}
	if len(r.violations) == 0 {
		_ = os.RemoveAll(r.dir)
	}
}

func (r *round) breakAndHeal(ctx context.Context) (s summary, err error) {
	deadline, cancel := context.WithTimeout(ctx, r.span+startsWithin+stopsWithin+restsWithin)
	defer cancel()
	r.driver = newDriver(deadline, r.client, r.up, r.seed)
	r.driver.hangsUp = r.fault.hangsUp
	go r.inst.watch(deadline)
	loading, stop := context.WithTimeout(deadline, r.span)
	defer stop()
	var load sync.WaitGroup
	load.Go(func() { r.driver.load(loading, r.rate) })
	err = r.fault.inject(deadline, loading, r)
	stop()
	load.Wait()
	if err != nil || ctx.Err() != nil {
		return s, errors.Join(err, ctx.Err())
	}
	if r.injected == 0 {
		r.blame("fault: it never happened")
	}
	healed := time.Now()
	if err := r.recovered(deadline, healed); err != nil {
		r.blame("recovery: %v", err)
		return r.sum(nil), nil
	}
	missed := r.stopClock(deadline)
	r.driver.settle()
	r.waitForRest(deadline)
	s.rest = time.Since(healed)
	history, err := r.history(deadline)
	if err != nil {
		r.blame("recovery: the history cannot be read: %v", err)
	}
	newOracle(r, history, missed).check()
	r.restartAtRest(deadline)
	total := r.sum(history)
	total.rest = s.rest
	return total, nil
}

// recovered waits until a run is accepted and carried out by each process, and notes how long
// that took since.
func (r *round) recovered(ctx context.Context, since time.Time) error {
	for i := range r.inst.servers {
		one := r.only(i)
		token := fmt.Sprintf("probe-%d-%d-%d", r.seed, i, since.UnixNano())
		err := within(ctx, restsWithin, again, "a run is accepted and carried out", func() bool {
			a := one.do(ctx, http.MethodPost, "/api/v1/workflows/probe/runs?wait=20s", map[string]any{"input": map[string]any{"n": token}}, "Idempotency-Key", token)
			return a.err == nil && a.status == http.StatusOK && bytes.Contains(a.body, []byte(`"succeeded"`))
		})
		if err != nil {
			return err
		}
	}
	r.mu.Lock()
	defer r.mu.Unlock()
	r.recovery = max(r.recovery, time.Since(since))
	return nil
}

// stopClock waits until the schedule has caught up, switches it off, and returns how many of
// its occurrences count as missed.
func (r *round) stopClock(ctx context.Context) (missed int) {
	err := within(ctx, restsWithin, again, "the schedule has caught up", func() bool {
		var list struct {
			Items []struct {
				Missed int
				Next   []time.Time
			}
		}
		if r.client.read(ctx, "/api/v1/triggers?workflow=tick", &list) != nil || len(list.Items) != 1 || len(list.Items[0].Next) == 0 {
			return false
		}
		missed = list.Items[0].Missed
		return list.Items[0].Next[0].After(time.Now().Add(r.inst.ahead - time.Second))
	})
	if err == nil {
		err = within(ctx, restsWithin, again, "the schedule is switched off", func() bool {
			a := r.client.do(ctx, http.MethodPost, "/api/v1/workflows/tick/disable", nil)
			return a.verdict() == accepted
		})
	}
	if err != nil {
		r.blame("cron: %v", err)
	}
	return missed
}

// waitForRest waits until no run is on its way.
func (r *round) waitForRest(ctx context.Context) {
	var left []runView
	err := within(ctx, restsWithin, 100*time.Millisecond, "every run has ended", func() bool {
		left = nil
		for _, status := range []string{"queued", "running", "waiting"} {
			some, err := r.client.runs(ctx, url.Values{"status": {status}}, 1)
			if err != nil {
				return false
			}
			left = append(left, some...)
		}
		return len(left) == 0 && r.heard(ctx)
	})
	if err == nil {
		return
	}
	r.blame("P4: %v: %d have not", err, len(left))
	for _, run := range left[:min(len(left), 20)] {
		r.blame("P4: run %s of %s is %s", run.ID, run.Workflow, run.Status)
	}
}

// heard reports whether as many runs were started by events from inside as sent one. More are
// found by the oracle.
func (r *round) heard(ctx context.Context) bool {
	sent, err1 := r.client.runs(ctx, url.Values{"workflow": {"heard"}}, 1000)
	heard, err2 := r.client.runs(ctx, url.Values{"workflow": {"echo"}}, 1000)
	return err1 == nil && err2 == nil && len(heard) >= len(sent)
}

// history reads every run with its steps.
func (r *round) history(ctx context.Context) ([]runView, error) {
	list, err := r.client.runs(ctx, url.Values{}, 1000)
	if err != nil {
		return nil, err
	}
	errs := make([]error, len(list))
	var work sync.WaitGroup
	slots := make(chan struct{}, 8)
	for i := range list {
		slots <- struct{}{}
		work.Go(func() {
			defer func() { <-slots }()
			errs[i] = r.client.read(ctx, "/api/v1/runs/"+list[i].ID, &list[i])
		})
	}
	work.Wait()
	return slices.Clip(list), errors.Join(errs...)
}

// restartAtRest stops all processes, looks at the database, and starts them again: nothing may
// be called any more.
func (r *round) restartAtRest(ctx context.Context) {
	for _, s := range r.inst.servers {
		s.terminate()
	}
	if err := r.checkDatabase(ctx); err != nil {
		r.blame("database: %v", err)
	}
	before := len(r.up.recorded())
	began := time.Now()
	for _, s := range r.inst.servers {
		if err := s.start(ctx); err != nil {
			r.blame("recovery: %v", err)
			return
		}
	}
	if err := r.recovered(ctx, began); err != nil {
		r.blame("recovery: after a restart at rest: %v", err)
	}
	for _, c := range r.up.recorded()[before:] {
		r.blame("P5: after everything had ended, step %s/%s/%d was called again", c.run, c.node, c.index)
	}
	for _, s := range r.inst.servers {
		s.terminate()
	}
}
