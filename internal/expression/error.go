package expression

import (
	"errors"
	"fmt"
	"regexp"
	"strings"
	"unicode/utf8"

	"github.com/expr-lang/expr/file"
)

// Error is what is wrong with an expression, at compilation or evaluation. Its texts name
// the author's own text and kinds of values; they are safe for whoever may see the run.
type Error struct {
	Path    string // JSON pointer inside the compiled value; "" for the value itself
	Source  string // the whole string that holds the expression
	Message string
	Offset  int   // byte offset in Source; -1 when unknown
	Budget  bool  // a limit was exceeded
	Err     error // cause: a context's error, or for the log
}

// Error returns the message and, when the position is known, the line it is in with a caret.
func (e *Error) Error() string {
	if e.Offset < 0 || e.Offset > len(e.Source) || e.Source == "" {
		return e.Message
	}
	line, column := excerpt(e.Source, e.Offset)
	return fmt.Sprintf("%s\n  %s\n  %s^", e.Message, line, strings.Repeat(" ", column))
}

// Unwrap returns the cause.
func (e *Error) Unwrap() error { return e.Err }

const (
	excerptAround = 60  // bytes of a line shown on each side of the caret
	maxMessage    = 300 // bytes; messages of expr can quote whole values
)

// excerpt returns the part of the line around offset and the caret's column in it, in runes.
func excerpt(s string, offset int) (line string, column int) {
	start := strings.LastIndexByte(s[:offset], '\n') + 1
	end := len(s)
	if i := strings.IndexByte(s[offset:], '\n'); i >= 0 {
		end = offset + i
	}
	start, end = max(start, offset-excerptAround), min(end, offset+excerptAround)
	for start < offset && !utf8.RuneStart(s[start]) {
		start++
	}
	for end < len(s) && end > offset && !utf8.RuneStart(s[end]) {
		end--
	}
	line = strings.Map(func(r rune) rune {
		if r < ' ' {
			return ' '
		}
		return r
	}, s[start:end])
	return line, utf8.RuneCountInString(s[start:offset])
}

// compileError is a fault found by this package; at is a rune offset, as expr counts.
type compileError struct {
	message string
	at      int
	known   bool // whether at is known
	limit   bool
	cause   error
}

func (e *compileError) Error() string { return e.message }

// fail turns an error of expr or of this package into the public one.
func (e *Expression) fail(err error) *Error {
	out := &Error{Source: e.source, Offset: -1}
	message, at := err.Error(), -1
	if fault, ok := errors.AsType[*compileError](err); ok {
		out.Budget, out.Err = fault.limit, fault.cause
		if fault.known {
			at = fault.at
		}
	} else if located, ok := errors.AsType[*file.Error](err); ok {
		message, at = located.Message, located.From
	}
	if limit, ok := errors.AsType[limitError](err); ok {
		message, out.Budget, out.Err = "the expression "+message, true, limit
	} else if stop, ok := errors.AsType[stopped](err); ok {
		out.Err = stop.cause
	}
	if at >= 0 {
		out.Offset = e.offset + byteOffset(e.text, at)
	}
	if redactedMember.MatchString(message) {
		message = "a redacted value cannot be used here" + e.origin()
	}
	out.Message = plainWords(message)
	if len(out.Message) > maxMessage {
		out.Message = strings.ToValidUTF8(out.Message[:maxMessage], "") + "..."
	}
	return out
}

// origin names the nodes that the expression reads.
func (e *Expression) origin() string {
	if len(e.nodes) == 0 {
		return ""
	}
	return fmt.Sprintf(": it comes from the output of %q", e.nodes)
}

// failResult reports an error about the expression as a whole.
func (e *Expression) failResult(err error) *Error {
	out := e.fail(err)
	out.Offset = e.offset + len(e.text) - len(strings.TrimLeft(e.text, " \t\r\n"))
	return out
}

// byteOffset converts an offset in runes.
func byteOffset(s string, runes int) int {
	for i := range s {
		if runes == 0 {
			return i
		}
		runes--
	}
	return len(s)
}

var (
	assertion      = regexp.MustCompile(`^interface conversion: interface \{\} is (.+), not (\S+)$`)
	fetchNull      = regexp.MustCompile(`^cannot fetch (.+) from <nil>$`)
	redactedMember = regexp.MustCompile(`jsonvalue\.Redacted|unexported field`)
	longLiteral    = regexp.MustCompile(`^invalid integer literal: .*value out of range$`)
	goTypes        = strings.NewReplacer(
		"map[string]interface {}", "object", "map[interface {}]interface {}", "object",
		"map[string]any", "object", "[]interface {}", "list", "[]any", "list", "[]int", "list",
		"interface {}", "any", "<nil>", "null", "float64", "number", "json.Number", "number",
		"invalid operation: int(string)", "only an object has named members; lists and texts are indexed with whole numbers",
		"mismatched types unknown and ", "mismatched types null and ", " and unknown)", " and null)",
		"unexpected token EOF", "unexpected end of the expression",
		"memory budget exceeded", "the expression "+string(errBytes),
		"reflect.Value.MapIndex: value of type int is not assignable to type string",
		"an object is indexed with text, not with a number",
	)
)

// goKind names a Go type as kind does its values.
func goKind(name string) string {
	switch name {
	case "nil":
		return "null"
	case "bool":
		return "a boolean"
	case "string":
		return "a text"
	case "int", "float64", "uint8", "json.Number":
		return "a number"
	case "[]interface {}", "[]int":
		return "a list"
	}
	return "an object"
}

// plainWords says in the words of JSON what expr says in those of Go.
func plainWords(message string) string {
	if m := assertion.FindStringSubmatch(message); m != nil {
		message = goKind(m[2]) + " is needed, got " + goKind(m[1])
	}
	if m := fetchNull.FindStringSubmatch(message); m != nil {
		message = fmt.Sprintf("cannot read %q of null (use ?. where it may be null)", m[1])
	}
	if longLiteral.MatchString(message) {
		return "a whole number of more than 64 bits is written with a point: 12345678901234567890.0"
	}
	return goTypes.Replace(message)
}
