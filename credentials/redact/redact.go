// Package redact replaces secrets in what comes back from the outside: the last step before
// anyone sees an answer (docs/explanation/security.md, promise P2).
//
// A secret is found as it is and as echoes usually carry it: base64 (both alphabets, padded
// or not, at any alignment inside a longer text), URL-encoded, JSON-escaped, HTML-escaped, in
// UTF-16. In JSON the decoded texts and keys are searched, numbers are only compared. A body in
// another encoding is searched as it is and decoded. The package knows texts, not credentials.
package redact

import (
	"bytes"
	"net/http"
	"strings"

	"keyflow/internal/charset"
	"keyflow/internal/decimal"
	"keyflow/internal/secret"
)

const (
	// minSecret is the shortest secret that is searched for by itself. Shorter ones would
	// blot out ordinary words; they are covered inside the values that were on the wire.
	minSecret = 8
	// minWire is the shortest wire value searched for everywhere; shorter ones are replaced
	// where they are a whole header value, JSON text or body.
	minWire = 4
)

// Secrets are the texts of one credential that nobody may see.
type Secrets struct {
	Values []string // passwords, keys, tokens
	Wire   []string // exact values put on the wire, for example a whole Authorization header
}

// Redactor replaces the secrets of one credential. It is immutable and safe for concurrent use.
type Redactor struct {
	find    *matcher
	whole   map[string]bool         // short wire values, replaced only when equal
	numbers map[decimal.Number]bool // secrets that are numbers, compared with JSON numbers
	names   []string                // in lower case: the case of a header's name is not that of the sender
}

// New prepares the search for s. Empty texts are ignored.
func New(s Secrets) *Redactor {
	r := &Redactor{whole: map[string]bool{}, numbers: map[decimal.Number]bool{}}
	var patterns []string
	add := func(texts []string, shortest int) {
		for _, text := range texts {
			if len(text) < shortest {
				continue
			}
			patterns = appendForms(patterns, text)
			if n, err := decimal.Parse(text); err == nil {
				r.numbers[n] = true
			}
		}
	}
	add(s.Values, minSecret)
	for _, text := range s.Values {
		if len(text) >= minSecret {
			r.names = append(r.names, strings.ToLower(text))
		}
	}
	add(s.Wire, minWire)
	for _, text := range s.Wire {
		if text != "" && len(text) < minWire {
			r.whole[text] = true
		}
	}
	r.find = newMatcher(patterns)
	return r
}

// String returns s with every secret replaced.
func (r *Redactor) String(s string) string {
	if r.whole[s] {
		return secret.Mask
	}
	return r.find.replace(s)
}

// Header replaces secrets in names and values, in place, and reports whether there were any.
func (r *Redactor) Header(h http.Header) (masked bool) {
	for name, values := range h {
		for i, value := range values {
			if safe := r.String(value); safe != value {
				values[i], masked = safe, true
			}
		}
		if safe := r.headerName(name); safe != name {
			delete(h, name)
			h[safe], masked = values, true
		}
	}
	return masked
}

func (r *Redactor) headerName(name string) string {
	if safe := r.String(name); safe != name {
		return safe
	}
	lower := strings.ToLower(name)
	for _, text := range r.names {
		if strings.Contains(lower, text) {
			return secret.Mask
		}
	}
	return name
}

// Bytes returns a body with every secret replaced; JSON stays JSON. data itself is returned
// when there is nothing to replace.
func (r *Redactor) Bytes(data []byte) []byte {
	if r.whole[string(data)] {
		return []byte(secret.Mask)
	}
	if clean, ok := r.json(data); ok {
		return clean
	}
	return r.find.replaceBytes(data)
}

// Encoded is Bytes for a body in a declared encoding, in which it stays. A body that cannot be
// decoded is searched as it is, and masked whole when what can be decoded of it holds a secret.
func (r *Redactor) Encoded(data []byte, declared charset.Declared) []byte {
	encoding, err := charset.Detect(data, declared)
	if err != nil || encoding.IsUTF8() && !encoding.HasMark() {
		return r.Bytes(data)
	}
	text, err := encoding.Decode(data)
	if err != nil {
		if text = encoding.Lossy(data); !encoding.IsUTF8() && !bytes.Equal(r.Bytes(text), text) {
			return []byte(secret.Mask)
		}
		return r.Bytes(data)
	}
	if clean := r.Bytes(text); !bytes.Equal(clean, text) {
		if data, err = encoding.Encode(clean); err != nil {
			return []byte(secret.Mask)
		}
	}
	return r.find.replaceBytes(data)
}
