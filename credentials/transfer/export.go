package transfer

import (
	"encoding/csv"
	"encoding/json"
	"fmt"
	"io"
	"maps"
	"slices"
	"strings"

	"keyflow/credentials"
	"keyflow/credentials/document"
	"keyflow/credentials/internal/reach"
	"keyflow/internal/jsonvalue"
)

// Export is a credential as an import reads it again: everything but its secrets, of which it
// says only which are set. References are no secrets.
func Export(c credentials.Credential) (map[string]any, error) {
	if slices.Equal(c.AllowedWorkflows, reach.OwnFolder(c.Folder)) {
		c.AllowedWorkflows = nil // the default, wherever the credential goes
	}
	doc, err := document.Of(c)
	if err != nil {
		return nil, fmt.Errorf("export credential %q: %w", c.ID, err)
	}
	doc["id"], doc["type"] = string(c.ID), string(c.Type)
	set := make(map[string]any)
	for name, s := range c.Secrets {
		switch fields, _ := doc["fields"].(map[string]any); {
		case s.Ref != "" && fields != nil:
			fields[name] = map[string]any{"ref": s.Ref} // no secret
		case s.Ref != "":
			doc["fields"] = map[string]any{name: map[string]any{"ref": s.Ref}}
		case s.Set:
			set[name] = map[string]any{"set": true}
		}
	}
	if len(set) > 0 {
		doc["secrets"] = set // read-only: an import ignores it
	}
	return doc, nil
}

// WriteCSV writes what [Export] made as CSV that [CSVImport] reads: a column for each part
// that any credential has. Cells hold the values as they are, also those that a spreadsheet
// would take for formulas.
func WriteCSV(w io.Writer, list []map[string]any) error {
	rows := make([]map[string]string, len(list))
	found := make(map[string]bool)
	for i, doc := range list {
		var err error
		if rows[i], err = cellsOf(doc); err != nil {
			return err
		}
		for name := range rows[i] {
			found[name] = true
		}
	}
	for _, name := range []string{"id", "type"} {
		delete(found, name)
	}
	header := append([]string{"id", "type"}, slices.Sorted(maps.Keys(found))...)
	out := csv.NewWriter(w)
	_ = out.Write(header) // Flush keeps the error
	for _, row := range rows {
		line := make([]string, len(header))
		for i, name := range header {
			line[i] = row[name]
		}
		_ = out.Write(line)
	}
	out.Flush()
	return out.Error()
}

// cellsOf gives the cells of one credential by column.
func cellsOf(doc map[string]any) (map[string]string, error) {
	row := make(map[string]string)
	for name, kind := range columnKinds() {
		value, ok := doc[name]
		if !ok {
			continue
		}
		if members, ok := value.(map[string]any); ok && kind == entryCell {
			for member, v := range members {
				text, err := cellOf(v, textCell)
				if err != nil {
					return nil, err
				}
				row[name+"."+member] = text
			}
			continue
		}
		text, err := cellOf(value, kind)
		if err != nil {
			return nil, err
		}
		row[name] = text
	}
	return row, nil
}

func cellOf(value any, kind cellKind) (string, error) {
	if text, ok := value.(string); ok {
		return text, nil
	}
	text, err := jsonvalue.Encode(value)
	if err != nil {
		return "", fmt.Errorf("export: %w", err)
	}
	if kind != listCell || string(text) == emptyList {
		return string(text), nil
	}
	var words []string
	if err := json.Unmarshal(text, &words); err != nil {
		return "", fmt.Errorf("export: %w", err)
	}
	return strings.Join(words, " "), nil
}
