package expression

import "strings"

const (
	open    = "{{"
	closing = "}}"
	escape  = `\` // before open: a literal "{{"
)

// segment is a piece of a template: literal text, or the bounds of an expression.
type segment struct {
	text       string
	start, end int // of the expression's text; both 0 for literal text
}

// isTemplate reports whether s needs splitting at all.
func isTemplate(s string) bool { return strings.Contains(s, open) }

// split cuts a template. `\{{` stands for a literal "{{"; no other backslash is special
// outside of expressions. On failure at is the offset of the offending "{{".
func split(s string) (parts []segment, at int, problem string) {
	var text strings.Builder
	for pos := 0; ; {
		i := strings.Index(s[pos:], open)
		if i < 0 {
			text.WriteString(s[pos:])
			break
		}
		i += pos
		if i > pos && s[i-1:i] == escape {
			text.WriteString(s[pos : i-1])
			text.WriteString(open)
			pos = i + len(open)
			continue
		}
		text.WriteString(s[pos:i])
		end := findEnd(s, i+len(open))
		if end < 0 {
			return nil, i, `"{{" is never closed (a literal "{{" is written \{{)`
		}
		if strings.TrimSpace(s[i+len(open):end]) == "" {
			return nil, i, `"{{ }}" holds no expression`
		}
		if text.Len() > 0 {
			parts = append(parts, segment{text: text.String()})
			text.Reset()
		}
		parts = append(parts, segment{start: i + len(open), end: end})
		pos = end + len(closing)
	}
	if text.Len() > 0 {
		parts = append(parts, segment{text: text.String()})
	}
	return parts, 0, ""
}

// findEnd returns the offset of the "}}" that ends the expression starting at from, -1
// when there is none. Braces inside literals, comments and maps do not count.
func findEnd(s string, from int) int {
	depth := 0
	for i := from; i < len(s); {
		if next := skipLiteral(s, i); next > i {
			i = next
			continue
		}
		switch {
		case s[i] == '{':
			depth++
		case s[i] == '}' && depth > 0:
			depth--
		case strings.HasPrefix(s[i:], closing):
			return i
		}
		i++
	}
	return -1
}

// skipLiteral returns the offset behind the string literal or comment that starts at i,
// i itself when none does. An unterminated one ends at its line's end (strings) or at the
// text's end; the parser will complain.
func skipLiteral(s string, i int) int {
	switch {
	case s[i] == '"' || s[i] == '\'':
		return skipString(s, i)
	case s[i] == '`':
		return skipTo(s, i+1, "`")
	case strings.HasPrefix(s[i:], "//"):
		return skipTo(s, i+2, "\n")
	case strings.HasPrefix(s[i:], "/*"):
		return skipTo(s, i+2, "*/")
	}
	return i
}

func skipTo(s string, from int, end string) int {
	if j := strings.Index(s[from:], end); j >= 0 {
		return from + j + len(end)
	}
	return len(s)
}

func skipString(s string, i int) int {
	quote := s[i]
	for i++; i < len(s); i++ {
		switch s[i] {
		case '\\':
			i++
		case quote, '\n':
			return i + 1
		}
	}
	return len(s)
}
