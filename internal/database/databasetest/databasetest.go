// Package databasetest gives tests real databases: a fresh, migrated SQLite file or
// Postgres database for each test. There is no in-memory stand-in and nothing is skipped:
// without a Postgres server the tests fail and say how to start one.
package databasetest

import (
	"context"
	"crypto/rand"
	"database/sql"
	"errors"
	"fmt"
	"net/url"
	"os"
	"path/filepath"
	"strings"
	"testing"

	_ "github.com/jackc/pgx/v5/stdlib" // the driver "pgx"

	"keyflow/internal/database"
)

// EnvPostgres names the variable with the URL of a Postgres server whose user may create
// databases. scripts/with-postgres sets it.
const EnvPostgres = "KEYFLOW_TEST_POSTGRES"

// Each runs fn as two subtests, "sqlite" and "postgres". Each call of open gives a fresh
// migrated database that is closed and removed when the test ends.
func Each(t *testing.T, fn func(t *testing.T, open func() *database.DB)) {
	t.Helper()
	t.Run("sqlite", func(t *testing.T) {
		t.Parallel()
		fn(t, func() *database.DB { return SQLite(t) })
	})
	t.Run("postgres", func(t *testing.T) {
		t.Parallel()
		fn(t, func() *database.DB { return Postgres(t) })
	})
}

// SQLite returns a fresh database in a temporary folder, a copy of the template.
func SQLite(tb testing.TB) *database.DB {
	tb.Helper()
	file, err := sqliteTemplate()
	if err != nil {
		tb.Fatalf("template of SQLite databases: %v", err)
	}
	dir := tb.TempDir()
	if err := os.WriteFile(filepath.Join(dir, database.FileName), file, 0o600); err != nil {
		tb.Fatal(err)
	}
	return open(tb, database.Options{Dir: dir})
}

// Postgres returns a fresh database on the test server, a copy of the template.
func Postgres(tb testing.TB) *database.DB {
	tb.Helper()
	server := serverURL(tb)
	if err := postgresTemplate(server); err != nil {
		tb.Fatalf("template of Postgres databases: %v", err)
	}
	return open(tb, database.Options{URL: create(tb, server, " TEMPLATE "+templateName())})
}

// PostgresURL creates an empty database on the test server and returns its URL; the
// database is dropped when the test ends.
func PostgresURL(tb testing.TB) string {
	tb.Helper()
	return create(tb, serverURL(tb), "")
}

func serverURL(tb testing.TB) string {
	tb.Helper()
	server := os.Getenv(EnvPostgres)
	if server == "" {
		tb.Fatalf("%s is not set: run the tests as `scripts/with-postgres go test ./...` (make test does)", EnvPostgres)
	}
	return server
}

// create makes a database under a name of its own and returns its URL.
func create(tb testing.TB, server, clause string) string {
	tb.Helper()
	name := "kf_" + strings.ToLower(rand.Text())
	if err := admin(server, "CREATE DATABASE "+name+clause); err != nil {
		tb.Fatalf("test server: %v", err)
	}
	tb.Cleanup(func() {
		if err := admin(server, "DROP DATABASE IF EXISTS "+name+" WITH (FORCE)"); err != nil {
			tb.Errorf("test server: %v", err)
		}
	})
	address, err := databaseURL(server, name)
	if err != nil {
		tb.Fatal(err)
	}
	return address
}

func databaseURL(server, name string) (string, error) {
	u, err := url.Parse(server)
	if err != nil {
		return "", fmt.Errorf("%s: %w", EnvPostgres, err)
	}
	u.Path = "/" + name
	return u.String(), nil
}

func open(tb testing.TB, o database.Options) *database.DB {
	tb.Helper()
	db, err := database.Open(context.Background(), o)
	if err != nil {
		tb.Fatalf("open test database: %v", err)
	}
	tb.Cleanup(func() {
		if err := db.Close(); err != nil {
			tb.Errorf("close test database: %v", err)
		}
	})
	return db
}

// admin runs one statement on the server's own database.
func admin(server, statement string) error {
	conn, err := sql.Open("pgx", server)
	if err != nil {
		return err
	}
	_, err = conn.Exec(statement)
	if err != nil {
		err = fmt.Errorf("%s: %w", statement, err)
	}
	return errors.Join(err, conn.Close())
}
