package databasetest

import (
	"context"
	"database/sql"
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"sync"

	"keyflow/internal/database"
)

// Migrating takes longer than most tests. So it is done once: SQLite once in each test
// binary, Postgres once on the test server.

// templateLock serializes the test binaries that find no template on the server.
const templateLock = 0x6b66_7465_7374

// sqliteTemplate returns the file of a migrated database.
var sqliteTemplate = sync.OnceValues(func() (file []byte, err error) {
	dir, err := os.MkdirTemp("", "keyflow-template-")
	if err != nil {
		return nil, err
	}
	defer func() { err = errors.Join(err, os.RemoveAll(dir)) }()
	if err := migrate(database.Options{Dir: dir}); err != nil {
		return nil, err
	}
	return os.ReadFile(filepath.Join(dir, database.FileName))
})

// templateName changes with the migrations, so that a server can be used for long.
func templateName() string { return "kf_template_" + database.MigrationsDigest() }

var (
	templateOnce sync.Once
	errTemplate  error
)

// postgresTemplate makes the template database where the server has none.
func postgresTemplate(server string) error {
	templateOnce.Do(func() { errTemplate = makePostgresTemplate(context.Background(), server) })
	return errTemplate
}

func makePostgresTemplate(ctx context.Context, server string) (err error) {
	pool, err := sql.Open("pgx", server)
	if err != nil {
		return err
	}
	defer func() { err = errors.Join(err, pool.Close()) }()
	conn, err := pool.Conn(ctx)
	if err != nil {
		return err
	}
	defer func() { err = errors.Join(err, conn.Close()) }()
	if _, err := conn.ExecContext(ctx, "SELECT pg_advisory_lock($1)", int64(templateLock)); err != nil {
		return err
	}
	var exists bool
	name := templateName()
	err = conn.QueryRowContext(ctx, "SELECT EXISTS (SELECT FROM pg_database WHERE datname = $1)", name).Scan(&exists)
	if err != nil || exists {
		return err
	}
	draft := name + "_draft" // a binary that is killed while it migrates leaves no half template
	for _, statement := range []string{"DROP DATABASE IF EXISTS " + draft + " WITH (FORCE)", "CREATE DATABASE " + draft} {
		if _, err := conn.ExecContext(ctx, statement); err != nil {
			return fmt.Errorf("%s: %w", statement, err)
		}
	}
	address, err := databaseURL(server, draft)
	if err != nil {
		return err
	}
	if err := migrate(database.Options{URL: address}); err != nil {
		return err
	}
	_, err = conn.ExecContext(ctx, "ALTER DATABASE "+draft+" RENAME TO "+name)
	return err
}

func migrate(o database.Options) error {
	db, err := database.Open(context.Background(), o)
	if err != nil {
		return err
	}
	return db.Close()
}
