package engine

import (
	"context"
	"encoding/base64"
	"fmt"
	"slices"
	"strings"

	"keyflow/engine/runs"
	"keyflow/internal/fault"
	"keyflow/nodes"
	"keyflow/workflows"
)

// callbackPlace is the index for which the tokens of callback URLs are sealed; no step has it.
const callbackPlace = -2

// callbackText is what a token has sealed; that it opens for its run and node is the proof.
const callbackText = "callback"

// callbackURL is the one-time URL of a node that waits for a call. Each is another one and all
// are good, until one is called.
func (e *Engine) callbackURL(r *runner, node string) (string, error) {
	n, known := r.plan.Index[workflows.NodeID(node)]
	switch {
	case !known || r.plan.Nodes[n].Methods == nil:
		return "", fmt.Errorf("callback_url: the workflow has no node %q that waits for a callback", node)
	case e.o.Sealer == nil || e.o.CallbackURL == "":
		return "", fmt.Errorf("callback_url: nobody can call this process: run the workflow on a server")
	}
	sealed, err := e.o.Sealer.SealOutput(r.run.ID.String(), node, callbackPlace, []byte(callbackText))
	if err != nil {
		return "", fmt.Errorf("callback_url: the URL cannot be made")
	}
	encode := base64.RawURLEncoding.EncodeToString
	return e.o.CallbackURL + encode(r.run.ID[:]) + "." + node + "." + encode(sealed), nil
}

// errNoCallback does not tell a token that no run has given out from one of a deleted run.
var errNoCallback error = fault.New(fault.NotFound, "nothing is at this address")

// CallbackMethods returns the methods of the calls that the URL with this token takes. NotFound for
// a token that no run has given out, Conflict for one that was used, or whose run has ended.
func (e *Engine) CallbackMethods(ctx context.Context, token string) ([]string, error) {
	run, node, err := e.callbackTarget(token)
	if err != nil {
		return nil, err
	}
	n, err := e.waiting(ctx, run, node, nodes.CodeWaitsForCallback)
	if fault.Is(err, fault.NotFound) {
		err = errNoCallback
	}
	if err != nil {
		return nil, err
	}
	return slices.Clone(n.Methods), nil
}

// Callback delivers what a stranger sent to the URL with this token: {method, headers, query,
// body}. The method is one of CallbackMethods. Faults as those of CallbackMethods.
func (e *Engine) Callback(ctx context.Context, token string, request any) error {
	run, node, err := e.callbackTarget(token)
	if err != nil {
		return err
	}
	err = e.Bring(ctx, run, node, nodes.CodeWaitsForCallback, request)
	if fault.Is(err, fault.NotFound) {
		return errNoCallback
	}
	return err
}

// callbackTarget returns the run and node for which a token was given out.
func (e *Engine) callbackTarget(token string) (runs.ID, workflows.NodeID, error) {
	id, rest, _ := strings.Cut(token, ".")
	node, proof, _ := strings.Cut(rest, ".")
	spelling := base64.RawURLEncoding.Strict() // a token has one
	raw, err := spelling.DecodeString(id)
	sealed, proofErr := spelling.DecodeString(proof)
	if err != nil || proofErr != nil || len(raw) != len(runs.ID{}) || e.o.Sealer == nil {
		return runs.ID{}, "", errNoCallback
	}
	run := runs.ID(raw)
	text, err := e.o.Sealer.OpenOutput(run.String(), node, callbackPlace, sealed)
	if err != nil || string(text) != callbackText {
		return runs.ID{}, "", errNoCallback
	}
	return run, workflows.NodeID(node), nil
}
