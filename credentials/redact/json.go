package redact

import (
	"bytes"
	"encoding/json"

	"keyflow/internal/decimal"
	"keyflow/internal/secret"
)

// json redacts data if it is JSON, whatever its label says: labels lie, and texts are
// decoded later. ok is false when data is something else.
func (r *Redactor) json(data []byte) (clean []byte, ok bool) {
	if !mayBeJSON(data) {
		return nil, false
	}
	start, _ := span(r.find, data, 0)
	plain := start == len(data) && len(r.whole) == 0 && len(r.numbers) == 0
	if plain && bytes.IndexByte(data, '\\') < 0 {
		return data, true // nothing found and nothing that could hide behind an escape
	}
	if !json.Valid(data) {
		return nil, false
	}
	out := make([]byte, 0, len(data))
	for i := 0; i < len(data); {
		end := tokenEnd(data, i)
		out = r.appendToken(out, data[i:end])
		i = end
	}
	return out, true
}

func mayBeJSON(data []byte) bool {
	text := bytes.TrimLeft(data, " \t\r\n")
	if len(text) == 0 {
		return false
	}
	c := text[0]
	return c == '{' || c == '[' || c == '"' || c == '-' || isDigit(c)
}

// tokenEnd returns where the token of valid JSON that begins at i ends: a text, a number, or
// one other byte.
func tokenEnd(data []byte, i int) int {
	switch c := data[i]; {
	case c == '"':
		for i++; data[i] != '"'; i++ {
			if data[i] == '\\' {
				i++
			}
		}
	case c == '-' || isDigit(c):
		for i+1 < len(data) && inNumber(data[i+1]) {
			i++
		}
	}
	return i + 1
}

func isDigit(c byte) bool { return c >= '0' && c <= '9' }

func inNumber(c byte) bool {
	return isDigit(c) || c == '.' || c == 'e' || c == 'E' || c == '+' || c == '-'
}

func (r *Redactor) appendToken(out, token []byte) []byte {
	switch {
	case token[0] == '"':
		return r.appendText(out, token)
	case token[0] == '-' || isDigit(token[0]):
		if r.isSecretNumber(string(token)) || r.whole[string(token)] {
			return append(out, `"`+secret.Mask+`"`...)
		}
	}
	return append(out, token...)
}

func (r *Redactor) isSecretNumber(token string) bool {
	if len(r.numbers) == 0 {
		return false
	}
	n, err := decimal.Parse(token)
	return err == nil && r.numbers[n]
}

// appendText appends a JSON text; it is encoded again only when a secret was in it.
func (r *Redactor) appendText(out, token []byte) []byte {
	text := string(token[1 : len(token)-1])
	if bytes.IndexByte(token, '\\') >= 0 {
		if err := json.Unmarshal(token, &text); err != nil {
			return append(out, `"`+secret.Mask+`"`...)
		}
	}
	clean := r.String(text)
	if clean == text {
		return append(out, token...)
	}
	quoted, err := json.Marshal(clean)
	if err != nil {
		quoted = []byte(`"` + secret.Mask + `"`)
	}
	return append(out, quoted...)
}
