package jsonvalue

import (
	"bytes"
	"encoding/json"
	"errors"
	"io"
	"slices"
	"strconv"
	"unicode/utf16"
	"unicode/utf8"
)

// Decode parses exactly one JSON value. The last of duplicate object keys wins.
func Decode(data []byte) (any, error) { return decode(data, false) }

// ErrNotUTF8 is returned by DecodeStrict for text in another encoding (RFC 8259 section 8.1),
// and for an escaped half of a surrogate pair, which UTF-8 cannot hold.
var ErrNotUTF8 = errors.New("not valid UTF-8")

// RepeatedKeyError says that an object has a key twice.
type RepeatedKeyError struct {
	Path []string // from the outside to the key: keys, and indexes of lists
}

// Error shows no key, because what is decoded may be secret.
func (*RepeatedKeyError) Error() string { return "an object has a key twice" }

// DecodeStrict is Decode for what people and programs tell Keyflow itself, which must not be
// altered: text that is not UTF-8 is [ErrNotUTF8]; a key given twice, of which the reader would decide which one
// counts, is a *RepeatedKeyError.
func DecodeStrict(data []byte) (any, error) {
	if !utf8.Valid(data) {
		return nil, ErrNotUTF8
	}
	return decode(data, true)
}

// decode lets encoding/json check the text; building plain data of text that is known to be
// valid then takes a third of the time and allocations of decoding and converting.
func decode(data []byte, strict bool) (any, error) {
	if err := checkShape(data); err != nil {
		return nil, err
	}
	if !json.Valid(data) {
		return nil, whyInvalid(data)
	}
	p := parser{data: data, strict: strict}
	v, err := p.value()
	if err == nil && strict && p.halves {
		return nil, ErrNotUTF8
	}
	return v, err
}

// Rough sizes in memory, in bytes, of what takes the least text: {"":0}, [0] and a further
// element or member.
const (
	objectSize = 400
	listSize   = 64
	moreSize   = 32
)

// checkShape scans the text outside strings, so that deep input costs no recursion and a few
// megabytes of brackets no gigabyte of maps.
func checkShape(data []byte) error {
	depth, size, inString := 0, 0, false
	for i := 0; i < len(data); i++ {
		switch c := data[i]; {
		case inString && c == '\\':
			i++
		case c == '"':
			inString = !inString
		case inString:
		case c == '{':
			depth++
			size += objectSize
		case c == '[':
			depth++
			size += listSize
		case c == ',':
			size += moreSize
		case c == ']' || c == '}':
			depth--
		}
		if depth > MaxDepth {
			return ErrTooDeep
		}
		if size > maxSize {
			return ErrTooMany
		}
	}
	return nil
}

// whyInvalid returns the error of text that is not one JSON value.
func whyInvalid(data []byte) error {
	var first json.RawMessage
	err := json.NewDecoder(bytes.NewReader(data)).Decode(&first)
	switch {
	case err == nil:
		return errors.New("more data after the JSON value")
	case errors.Is(err, io.EOF):
		return io.ErrUnexpectedEOF
	default:
		return err
	}
}

// parser builds plain data of valid JSON; the only possible error is a repeated key.
type parser struct {
	data   []byte
	pos    int
	strict bool // a repeated key is an error
	halves bool // half a surrogate pair was replaced: it is no character (RFC 8259 section 8.2)
}

// below adds the step that led to a value to its error.
func below(step string, err error) error {
	if repeated, ok := errors.AsType[*RepeatedKeyError](err); ok {
		repeated.Path = slices.Insert(repeated.Path, 0, step)
	}
	return err
}

// next skips white space and returns the byte at pos.
func (p *parser) next() byte {
	for {
		switch c := p.data[p.pos]; c {
		case ' ', '\t', '\r', '\n':
			p.pos++
		default:
			return c
		}
	}
}

// more reports whether a list or object goes on, and steps over its comma or closing bracket.
func (p *parser) more() bool {
	c := p.next()
	switch c {
	case ',', ']', '}':
		p.pos++
	}
	return c != ']' && c != '}'
}

func (p *parser) value() (any, error) {
	switch p.next() {
	case '{':
		return p.object()
	case '[':
		return p.list()
	case '"':
		return p.text(), nil
	case 't':
		p.pos += len("true")
		return true, nil
	case 'f':
		p.pos += len("false")
		return false, nil
	case 'n':
		p.pos += len("null")
		return nil, nil
	default:
		return p.number(), nil
	}
}

func (p *parser) object() (any, error) {
	p.pos++
	out := make(map[string]any)
	for p.more() {
		p.next()
		key := p.text()
		p.next()
		p.pos++ // the colon
		v, err := p.value()
		if err != nil {
			return nil, below(key, err)
		}
		if _, twice := out[key]; twice && p.strict {
			return nil, &RepeatedKeyError{Path: []string{key}}
		}
		out[key] = v
	}
	return out, nil
}

func (p *parser) list() (any, error) {
	p.pos++
	out := []any{}
	for p.more() {
		v, err := p.value()
		if err != nil {
			return nil, below(strconv.Itoa(len(out)), err)
		}
		out = append(out, v)
	}
	return out, nil
}

// text reads a string. What is not UTF-8 is replaced as encoding/json does it.
func (p *parser) text() string {
	start, escaped := p.pos, false
	for p.pos++; p.data[p.pos] != '"'; p.pos++ {
		if p.data[p.pos] == '\\' {
			p.pos++
			escaped = true
		}
	}
	p.pos++
	token := p.data[start:p.pos]
	switch inner := token[1 : len(token)-1]; {
	case !utf8.Valid(inner):
		var s string
		_ = json.Unmarshal(token, &s) // valid, so it cannot fail
		return s
	case escaped:
		return p.unescape(inner)
	default:
		return string(inner)
	}
}

// unescape reads the text between the quotes of a valid string.
func (p *parser) unescape(text []byte) string {
	out := make([]byte, 0, len(text))
	for i := 0; i < len(text); i++ {
		if text[i] != '\\' {
			out = append(out, text[i])
			continue
		}
		i++
		switch text[i] {
		case 'b':
			out = append(out, '\b')
		case 'f':
			out = append(out, '\f')
		case 'n':
			out = append(out, '\n')
		case 'r':
			out = append(out, '\r')
		case 't':
			out = append(out, '\t')
		case 'u':
			r, size := codePoint(text[i+1:])
			out = utf8.AppendRune(out, r)
			p.halves = p.halves || utf16.IsSurrogate(r)
			i += size
		default:
			out = append(out, text[i])
		}
	}
	return string(out)
}

// codePoint reads XXXX or XXXX\uXXXX, which stood behind \u; size is what it took. Half of a
// surrogate pair is U+FFFD (AppendRune).
func codePoint(text []byte) (r rune, size int) {
	r = hex(text)
	if utf16.IsSurrogate(r) && len(text) >= 10 && text[4] == '\\' && text[5] == 'u' {
		if pair := utf16.DecodeRune(r, hex(text[6:])); pair != utf8.RuneError {
			return pair, 10
		}
	}
	return r, 4
}

// hex reads four digits.
func hex(text []byte) rune {
	n, _ := strconv.ParseUint(string(text[:4]), 16, 16) // valid, so it cannot fail
	return rune(n)
}

const maxInt64 = len("-9223372036854775808")

// number returns an int when that is written as the number is; any other number keeps its text.
func (p *parser) number() any {
	start, whole := p.pos, true
	for ; p.pos < len(p.data); p.pos++ {
		c := p.data[p.pos]
		if c == '.' || c == 'e' || c == 'E' {
			whole = false
		} else if c != '-' && c != '+' && (c < '0' || c > '9') {
			break
		}
	}
	digits := p.data[start:p.pos]
	if whole && len(digits) <= maxInt64 {
		if n, err := strconv.Atoi(string(digits)); err == nil && (n != 0 || len(digits) == 1) {
			return n
		}
	}
	return json.Number(digits)
}
