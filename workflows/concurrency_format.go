package workflows

func (x *Concurrency) fields() fields {
	return fields{
		{name: "limit", help: "So many runs go on at once, waiting ones included.", shape: number[int]{&x.Limit, 1, MaxConcurrency}, required: true},
		{name: "key", help: "Template over input, vars and trigger: runs with the same value count together. Default: all runs of the workflow.", shape: text[string]{&x.Key, grammar{max: 10_000}}},
		{name: "on_limit", help: "queue: the run waits for its turn (default); skip: it is not started; cancel_oldest: the oldest one is canceled for it.", shape: choice[string]{
			into: &x.OnLimit, options: []string{OnLimitQueue, OnLimitSkip, OnLimitCancelOldest},
		}},
	}
}

// concurrencyShape makes the optional object when it is stated.
type concurrencyShape struct{ into **Concurrency }

func (s concurrencyShape) read(r *report, v *value) {
	*s.into = new(Concurrency)
	(*s.into).fields().read(r, v)
}

func (s concurrencyShape) schema() map[string]any { return new(Concurrency).fields().schema() }
