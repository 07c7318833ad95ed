package sqlstore

import (
	"cmp"
	"context"
	"database/sql"
	"encoding/json"
	"errors"
	"fmt"
	"slices"
	"strings"

	"gorm.io/gorm"

	"keyflow/credentials"
	"keyflow/internal/database"
	"keyflow/internal/jsonvalue"
)

// sealedColumn is a column of sealed texts.
type sealedColumn struct {
	kind    string // of the associated data of its texts
	table   string
	key     []string // primary key
	owner   string   // column of the credential's id
	version string   // column of the place's version; "" for kinds without
	column  string
	fields  bool // the column holds a JSON object of texts by field, not one text
}

// sealedColumns are all columns that hold ciphertext. A rotation of the master key walks over
// them; what is missing here would stay sealed with the old key.
func sealedColumns() []sealedColumn {
	return []sealedColumn{
		{kind: "fingerprint_key", table: "credentials", key: []string{"id"}, owner: "id", column: "fingerprint_key"},
		{kind: "field", table: "credential_versions", key: []string{"credential", "version"}, owner: "credential", version: "version", column: "sealed", fields: true},
		{kind: "candidate", table: "credentials", key: []string{"id"}, owner: "id", column: "candidate", fields: true},
		{kind: "record", table: "credentials", key: []string{"id"}, owner: "id", version: "revision", column: "binding"},
		{kind: "version", table: "credential_versions", key: []string{"credential", "version"}, owner: "credential", version: "version", column: "binding"},
		{kind: "token", table: "credential_tokens", key: []string{"credential"}, owner: "credential", version: "generation", column: "sealed"},
		{kind: "connect", table: "credential_connects", key: []string{"hash"}, owner: "credential", column: "sealed"},
	}
}

// sealedRow is credentials.SealedRow.Row: the primary key and the column as it was read.
type sealedRow struct {
	key    []any
	sealed []byte
}

// SealedKinds implements credentials.SealedStore.
func (s *Store) SealedKinds() []string {
	var kinds []string
	for _, c := range sealedColumns() {
		kinds = append(kinds, c.kind)
	}
	return kinds
}

func columnOf(kind string) (sealedColumn, error) {
	columns := sealedColumns()
	i := slices.IndexFunc(columns, func(c sealedColumn) bool { return c.kind == kind })
	if i < 0 {
		return sealedColumn{}, fmt.Errorf("no column holds sealed texts of kind %q", kind)
	}
	return columns[i], nil
}

// SealedRows implements credentials.SealedStore; the order is that of the primary key.
func (s *Store) SealedRows(ctx context.Context, kind string, after *credentials.SealedRow, limit int) (list []credentials.SealedRow, err error) {
	c, err := columnOf(kind)
	if err != nil {
		return nil, err
	}
	query := "SELECT " + strings.Join(c.key, ", ") + ", " + c.owner + ", " + cmp.Or(c.version, "0") + ", " + c.column + " FROM " + c.table + " WHERE " + c.column + " IS NOT NULL"
	var args []any
	if after != nil {
		row, ok := after.Row.(sealedRow)
		if !ok {
			return nil, errors.New("the row to continue after is not of this store")
		}
		query += " AND (" + strings.Join(c.key, ", ") + ") > (?" + strings.Repeat(", ?", len(c.key)-1) + ")"
		args = append(args, row.key...)
	}
	rows, err := s.db.Read().WithContext(ctx).Raw(query+" ORDER BY "+strings.Join(c.key, ", ")+" LIMIT ?", append(args, limit)...).Rows()
	if err != nil {
		return nil, database.Translate(err, "sealed texts")
	}
	defer func() { err = errors.Join(err, database.Translate(rows.Close(), "sealed texts")) }()
	for rows.Next() {
		row, err := c.scan(rows)
		if err != nil {
			return nil, err
		}
		list = append(list, row)
	}
	return list, database.Translate(rows.Err(), "sealed texts")
}

func (c sealedColumn) scan(rows *sql.Rows) (credentials.SealedRow, error) {
	row, out := sealedRow{key: make([]any, len(c.key))}, credentials.SealedRow{Kind: c.kind}
	targets := make([]any, 0, len(c.key)+3)
	for i := range row.key {
		targets = append(targets, &row.key[i])
	}
	if err := rows.Scan(append(targets, &out.Credential, &out.Version, &row.sealed)...); err != nil {
		return out, database.Translate(err, "sealed texts")
	}
	out.Row = row
	if !c.fields {
		out.Texts = map[string][]byte{"": row.sealed}
		return out, nil
	}
	if err := json.Unmarshal(row.sealed, &out.Texts); err != nil {
		out.Texts = nil // damaged: nothing of it can be sealed again
	}
	return out, nil
}

// Reseal implements credentials.SealedStore.
func (s *Store) Reseal(ctx context.Context, rows []credentials.SealedRow) (written int, err error) {
	err = s.db.Tx(ctx, func(tx *gorm.DB) error {
		written = 0
		if _, err := takeRevisions(tx, 0); err != nil { // takes turns with edits
			return err
		}
		for _, row := range rows {
			n, err := reseal(tx, row)
			if err != nil {
				return err
			}
			written += n
		}
		return nil
	})
	return written, database.Translate(err, "sealed texts")
}

func reseal(tx *gorm.DB, row credentials.SealedRow) (int, error) {
	c, err := columnOf(row.Kind)
	if err != nil {
		return 0, err
	}
	was, ok := row.Row.(sealedRow)
	if !ok {
		return 0, errors.New("the row is not of this store")
	}
	next := row.Texts[""]
	if c.fields {
		if next, err = jsonvalue.Encode(row.Texts); err != nil {
			return 0, err
		}
	}
	args := append([]any{next, was.sealed}, was.key...)
	done := tx.Exec("UPDATE "+c.table+" SET "+c.column+" = ? WHERE "+c.column+" = ? AND "+strings.Join(c.key, " = ? AND ")+" = ?", args...)
	return int(done.RowsAffected), done.Error
}

// SwapCanary implements credentials.SealedStore.
func (s *Store) SwapCanary(ctx context.Context, old, next []byte) (bool, error) {
	done := s.db.Write().WithContext(ctx).Exec("UPDATE credential_canary SET sealed = ? WHERE id = 1 AND sealed = ?", next, old)
	return done.RowsAffected == 1, database.Translate(done.Error, "canary")
}
