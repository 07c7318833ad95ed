package vault

import (
	"regexp"
	"strings"

	"keyflow/internal/fault"
)

// The codes of problems with an input.
const (
	codeRequired       = "required"
	codeInvalidType    = "invalid_type"
	codeInvalidValue   = "invalid_value"
	codeUnknownField   = "unknown_field"
	codeDuplicateKey   = "duplicate_key"
	codeImmutable      = "immutable"
	codeNotSupported   = "not_supported"
	codeTooLong        = "too_long"
	codeSecretRequired = "secret_required" // widening needs the secret
	codeWiderReach     = "wider_reach"     // a secret could go to places it was not meant for
	codeTestFailed     = "test_failed"
	codeNoFallBack     = "no_fall_back"
	codeInUse          = "in_use"

	// Of a row of an import.
	codeUnknownColumn = "unknown_column"
	codeWrongCells    = "wrong_cells"
	codeDuplicate     = "duplicate"
	codeNotFound      = "not_found"
	codeExists        = "exists"
	codeForbidden     = "forbidden"
	codeOutside       = "outside_folder"
	codeDamaged       = "damaged"
	codeMore          = "more_problems"
	codeReference     = "reference"
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

var nameForm = regexp.MustCompile(`^[a-z][a-z_]{0,30}$`)

// namePointer points to a key that nobody knows if it is plainly a name; anything else could be
// a secret in the wrong place.
func namePointer(key string) string {
	if !nameForm.MatchString(key) {
		return ""
	}
	return pointer(key)
}
