package transfer

import (
	"fmt"
	"io"
	"maps"
	"slices"
	"strings"

	"keyflow/credentials"
	"keyflow/credentials/authtype"
	"keyflow/credentials/document"
	"keyflow/credentials/internal/cells"
	"keyflow/credentials/internal/problem"
	"keyflow/internal/fault"
	"keyflow/internal/jsonvalue"
	"keyflow/internal/suggest"
)

// What a cell of a column holds.
type cellKind int

const (
	textCell  cellKind = iota
	listCell           // words separated by spaces; [] is the empty list
	jsonCell           // of limits and failure_rules
	entryCell          // one member of labels or fields
)

// emptyList is how a cell says that a list is empty; an empty cell says nothing.
const emptyList = "[]"

// column is one column of a CSV file: a part of a credential, or a member of one.
type column struct {
	part, member string
	kind         cellKind
}

// ReadCSV reads credentials from CSV (RFC 4180) in UTF-8, or in UTF-16 with a mark, whose first row
// names the columns:
// the parts of a credential, labels.<key> and fields.<name>. An empty cell leaves its part
// out. Malformed when the text cannot be split into cells, TooLarge over [MaxBytes];
// unknown columns and rows of the wrong length are reported with the import's other problems.
func ReadCSV(r io.Reader) (File, error) {
	text, err := io.ReadAll(io.LimitReader(r, MaxBytes+1))
	if err != nil {
		return File{}, fmt.Errorf("read CSV: %w", err)
	}
	if len(text) > MaxBytes {
		return File{}, fault.New(fault.TooLarge, "the import is larger than %d MiB: split it", MaxBytes>>20)
	}
	lines, err := cells.Read(text)
	if err != nil {
		return File{}, err
	}
	if len(lines) == 0 {
		return File{}, fault.New(fault.Malformed, "the import is empty: its first row names the columns")
	}
	var file File
	columns, err := file.readHeader(lines[0])
	if err != nil {
		return File{}, err
	}
	for _, line := range lines[1:] {
		file.rows = append(file.rows, readRow(columns, line))
	}
	return file, file.checkSize()
}

// readHeader reads the names of the columns. Without a column id the first row is taken for
// one that names nothing, and not shown: it may hold secrets.
func (f *File) readHeader(line cells.Row) ([]column, error) {
	names := make([]string, len(line.Texts))
	for i, text := range line.Texts {
		names[i] = strings.TrimSpace(text)
	}
	if !slices.Contains(names, "id") {
		message := `the first row must name the columns, and one of them must be "id"`
		if len(names) == 1 && strings.ContainsAny(names[0], ";\t") {
			message += "; the cells of a row are separated by commas"
		}
		return nil, fault.Problems("the import is not valid: "+message, []fault.Problem{{Code: problem.UnknownColumn, Message: message, Line: line.Line}})
	}
	known := columnKinds()
	columns := make([]column, len(names))
	seen := make(map[string]bool)
	for i, name := range names {
		var ok bool
		columns[i], ok = columnOf(name, known)
		message := ""
		switch {
		case !ok:
			message = fmt.Sprintf("column %d, %.60q, is not known%s", i+1, name, suggest.DidYouMean(name, knownColumns(known)))
		case seen[name]:
			message = fmt.Sprintf("column %d, %.60q, is there twice", i+1, name)
		}
		if message != "" {
			f.wrong = append(f.wrong, fault.Problem{Code: problem.UnknownColumn, Message: fmt.Sprintf("line %d: %s", line.Line, message), Line: line.Line})
			columns[i] = column{}
		}
		seen[name] = true
	}
	return columns, nil
}

// columnKinds are the parts of a credential that have columns.
func columnKinds() map[string]cellKind {
	kinds := make(map[string]cellKind)
	for name, part := range document.Parts(new(credentials.Input)) {
		switch part.Target.(type) {
		case *[]string:
			kinds[name] = listCell
		case **credentials.Limits, *[]credentials.FailureRule:
			kinds[name] = jsonCell
		case *map[string]string, *map[string]any:
			kinds[name] = entryCell
		default:
			kinds[name] = textCell
		}
	}
	return kinds
}

func columnOf(name string, known map[string]cellKind) (column, bool) {
	part, member, entry := strings.Cut(name, ".")
	kind, ok := known[part]
	if !ok || entry != (kind == entryCell) || entry && member == "" {
		return column{}, false
	}
	if part == "fields" && !slices.Contains(fieldNames(), member) {
		return column{}, false
	}
	return column{part: part, member: member, kind: kind}, true
}

// fieldNames are the names of the fields of all types.
func fieldNames() []string {
	names := make(map[string]bool)
	for _, t := range authtype.All() {
		for _, f := range t.Fields {
			names[f.Name] = true
		}
	}
	return slices.Sorted(maps.Keys(names))
}

func knownColumns(known map[string]cellKind) []string {
	var names []string
	for name, kind := range known {
		if kind != entryCell {
			names = append(names, name)
		}
	}
	for _, field := range fieldNames() {
		names = append(names, "fields."+field)
	}
	slices.Sort(names)
	return names
}

func readRow(columns []column, line cells.Row) importRow {
	row := importRow{line: line.Line, cells: true}
	if len(line.Texts) != len(columns) { // nobody knows which cell is which
		row.wrong.Add("", problem.WrongCells, fmt.Sprintf("has %d cells, the first row has %d; a cell with commas, quotes or line breaks stands in quotes", len(line.Texts), len(columns)))
		return row
	}
	row.doc = make(map[string]any)
	for i, text := range line.Texts {
		if text != "" {
			row.put(columns[i], text)
		}
	}
	return row
}

func (r *importRow) put(c column, text string) {
	switch {
	case c.part == "": // not known, and reported
	case c.kind == listCell:
		list := []any{}
		if text != emptyList {
			for word := range strings.FieldsSeq(text) {
				list = append(list, word)
			}
			if len(list) == 0 {
				return
			}
		}
		r.doc[c.part] = list
	case c.kind == jsonCell:
		v, err := jsonvalue.DecodeStrict([]byte(text))
		if err != nil {
			r.wrong.Add(problem.Pointer(c.part), problem.InvalidValue, "must be JSON")
			return
		}
		r.doc[c.part] = v
	case c.kind == entryCell:
		members, ok := r.doc[c.part].(map[string]any)
		if !ok {
			members = make(map[string]any)
			r.doc[c.part] = members
		}
		members[c.member] = text
	default:
		r.doc[c.part] = text
	}
}
