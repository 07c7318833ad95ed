// Package charset turns texts in other encodings into UTF-8, by what declares the encoding: a name
// that the author gives, a byte order mark, the charset of a content type, an XML declaration.
//
// It never guesses. Without a declaration a text is UTF-8; an unknown name and bytes that are not
// valid in the encoding are errors. It knows encodings, not who sent a text or why.
package charset

import (
	"bytes"
	"fmt"
	"mime"
	"regexp"
	"strings"
	"unicode/utf8"

	"golang.org/x/text/encoding"
	"golang.org/x/text/encoding/htmlindex"
	"golang.org/x/text/encoding/ianaindex"
	"golang.org/x/text/encoding/unicode"
)

// Declared is what declares the encoding of a text.
type Declared struct {
	Name        string // chosen by the author, it beats all others; "" is none
	ContentType string // value of a Content-Type header
}

// Error says why a text cannot be decoded. It follows "the text " or "the body " and shows nothing
// of the text.
type Error struct{ Message string }

// Error implements error.
func (e *Error) Error() string { return e.Message }

// Encoding is the encoding of one text.
type Encoding struct {
	name string
	enc  encoding.Encoding // nil is UTF-8
	mark []byte            // byte order mark with which the text begins
}

// Known reports whether a charset can be decoded.
func Known(name string) bool {
	_, err := lookUp(name)
	return err == nil
}

// Decode returns a text as UTF-8 without a byte order mark. The error is an *Error.
func Decode(data []byte, d Declared) ([]byte, error) {
	e, err := Detect(data, d)
	if err != nil {
		return nil, err
	}
	return e.Decode(data)
}

// Detect finds the encoding that is declared for a text, UTF-8 when none is. The error is an *Error.
func Detect(data []byte, d Declared) (Encoding, error) {
	marked, hasMark := markOf(data)
	if d.Name != "" {
		chosen, err := lookUp(d.Name)
		if err == nil && hasMark && (chosen.name == marked.name || isUTF16(d.Name)) {
			return marked, nil
		}
		return chosen, err
	}
	if hasMark {
		return marked, nil
	}
	media, params, _ := mime.ParseMediaType(d.ContentType) // "" for what is no media type
	if name := params["charset"]; name != "" {
		return lookUp(name)
	}
	if name := xmlEncoding(media, data); name != "" {
		declared, err := lookUp(name)
		if err == nil && strings.HasPrefix(declared.name, "utf-16") {
			return Encoding{}, &Error{fmt.Sprintf("declares the encoding %s, but is not in it", declared.name)}
		}
		return declared, err
	}
	return Encoding{name: "utf-8"}, nil
}

// markOf finds a byte order mark.
func markOf(data []byte) (Encoding, bool) {
	for _, e := range []Encoding{
		{name: "utf-8", mark: []byte("\xef\xbb\xbf")},
		{name: "utf-16le", mark: []byte("\xff\xfe"), enc: unicode.UTF16(unicode.LittleEndian, unicode.IgnoreBOM)},
		{name: "utf-16be", mark: []byte("\xfe\xff"), enc: unicode.UTF16(unicode.BigEndian, unicode.IgnoreBOM)},
	} {
		if bytes.HasPrefix(data, e.mark) {
			return e, true
		}
	}
	return Encoding{}, false
}

func isUTF16(name string) bool { return strings.EqualFold(name, "utf-16") }

// xmlDeclaration finds the encoding of an XML declaration (XML 1.0, section 4.3.3).
var xmlDeclaration = regexp.MustCompile(`^<\?xml\s[^>]{0,200}?\sencoding\s*=\s*["']([A-Za-z][A-Za-z0-9._-]*)["']`)

func xmlEncoding(media string, data []byte) string {
	if media != "" && media != "application/xml" && !strings.HasPrefix(media, "text/") && !strings.HasSuffix(media, "+xml") {
		return ""
	}
	found := xmlDeclaration.FindSubmatch(data[:min(len(data), 300)])
	if found == nil {
		return ""
	}
	return string(found[1])
}

// lookUp finds an encoding by its names in the WHATWG encoding standard, those that Microsoft's
// products write, and the names of IANA.
func lookUp(name string) (Encoding, error) {
	label := strings.ToLower(strings.TrimSpace(name))
	switch label {
	case "cp949", "ms949", "uhc":
		label = "euc-kr" // whose decoder covers them
	case "cp932", "ms932":
		label = "shift_jis"
	case "cp936", "ms936":
		label = "gbk"
	case "cp950", "ms950":
		label = "big5"
	}
	enc, err := htmlindex.Get(label)
	if err != nil {
		enc, err = ianaindex.IANA.Encoding(label)
	}
	if err != nil || enc == nil || enc == encoding.Replacement {
		return Encoding{}, &Error{fmt.Sprintf("is in the charset %.40q, which is not known", name)}
	}
	if canonical, err := htmlindex.Name(enc); err == nil {
		label = canonical
	}
	switch label {
	case "utf-8":
		return Encoding{name: label}, nil
	case "utf-16le":
		return Encoding{name: label, enc: unicode.UTF16(unicode.LittleEndian, unicode.IgnoreBOM)}, nil
	case "utf-16be":
		return Encoding{name: label, enc: unicode.UTF16(unicode.BigEndian, unicode.IgnoreBOM)}, nil
	}
	return Encoding{name: label, enc: enc}, nil
}

// IsUTF8 reports whether the text needs no conversion, apart from its mark.
func (e Encoding) IsUTF8() bool { return e.enc == nil }

// HasMark reports whether the text begins with a byte order mark.
func (e Encoding) HasMark() bool { return len(e.mark) > 0 }

// Decode returns the text as UTF-8 without the mark. The error is an *Error.
func (e Encoding) Decode(data []byte) ([]byte, error) {
	data = bytes.TrimPrefix(data, e.mark)
	if e.enc == nil {
		if i := invalidUTF8(data); i >= 0 {
			return nil, &Error{fmt.Sprintf("is not valid utf-8 (byte %d)", i+1+len(e.mark))}
		}
		return data, nil
	}
	text, err := e.enc.NewDecoder().Bytes(data)
	if err != nil || bytes.Count(text, replacement) != e.replacements(data) {
		return nil, &Error{"is not valid " + e.name}
	}
	return text, nil
}

// Lossy returns the text as UTF-8 as far as it can be decoded: U+FFFD stands for the rest.
func (e Encoding) Lossy(data []byte) []byte {
	data = bytes.TrimPrefix(data, e.mark)
	if e.enc == nil {
		return bytes.ToValidUTF8(data, replacement)
	}
	text, err := e.enc.NewDecoder().Bytes(data)
	if err != nil {
		return nil // decoders replace what they cannot decode
	}
	return text
}

var replacement = []byte("\uFFFD")

// replacements counts how often a text itself has U+FFFD, which decoders also write in place of
// what they cannot decode. Few encodings have it at all.
func (e Encoding) replacements(data []byte) int {
	code, err := e.enc.NewEncoder().Bytes(replacement)
	if err != nil {
		return 0
	}
	if !strings.HasPrefix(e.name, "utf-16") {
		return bytes.Count(data, code)
	}
	n := 0
	for ; len(data) >= 2; data = data[2:] {
		if bytes.HasPrefix(data, code) {
			n++
		}
	}
	return n
}

// Encode returns UTF-8 text in the encoding, with the mark.
func (e Encoding) Encode(text []byte) ([]byte, error) {
	if e.enc != nil {
		var err error
		if text, err = e.enc.NewEncoder().Bytes(text); err != nil {
			return nil, err
		}
	}
	return append(bytes.Clone(e.mark), text...), nil
}

// invalidUTF8 returns where the first invalid byte is, -1 without one.
func invalidUTF8(data []byte) int {
	if utf8.Valid(data) {
		return -1
	}
	for i := 0; i < len(data); {
		r, size := utf8.DecodeRune(data[i:])
		if r == utf8.RuneError && size == 1 {
			return i
		}
		i += size
	}
	return -1
}
