package workflows

func (x *Concurrency) fields() fields {
	return fields{
		{name: "limit", help: "How many runs may be unfinished at once, waiting ones included.", shape: number[int]{&x.Limit, 1, MaxConcurrency}, required: true},
		{name: "key", help: "Template over input, vars and trigger: runs with the same value count together. Default: all runs of the workflow.", shape: text[string]{&x.Key, grammar{max: 10_000}}},
		{name: "on_limit", help: "queue (default): the run waits until another ends; skip: it is not started; cancel_oldest: it starts and the oldest one is canceled.", shape: choice[string]{
			into: &x.OnLimit, options: []string{OnLimitQueue, OnLimitSkip, OnLimitCancelOldest},
		}},
	}
}

// concurrencyShape creates the optional object when it is given.
type concurrencyShape struct{ into **Concurrency }

func (s concurrencyShape) read(r *report, v *value) {
	*s.into = new(Concurrency)
	(*s.into).fields().read(r, v)
}

func (s concurrencyShape) schema() map[string]any { return new(Concurrency).fields().schema() }
