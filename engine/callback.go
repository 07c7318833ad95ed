package engine

import (
	"context"
	"slices"

	"keyflow/engine/callback"
	"keyflow/internal/fault"
	"keyflow/nodes"
)

// CallbackMethods returns the methods of the calls that the URL with this token takes. NotFound for
// a token that no run has given out, Conflict for one that was used, or whose run has ended.
func (e *Engine) CallbackMethods(ctx context.Context, token string) ([]string, error) {
	run, node, err := e.execution.Attempts.Callbacks.Target(token)
	if err != nil {
		return nil, err
	}
	n, err := e.waiting(ctx, run, node, nodes.CodeWaitsForCallback)
	if fault.Is(err, fault.NotFound) {
		err = callback.ErrUnknown
	}
	if err != nil {
		return nil, err
	}
	return slices.Clone(n.Methods), nil
}

// Callback delivers what a stranger sent to the URL with this token: {method, headers, query,
// body}. The method is one of CallbackMethods. Faults as those of CallbackMethods.
func (e *Engine) Callback(ctx context.Context, token string, request any) error {
	run, node, err := e.execution.Attempts.Callbacks.Target(token)
	if err != nil {
		return err
	}
	err = e.Deliver(ctx, run, node, nodes.CodeWaitsForCallback, request)
	if fault.Is(err, fault.NotFound) {
		return callback.ErrUnknown
	}
	return err
}
