package values

import (
	"encoding/json"
	"fmt"
	"maps"
	"slices"
	"time"

	"keyflow/engine/plan"
	"keyflow/engine/runs"
	"keyflow/internal/jsonvalue"
	"keyflow/nodes"
)

// Elements are the elements of a for_each and their results.
type Elements struct {
	Items   []any
	keys    []string          // of a map, sorted; nil for a list
	Outputs []json.RawMessage // one per element; nil while it has none
	sealed  [][]byte          // likewise, of a sensitive node
	kept    int               // bytes of all outputs, sealed ones too, also when they were let go
	Err     *runs.StepError   // of the first element that failed
	Started time.Time
}

// maxCollected bounds the outputs of a for_each that an expression reads as one list, in bytes.
const maxCollected = 64 << 20

// MaxElements bounds a for_each.
const MaxElements = 100_000

// NewElements spreads the value of for_each: a list in its order, a map in key order.
func NewElements(v any) (*Elements, *nodes.Error) {
	e := &Elements{}
	switch v := v.(type) {
	case []any:
		e.Items = v
	case map[string]any:
		e.keys = slices.Sorted(maps.Keys(v))
		e.Items = make([]any, len(e.keys))
		for i, k := range e.keys {
			e.Items[i] = v[k]
		}
	default:
		return nil, &nodes.Error{Code: nodes.CodeExpression, Message: "for_each gave " + plan.TypeName(v) + ", not a list or an object"}
	}
	if len(e.Items) > MaxElements {
		return nil, &nodes.Error{Code: nodes.CodeTooLarge, Message: fmt.Sprintf("for_each gave %d elements; at most %d are allowed", len(e.Items), MaxElements)}
	}
	e.Outputs, e.sealed = make([]json.RawMessage, len(e.Items)), make([][]byte, len(e.Items))
	return e, nil
}

// At returns the item and the key (null in a list) of an element.
func (e *Elements) At(i int) (item, key any) {
	if e.keys != nil {
		key = e.keys[i]
	}
	return e.Items[i], key
}

// FailedElement is the output of an element that failed under on_item_error: continue.
func FailedElement(err *runs.StepError) json.RawMessage {
	raw, encodeErr := jsonvalue.EncodeShown(map[string]any{"error": ErrorValue(err)})
	if encodeErr != nil { // plain data from a decoder; it cannot hold what JSON cannot
		return json.RawMessage(`{"error":null}`)
	}
	return raw
}

// put keeps the output of an element. Those that are too large together are let go; whoever
// reads them gets an error.
func (e *Elements) put(index int, output json.RawMessage, sealed []byte) {
	gone := e.kept > maxCollected
	e.kept += len(output) + len(sealed)
	switch {
	case gone:
	case e.kept > maxCollected:
		clear(e.Outputs)
		clear(e.sealed)
	default:
		e.Outputs[index], e.sealed[index] = output, sealed
	}
}

// whole is an error when the collected output was let go.
func (e *Elements) whole() error {
	if e.kept <= maxCollected {
		return nil
	}
	return &nodes.Error{
		Code:    nodes.CodeTooLarge,
		Message: fmt.Sprintf("the outputs of its elements have more than %d MiB together: choose what is needed with \"output\"", maxCollected>>20),
	}
}
