package jsonvalue

import (
	"errors"
	"fmt"
	"maps"
	"slices"
)

// Mask is what a redacted value looks like.
const Mask = "***"

// ErrRedacted is returned by Encode for data that holds a redacted value: it would be sent as
// the text ***. [Shown] and [Revealed] turn such data into what can be encoded.
var ErrRedacted = errors.New("the data holds a redacted value")

// Redacted stands in plain data where a text was that nobody may see; a literal *** is an
// ordinary text. It may still carry the text, for a later request of the same run: then it is
// usable. It prints as the mask.
type Redacted struct {
	source string // what held it and what to do, for the error of whoever tries to use it
	text   string
	usable bool
}

// Hide returns a redacted value without its text.
func Hide(source string) *Redacted { return &Redacted{source: source} }

// Keep returns a redacted value that carries its text.
func Keep(source, text string) *Redacted { return &Redacted{source: source, text: text, usable: true} }

// Format implements fmt.Formatter: the text is never printed.
func (*Redacted) Format(f fmt.State, _ rune) { _, _ = f.Write([]byte(Mask)) }

// MarshalJSON implements json.Marshaler, for whatever prints values as JSON.
func (*Redacted) MarshalJSON() ([]byte, error) { return []byte(`"` + Mask + `"`), nil }

// SourceOf says what held a redacted value and what to do about it.
func SourceOf(r *Redacted) string { return r.source }

// TextOf returns the text of a usable value.
func TextOf(r *Redacted) (text string, usable bool) { return r.text, r.usable }

// FindRedacted returns a redacted value in v, nil when there is none.
func FindRedacted(v any) *Redacted {
	switch v := v.(type) {
	case *Redacted:
		return v
	case []any:
		for _, item := range v {
			if r := FindRedacted(item); r != nil {
				return r
			}
		}
	case map[string]any:
		for _, member := range v {
			if r := FindRedacted(member); r != nil {
				return r
			}
		}
	}
	return nil
}

// ReplaceTexts returns a copy of v with f(text) in the place of each text and redacted value,
// in the order in which they are encoded.
func ReplaceTexts(v any, f func(text any) any) any {
	switch v := v.(type) {
	case string, *Redacted:
		return f(v)
	case []any:
		out := make([]any, len(v))
		for i, item := range v {
			out[i] = ReplaceTexts(item, f)
		}
		return out
	case map[string]any:
		out := make(map[string]any, len(v))
		for _, k := range slices.Sorted(maps.Keys(v)) {
			out[k] = ReplaceTexts(v[k], f)
		}
		return out
	}
	return v
}

// Shown returns v as people see it: every redacted value is the mask.
func Shown(v any) any {
	return ReplaceTexts(v, func(text any) any {
		if _, ok := text.(*Redacted); ok {
			return Mask
		}
		return text
	})
}

// Revealed returns v with the texts of usable values, which used is called with; others are
// the mask.
func Revealed(v any, used func(text string)) any {
	return ReplaceTexts(v, func(text any) any {
		r, ok := text.(*Redacted)
		if !ok {
			return text
		}
		if !r.usable {
			return Mask
		}
		used(r.text)
		return r.text
	})
}

// EncodeShown is Encode of what people see of v.
func EncodeShown(v any) ([]byte, error) {
	raw, err := Encode(v)
	if errors.Is(err, ErrRedacted) {
		return Encode(Shown(v))
	}
	return raw, err
}
