package database

import (
	"context"
	"database/sql"
	"errors"
	"fmt"
	"net/url"
	"os"
	"path/filepath"

	"gorm.io/gorm"
	"gorm.io/gorm/callbacks"
	"gorm.io/gorm/clause"
	"gorm.io/gorm/logger"
	"gorm.io/gorm/schema"
	"modernc.org/sqlite"
	sqlite3 "modernc.org/sqlite/lib"

	"keyflow/internal/fault"
)

// FileName is the SQLite database inside the data folder.
const FileName = "keyflow.db"

func (db *DB) openSQLite(ctx context.Context, o Options) error {
	db.dialect = SQLite
	if err := os.MkdirAll(o.Dir, 0o700); err != nil {
		return fault.New(fault.Unavailable, "cannot make the data folder %s", o.Dir).Because(err)
	}
	unlock, err := lockFolder(o.Dir)
	if err != nil {
		return err
	}
	db.release = append(db.release, unlock)

	path := filepath.Join(o.Dir, FileName)
	db.path = path
	f, err := os.OpenFile(path, os.O_RDWR|os.O_CREATE, 0o600) // before the driver, for the mode
	if err != nil {
		return fault.New(fault.Unavailable, "cannot open the database %s", path).Because(err)
	}
	if err := f.Close(); err != nil {
		return fmt.Errorf("open database: %w", err)
	}
	db.write, db.sql, err = db.sqlitePool(ctx, path, 1, url.Values{
		"_txlock": {"immediate"},
		"_pragma": {"busy_timeout(10000)", "journal_mode(WAL)", "synchronous(FULL)", "foreign_keys(1)", "cache_size(-16000)"},
	}, o)
	if err != nil {
		return err
	}
	db.read, _, err = db.sqlitePool(ctx, path, 8, url.Values{
		"_pragma": {"busy_timeout(10000)", "query_only(1)", "cache_size(-4000)"},
	}, o)
	return err
}

func (db *DB) sqlitePool(ctx context.Context, path string, size int, params url.Values, o Options) (*gorm.DB, *sql.DB, error) {
	pool, err := sql.Open("sqlite", "file:"+(&url.URL{Path: path}).EscapedPath()+"?"+params.Encode())
	if err != nil {
		return nil, nil, fmt.Errorf("open sqlite: %w", err)
	}
	pool.SetMaxOpenConns(size)
	pool.SetMaxIdleConns(size)
	db.release = append(db.release, pool.Close)
	if err := pool.PingContext(ctx); err != nil {
		return nil, nil, fault.New(fault.Unavailable, "the database %s cannot be opened", path).Because(err)
	}
	g, err := gorm.Open(dialector{pool}, config(o.Logger))
	if err != nil {
		return nil, nil, fmt.Errorf("open sqlite: %w", err)
	}
	return g, pool, nil
}

// dialector is the part of gorm's SQLite dialect that this program needs. The official
// driver would compile a C library wherever cgo is on; goose migrates, so there is no
// migrator and no column typing here.
type dialector struct{ pool *sql.DB }

var (
	_ gorm.Dialector                     = dialector{}
	_ gorm.ErrorTranslator               = dialector{}
	_ gorm.SavePointerDialectorInterface = dialector{}
)

// Name implements gorm.Dialector.
func (dialector) Name() string { return string(SQLite) }

// Initialize implements gorm.Dialector.
func (d dialector) Initialize(db *gorm.DB) error {
	db.ConnPool = d.pool
	callbacks.RegisterDefaultCallbacks(db, &callbacks.Config{
		CreateClauses: []string{"INSERT", "VALUES", "ON CONFLICT", "RETURNING"},
		UpdateClauses: []string{"UPDATE", "SET", "FROM", "WHERE", "RETURNING"},
		DeleteClauses: []string{"DELETE", "FROM", "WHERE", "RETURNING"},
	})
	for name, build := range map[string]clause.ClauseBuilder{
		"FOR": func(clause.Clause, clause.Builder) {}, // SQLite has one writer: row locks mean nothing
	} {
		db.ClauseBuilders[name] = build
	}
	return nil
}

// Migrator implements gorm.Dialector; there is none.
func (dialector) Migrator(*gorm.DB) gorm.Migrator { return nil }

// DataTypeOf implements gorm.Dialector; types are the migrations' business.
func (dialector) DataTypeOf(*schema.Field) string { return "" }

// DefaultValueOf implements gorm.Dialector.
func (dialector) DefaultValueOf(*schema.Field) clause.Expression { return clause.Expr{SQL: "NULL"} }

// BindVarTo implements gorm.Dialector.
func (dialector) BindVarTo(w clause.Writer, _ *gorm.Statement, _ any) { _ = w.WriteByte('?') }

// QuoteTo implements gorm.Dialector: each part of a dotted name in double quotes.
func (dialector) QuoteTo(w clause.Writer, name string) {
	_ = w.WriteByte('"')
	for i := range len(name) {
		switch name[i] {
		case '"':
			_, _ = w.WriteString(`""`)
		case '.':
			_, _ = w.WriteString(`"."`)
		default:
			_ = w.WriteByte(name[i])
		}
	}
	_ = w.WriteByte('"')
}

// Explain implements gorm.Dialector, for log lines (which hold no values).
func (dialector) Explain(query string, vars ...any) string {
	return logger.ExplainSQL(query, nil, `"`, vars...)
}

// SavePoint implements gorm.SavePointerDialectorInterface.
func (dialector) SavePoint(tx *gorm.DB, name string) error {
	return tx.Exec("SAVEPOINT " + name).Error
}

// RollbackTo implements gorm.SavePointerDialectorInterface.
func (dialector) RollbackTo(tx *gorm.DB, name string) error {
	return tx.Exec("ROLLBACK TO SAVEPOINT " + name).Error
}

// Translate implements gorm.ErrorTranslator with SQLite's extended result codes.
func (dialector) Translate(err error) error {
	e, ok := errors.AsType[*sqlite.Error](err)
	if !ok {
		return err
	}
	switch e.Code() {
	case sqlite3.SQLITE_CONSTRAINT_PRIMARYKEY, sqlite3.SQLITE_CONSTRAINT_UNIQUE, sqlite3.SQLITE_CONSTRAINT_ROWID:
		return fmt.Errorf("%w: %w", gorm.ErrDuplicatedKey, err)
	case sqlite3.SQLITE_CONSTRAINT_FOREIGNKEY:
		return fmt.Errorf("%w: %w", gorm.ErrForeignKeyViolated, err)
	case sqlite3.SQLITE_CONSTRAINT_CHECK:
		return fmt.Errorf("%w: %w", gorm.ErrCheckConstraintViolated, err)
	default:
		return err
	}
}
