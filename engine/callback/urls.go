// Package callback makes the one-time URLs of nodes that wait for a call, and reads their tokens.
//
// It must not know what a call contains.
package callback

import (
	"encoding/base64"
	"fmt"
	"strings"

	"keyflow/engine/plan"
	"keyflow/engine/runs"
	"keyflow/engine/values"
	"keyflow/internal/fault"
	"keyflow/workflows"
)

// URLs makes the one-time URLs of nodes that wait for a call, and reads their tokens.
type URLs struct {
	Sealer values.Sealer // nil: nobody can call this process
	Base   string        // what stands before the token, "https://keyflow.example.com/callbacks/"
}

// callbackPlace is the index for which the tokens of callback URLs are sealed; no step has it.
const callbackPlace = -2

// callbackText is what a token has sealed; that it opens for its run and node is the proof.
const callbackText = "callback"

// For is the one-time URL of a node that waits for a call. Each is another one and all
// are good, until one is called.
func (u URLs) For(of *plan.Plan, run runs.ID, node string) (string, error) {
	n, known := of.Index[workflows.NodeID(node)]
	switch {
	case !known || of.Nodes[n].Methods == nil:
		return "", fmt.Errorf("callback_url: the workflow has no node %q that waits for a callback", node)
	case u.Sealer == nil || u.Base == "":
		return "", fmt.Errorf("callback_url: nobody can call this process: run the workflow on a server")
	}
	sealed, err := u.Sealer.SealOutput(run.String(), node, callbackPlace, []byte(callbackText))
	if err != nil {
		return "", fmt.Errorf("callback_url: the URL cannot be made")
	}
	encode := base64.RawURLEncoding.EncodeToString
	return u.Base + encode(run[:]) + "." + node + "." + encode(sealed), nil
}

// ErrUnknown is the same for a token that no run has given out and for one of a deleted run.
var ErrUnknown error = fault.New(fault.NotFound, "nothing is at this address")

// Target returns the run and node for which a token was given out.
func (u URLs) Target(token string) (runs.ID, workflows.NodeID, error) {
	id, rest, _ := strings.Cut(token, ".")
	node, proof, _ := strings.Cut(rest, ".")
	spelling := base64.RawURLEncoding.Strict() // a token has one
	raw, err := spelling.DecodeString(id)
	sealed, proofErr := spelling.DecodeString(proof)
	if err != nil || proofErr != nil || len(raw) != len(runs.ID{}) || u.Sealer == nil {
		return runs.ID{}, "", ErrUnknown
	}
	run := runs.ID(raw)
	text, err := u.Sealer.OpenOutput(run.String(), node, callbackPlace, sealed)
	if err != nil || string(text) != callbackText {
		return runs.ID{}, "", ErrUnknown
	}
	return run, workflows.NodeID(node), nil
}
