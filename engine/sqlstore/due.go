package sqlstore

import (
	"context"
	"strings"
	"time"

	"keyflow/engine/runs"
	"keyflow/internal/database"
	"keyflow/workflows"
)

// dueOrigins goes from one origin to the next in the index of due runs.
const dueOrigins = `WITH RECURSIVE due (id) AS (
		SELECT min(origin) FROM runs WHERE owner IS NULL AND due_at IS NOT NULL
		UNION ALL SELECT (SELECT min(origin) FROM runs WHERE owner IS NULL AND due_at IS NOT NULL AND origin > due.id) FROM due WHERE due.id IS NOT NULL
	) SELECT id FROM due WHERE id IS NOT NULL`

// originsPerQuery is how many origins one statement reads.
const originsPerQuery = 64

// DueOfEach implements runs.Store.
func (s *Store) DueOfEach(ctx context.Context, now time.Time, each int) ([]runs.DueRun, error) {
	db := s.db.Read().WithContext(ctx)
	var origins []int64
	if err := db.Raw(dueOrigins).Scan(&origins).Error; err != nil {
		return nil, database.Translate(err, "origins of due runs")
	}
	var due []runs.DueRun
	for len(origins) > 0 {
		n := min(len(origins), originsPerQuery)
		parts, args := make([]string, n), make([]any, 0, 3*n)
		for i, origin := range origins[:n] {
			parts[i] = `SELECT * FROM (SELECT r.id, o.workflow FROM runs r JOIN origins o ON o.id = r.origin
				WHERE r.origin = ? AND r.owner IS NULL AND r.due_at IS NOT NULL AND r.due_at <= ? ORDER BY r.due_at, r.id LIMIT ?) t`
			args = append(args, origin, now.UnixMicro(), each)
		}
		var rows []struct {
			ID       []byte
			Workflow string
		}
		if err := db.Raw(strings.Join(parts, " UNION ALL "), args...).Scan(&rows).Error; err != nil {
			return nil, database.Translate(err, "due runs")
		}
		for _, row := range rows {
			due = append(due, runs.DueRun{Run: runs.ID(row.ID), Workflow: workflows.ID(row.Workflow)})
		}
		origins = origins[n:]
	}
	return due, nil
}
