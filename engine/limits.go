package engine

import (
	"encoding/json"
	"errors"
	"fmt"
	"strings"

	"keyflow/credentials"
	"keyflow/internal/fault"
	"keyflow/nodes"
)

// What a run may hold beyond the output of one step (Options.MaxOutput). A stored value of any
// kind is at most 16 MiB.
const (
	// MaxInput bounds the input of a run, in bytes of JSON.
	MaxInput = 10 << 20
	// maxCollected bounds the outputs of a for_each that an expression reads as one list.
	maxCollected = 64 << 20
	// maxCalls bounds the addresses of a step's calls that the history keeps, in bytes: of more,
	// by thousands of pages over many attempts, the latest are kept.
	maxCalls = 4 << 20
	// maxMessage bounds the message of an error, which an author may compute, in bytes.
	maxMessage = 8 << 10
)

// checkInput refuses an input that is too large to store.
func checkInput(input json.RawMessage) error {
	if len(input) <= MaxInput {
		return nil
	}
	return fault.New(fault.TooLarge, "the input has %d bytes; at most %d are allowed", len(input), MaxInput)
}

// put keeps the output of an element. Those that are too large together are let go; whoever
// reads them is told.
func (e *elements) put(index int, output json.RawMessage, sealed []byte) {
	gone := e.kept > maxCollected
	e.kept += len(output) + len(sealed)
	switch {
	case gone:
	case e.kept > maxCollected:
		clear(e.outputs)
		clear(e.sealed)
	default:
		e.outputs[index], e.sealed[index] = output, sealed
	}
}

// whole is an error when the collected output was let go.
func (e *elements) whole() error {
	if e.kept <= maxCollected {
		return nil
	}
	return &nodes.Error{
		Code:    nodes.CodeTooLarge,
		Message: fmt.Sprintf("the outputs of its elements have more than %d MiB together: choose what is needed with \"output\"", maxCollected>>20),
	}
}

// varsError is the failure of a step, or of a run's output, that cannot be given what it reads.
func varsError(err error) *nodes.Error {
	out := &nodes.Error{Code: nodes.CodeExpression, Message: err.Error()}
	if e, ok := errors.AsType[*nodes.Error](err); ok {
		out.Code = e.Code
	}
	return out
}

// latestCalls drops the oldest calls when they are too many to store.
func latestCalls(calls []credentials.Call) []credentials.Call {
	size := 0
	for i := len(calls) - 1; i >= 0; i-- {
		if size += len(calls[i].URL) + len(calls[i].Fingerprint) + 128; size > maxCalls { // 128: the rest of one
			return calls[i+1:]
		}
	}
	return calls
}

// shortMessage is a message that can be stored with every attempt, with the run and with the
// runs that are told of it.
func shortMessage(text string) string {
	if len(text) <= maxMessage {
		return text
	}
	const more = " …"
	return strings.ToValidUTF8(text[:maxMessage-len(more)], "") + more
}
