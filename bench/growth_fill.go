package main

import (
	"context"
	"database/sql"
	"errors"
	"fmt"
	"log/slog"
	"slices"
	"strings"
	"time"

	"keyflow/internal/database"
)

// filler multiplies rows of a stopped server's SQLite database. Real rows, made through the
// server, are the patterns; columns that are not replaced are copied, so that a new migration
// does not matter here.
type filler struct {
	ctx  context.Context
	db   *database.DB
	conn *sql.Conn
}

func openFiller(ctx context.Context, data string) (*filler, error) {
	db, err := database.Open(ctx, database.Options{Dir: data, Logger: slog.New(slog.DiscardHandler)})
	if err != nil {
		return nil, err
	}
	conn, err := db.SQL().Conn(ctx)
	if err != nil {
		return nil, errors.Join(err, db.Close())
	}
	f := &filler{ctx, db, conn}
	return f, f.exec("PRAGMA synchronous = OFF") // of this connection alone: a crash costs a measurement
}

func (f *filler) close() error {
	// The server begins with an empty log, as after a clean stop.
	return errors.Join(f.exec("PRAGMA wal_checkpoint(TRUNCATE)"), f.conn.Close(), f.db.Close())
}

func (f *filler) exec(query string, args ...any) error {
	if _, err := f.conn.ExecContext(f.ctx, query, args...); err != nil {
		return fmt.Errorf("%.60s…: %w", query, err)
	}
	return nil
}

// clone copies every row of table n times. In the replacements, which are SQL by column, n is
// the number of the copy, from 1.
func (f *filler) clone(table string, n int, replace map[string]string) error {
	columns, err := f.columns(table)
	if err != nil || n < 1 {
		return err
	}
	values := slices.Clone(columns)
	for i, column := range columns {
		if with, ok := replace[column]; ok {
			values[i] = with
		}
	}
	for _, query := range []string{
		"CREATE TEMP TABLE pattern AS SELECT * FROM main." + table,
		fmt.Sprintf("INSERT INTO main.%s (%s) WITH RECURSIVE number(n) AS (SELECT 1 UNION ALL SELECT n + 1 FROM number WHERE n < %d) SELECT %s FROM number, pattern",
			table, strings.Join(columns, ", "), n, strings.Join(values, ", ")),
		"DROP TABLE temp.pattern",
	} {
		if err := f.exec(query); err != nil {
			return err
		}
	}
	return nil
}

func (f *filler) columns(table string) (names []string, err error) {
	rows, err := f.conn.QueryContext(f.ctx, "SELECT name FROM pragma_table_info(?)", table)
	if err != nil {
		return nil, err
	}
	defer func() { err = errors.Join(err, rows.Close()) }()
	for rows.Next() {
		var name string
		if err := rows.Scan(&name); err != nil {
			return nil, err
		}
		names = append(names, name)
	}
	return names, rows.Err()
}

// cloneRuns copies the one stored run, with its steps, n times. The copies are a day older
// than it, too young for retention, a millisecond apart.
func (f *filler) cloneRuns(n int, replace map[string]string) error {
	yesterday := time.Now().Add(-24 * time.Hour).UnixMilli()
	id := fmt.Sprintf("unhex(printf('%%012x7000%%016x', %d + n, n))", yesterday)
	replace["id"] = id
	return errors.Join(f.clone("runs", n, replace), f.clone("steps", n, map[string]string{"run": id}))
}

// cloneWorkflows copies the one stored workflow, its id is pattern, with its schedules n times.
func (f *filler) cloneWorkflows(pattern string, n int) error {
	id := "printf('" + pattern + "-%07d', n)"
	return errors.Join(
		f.clone("workflows", n, map[string]string{"id": id, "revision": "revision + n"}),
		f.clone("workflow_versions", n, map[string]string{"workflow": id, "source": `CAST(replace(CAST(source AS TEXT), '"` + pattern + `"', '"' || ` + id + ` || '"') AS BLOB)`}),
		f.clone("schedules", n, map[string]string{"workflow": id}),
		f.exec("UPDATE workflow_revision SET value = (SELECT MAX(revision) FROM workflows)"),
	)
}
