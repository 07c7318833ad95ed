// Package jsonvalue decodes and encodes JSON as plain Go data, the only data that
// expressions, nodes and the run history share: nil, bool, string, int, float64,
// []any and map[string]any. Integers that fit 64 bits are int, so that ids keep every digit;
// larger ones become float64 (RFC 8259 section 6).
//
// Depth is limited, because recursion over attacker-made nesting ends a Go process.
package jsonvalue

import "fmt"

// MaxDepth is the deepest nesting of lists and objects that Decode accepts.
const MaxDepth = 1000

// ErrTooDeep is returned for data nested deeper than MaxDepth.
var ErrTooDeep = fmt.Errorf("nested deeper than %d levels", MaxDepth)
