package sqlstore

import (
	"context"
	"time"

	"keyflow/internal/database"
)

// PruneDedupe deletes dedupe keys that expired at now or before, at most limit of them, and
// returns how many. A key that is taken anew at the same moment stays.
func (s *Store) PruneDedupe(ctx context.Context, now time.Time, limit int) (int, error) {
	done := s.db.Write().WithContext(ctx).Exec(`DELETE FROM dedupe WHERE expires_at <= ? AND hash IN
		(SELECT hash FROM dedupe WHERE expires_at <= ? ORDER BY expires_at LIMIT ?)`, now.UnixMicro(), now.UnixMicro(), limit)
	return int(done.RowsAffected), database.Translate(done.Error, "dedupe keys")
}
