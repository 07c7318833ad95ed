package transfer

import (
	"time"

	"keyflow/credentials"
	"keyflow/credentials/internal/decrypted"
	"keyflow/credentials/internal/editing"
	"keyflow/internal/fault"
	"keyflow/internal/identity"
)

// Importer creates and changes many credentials at once.
type Importer struct {
	Editor    *editing.Editor
	Reader    *decrypted.Reader
	Sealer    *decrypted.Sealer
	Records   credentials.Store
	Connected func(id credentials.ID)
	Plan      func()
	Now       func() time.Time
}

// importing is one import under way. Rows are checked before the transaction, so that a long
// import does not keep others from writing, and again in it where a record has changed since.
type importing struct {
	importer *Importer
	caller   identity.Caller
	options  credentials.ImportOptions
	file     File
	ids      []credentials.ID       // those named, in the order of their first row
	first    map[credentials.ID]int // the row that names an id first
	checked  []checkedRow
}

// checkedRow is a row merged with the current record.
type checkedRow struct {
	against int64 // revision of the stored record, 0 without one, -1 when not checked yet
	old     *decrypted.Current
	next    *decrypted.Credential
	stored  *credentials.Record // nil when nothing changes
	item    credentials.ImportItem
	wrong   []fault.Problem
}

func newImporting(i *Importer, caller identity.Caller, o credentials.ImportOptions, file File) *importing {
	m := &importing{importer: i, caller: caller, options: o, file: file, first: make(map[credentials.ID]int), checked: make([]checkedRow, len(file.rows))}
	for n := range file.rows {
		m.checked[n].against = -1
		id := file.rows[n].id()
		if _, known := m.first[id]; id != "" && !known {
			m.first[id] = n
			m.ids = append(m.ids, id)
		}
	}
	return m
}
