// Package database opens the one database of a Keyflow process (SQLite in the data
// folder, or Postgres), brings its schema up to date and translates driver errors.
//
// It owns the connections, the folder lock and the migrations. It knows no table's
// meaning: each sqlstore keeps its rows to itself. Only this package and the sqlstores
// import gorm.
//
// SQLite runs with WAL and synchronous=FULL, one writing connection that begins every
// transaction immediately (a deferred BEGIN fails as BUSY when it turns to writing), and a
// separate pool for reading.
package database

import (
	"context"
	"database/sql"
	"errors"
	"fmt"
	"log/slog"
	"strings"
	"time"

	"github.com/jackc/pgx/v5"
	"github.com/jackc/pgx/v5/stdlib"
	"gorm.io/driver/postgres"
	"gorm.io/gorm"
	"gorm.io/gorm/logger"

	"keyflow/internal/fault"
)

// Dialect is the kind of database behind a DB.
type Dialect string

// The dialects; the names are also those of the migration folders.
const (
	SQLite   Dialect = "sqlite"
	Postgres Dialect = "postgres"
)

// Options say which database to open.
type Options struct {
	URL    string // postgres://… or postgresql://…; "" is SQLite in Dir
	Dir    string // data folder of SQLite; made when missing, mode 0700
	Logger *slog.Logger
}

// DB is an open, migrated database. It is safe for concurrent use.
type DB struct {
	dialect Dialect
	write   *gorm.DB
	read    *gorm.DB
	sql     *sql.DB
	path    string         // of the SQLite file
	release []func() error // undone in reverse order by Close
}

// Open connects, takes the folder lock (SQLite) and migrates. A second process on the same
// data folder gets a Conflict fault that names the first; an unreachable Postgres an
// Unavailable one.
func Open(ctx context.Context, o Options) (*DB, error) {
	if o.Logger == nil {
		o.Logger = slog.New(slog.DiscardHandler)
	}
	db := &DB{}
	var err error
	switch {
	case o.URL == "":
		err = db.openSQLite(ctx, o)
	case strings.HasPrefix(o.URL, "postgres://"), strings.HasPrefix(o.URL, "postgresql://"):
		err = db.openPostgres(ctx, o)
	default:
		err = fault.New(fault.Invalid, "database URL must begin with postgres:// (leave it out for SQLite in the data folder)")
	}
	if err == nil {
		err = db.migrate(ctx)
	}
	if err != nil {
		return nil, errors.Join(err, db.Close())
	}
	return db, nil
}

// Dialect returns the kind of database.
func (db *DB) Dialect() Dialect { return db.dialect }

// Write returns the handle for changes. On SQLite it is the single writing connection: do
// not hold it across anything slow.
func (db *DB) Write() *gorm.DB { return db.write }

// Read returns the handle for queries that need no transaction with a change.
func (db *DB) Read() *gorm.DB { return db.read }

// SQL returns the pool behind Write, for prepared statements where the profile asks for them.
func (db *DB) SQL() *sql.DB { return db.sql }

// Tx runs fn in one transaction of the writer; an error rolls it back.
func (db *DB) Tx(ctx context.Context, fn func(tx *gorm.DB) error) error {
	return db.write.WithContext(ctx).Transaction(fn)
}

// Close closes all connections and gives the folder lock back.
func (db *DB) Close() error {
	var errs []error
	for i := len(db.release) - 1; i >= 0; i-- {
		errs = append(errs, db.release[i]())
	}
	db.release = nil
	return errors.Join(errs...)
}

func (db *DB) openPostgres(ctx context.Context, o Options) error {
	db.dialect = Postgres
	quiet := config(o.Logger)
	quiet.Logger = logger.Discard // it would log the error that is returned
	g, err := gorm.Open(postgres.New(postgres.Config{DSN: o.URL, OptionOpenDB: []stdlib.OptionOpenDB{stdlib.OptionAfterConnect(limitIdle)}}), quiet)
	if err != nil {
		return fault.New(fault.Unavailable, "Postgres does not answer: check --database-url and that the server runs").Because(redactURL(err, o.URL))
	}
	pool, err := g.DB()
	if err != nil {
		return fmt.Errorf("open postgres: %w", err)
	}
	pool.SetMaxOpenConns(32)
	pool.SetMaxIdleConns(32)
	pool.SetConnMaxLifetime(30 * time.Minute) // after a failover some may lead to a server that is no primary
	g.Logger = config(o.Logger).Logger
	db.write, db.read, db.sql = g, g, pool
	db.release = append(db.release, pool.Close)
	if err := pool.PingContext(ctx); err != nil {
		return fault.New(fault.Unavailable, "Postgres does not answer: check --database-url and that the server runs").Because(redactURL(err, o.URL))
	}
	return nil
}

// limitIdle makes the server end a transaction that nothing comes for, unless the URL or the server
// has set a time for that. Else the locks of a host that was lost, or stopped, would stay until
// the operating system gives its connection up: two hours.
func limitIdle(ctx context.Context, conn *pgx.Conn) error {
	_, err := conn.Exec(ctx, `SELECT set_config('idle_in_transaction_session_timeout', '10s', false)
		WHERE current_setting('idle_in_transaction_session_timeout') IN ('0', '')`)
	return err
}

// redactURL keeps the password of a connection URL out of an error's text.
func redactURL(err error, url string) error {
	text := strings.ReplaceAll(err.Error(), url, "(database URL)")
	if _, rest, ok := strings.Cut(url, "://"); ok {
		if user, _, ok := strings.Cut(rest, "@"); ok {
			if _, password, ok := strings.Cut(user, ":"); ok && password != "" {
				text = strings.ReplaceAll(text, password, "***")
			}
		}
	}
	return errors.New(text)
}

// config is the house's gorm: translated errors, no values in logs, no hidden transactions, and
// no SELECT *, which Postgres refuses ("cached plan must not change result type") to processes
// that run on while the next release adds a column.
func config(log *slog.Logger) *gorm.Config {
	return &gorm.Config{
		TranslateError:           true,
		QueryFields:              true,
		SkipDefaultTransaction:   true,
		DisableNestedTransaction: true,
		Logger: statements{logger.NewSlogLogger(log, logger.Config{
			LogLevel: logger.Error, ParameterizedQueries: true, IgnoreRecordNotFoundError: true,
		})},
	}
}
