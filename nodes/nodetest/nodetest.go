// Package nodetest is an environment for tests of node types: real HTTP clients over the
// real egress transport, which may reach loopback addresses, and real expressions. It
// knows no engine; nothing is repeated, stored or authenticated.
package nodetest

import (
	"context"
	"io"
	"log/slog"
	"net/http"
	"slices"
	"testing"
	"time"

	"keyflow/internal/egress"
	"keyflow/internal/expression"
	"keyflow/nodes"
)

// Env is a nodes.Env. Its fields may be set before the node runs.
type Env struct {
	Delivery    string                                                             // what DeliveryID gives
	Number      int                                                                // what Attempt gives
	ClientErr   error                                                              // what Client fails with
	Expressions map[string]string                                                  // source by parameter, for Eval
	Action      func(action string, fields map[string]any) (map[string]any, error) // what Act does
	Ready       time.Time                                                          // what ReadyAt gives
	transport   *egress.Transport
}

var _ nodes.Env = (*Env)(nil)

// New returns an environment of a first attempt whose connections end with the test.
func New(tb testing.TB) *Env {
	tb.Helper()
	transport, err := egress.New(egress.Options{Allow: []string{"127.0.0.0/8", "::1"}})
	if err != nil {
		tb.Fatal(err)
	}
	tb.Cleanup(transport.CloseIdleConnections)
	return &Env{Delivery: "run/node/0", Number: 1, transport: transport}
}

// Client implements nodes.Env.
func (e *Env) Client(o nodes.ClientOptions) (*http.Client, error) {
	if e.ClientErr != nil {
		return nil, e.ClientErr
	}
	return egress.NewClient(e.transport, egress.ClientOptions{MaxRedirects: o.MaxRedirects, MaxBytes: o.MaxBytes}), nil
}

// Eval implements nodes.Env.
func (e *Env) Eval(ctx context.Context, param string, vars map[string]any) (any, bool, error) {
	source, ok := e.Expressions[param]
	if !ok {
		return nil, false, nil
	}
	names := make([]string, 0, len(vars))
	for name := range vars {
		names = append(names, name)
	}
	slices.Sort(names)
	compiled, err := expression.Compile(source, expression.Scope{Names: names})
	if err != nil {
		return nil, true, err
	}
	v, err := compiled.Eval(ctx, expression.Env{Vars: vars, Now: time.Now})
	return v, true, err
}

// Act implements nodes.Env.
func (e *Env) Act(_ context.Context, action string, fields map[string]any) (map[string]any, error) {
	return e.Action(action, fields)
}

// Has implements nodes.Env.
func (e *Env) Has(param string) bool { return e.Expressions[param] != "" }

// DeliveryID implements nodes.Env.
func (e *Env) DeliveryID() string { return e.Delivery }

// Attempt implements nodes.Env.
func (e *Env) Attempt() int { return e.Number }

// ReadyAt implements nodes.Env.
func (e *Env) ReadyAt() time.Time { return e.Ready }

// Log implements nodes.Env.
func (e *Env) Log() *slog.Logger { return slog.New(slog.NewTextHandler(io.Discard, nil)) }

// Run gives a new node of the type these parameters and returns its raw output, which must have
// no member that the type does not declare. Nodes that wait, start or emit are run without it:
// kind.New().Run(ctx, env, input).
func (e *Env) Run(tb testing.TB, kind nodes.Type, with map[string]any) (any, error) {
	tb.Helper()
	result, err := kind.New().Run(tb.Context(), e, nodes.Input{With: with, Now: time.Now()})
	if err != nil {
		return nil, err
	}
	done, ok := result.(nodes.Done)
	if !ok {
		tb.Fatalf("the node gave %T, want Done: for other results call kind.New().Run", result)
	}
	if output, object := done.Output.(map[string]any); object && kind.Output != nil {
		for name := range output {
			if !slices.Contains(kind.Output, name) {
				tb.Errorf("type %s does not declare the member %q of its output", kind.Name, name)
			}
		}
	}
	return done.Output, nil
}
