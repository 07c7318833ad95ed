package workflows

import (
	"bytes"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"regexp"
	"strconv"
	"strings"
	"unicode/utf8"

	"keyflow/internal/jsonvalue"
)

// jsonType is the JSON type of a value, named as messages name it.
type jsonType string

const (
	nullKind    jsonType = "null"
	booleanKind jsonType = "a boolean"
	numberKind  jsonType = "a number"
	textKind    jsonType = "a string"
	listKind    jsonType = "a list"
	objectKind  jsonType = "an object"
)

// value is one JSON value of a source, with its place.
type value struct {
	pointer    string // RFC 6901
	start, end int    // byte offsets in the source
	kind       jsonType
	text       string // of a string; the literal of a number
	truth      bool
	items      []*value
	members    []member // in file order; of duplicates the first only
}

type member struct {
	name  string
	start int // of the quoted name
	value *value
}

// member returns the value of a name, nil when absent.
func (v *value) member(name string) *value {
	for _, m := range v.members {
		if m.name == name {
			return m.value
		}
	}
	return nil
}

// plain converts to data as in package jsonvalue.
func (v *value) plain(r *report) any {
	switch v.kind {
	case booleanKind:
		return v.truth
	case textKind:
		return v.text
	case numberKind:
		n, err := jsonvalue.Decode([]byte(v.text))
		if err != nil {
			r.add(v, codeRange, "%v", err)
		}
		return n
	case listKind:
		out := make([]any, len(v.items))
		for i, item := range v.items {
			out[i] = item.plain(r)
		}
		return out
	case objectKind:
		out := make(map[string]any, len(v.members))
		for _, m := range v.members {
			out[m.name] = m.value.plain(r)
		}
		return out
	default:
		return nil
	}
}

// readSyntax parses a source. It returns nil when the text is not JSON. Duplicate keys, a byte
// order mark and data after the value are problems, but parsing continues.
func readSyntax(source []byte, r *report) *value {
	text, shift, ok := decodable(source, r)
	if !ok {
		return nil
	}
	dec := json.NewDecoder(bytes.NewReader(text))
	var raw json.RawMessage
	if err := dec.Decode(&raw); err != nil {
		if at, found := yamlLine(text); found {
			r.addAt(shift+at, "", codeMalformed, "this looks like YAML, and a workflow is a JSON object: convert it, for example with yq -o=json FILE")
			return nil
		}
		syntaxProblem(r, text, shift, err)
		return nil
	}
	if rest := bytes.TrimLeft(text[dec.InputOffset():], " \t\r\n"); len(rest) > 0 {
		r.addAt(len(source)-len(rest), "", codeMalformed, "there is more data after the workflow; a file is exactly one JSON object")
	}
	t := &tree{report: r, text: text, shift: shift}
	t.dec = json.NewDecoder(bytes.NewReader(text))
	t.dec.UseNumber()
	v, err := t.value("", 0)
	if err != nil {
		if !errors.Is(err, jsonvalue.ErrTooDeep) {
			syntaxProblem(r, text, shift, err)
		}
		return nil
	}
	return v
}

// decodable checks size and encoding. The text it returns is the source without a byte
// order mark, whose length is shift.
func decodable(source []byte, r *report) (text []byte, shift int, ok bool) {
	switch {
	case len(source) > MaxSize:
		r.addAt(0, "", codeTooLarge, "the definition has %d bytes; at most %d (1 MiB) are allowed", len(source), MaxSize)
		return nil, 0, false
	case bytes.HasPrefix(source, []byte("\xff\xfe")), bytes.HasPrefix(source, []byte("\xfe\xff")):
		r.addAt(0, "", codeEncoding, "the file is UTF-16; save it as UTF-8")
		return nil, 0, false
	case bytes.HasPrefix(source, []byte("\xef\xbb\xbf")):
		r.addAt(0, "", codeEncoding, "the file begins with a byte order mark (BOM); save it as UTF-8 without BOM")
		shift = 3
	}
	for i := shift; i < len(source); {
		c, n := utf8.DecodeRune(source[i:])
		if c == utf8.RuneError && n == 1 {
			r.addAt(i, "", codeEncoding, "byte 0x%02x is not valid UTF-8; save the file as UTF-8", source[i])
			return nil, 0, false
		}
		i += n
	}
	return source[shift:], shift, true
}

func syntaxProblem(r *report, text []byte, shift int, err error) {
	if syntax, ok := errors.AsType[*json.SyntaxError](err); ok {
		message := syntax.Error()
		offset := max(int(syntax.Offset)-1, 0)
		if strings.Contains(message, "unexpected end") {
			offset, message = len(text), "the text ends in the middle of a value"
		}
		if strings.Contains(message, "exceeded max depth") {
			r.addAt(shift+offset, "", codeTooDeep, "nested deeper than %d levels", maxDepth)
			return
		}
		r.addAt(shift+offset, "", codeMalformed, "not valid JSON: %s%s", message, syntaxHint(text, offset))
		return
	}
	if errors.Is(err, io.EOF) {
		r.addAt(0, "", codeMalformed, "the file is empty; a workflow is a JSON object")
		return
	}
	r.addAt(shift+len(text), "", codeMalformed, "not valid JSON: the text ends in the middle of a value")
}

// yamlStart is how a line of YAML begins that cannot begin a JSON object: a marker, an item of a
// list or a key without quotes.
var yamlStart = regexp.MustCompile(`^(---|%YAML\b|- |[A-Za-z_$][\w$.-]*:(\s|$))`) //nolint:gochecknoglobals // a constant

// yamlLine finds the first line of text that is neither empty nor a comment, and reports
// whether it begins like YAML.
func yamlLine(text []byte) (at int, found bool) {
	for line := range bytes.Lines(text) {
		if trimmed := bytes.TrimSpace(line); len(trimmed) > 0 && trimmed[0] != '#' {
			return at, yamlStart.Match(line)
		}
		at += len(line)
	}
	return 0, false
}

// syntaxHint explains the usual mistakes of hand-written JSON.
func syntaxHint(text []byte, offset int) string {
	if offset >= len(text) {
		return ""
	}
	before := bytes.TrimRight(text[:offset], " \t\r\n")
	switch text[offset] {
	case '}', ']':
		if bytes.HasSuffix(before, []byte(",")) {
			return " (remove the comma before it)"
		}
	case '\'':
		return " (strings take double quotes)"
	case '/', '#':
		return " (JSON has no comments)"
	case '"':
		return " (is a comma missing before it?)"
	case '\n', '\r', '\t':
		return " (write line breaks inside strings as \\n)"
	}
	return ""
}

// tree builds values from the tokens of a decoder; the syntax is known to be valid.
type tree struct {
	*report
	dec   *json.Decoder
	text  []byte
	shift int
}

// token returns the next token and where it begins in the source.
func (t *tree) token() (json.Token, int, error) {
	at := int(t.dec.InputOffset())
	for at < len(t.text) && strings.IndexByte(" \t\r\n,:", t.text[at]) >= 0 {
		at++
	}
	tok, err := t.dec.Token()
	return tok, t.shift + at, err
}

func (t *tree) value(pointer string, depth int) (*value, error) {
	tok, start, err := t.token()
	if err != nil {
		return nil, err
	}
	v := &value{pointer: pointer, start: start}
	switch tok := tok.(type) {
	case nil:
		v.kind = nullKind
	case bool:
		v.kind, v.truth = booleanKind, tok
	case json.Number:
		v.kind, v.text = numberKind, tok.String()
	case string:
		v.kind, v.text = textKind, tok
	case json.Delim:
		if depth++; depth > maxDepth {
			t.addAt(start, pointer, codeTooDeep, "nested deeper than %d levels", maxDepth)
			return nil, jsonvalue.ErrTooDeep
		}
		if tok == '[' {
			err = t.list(v, depth)
		} else {
			err = t.object(v, depth)
		}
	}
	v.end = t.shift + int(t.dec.InputOffset())
	return v, err
}

func (t *tree) list(v *value, depth int) error {
	v.kind = listKind
	for t.dec.More() {
		item, err := t.value(v.pointer+"/"+strconv.Itoa(len(v.items)), depth)
		if err != nil {
			return err
		}
		v.items = append(v.items, item)
	}
	_, _, err := t.token()
	return err
}

func (t *tree) object(v *value, depth int) error {
	v.kind = objectKind
	first := make(map[string]int)
	for t.dec.More() {
		tok, start, err := t.token()
		if err != nil {
			return err
		}
		name, ok := tok.(string)
		if !ok {
			return fmt.Errorf("object key is %T", tok)
		}
		m, err := t.value(pointerTo(v.pointer, name), depth)
		if err != nil {
			return err
		}
		if at, dup := first[name]; dup {
			t.addAt(start, m.pointer, codeDuplicateKey, "the key %q is given twice; the first is in line %d", clip(name, 80), t.position(at).Line)
			continue
		}
		first[name] = start
		v.members = append(v.members, member{name, start, m})
	}
	_, _, err := t.token()
	return err
}

// pointerTo appends a reference token to a JSON pointer (RFC 6901 section 3).
func pointerTo(pointer, name string) string {
	if strings.ContainsAny(name, "~/") {
		name = strings.NewReplacer("~", "~0", "/", "~1").Replace(name)
	}
	return pointer + "/" + name
}

// clip shortens text from the source for a message.
func clip(s string, n int) string {
	if len(s) <= n {
		return s
	}
	for n > 0 && !utf8.RuneStart(s[n]) {
		n--
	}
	return s[:n] + "..."
}
