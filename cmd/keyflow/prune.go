package main

import (
	"context"
	"time"

	"github.com/prometheus/client_golang/prometheus"

	"keyflow/engine/sqlstore/retention"
	"keyflow/internal/fault"
)

const (
	pruneEvery = time.Minute
	pruneBatch = 500 // dedupe keys, so that runs do not wait for the database
	// usagesEvery is how often usages by deleted workflows are deleted.
	usagesEvery = time.Hour
)

// pruner deletes old data. Any number of processes may run one.
type pruner struct {
	*core
	runs   *retention.Pruner
	count  prometheus.Counter
	usages time.Time // when usages were last pruned
}

// prune works until ctx is done.
func (c *core) prune(ctx context.Context) error {
	p := &pruner{core: c, runs: retention.NewPruner(c.db, c.keep), count: prometheus.NewCounter(prometheus.CounterOpts{
		Name: "keyflow_runs_pruned_total", Help: "Ended runs that this process deleted because of --keep-runs-for or --keep-runs.",
	})}
	c.metrics.MustRegister(p.count)
	tick := time.NewTicker(pruneEvery)
	defer tick.Stop()
	for {
		for _, prune := range []func(context.Context) error{p.pruneKeys, p.pruneRuns, p.pruneUsages} {
			if err := prune(ctx); err != nil && ctx.Err() == nil {
				c.log.Warn("old data cannot be deleted now; it is tried again", "error", fault.Message(err))
			}
		}
		select {
		case <-ctx.Done():
			return nil
		case <-tick.C:
		}
	}
}

func (p *pruner) pruneKeys(ctx context.Context) error {
	for {
		if n, err := p.runs.PruneDedupe(ctx, p.now(), pruneBatch); err != nil || n < pruneBatch {
			return err
		}
	}
}

// pruneRuns pauses after each batch for as long as the batch took.
func (p *pruner) pruneRuns(ctx context.Context) error {
	p.runs.Begin(p.now())
	total := 0
	defer func() {
		if total > 0 {
			p.log.Info("deleted old runs", "runs", total)
		}
	}()
	for {
		began := time.Now()
		n, more, err := p.runs.Prune(ctx, p.now())
		p.count.Add(float64(n))
		if total += n; err != nil || !more {
			return err
		}
		select {
		case <-ctx.Done():
			return nil
		case <-time.After(time.Since(began)):
		}
	}
}

// pruneUsages deletes the usages of credentials by deleted workflows.
func (p *pruner) pruneUsages(ctx context.Context) error {
	now := p.now()
	if now.Sub(p.usages) < usagesEvery {
		return nil
	}
	p.usages = now
	return p.vault.ForgetUsages(ctx)
}
