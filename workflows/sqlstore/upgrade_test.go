package sqlstore_test

import (
	"testing"
	"time"

	"keyflow/internal/database/databasetest"
	"keyflow/workflows"
	"keyflow/workflows/sqlstore"
)

// While processes of this release run, the next one may add columns to the same database.
func TestColumnsAddedBesideReaders(t *testing.T) {
	t.Parallel()
	db := databasetest.Postgres(t)
	db.SQL().SetMaxOpenConns(1) // the connection that knows the statements
	s := sqlstore.New(db)
	read := func() {
		t.Helper()
		_, err := s.Get(t.Context(), "w")
		check(t, "get", err)
		_, err = s.List(t.Context(), workflows.Filter{Limit: 10})
		check(t, "list", err)
		_, err = s.Version(t.Context(), "w", 1)
		check(t, "version", err)
		_, err = s.Changes(t.Context(), 0, 10)
		check(t, "changes", err)
		_, err = s.Usages(t.Context(), "erp")
		check(t, "usages", err)
		_, err = s.SetEnabled(t.Context(), "w", true, "admin", time.Now())
		check(t, "switch", err)
	}
	_, _, err := s.Put(t.Context(), &workflows.Definition{ID: "w", Name: "W", Folder: "/", Source: []byte(`{}`)}, nil, "admin", 0, time.Now())
	check(t, "put", err)
	read()
	for _, table := range []string{"workflows", "workflow_versions", "workflow_credentials"} {
		check(t, table, db.Write().Exec("ALTER TABLE "+table+" ADD COLUMN later BIGINT").Error)
	}
	read()
}

func check(t *testing.T, what string, err error) {
	t.Helper()
	if err != nil {
		t.Errorf("%s: %v", what, err)
	}
}
