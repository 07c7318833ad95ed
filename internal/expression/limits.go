package expression

import (
	"fmt"
	"time"

	"keyflow/internal/jsonvalue"
)

// The budgets of docs/explanation/security.md. Steps are calibrated so that one takes about a
// microsecond: a pass of a loop, a KiB of text read, some elements of a list visited.
const (
	maxSource  = 16 << 10 // bytes of one expression
	maxNesting = 200      // of brackets
	maxTree    = 1000     // depth of the syntax tree
	maxNodes   = 10_000   // of the syntax tree, shared ones counted each time
	maxPattern = 1000     // bytes of a regular expression
	maxProgram = 2000     // instructions of the regular expressions of one expression

	maxSteps = 1_000_000
	maxBytes = 64 << 20
	maxTime  = 2 * time.Second
	maxDepth = jsonvalue.MaxDepth

	textPerStep     = 1024 // bytes
	jsonPerStep     = 64   // bytes
	digitsPerStep   = 32   // of a calculated number
	elementsPerStep = 16
	nodesPerStep    = 32 // of the syntax tree, in a loop's body
	stepsPerCheck   = 16 // between two looks at clock and context
	elementBytes    = 48 // of a list: its place, growth and boxed value
	entryBytes      = 96 // of an object
)

// limitError says which budget ended an evaluation.
type limitError string

func (e limitError) Error() string { return string(e) }

var (
	errSteps = limitError(fmt.Sprintf("takes more than %d steps", maxSteps))
	errBytes = limitError(fmt.Sprintf("builds more than %d MiB of data", maxBytes>>20))
	errTime  = limitError(fmt.Sprintf("takes longer than %s", maxTime))
	errDepth = limitError(fmt.Sprintf("makes data nested deeper than %d levels", maxDepth))
)

// checkText refuses text that would be costly even to parse.
func checkText(s string) error {
	if len(s) > maxSource {
		return &compileError{message: fmt.Sprintf(
			"an expression may have at most %d bytes; this one has %d", maxSource, len(s)), limit: true}
	}
	depth := 0
	for i := 0; i < len(s); {
		if next := skipLiteral(s, i); next > i {
			i = next
			continue
		}
		switch s[i] {
		case '(', '[', '{':
			if depth++; depth > maxNesting {
				return &compileError{message: fmt.Sprintf(
					"brackets are nested deeper than %d levels", maxNesting), limit: true}
			}
		case ')', ']', '}':
			depth--
		}
		i++
	}
	return nil
}
