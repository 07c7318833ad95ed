// Package secret holds a text that cannot print itself.
//
// The value sits behind a pointer, because fmt prints unexported fields of other structs
// without calling their methods: then it shows an address, never the text. Reveal is the
// only way out; the linter allows it in few places.
package secret

import (
	"fmt"
	"log/slog"
)

// Mask stands where a secret was.
const Mask = "***"

// Text is a secret text. The zero value is "not set". It is immutable and safe to copy.
type Text struct{ value *string }

// New returns a Text that holds s; an empty s is set, but empty.
func New(s string) Text { return Text{&s} }

// Reveal returns the secret; "" when not set.
func (t Text) Reveal() string {
	if t.value == nil {
		return ""
	}
	return *t.value
}

// IsSet reports whether a value, also an empty one, is held.
func (t Text) IsSet() bool { return t.value != nil }

// Equal reports whether both hold the same text or both hold none. Not constant time.
func (t Text) Equal(o Text) bool {
	return t.IsSet() == o.IsSet() && t.Reveal() == o.Reveal()
}

// String implements fmt.Stringer and shows nothing.
func (Text) String() string { return Mask }

// GoString implements fmt.GoStringer and shows nothing.
func (Text) GoString() string { return Mask }

// Format implements fmt.Formatter for every verb and shows nothing.
func (Text) Format(f fmt.State, _ rune) { _, _ = f.Write([]byte(Mask)) }

// LogValue implements slog.LogValuer and shows nothing.
func (Text) LogValue() slog.Value { return slog.StringValue(Mask) }

// MarshalJSON implements json.Marshaler and shows nothing.
func (Text) MarshalJSON() ([]byte, error) { return []byte(`"` + Mask + `"`), nil }

// MarshalText implements encoding.TextMarshaler and shows nothing.
func (Text) MarshalText() ([]byte, error) { return []byte(Mask), nil }
