package credentials

import (
	"strings"

	"keyflow/internal/fault"
)

// The codes of problems with an input.
const (
	codeRequired       = "required"
	codeInvalidType    = "invalid_type"
	codeInvalidValue   = "invalid_value"
	codeUnknownField   = "unknown_field"
	codeImmutable      = "immutable"
	codeNotSupported   = "not_supported"
	codeTooLong        = "too_long"
	codeSecretRequired = "secret_required" // widening needs the secret
	codeInUse          = "in_use"
)

// problems collects everything wrong with one input.
type problems struct{ list []fault.Problem }

func (p *problems) add(path, code, message string) {
	p.list = append(p.list, fault.Problem{Path: path, Code: code, Message: message})
}

// err returns all problems as one Invalid fault; nil when there are none.
func (p *problems) err() error {
	if len(p.list) == 0 {
		return nil
	}
	return fault.Problems("the credential is not valid: "+p.list[0].Path+" "+p.list[0].Message, p.list)
}

// pointer makes a JSON pointer (RFC 6901) of its parts.
func pointer(parts ...string) string {
	var b strings.Builder
	for _, part := range parts {
		b.WriteByte('/')
		b.WriteString(strings.NewReplacer("~", "~0", "/", "~1").Replace(part))
	}
	return b.String()
}

// didYouMean proposes the closest known name: ` (did you mean "x"?)`, "" when none is close.
func didYouMean(name string, known []string) string {
	best, least := "", max(1, len(name)/3)+1
	if len(name) > 64 {
		return ""
	}
	for _, k := range known {
		if d := distance(strings.ToLower(name), k); d < least {
			best, least = k, d
		}
	}
	if best == "" {
		return ""
	}
	return ` (did you mean "` + best + `"?)`
}

// distance is the Levenshtein distance in bytes.
func distance(a, b string) int {
	row := make([]int, len(b)+1)
	for j := range row {
		row[j] = j
	}
	for i := range len(a) {
		diagonal := row[0]
		row[0] = i + 1
		for j := range len(b) {
			cost := 1
			if a[i] == b[j] {
				cost = 0
			}
			diagonal, row[j+1] = row[j+1], min(row[j+1]+1, row[j]+1, diagonal+cost)
		}
	}
	return row[len(b)]
}
