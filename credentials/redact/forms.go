package redact

import (
	"encoding/base64"
	"encoding/binary"
	"encoding/json"
	"fmt"
	"html"
	"net/url"
	"regexp"
	"strings"
	"unicode/utf16"
	"unicode/utf8"
)

// appendForms adds text and its usual encodings.
func appendForms(to []string, text string) []string {
	to = append(to, text, html.EscapeString(text))
	to = appendURLForms(to, text)
	to = appendJSONForms(to, text)
	to = appendUTF16Forms(to, text)
	for _, alphabet := range []*base64.Encoding{base64.RawStdEncoding, base64.RawURLEncoding} {
		to = appendBase64Forms(to, text, alphabet)
	}
	return to
}

// appendURLForms adds form encoding (space as +), path encoding and strict percent-encoding
// (RFC 3986 section 2.3), with hex digits in both cases.
func appendURLForms(to []string, text string) []string {
	form := url.QueryEscape(text)
	for _, encoded := range []string{form, url.PathEscape(text), strings.ReplaceAll(form, "+", "%20")} {
		to = append(to, encoded, lowerEscapes(encoded))
	}
	return to
}

func lowerEscapes(encoded string) string {
	if !strings.Contains(encoded, "%") {
		return encoded
	}
	out := []byte(encoded)
	for i := 0; i+2 < len(out); i++ {
		if out[i] == '%' {
			copy(out[i+1:i+3], strings.ToLower(encoded[i+1:i+3]))
			i += 2
		}
	}
	return string(out)
}

// appendUTF16Forms adds UTF-16 in both byte orders, for bodies that do not declare it.
func appendUTF16Forms(to []string, text string) []string {
	var little, big []byte
	for _, unit := range utf16.Encode([]rune(text)) {
		little = binary.LittleEndian.AppendUint16(little, unit)
		big = binary.BigEndian.AppendUint16(big, unit)
	}
	return append(to, string(little), string(big))
}

// appendJSONForms adds the escapings that encoders choose: minimal, HTML-safe (Go), with
// escaped slashes (PHP) and ASCII-only (Python). They matter outside of JSON bodies, which
// are decoded, and for JSON inside a JSON text.
func appendJSONForms(to []string, text string) []string {
	quoted, err := json.Marshal(text)
	if err != nil {
		return to
	}
	safe := string(quoted[1 : len(quoted)-1])
	minimal := strings.NewReplacer(`\u003c`, "<", `\u003e`, ">", `\u0026`, "&").Replace(safe)
	ascii := asciiOnly(minimal)
	return append(to, safe, minimal, ascii, upperEscapes(ascii), strings.ReplaceAll(ascii, "/", `\/`), strings.ReplaceAll(minimal, "/", `\/`))
}

func asciiOnly(s string) string {
	var out strings.Builder
	for _, r := range s {
		switch {
		case r < utf8.RuneSelf:
			out.WriteRune(r)
		case r > 0xffff:
			high, low := utf16.EncodeRune(r)
			fmt.Fprintf(&out, `\u%04x\u%04x`, high, low)
		default:
			fmt.Fprintf(&out, `\u%04x`, r)
		}
	}
	return out.String()
}

var unicodeEscape = regexp.MustCompile(`\\u[0-9a-f]{4}`)

func upperEscapes(s string) string {
	return unicodeEscape.ReplaceAllStringFunc(s, func(e string) string { return `\u` + strings.ToUpper(e[2:]) })
}

// appendBase64Forms adds the encoding of text alone, and for each of the three alignments
// the part that does not depend on what stands before and after it.
func appendBase64Forms(to []string, text string, alphabet *base64.Encoding) []string {
	alone := alphabet.EncodeToString([]byte(text))
	to = append(to, alone, alone+strings.Repeat("=", (4-len(alone)%4)%4))
	for before := range 3 {
		encoded := alphabet.EncodeToString([]byte("\x00\x00"[:before] + text))
		skip := (before*8 + 5) / 6            // characters that mix with what stands before
		whole := (before + len(text)) * 8 / 6 // characters that hold no bit of what follows
		if core := encoded[skip:whole]; len(core) >= minWire {
			to = append(to, core)
		}
	}
	return to
}
