package expression

import (
	"crypto/sha256"
	"encoding/base64"
	"encoding/hex"
	"errors"
	"net/url"
	"strings"
	"time"
	"unicode/utf8"
)

func textFunctions() []function {
	return []function{
		{"trim", "t", native("trim")},
		{"trimPrefix", "t", native("trimPrefix")},
		{"trimSuffix", "t", native("trimSuffix")},
		{"indexOf", "t", native("indexOf")},
		{"lastIndexOf", "t", native("lastIndexOf")},
		{"hasPrefix", "t", native("hasPrefix")},
		{"hasSuffix", "t", native("hasSuffix")},
		{"upper", "t", recase(strings.ToUpper)},
		{"lower", "t", recase(strings.ToLower)},
		{"split", "ttn", pieces(strings.SplitN)},
		{"splitAfter", "ttn", pieces(strings.SplitAfterN)},
		{"replace", "tttn", replace},
		{"repeat", "tn", repeat},
		{"join", "lt", join},
		{"toBase64", "t", encode(2, toBase64)},
		{"base64", "t", encode(2, toBase64)},
		{"fromBase64", "t", fromBase64},
		{"unbase64", "t", fromBase64},
		{"hex", "t", encode(2, func(s string) string { return hex.EncodeToString([]byte(s)) })},
		{"sha256", "t", encode(1, sha256Hex)},
		{"urlencode", "t", encode(4, urlencode)},
		{"now", "", now},
		{"uuid", "", uuid},
		{"callback_url", "t", callbackURL},
	}
}

// recase adapts a change of case, which can make a text longer by half.
func recase(change func(string) string) func(*machine, []any) (any, error) {
	return encode(2, change)
}

// encode adapts a function of a text whose result is at most times as long, and 64 bytes.
func encode(times int, change func(string) string) func(*machine, []any) (any, error) {
	return func(m *machine, args []any) (any, error) {
		s := args[0].(string)
		if err := m.build(times*len(s) + 64); err != nil {
			return nil, err
		}
		return change(s), nil
	}
}

func toBase64(s string) string { return base64.StdEncoding.EncodeToString([]byte(s)) }

func sha256Hex(s string) string {
	sum := sha256.Sum256([]byte(s))
	return hex.EncodeToString(sum[:])
}

// urlencode escapes for any part of a URL (RFC 3986): a space becomes %20.
func urlencode(s string) string { return strings.ReplaceAll(url.QueryEscape(s), "+", "%20") }

// fromBase64 takes both alphabets of RFC 4648, with or without padding. The bytes must be
// text, because nothing else is data.
func fromBase64(m *machine, args []any) (any, error) {
	s := args[0].(string)
	if err := m.build(2 * len(s)); err != nil {
		return nil, err
	}
	s = strings.TrimRight(strings.NewReplacer("-", "+", "_", "/").Replace(s), "=")
	b, err := base64.RawStdEncoding.DecodeString(s)
	if err != nil {
		return nil, errors.New("the text is not base64")
	}
	if !utf8.Valid(b) {
		return nil, errors.New("the base64 holds bytes that are not UTF-8 text")
	}
	return string(b), nil
}

// pieces adapts SplitN and SplitAfterN.
func pieces(cut func(s, sep string, n int) []string) func(*machine, []any) (any, error) {
	return func(m *machine, args []any) (any, error) {
		s, sep, limit := args[0].(string), args[1].(string), -1
		if len(args) == 3 {
			limit = args[2].(int)
		}
		n := strings.Count(s, sep) + 1
		if limit >= 0 {
			n = min(n, limit)
		}
		if err := m.buildList(n); err != nil {
			return nil, err
		}
		if err := m.visit(n); err != nil {
			return nil, err
		}
		parts := cut(s, sep, limit)
		out := make([]any, len(parts))
		for i, p := range parts {
			out[i] = p
		}
		return out, nil
	}
}

func replace(m *machine, args []any) (any, error) {
	s, from, to, limit := args[0].(string), args[1].(string), args[2].(string), -1
	if len(args) == 4 {
		limit = args[3].(int)
	}
	n := strings.Count(s, from)
	if limit >= 0 {
		n = min(n, limit)
	}
	if grow := len(to) - len(from); grow > 0 && n > maxBytes/grow {
		return nil, errBytes
	}
	if err := m.build(max(0, len(s)+n*(len(to)-len(from)))); err != nil {
		return nil, err
	}
	if err := m.visit(n); err != nil {
		return nil, err
	}
	return strings.Replace(s, from, to, limit), nil
}

func repeat(m *machine, args []any) (any, error) {
	s, n := args[0].(string), args[1].(int)
	if n < 0 {
		return nil, errors.New("repeat needs a count that is not negative")
	}
	if s == "" || n == 0 {
		return "", nil
	}
	if n > maxBytes/len(s) {
		return nil, errBytes
	}
	if err := m.build(n * len(s)); err != nil {
		return nil, err
	}
	return strings.Repeat(s, n), nil
}

func join(m *machine, args []any) (any, error) {
	l, sep := elements(args[0]), ""
	if len(args) == 2 {
		sep = args[1].(string)
	}
	parts, total := make([]string, 0, min(l.len(), 1024)), 0
	for i := range l.len() {
		s, ok := l.at(i).(string)
		if !ok {
			return nil, errors.New("join needs a list of texts, element " + kind(l.at(i)) +
				" is none (use map(list, string(#)))")
		}
		if total += len(s) + len(sep); total > maxBytes {
			return nil, errBytes
		}
		parts = append(parts, s)
	}
	if err := m.build(total + 32*len(parts)); err != nil {
		return nil, err
	}
	return strings.Join(parts, sep), m.read(total)
}

// now gives RFC 3339 text in UTC.
func now(m *machine, _ []any) (any, error) {
	if m.given.Now == nil {
		return nil, errors.New("now() is not available here")
	}
	return m.given.Now().UTC().Format(time.RFC3339), nil
}

func uuid(m *machine, _ []any) (any, error) {
	if m.given.UUID == nil {
		return nil, errors.New("uuid() is not available here")
	}
	return m.given.UUID(), nil
}

func callbackURL(m *machine, args []any) (any, error) {
	if m.given.CallbackURL == nil {
		return nil, errors.New("callback_url() is not available here")
	}
	return m.given.CallbackURL(args[0].(string))
}
