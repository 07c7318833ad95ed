package expression

import (
	"errors"
	"fmt"
	"io"
	"regexp"
	"regexp/syntax"
	"strings"
	"unicode/utf8"
)

// pattern is a compiled regular expression (RE2 syntax) with the size of its program.
// Matching takes time in proportion to size times length of the text.
type pattern struct {
	re   *regexp.Regexp
	size int
}

func newPattern(text string) (*pattern, error) {
	if len(text) > maxPattern {
		return nil, fmt.Errorf("a regular expression may have at most %d bytes", maxPattern)
	}
	tree, err := syntax.Parse(text, syntax.Perl)
	if err != nil {
		return nil, regexpError(err)
	}
	size := programSize(tree)
	if size > maxProgram {
		return nil, errors.New("the regular expression repeats too much")
	}
	re, err := regexp.Compile(text)
	if err != nil {
		return nil, regexpError(err)
	}
	return &pattern{re, size}, nil
}

func regexpError(err error) error {
	return errors.New(strings.TrimPrefix(err.Error(), "error parsing regexp: ") + " in the regular expression")
}

// programSize estimates the instructions that the tree compiles to, without compiling it.
func programSize(re *syntax.Regexp) int {
	size := 1 + len(re.Rune)/2
	if re.Op == syntax.OpCharClass {
		size = 1
	}
	for _, sub := range re.Sub {
		size = min(size+programSize(sub), maxProgram+1)
	}
	if re.Op == syntax.OpRepeat {
		size *= max(re.Min, re.Max, 1) + 1
	}
	return min(size, maxProgram+1)
}

// quickWork is how much work, in instructions times bytes, needs no watching: some 10 ms.
const quickWork = 1 << 20

// matches takes a text and a pattern; null matches nothing.
func matches(m *machine, args []any) (any, error) {
	if args[0] == nil || args[1] == nil {
		return false, nil
	}
	text, ok := args[0].(string)
	if !ok {
		return nil, fmt.Errorf("matches needs a text, got %s", kind(args[0]))
	}
	p, ok := args[1].(*pattern)
	if !ok {
		var err error
		if p, err = m.compilePattern(args[1]); err != nil {
			return nil, err
		}
	}
	if work := len(text) * (p.size + 8); work <= quickWork {
		return p.re.MatchString(text), m.spend(work / workPerStep)
	}
	r := &watched{m: m, text: text, cost: p.size + 8}
	found := p.re.MatchReader(r)
	return found, r.err
}

func (m *machine) compilePattern(v any) (*pattern, error) {
	text, ok := v.(string)
	if !ok {
		return nil, fmt.Errorf("matches needs a regular expression, got %s", kind(v))
	}
	p, err := newPattern(text)
	if err != nil {
		return nil, err
	}
	return p, m.spend(len(text) + p.size/2)
}

// workPerStep is the part of quickWork that counts as a step.
const workPerStep = 1024

// watched feeds a text to the matcher, which cannot be stopped otherwise: once the budget
// is used up it reports the end of the text.
type watched struct {
	m    *machine
	text string
	cost int // of a rune
	work int
	err  error
}

// ReadRune implements io.RuneReader.
func (w *watched) ReadRune() (r rune, size int, err error) {
	if w.text == "" || w.err != nil {
		return 0, 0, io.EOF
	}
	if w.work += w.cost; w.work >= workPerStep {
		if w.err = w.m.spend(w.work / workPerStep); w.err != nil {
			return 0, 0, io.EOF
		}
		w.work %= workPerStep
	}
	r, size = utf8.DecodeRuneInString(w.text)
	w.text = w.text[size:]
	return r, size, nil
}
