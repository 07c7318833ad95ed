package sqlstore

import (
	"context"

	"keyflow/credentials"
	"keyflow/engine/runs"
	"keyflow/engine/sqlstore/record"
	"keyflow/internal/database"
)

var _ runs.CredentialWaits = (*Store)(nil)

// WaitingForCredential implements runs.CredentialWaits.
func (s *Store) WaitingForCredential(ctx context.Context, id credentials.ID, after runs.ID, limit int) ([]runs.ID, error) {
	var rows []struct{ Run []byte }
	err := s.db.Read().WithContext(ctx).Raw(`SELECT DISTINCT s.run FROM steps s JOIN runs r ON r.id = s.run
		WHERE s.hold = ? AND s.run > ? AND r.status NOT IN (?, ?, ?)
		AND NOT EXISTS (SELECT 1 FROM signals WHERE signals.run = s.run AND signals.kind = ? AND signals.data = ?)
		ORDER BY s.run LIMIT ?`,
		string(id), after[:], record.RunSucceeded, record.RunFailed, record.RunCanceled, runs.SignalConnected, []byte(id), limit).Scan(&rows).Error
	if err != nil {
		return nil, database.Translate(err, "runs that wait for a credential")
	}
	ids := make([]runs.ID, len(rows))
	for i, row := range rows {
		ids[i] = runs.ID(row.Run)
	}
	return ids, nil
}

// AwaitedCredentials implements runs.CredentialWaits. It goes from one
// credential to the next in the index.
func (s *Store) AwaitedCredentials(ctx context.Context) ([]credentials.ID, error) {
	var ids []credentials.ID
	err := s.db.Read().WithContext(ctx).Raw(`WITH RECURSIVE awaited (id) AS (
			SELECT min(hold) FROM steps WHERE hold IS NOT NULL
			UNION ALL SELECT (SELECT min(hold) FROM steps WHERE hold > awaited.id) FROM awaited WHERE awaited.id IS NOT NULL
		) SELECT id FROM awaited WHERE id IS NOT NULL`).Scan(&ids).Error
	if err != nil {
		return nil, database.Translate(err, "credentials that runs wait for")
	}
	return ids, nil
}
