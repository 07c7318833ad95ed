// Package suggest finds the known word that a misspelt word probably means. It knows nothing
// about the words.
package suggest

import "strings"

// longest is the length up to which names get suggestions.
const longest = 64

// DidYouMean returns ` (did you mean "x"?)` for the closest known name, "" when none is close.
func DidYouMean(name string, known []string) string {
	best, ok := Closest(name, known)
	if !ok {
		return ""
	}
	return ` (did you mean "` + best + `"?)`
}

// Closest returns the known name that differs least, if at most a third of the letters, or one,
// differ. Case does not count. A name of one letter gets no suggestion.
func Closest(name string, known []string) (best string, ok bool) {
	if len(name) < 2 || len(name) > longest {
		return "", false
	}
	least := max(1, len(name)/3) + 1
	for _, k := range known {
		if d := distance(strings.ToLower(name), strings.ToLower(k)); d < least {
			best, least, ok = k, d, true
		}
	}
	return best, ok
}

// distance is the number of bytes to insert, delete, replace or swap with the next one to turn a
// into b (optimal string alignment).
func distance(a, b string) int {
	before, last, row := make([]int, len(b)+1), make([]int, len(b)+1), make([]int, len(b)+1)
	for j := range last {
		last[j] = j
	}
	for i := range len(a) {
		row[0] = i + 1
		for j := range len(b) {
			cost := 1
			if a[i] == b[j] {
				cost = 0
			}
			row[j+1] = min(last[j+1]+1, row[j]+1, last[j]+cost)
			if i > 0 && j > 0 && a[i] == b[j-1] && a[i-1] == b[j] {
				row[j+1] = min(row[j+1], before[j-1]+1)
			}
		}
		before, last, row = last, row, before
	}
	return last[len(b)]
}
