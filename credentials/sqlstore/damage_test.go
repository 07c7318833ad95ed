package sqlstore_test

import (
	"testing"
	"time"

	"keyflow/credentials"
	"keyflow/credentials/sqlstore"
	"keyflow/internal/database"
	"keyflow/internal/database/databasetest"
	"keyflow/internal/fault"
)

// A row that cannot be read is an error of its credential alone, and can be deleted.
func TestDamagedRows(t *testing.T) {
	t.Parallel()
	statements := map[string]string{
		"details":         "UPDATE credentials SET details = ? WHERE id = 'bad'",
		"fields":          "UPDATE credential_versions SET fields = ? WHERE credential = 'bad'",
		"secrets":         "UPDATE credential_versions SET secrets = ? WHERE credential = 'bad'",
		"sealed":          "UPDATE credential_versions SET sealed = ? WHERE credential = 'bad'",
		"missing version": "DELETE FROM credential_versions WHERE credential = 'bad' AND fields <> ?",
	}
	databasetest.Each(t, func(t *testing.T, open func() *database.DB) {
		for name, statement := range statements {
			t.Run(name, func(t *testing.T) {
				t.Parallel()
				db := open()
				s := sqlstore.New(db)
				for _, id := range []credentials.ID{"bad", "good"} {
					put(t, s, id)
				}
				if err := db.Write().Exec(statement, []byte(`{"a": [`)).Error; err != nil {
					t.Fatal(err)
				}
				list, err := s.List(t.Context(), credentials.Filter{})
				if err != nil || len(list) != 2 || list[0].ID != "bad" || list[0].Damage == nil || list[0].Folder != "/hr" || list[1].Damage != nil {
					t.Fatalf("list: %+v, %v", list, err)
				}
				const want = `credential "bad" is ` + credentials.MessageDamaged
				if _, err := s.Get(t.Context(), "bad"); !fault.Is(err, fault.Conflict) || fault.Message(err) != want {
					t.Errorf("get: %v", err)
				}
				if _, err := s.Get(t.Context(), "good"); err != nil {
					t.Errorf("get of the other: %v", err)
				}
				_, err = s.Change(t.Context(), "bad", func(old *credentials.Record, _ int64) (*credentials.Record, error) {
					if old == nil || old.Damage == nil {
						t.Errorf("the damaged record arrived as %+v", old)
					}
					return nil, nil
				})
				if err != nil {
					t.Errorf("delete: %v", err)
				}
			})
		}
	})
}

func put(t *testing.T, s *sqlstore.Store, id credentials.ID) {
	t.Helper()
	_, err := s.Change(t.Context(), id, func(_ *credentials.Record, revision int64) (*credentials.Record, error) {
		at := time.Date(2026, 3, 1, 12, 0, 0, 0, time.UTC)
		return &credentials.Record{
			Credential: credentials.Credential{
				ID: id, Name: "n", Folder: "/hr", Type: "no_auth", Version: 1, Revision: revision,
				State: credentials.State{Status: credentials.OK, Since: at}, CreatedAt: at, UpdatedAt: at,
			},
			FingerprintKey: []byte{1},
		}, nil
	})
	if err != nil {
		t.Fatal(err)
	}
}
