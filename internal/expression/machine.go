package expression

import (
	"context"
	"sync"
	"time"

	"github.com/expr-lang/expr/vm"
)

// machine is the state of one evaluation: what it may read and what it has used up. It
// lives from get to put, in one goroutine.
type machine struct {
	vm    vm.VM
	vars  map[string]any // the roots that are read, and the machine itself for its functions
	ctx   context.Context
	given Env

	steps, bytes int
	nextCheck    int // steps at which clock and context are looked at again
	deadline     time.Time
	large        bool // has its turn among the large ones
}

// pool keeps machines for one expression or value, so that authors never share one.
type pool struct {
	roots    []string
	machines sync.Pool
}

func newPool(roots []string) *pool { return &pool{roots: roots} }

func (p *pool) get(ctx context.Context, env Env) *machine {
	m, ok := p.machines.Get().(*machine)
	if !ok {
		m = &machine{vars: make(map[string]any, len(p.roots)+1)}
		m.vars[machineVar] = m
	}
	m.ctx, m.given, m.nextCheck = ctx, env, stepsPerCheck
	for _, name := range p.roots {
		m.vars[name] = env.Vars[name]
	}
	return m
}

// keepStack is the largest stack, in values, that is worth keeping.
const keepStack = 1024

// put forgets everything the evaluation saw before the machine is kept for the next one.
func (p *pool) put(m *machine) {
	m.shrink()
	for _, name := range p.roots {
		m.vars[name] = nil
	}
	if cap(m.vm.Scopes) > 0 || cap(m.vm.Stack) > keepStack {
		m.vm = vm.VM{} // a VM that ran loops holds on to their lists
	}
	clear(m.vm.Stack[:cap(m.vm.Stack)])
	clear(m.vm.Variables)
	*m = machine{vm: m.vm, vars: m.vars}
	p.machines.Put(m)
}

// eval runs one expression; several may run on one machine and share its budget.
func (m *machine) eval(e *Expression) (any, *Error) {
	if err := m.check(); err != nil {
		return nil, e.fail(err)
	}
	v, err := m.vm.Run(e.code, m.vars)
	if err != nil {
		return nil, e.fail(err)
	}
	if e.path {
		v, err = scalar(v)
	} else {
		v, _, err = m.plain(v, 0)
	}
	if err != nil {
		return nil, e.failResult(err)
	}
	return v, nil
}

// stopped is the end of an evaluation by its context.
type stopped struct{ cause error }

func (s stopped) Error() string { return "the evaluation was stopped: " + s.cause.Error() }

// check looks at the context alone; spend looks at the clock too.
func (m *machine) check() error {
	if m.ctx.Err() != nil {
		return stopped{m.ctx.Err()}
	}
	return nil
}

// spend takes steps from the budget and now and then looks at clock and context.
func (m *machine) spend(steps int) error {
	if m.steps += steps; m.steps > maxSteps {
		return errSteps
	}
	if m.steps < m.nextCheck {
		return nil
	}
	m.nextCheck = m.steps + stepsPerCheck
	now := time.Now()
	switch {
	case m.deadline.IsZero():
		m.deadline = now.Add(maxTime)
	case now.After(m.deadline):
		return errTime
	}
	return m.check()
}

// read charges the reading of n bytes of text.
func (m *machine) read(n int) error { return m.spend(n / textPerStep) }

// visit charges the visiting of n elements of a list or object.
func (m *machine) visit(n int) error { return m.spend(n / elementsPerStep) }

// build takes n bytes from the budget, before they are allocated.
func (m *machine) build(n int) error {
	if n < 0 || n > maxBytes-m.bytes {
		return errBytes
	}
	if m.bytes += n; m.bytes > fewBytes && !m.large {
		return m.enlarge()
	}
	return nil
}

// buildList charges a list of n elements, before it is allocated.
func (m *machine) buildList(n int) error {
	if n > maxBytes/elementBytes {
		return errBytes
	}
	return m.build(n * elementBytes)
}
