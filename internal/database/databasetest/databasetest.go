// Package databasetest gives tests real databases: a fresh, migrated SQLite file or
// Postgres database for each test. There is no in-memory stand-in and nothing is skipped:
// without a Postgres server the tests fail and say how to start one.
package databasetest

import (
	"context"
	"crypto/rand"
	"database/sql"
	"fmt"
	"net/url"
	"os"
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

// SQLite returns a fresh database in a temporary folder.
func SQLite(tb testing.TB) *database.DB {
	tb.Helper()
	return open(tb, database.Options{Dir: tb.TempDir()})
}

// Postgres returns a fresh database on the test server.
func Postgres(tb testing.TB) *database.DB {
	tb.Helper()
	return open(tb, database.Options{URL: PostgresURL(tb)})
}

// PostgresURL creates an empty database on the test server and returns its URL; the
// database is dropped when the test ends.
func PostgresURL(tb testing.TB) string {
	tb.Helper()
	server := os.Getenv(EnvPostgres)
	if server == "" {
		tb.Fatalf("%s is not set: run the tests as `scripts/with-postgres go test ./...` (make test does)", EnvPostgres)
	}
	name := "kf_" + strings.ToLower(rand.Text())
	admin(tb, server, "CREATE DATABASE "+name)
	tb.Cleanup(func() { admin(tb, server, "DROP DATABASE IF EXISTS "+name+" WITH (FORCE)") })
	u, err := url.Parse(server)
	if err != nil {
		tb.Fatalf("%s: %v", EnvPostgres, err)
	}
	u.Path = "/" + name
	return u.String()
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

func admin(tb testing.TB, server, statement string) {
	tb.Helper()
	conn, err := sql.Open("pgx", server)
	if err == nil {
		_, err = conn.Exec(statement)
		if closeErr := conn.Close(); err == nil {
			err = closeErr
		}
	}
	if err != nil {
		tb.Fatalf("test server: %v", fmt.Errorf("%s: %w", statement, err))
	}
}
