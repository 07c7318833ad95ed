package sqlstore_test

import (
	"testing"
	"time"

	"keyflow/credentials"
	"keyflow/internal/database/databasetest"
)

// While processes of this release run, the next one may add columns to the same database.
func TestColumnsAddedBesideReaders(t *testing.T) {
	t.Parallel()
	db := databasetest.Postgres(t)
	db.SQL().SetMaxOpenConns(1) // the connection that knows the statements
	s := newTold(t, db)
	now := time.Now()
	s.change("crm", func(*credentials.Record) {})
	read := func() {
		t.Helper()
		_, err := s.Get(t.Context(), "crm")
		check(t, "get", err)
		_, err = s.List(t.Context(), credentials.Filter{})
		check(t, "list", err)
		_, err = s.Version(t.Context(), "crm", 1)
		check(t, "version", err)
		_, err = s.Versions(t.Context(), "crm")
		check(t, "versions", err)
		_, err = s.Token(t.Context(), "crm")
		check(t, "token", err)
		_, err = s.Canary(t.Context())
		check(t, "canary", err)
		check(t, "begin connect", s.PutConnect(t.Context(), credentials.Connect{Hash: []byte("h"), Credential: "crm", Sealed: []byte{1}, ExpiresAt: now.Add(time.Hour)}, now))
		_, err = s.TakeConnect(t.Context(), []byte("h"), now)
		check(t, "connect", err)
		_, err = s.HoldSlots(t.Context(), "crm", credentials.Claim{Holder: "p", Want: 1, Limit: 1}, now)
		check(t, "slots", err)
	}
	read()
	for _, table := range []string{
		"credentials", "credential_versions", "credential_tokens", "credential_connects", "credential_canary", "credential_slots",
	} {
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
