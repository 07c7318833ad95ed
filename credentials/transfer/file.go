package transfer

import (
	"fmt"
	"log/slog"
	"maps"
	"slices"

	"keyflow/credentials"
	"keyflow/credentials/internal/problem"
	"keyflow/credentials/internal/reach"
	"keyflow/internal/fault"
	"keyflow/internal/suggest"
)

// The limits of one import.
const (
	MaxRows  = 10_000
	MaxBytes = 16 << 20
)

// File is what a file of credentials holds, with what is wrong about its shape: that is
// reported together with what the vault finds. It holds secrets in clear.
type File struct {
	rows  []importRow
	wrong []fault.Problem // of no row: columns, keys beside the items
}

// importRow is one credential of a file, a merge patch of what it names.
type importRow struct {
	line  int            // where it begins in a CSV text; 0 in JSON
	cells bool           // the values of fields are texts still to be read by their kind
	doc   map[string]any // as decoded JSON
	wrong problem.List
}

// Format implements fmt.Formatter: it shows no more than the number of rows.
func (f File) Format(s fmt.State, _ rune) { _, _ = fmt.Fprintf(s, "{%d rows}", len(f.rows)) }

// LogValue implements slog.LogValuer and shows the number of rows only.
func (f File) LogValue() slog.Value { return slog.StringValue(fmt.Sprint(f)) }

// ReadJSON reads decoded JSON: a list of credentials, or an object with it as "items". Any
// other form, no row, or too many, is Invalid.
func ReadJSON(v any) (File, error) {
	var file File
	if doc, ok := v.(map[string]any); ok {
		for _, name := range slices.Sorted(maps.Keys(doc)) {
			if name != "items" {
				file.wrong = append(file.wrong, fault.Problem{
					Path: problem.NamePointer(name), Code: problem.UnknownField,
					Message: "is not part of an import" + suggest.DidYouMean(name, []string{"items"}) + `; it has "items", a list of credentials`,
				})
			}
		}
		v = doc["items"]
	}
	items, ok := v.([]any)
	if !ok {
		file.wrong = append(file.wrong, fault.Problem{Path: "/items", Code: problem.InvalidType, Message: "must be a list of credentials"})
		return file, fault.Problems("the import is not valid: it must be a list of credentials", file.wrong)
	}
	for _, item := range items {
		row := importRow{}
		if row.doc, ok = item.(map[string]any); !ok {
			row.wrong.Add("", problem.InvalidType, "must be an object")
		}
		file.rows = append(file.rows, row)
	}
	return file, file.checkSize()
}

func (f File) checkSize() error {
	var message string
	switch {
	case len(f.rows) == 0:
		message = "holds no credential"
	case len(f.rows) > MaxRows:
		message = fmt.Sprintf("holds %d credentials, at most %d are possible: split it", len(f.rows), MaxRows)
	default:
		return nil
	}
	return fault.Problems("the import "+message, append(f.wrong, fault.Problem{Path: "/items", Code: problem.InvalidValue, Message: message}))
}

// id is what the row says about which credential it means; "" when it is no id.
func (r *importRow) id() credentials.ID {
	if text, _ := r.doc["id"].(string); reach.IsID(text) {
		return credentials.ID(text)
	}
	return ""
}
