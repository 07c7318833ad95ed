package workflows

import (
	"cmp"
	"fmt"
	"slices"
	"sort"
	"strings"
)

// Codes of problems. They are part of the public contract.
const (
	codeMalformed    = "malformed"
	codeEncoding     = "encoding"
	codeTooLarge     = "too_large"
	codeTooDeep      = "too_deep"
	codeTooMany      = "too_many_problems"
	codeDuplicateKey = "duplicate_key"
	codeUnknownField = "unknown_field"
	codeType         = "wrong_type"
	codeRequired     = "required"
	codeValue        = "invalid_value"
	codeRange        = "out_of_range"
	codeDuplicate    = "duplicate"
	codeUnknownNode  = "unknown_node"
	codeCycle        = "cycle"
	codeConflict     = "conflict"
	codeSchema       = "invalid_schema"
	codeNotSupported = "not_supported"

	codeNotAncestor = "not_ancestor" // of the engine's checker
)

// maxProblems bounds a report: a broken 1 MiB file must not answer with 100 MiB.
const maxProblems = 200

// report collects the problems of one source.
type report struct {
	lines    []int // offsets where lines begin
	problems []Problem
	more     int // problems beyond maxProblems
}

func newReport(source []byte) *report {
	r := &report{lines: []int{0}}
	for i, c := range source {
		if c == '\n' {
			r.lines = append(r.lines, i+1)
		}
	}
	return r
}

// add reports a problem with a value, at its beginning.
func (r *report) add(v *value, code, format string, args ...any) {
	r.addAt(v.start, v.pointer, code, format, args...)
}

// addAt reports a problem at an offset, for example of an object's key.
func (r *report) addAt(offset int, pointer, code, format string, args ...any) {
	if len(r.problems) == maxProblems {
		r.more++
		return
	}
	p := r.position(offset)
	r.problems = append(r.problems, Problem{
		Path: pointer, Code: code, Message: fmt.Sprintf(format, args...), Line: p.Line, Column: p.Column,
	})
}

func (r *report) position(offset int) Position {
	line := sort.SearchInts(r.lines, offset+1)
	return Position{Line: line, Column: offset - r.lines[line-1] + 1}
}

// sorted returns the problems in file order.
func (r *report) sorted() []Problem {
	sortProblems(r.problems)
	if r.more > 0 {
		r.problems = append(r.problems, Problem{Code: codeTooMany, Message: fmt.Sprintf("%d more problems are not shown", r.more)})
	}
	return r.problems
}

func sortProblems(list []Problem) {
	slices.SortStableFunc(list, func(a, b Problem) int {
		return cmp.Or(cmp.Compare(a.Line, b.Line), cmp.Compare(a.Column, b.Column), strings.Compare(a.Path, b.Path))
	})
}

// Problemf returns a checker's problem at a JSON pointer of the definition, with line and column
// of the deepest value on that path in the source.
func (d *Definition) Problemf(path, code, format string, args ...any) Problem {
	return d.place(Problem{Path: path, Code: code, Message: fmt.Sprintf(format, args...)})
}

// place fills in line and column of a problem that has none.
func (d *Definition) place(p Problem) Problem {
	if p.Line != 0 {
		return p
	}
	for path := p.Path; ; path = path[:strings.LastIndexByte(path, '/')] {
		if at, ok := d.Positions[path]; ok {
			p.Line, p.Column = at.Line, at.Column
			return p
		}
		if path == "" || strings.LastIndexByte(path, '/') < 0 {
			return p
		}
	}
}

func count(n int, what string) string {
	if n == 1 {
		return "1 " + what
	}
	return fmt.Sprintf("%d %ss", n, what)
}
