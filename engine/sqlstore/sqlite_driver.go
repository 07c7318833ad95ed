package sqlstore

import (
	"context"
	"database/sql"
	"database/sql/driver"
	"errors"
	"fmt"
	"io"
	"strings"

	"keyflow/engine/runs"
)

// sqliteWriter commits batches on SQLite's single writing connection. It calls the driver directly:
// database/sql would cost as much as the statements, and for a context that can be canceled the
// driver starts a goroutine per statement. A transaction never waits for another one, so its
// statements get a context that cannot be canceled.
type sqliteWriter struct {
	pool *sql.DB

	conn     driver.Conn // the connection of prepared
	prepared map[string]driver.Stmt
	args     []driver.NamedValue // of the current statement
}

// statement returns the prepared form of query, prepared at its first use.
func (w *sqliteWriter) statement(query string) (driver.Stmt, error) {
	if s := w.prepared[query]; s != nil {
		return s, nil
	}
	s, err := w.conn.Prepare(query)
	if err != nil {
		return nil, err
	}
	w.prepared[query] = s
	return s, nil
}

func (w *sqliteWriter) exec(query string, args ...driver.Value) error {
	s, err := w.statement(query)
	if err != nil {
		return err
	}
	_, err = s.(driver.StmtExecContext).ExecContext(context.Background(), w.named(args))
	return err
}

// query calls each with every row. It must not retain the slice.
func (w *sqliteWriter) query(each func(row []driver.Value), query string, args ...driver.Value) error {
	s, err := w.statement(query)
	if err != nil {
		return err
	}
	rows, err := s.(driver.StmtQueryContext).QueryContext(context.Background(), w.named(args))
	if err != nil {
		return err
	}
	row := make([]driver.Value, len(rows.Columns()))
	for err == nil {
		if err = rows.Next(row); err == nil {
			each(row)
		}
	}
	if errors.Is(err, io.EOF) {
		err = nil
	}
	return errors.Join(err, rows.Close())
}

// named numbers the arguments, in a slice that the next statement reuses.
func (w *sqliteWriter) named(args []driver.Value) []driver.NamedValue {
	w.args = w.args[:0]
	for i, arg := range args {
		w.args = append(w.args, driver.NamedValue{Ordinal: i + 1, Value: arg})
	}
	return w.args
}

// idsPerQuery is how many ids one SELECT has. The last SELECT repeats the final id.
const idsPerQuery = 32

// queryIDs executes query, which ends with IN, for groups of the ids.
func (w *sqliteWriter) queryIDs(query string, ids []runs.ID, each func(row []driver.Value)) error {
	for len(ids) > 0 {
		n, size := min(len(ids), idsPerQuery), 1
		if n > 1 {
			size = idsPerQuery
		}
		args := make([]driver.Value, size)
		for i := range args {
			args[i] = ids[min(i, n-1)][:]
		}
		if err := w.query(each, query+placeholders[size], args...); err != nil {
			return fmt.Errorf("read runs: %w", err)
		}
		ids = ids[n:]
	}
	return nil
}

// placeholders has the two lists that queryIDs uses.
var placeholders = map[int]string{
	1:           "(?)",
	idsPerQuery: "(" + strings.Repeat("?, ", idsPerQuery-1) + "?)",
}

// null returns nil for no bytes.
func null(b []byte) driver.Value {
	if b == nil {
		return nil
	}
	return b
}

// nullID returns nil for the zero id.
func nullID[ID ~[16]byte](id ID) driver.Value {
	if id == (ID{}) {
		return nil
	}
	return id[:]
}

// nullText returns nil for no text.
func nullText(s string) driver.Value {
	if s == "" {
		return nil
	}
	return s
}

// nullInt returns nil for 0.
func nullInt(n int64) driver.Value {
	if n == 0 {
		return nil
	}
	return n
}

func bit(b bool) int64 {
	if b {
		return 1
	}
	return 0
}
