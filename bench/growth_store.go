package main

import (
	"context"
	"errors"
	"fmt"
	"net/http"
	"os"
	"os/exec"
	"regexp"
	"strconv"
	"time"

	"github.com/google/uuid"
)

// workflowsCurve: what sleeping schedules cost.
func workflowsCurve() curve {
	return curve{
		name: "workflows", of: "enabled workflows, each with a schedule that sleeps", sizes: []int{10, 1_000, 10_000, 100_000},
		measure: measureWorkflows,
		targets: []goal{{"idle CPU ms/s", ratio, 1.5}, {"RSS bytes", growing, 2048}, {"healthy s", last, 0.5}},
	}
}

func measureWorkflows(ctx context.Context, g *growth, size int) (p point, err error) {
	definition := map[string]any{
		"id":       "sleeper",
		"triggers": map[string]any{"yearly": map[string]any{"type": "cron", "schedule": "0 3 1 1 *", "timezone": "Asia/Seoul"}},
		"vars":     map[string]any{"base": g.upstream.url},
		"nodes": map[string]any{
			"get":  map[string]any{"type": "web_request", "with": map[string]any{"url": "{{ vars.base }}/data"}, "output": "{{ this.body }}"},
			"keep": map[string]any{"type": "transform", "needs": []string{"get"}, "with": map[string]any{"value": "{{ nodes.get.output.items }}"}},
		},
		"output": "{{ nodes.keep.output }}",
	}
	data, err := g.newFolder(ctx, func(s *server) error {
		return s.call(http.MethodPut, "/api/v1/workflows/sleeper", definition, nil)
	}, func(f *filler) error { return f.cloneWorkflows("sleeper", size-1) })
	if err != nil {
		return nil, err
	}
	defer g.remove(data)
	s, err := g.serve(ctx, data)
	if err != nil {
		return nil, err
	}
	defer func() { err = errors.Join(err, s.process.stop()) }()
	loaded, err := s.loaded(5 * time.Minute)
	if err != nil {
		return nil, err
	}
	if _, _, err := s.rest(5 * time.Second); err != nil { // the first comparison of all plans belongs to the boot
		return nil, err
	}
	boot, err := s.process.cpu()
	if err != nil {
		return nil, err
	}
	cpu, rss, err := s.rest(g.window)
	return point{{"healthy s", s.healthy.Seconds()}, {"triggers loaded s", loaded.Seconds()}, {"boot CPU s", boot.Seconds()}, {"idle CPU ms/s", cpu}, {"RSS bytes", float64(rss)}}, err
}

// waitingCurve: what runs cost that wait for a time a month away.
func waitingCurve() curve {
	return curve{
		name: "waiting", of: "runs in waiting", sizes: []int{10, 1_000, 100_000, 1_000_000}, measure: measureWaiting,
		targets: []goal{{"RSS MiB", spent, 8}, {"idle CPU ms/s", ratio, 1.5}, {"healthy s", last, 0.5}, {"due one late ms", last, 2000}, {"run list ms", last, 50}},
	}
}

func measureWaiting(ctx context.Context, g *growth, size int) (p point, err error) {
	const due = 6 * time.Second // from the start of the second server
	data, err := g.newFolder(ctx, func(s *server) error {
		err := errors.Join(
			s.call(http.MethodPut, "/api/v1/workflows/month", map[string]any{"id": "month", "nodes": map[string]any{"rest": map[string]any{"type": "wait", "with": map[string]any{"for": month.String()}}}}, nil),
			s.call(http.MethodPut, "/api/v1/workflows/moment", map[string]any{"id": "moment", "nodes": map[string]any{"rest": map[string]any{"type": "wait", "with": map[string]any{"for": "2s"}}}}, nil))
		if err != nil {
			return err
		}
		r, err := s.start("month", nil)
		if err == nil {
			_, err = s.until(r.ID, "waiting", time.Minute)
		}
		return err
	}, func(f *filler) error { return f.cloneRuns(size-1, map[string]string{"due_at": "due_at + n"}) })
	if err != nil {
		return nil, err
	}
	defer g.remove(data)
	dueAt := time.Now().Add(due)
	oldest, err := makeDue(ctx, data, dueAt)
	if err != nil {
		return nil, err
	}
	s, err := g.serve(ctx, data)
	if err != nil {
		return nil, err
	}
	defer func() { err = errors.Join(err, s.process.stop()) }()
	woken, err := s.until(oldest, "succeeded", time.Minute)
	if err != nil {
		return nil, fmt.Errorf("the run that became due: %w", err)
	}
	short, err := s.start("moment", nil)
	if err == nil {
		short, err = s.until(short.ID, "succeeded", time.Minute)
	}
	if err != nil {
		return nil, fmt.Errorf("a new run among them: %w", err)
	}
	cpu, rss, err := s.rest(g.window)
	if err != nil {
		return nil, err
	}
	list, err := s.page("/api/v1/runs?status=waiting")
	return point{
		{"healthy s", s.healthy.Seconds()}, {"idle CPU ms/s", cpu}, {"RSS MiB", mib(rss)}, {"run list ms", list},
		{"due one late ms", ms(woken.FinishedAt.Sub(dueAt))}, {"new one late ms", ms(short.FinishedAt.Sub(short.CreatedAt) - 2*time.Second)},
	}, err
}

// month is how long the runs wait.
const month = 30 * 24 * time.Hour

// makeDue moves the start of the oldest run so that its wait ends at a time.
func makeDue(ctx context.Context, data string, at time.Time) (id string, err error) {
	f, err := openFiller(ctx, data)
	if err != nil {
		return "", err
	}
	defer func() { err = errors.Join(err, f.close()) }()
	var run uuid.UUID
	if err := f.conn.QueryRowContext(ctx, "SELECT id FROM runs ORDER BY id LIMIT 1").Scan(&run); err != nil {
		return "", err
	}
	return run.String(), errors.Join(
		f.exec("UPDATE runs SET due_at = ?, started_at = ? WHERE id = ?", at.UnixMicro(), at.Add(-month).UnixMicro(), run[:]),
		f.exec("UPDATE steps SET due_at = ? WHERE run = ?", at.UnixMicro(), run[:]))
}

// runsCurve: what a long history costs.
func runsCurve() curve {
	return curve{
		name: "runs", of: "stored runs", sizes: []int{1_000, 100_000, 1_000_000}, huge: []int{10_000_000}, measure: measureRuns,
		targets: []goal{{"runs/s", inverse, 1.2}, {"CPU per run ms", ratio, 1.2}, {"idle CPU ms/s", ratio, 1.5}, {"first page ms", last, 50}, {"of a workflow ms", last, 50}, {"failed ms", last, 50}, {"failed of a workflow ms", last, 50}},
	}
}

func measureRuns(ctx context.Context, g *growth, size int) (p point, err error) {
	k := keyflow{upstream: g.upstream.url}
	data, err := g.newFolder(ctx, func(s *server) error {
		if err := k.prepare(ctx, s.process.url, s.token); err != nil {
			return err
		}
		status, answer, err := s.send(http.MethodPost, "/hooks/bench", []byte(`{"id": 7}`))
		if err == nil && status != http.StatusOK {
			err = fmt.Errorf("webhook: %d %s", status, answer)
		}
		return err
	}, func(f *filler) error {
		return f.cloneRuns(size-1, map[string]string{"status": "CASE WHEN n % 100 = 0 THEN 5 ELSE status END"}) // every hundredth failed
	})
	if err != nil {
		return nil, err
	}
	defer g.remove(data)
	s, err := g.serve(ctx, data)
	if err != nil {
		return nil, err
	}
	defer func() { err = errors.Join(err, s.process.stop()) }()
	if _, err := s.loaded(time.Minute); err != nil {
		return nil, err
	}
	for name, path := range map[string]string{"first page ms": "", "of a workflow ms": "?workflow=bench", "failed ms": "?status=failed", "failed of a workflow ms": "?workflow=bench&status=failed"} {
		took, err := s.page("/api/v1/runs" + path)
		if err != nil {
			return nil, err
		}
		p = append(p, figure{name, took})
	}
	pages := p
	idle, _, err := s.rest(g.window)
	if err != nil {
		return nil, err
	}
	p = point{{"healthy s", s.healthy.Seconds()}, {"idle CPU ms/s", idle}}
	for _, name := range []string{"first page ms", "of a workflow ms", "failed ms", "failed of a workflow ms"} {
		p = append(p, figure{name, pages.get(name)})
	}
	if _, err := wrk(ctx, s.process.url+"/hooks/bench", 64, 2); err != nil {
		return nil, err
	}
	before, err := s.process.cpu()
	if err != nil {
		return nil, err
	}
	l, err := wrk(ctx, s.process.url+"/hooks/bench", 64, g.seconds)
	if err != nil {
		return nil, err
	}
	after, err := s.process.cpu()
	return append(p, figure{"runs/s", l.perSecond}, figure{"p99 ms", ms(l.p99)}, figure{"CPU per run ms", ms(after-before) / float64(max(l.requests, 1))}), err
}

// credentialsCurve: what other credentials cost a request. It is the Go benchmark, because
// next to a run the difference could not be seen.
func credentialsCurve() curve {
	return curve{
		name: "credentials", of: "stored credentials, all in use: resolve, authenticate, check the host, redact 2 KB", sizes: []int{10, 10_000},
		measure: measureCredentials, targets: []goal{{"µs per request", ratio, 1.1}, {"µs per request", last, 60}},
	}
}

func measureCredentials(ctx context.Context, _ *growth, size int) (point, error) {
	cmd := exec.CommandContext(ctx, "go", "test", "-run", "^$", "-bench", fmt.Sprintf("^BenchmarkRequest$/^%d_credentials$", size), "-count", "3", "./credentials")
	cmd.Stderr = os.Stderr
	out, err := cmd.Output()
	if err != nil {
		return nil, err
	}
	var best float64
	for _, m := range regexp.MustCompile(`([\d.]+) ns/op`).FindAllStringSubmatch(string(out), -1) {
		ns, err := strconv.ParseFloat(m[1], 64)
		if err != nil {
			return nil, err
		}
		if best == 0 || ns < best {
			best = ns
		}
	}
	if best == 0 {
		return nil, fmt.Errorf("the benchmark printed no result:\n%s", out)
	}
	return point{{"µs per request", best / 1e3}}, nil
}
