// Package jsonvalue decodes and encodes JSON as plain Go data, the only data that
// expressions, nodes and the run history share: nil, bool, string, int, json.Number, float64,
// []any and map[string]any.
//
// Numbers keep every digit. A whole number that fits 64 bits is an int; any other, decimals
// included, is a json.Number with the text that was read: 1.10 stays 1.10. Decode never makes a
// float64; what computes one (float() in an expression) has chosen to round.
//
// Depth is limited, because recursion over attacker-made nesting ends a Go process; so is the
// number of lists and objects, which take up to fifty times the memory of their text.
package jsonvalue

import (
	"errors"
	"fmt"
)

// MaxDepth is the deepest nesting of lists and objects that Decode accepts.
const MaxDepth = 1000

// ErrTooDeep is returned for data nested deeper than MaxDepth.
var ErrTooDeep = fmt.Errorf("nested deeper than %d levels", MaxDepth)

// maxSize bounds what the lists and objects of one text may take in memory, without their
// texts: some 2,000,000 lists, 300,000 small objects, or 100,000 objects of 25 members.
const maxSize = 128 << 20

// ErrTooMany is returned for data with more lists and objects than fit into maxSize.
var ErrTooMany = errors.New("too many lists and objects")
