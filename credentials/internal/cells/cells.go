// Package cells splits a CSV text into rows without changing a byte of what is in quotes.
package cells

import (
	"bytes"
	"strings"
	"unicode/utf8"

	"keyflow/internal/charset"
	"keyflow/internal/fault"
)

// Row is one row of a CSV text and the line, from 1, on which it begins.
type Row struct {
	Line  int
	Texts []string
}

// reader splits a CSV text into rows (RFC 4180). Unlike encoding/csv it keeps every byte of
// a quoted cell: there a CRLF becomes LF, which would be another secret.
type reader struct {
	text string
	line int
}

// Read returns the rows that hold anything. Malformed when the text is no CSV in UTF-8, or in
// UTF-16 with a byte order mark.
func Read(text []byte) ([]Row, error) {
	encoding, err := charset.Detect(text, charset.Declared{})
	if err != nil {
		return nil, err
	}
	if encoding.IsUTF8() {
		text = bytes.TrimPrefix(text, []byte("\ufeff"))
	} else if text, err = encoding.Decode(text); err != nil {
		return nil, fault.New(fault.Malformed, "the CSV text %v", err)
	}
	if !utf8.Valid(text) {
		return nil, fault.New(fault.Malformed, "the CSV text is not valid UTF-8, on line %d: save it as CSV UTF-8", invalidLine(text))
	}
	r := reader{text: string(text), line: 1}
	var rows []Row
	for r.text != "" {
		row, err := r.row()
		if err != nil {
			return nil, err
		}
		if strings.Join(row.Texts, "") != "" {
			rows = append(rows, row)
		}
	}
	return rows, nil
}

func invalidLine(text []byte) int {
	line := 1
	for len(text) > 0 {
		r, size := utf8.DecodeRune(text)
		if r == utf8.RuneError && size == 1 {
			break
		}
		if r == '\n' {
			line++
		}
		text = text[size:]
	}
	return line
}

// row reads one row and the line break behind it.
func (r *reader) row() (Row, error) {
	row := Row{Line: r.line}
	for {
		text, err := r.cell()
		if err != nil {
			return row, err
		}
		row.Texts = append(row.Texts, text)
		rest, more := strings.CutPrefix(r.text, ",")
		if more {
			r.text = rest
			continue
		}
		if r.text != "" {
			r.text = strings.TrimPrefix(strings.TrimPrefix(r.text, "\r"), "\n")
			r.line++
		}
		return row, nil
	}
}

// cell reads one cell; what follows is a comma, a line break or the end.
func (r *reader) cell() (string, error) {
	if strings.HasPrefix(r.text, `"`) {
		return r.quoted()
	}
	end := strings.IndexAny(r.text, ",\r\n")
	if end < 0 {
		end = len(r.text)
	}
	text := r.text[:end]
	r.text = r.text[end:]
	switch {
	case strings.Contains(text, `"`):
		return "", r.broken("a cell that holds a quote must stand in quotes, and the quote twice")
	case !r.atEnd():
		return "", r.broken("a carriage return stands alone: lines end with LF or CRLF, and a cell that holds one stands in quotes")
	}
	return text, nil
}

// quoted reads a cell in quotes: everything up to the quote that is not doubled, as it is.
func (r *reader) quoted() (string, error) {
	var text strings.Builder
	rest, began := r.text[1:], r.line
	for {
		part, after, ok := strings.Cut(rest, `"`)
		if !ok {
			return "", fault.New(fault.Malformed, "the CSV text is not valid: a cell that begins with a quote on line %d does not end", began)
		}
		text.WriteString(part)
		r.line += strings.Count(part, "\n")
		if rest, ok = strings.CutPrefix(after, `"`); ok {
			text.WriteByte('"')
			continue
		}
		r.text = after
		if !r.atEnd() {
			return "", r.broken("text follows the quote that ends a cell: a quote inside a cell is written twice")
		}
		return text.String(), nil
	}
}

// atEnd reports whether a cell may end here.
func (r *reader) atEnd() bool {
	return r.text == "" || r.text[0] == ',' || r.text[0] == '\n' || strings.HasPrefix(r.text, "\r\n")
}

func (r *reader) broken(why string) error {
	return fault.New(fault.Malformed, "the CSV text is not valid on line %d: %s", r.line, why)
}
