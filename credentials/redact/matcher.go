package redact

import (
	"slices"
	"strings"

	"keyflow/internal/secret"
)

// matcher finds any of a few patterns. Overlapping matches are one: nothing of a secret
// stays because another one reaches into it.
//
// Two tables reject almost every position of ordinary text: one over the first byte, one
// over a hash of the first two. An automaton would be faster only for far more patterns,
// at a hundred times the memory per credential.
type matcher struct {
	group  [256]uint16 // of a first byte, in groups; 0 is none
	groups [][]string  // patterns with one first byte, longest first
	pairs  [pairBits / 64]uint64
}

const pairBits = 2048

func pairHash(a, b byte) uint { return (uint(a)*67 + uint(b)) % pairBits }

// newMatcher takes patterns of at least minWire bytes.
func newMatcher(patterns []string) *matcher {
	m := &matcher{groups: [][]string{nil}}
	var last uint16
	for _, p := range dedupe(patterns) {
		h := pairHash(p[0], p[1])
		m.pairs[h/64] |= 1 << (h % 64)
		if m.group[p[0]] == 0 {
			m.groups = append(m.groups, nil)
			last++
			m.group[p[0]] = last
		}
		g := m.group[p[0]]
		m.groups[g] = append(m.groups[g], p)
	}
	for _, list := range m.groups {
		slices.SortFunc(list, func(a, b string) int { return len(b) - len(a) })
	}
	return m
}

// at returns the length of the longest pattern that begins at s[i:], 0 when none does.
func at[T string | []byte](m *matcher, s T, i int) int {
	g := m.group[s[i]]
	if g == 0 || i+1 >= len(s) {
		return 0
	}
	if h := pairHash(s[i], s[i+1]); m.pairs[h/64]&(1<<(h%64)) == 0 {
		return 0
	}
	rest := s[i:]
	for _, p := range m.groups[g] {
		if len(p) <= len(rest) && string(rest[:len(p)]) == p {
			return len(p)
		}
	}
	return 0
}

// span is the first masked region of s at or after from; start is len(s) when there is none.
func span[T string | []byte](m *matcher, s T, from int) (start, end int) {
	for i := from; i < len(s); i++ {
		n := at(m, s, i)
		if n == 0 {
			continue
		}
		start, end = i, i+n
		for j := i + 1; j < end; j++ {
			end = max(end, j+at(m, s, j))
		}
		return start, end
	}
	return len(s), len(s)
}

func (m *matcher) replace(s string) string {
	start, end := span(m, s, 0)
	if start == len(s) {
		return s
	}
	var out strings.Builder
	for from := 0; ; {
		out.WriteString(s[from:start])
		if start == len(s) {
			return out.String()
		}
		out.WriteString(secret.Mask)
		from = end
		start, end = span(m, s, from)
	}
}

// replaceBytes works like replace; it returns b itself when nothing matched.
func (m *matcher) replaceBytes(b []byte) []byte {
	start, end := span(m, b, 0)
	if start == len(b) {
		return b
	}
	out := make([]byte, 0, len(b))
	for from := 0; ; {
		out = append(out, b[from:start]...)
		if start == len(b) {
			return out
		}
		out = append(out, secret.Mask...)
		from = end
		start, end = span(m, b, from)
	}
}

func dedupe(list []string) []string {
	slices.Sort(list)
	return slices.Compact(list)
}
