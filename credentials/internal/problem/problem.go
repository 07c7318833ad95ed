// Package problem collects what is wrong with an input: each problem has a path, a stable code
// and a message that never repeats a value. It must not know what an input is for.
package problem

import (
	"regexp"
	"slices"
	"strings"

	"keyflow/internal/fault"
)

// The codes of problems with an input.
const (
	Required       = "required"
	InvalidType    = "invalid_type"
	InvalidValue   = "invalid_value"
	UnknownField   = "unknown_field"
	DuplicateKey   = "duplicate_key"
	Immutable      = "immutable"
	NotSupported   = "not_supported"
	TooLong        = "too_long"
	SecretRequired = "secret_required" // widening needs the secret
	WiderReach     = "wider_reach"     // a secret could go to hosts it was not meant for
	TestFailed     = "test_failed"
	NoFallBack     = "no_fall_back"
	InUse          = "in_use"

	// Of a row of an import.
	UnknownColumn = "unknown_column"
	WrongCells    = "wrong_cells"
	Duplicate     = "duplicate"
	NotFound      = "not_found"
	Exists        = "exists"
	Forbidden     = "forbidden"
	OutsideFolder = "outside_folder"
	Damaged       = "damaged"
	More          = "more_problems"
	Reference     = "reference"
)

// Pointer makes a JSON pointer (RFC 6901) of its parts.
func Pointer(parts ...string) string {
	var b strings.Builder
	for _, part := range parts {
		b.WriteByte('/')
		b.WriteString(strings.NewReplacer("~", "~0", "/", "~1").Replace(part))
	}
	return b.String()
}

var nameForm = regexp.MustCompile(`^[a-z][a-z_]{0,30}$`)

// IsName reports whether text is plainly a name: anything else could be a secret in the wrong
// place.
func IsName(text string) bool { return nameForm.MatchString(text) }

// NamePointer points to an unknown key if it is plainly a name; elsewhere it is "".
func NamePointer(key string) string {
	if !IsName(key) {
		return ""
	}
	return Pointer(key)
}

// AddNew adds the problems of parts about which nothing is known to be wrong yet: one mistake
// is not reported twice.
func (p *List) AddNew(list []fault.Problem) {
	known := p.Items
	for _, next := range list {
		if !slices.ContainsFunc(known, func(k fault.Problem) bool {
			return next.Path == k.Path || strings.HasPrefix(next.Path, k.Path+"/") && k.Path != ""
		}) {
			p.Items = append(p.Items, next)
		}
	}
}

// List collects everything wrong with one input.
type List struct{ Items []fault.Problem }

// Add adds one problem.
func (p *List) Add(path, code, message string) {
	p.Items = append(p.Items, fault.Problem{Path: path, Code: code, Message: message})
}

// Err returns all problems as one Invalid fault; nil when there are none.
func (p *List) Err() error {
	if len(p.Items) == 0 {
		return nil
	}
	return fault.Problems("the credential is not valid: "+p.Items[0].Path+" "+p.Items[0].Message, p.Items)
}
