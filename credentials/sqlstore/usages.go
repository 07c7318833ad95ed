package sqlstore

import (
	"context"
	"slices"
	"strings"
	"time"

	"gorm.io/gorm"

	"keyflow/credentials"
	"keyflow/internal/database"
)

// usagesPerStatement bounds the rows of one INSERT.
const usagesPerStatement = 100

// NoteUsages implements credentials.UsageStore. The order of rows keeps concurrent writers
// from waiting for one another in a circle; each group has a transaction of its own, so that
// runs need not wait for all of them.
func (s *Store) NoteUsages(ctx context.Context, seen []credentials.Seen) error {
	seen = slices.Clone(seen)
	slices.SortFunc(seen, func(a, b credentials.Seen) int {
		return strings.Compare(string(a.Credential)+"\x00"+a.Workflow+"\x00"+a.Node, string(b.Credential)+"\x00"+b.Workflow+"\x00"+b.Node)
	})
	for group := range slices.Chunk(seen, usagesPerStatement) {
		if err := noteUsages(s.db.Write().WithContext(ctx), group); err != nil {
			return database.Translate(err, "uses of credentials")
		}
	}
	return nil
}

func noteUsages(tx *gorm.DB, group []credentials.Seen) error {
	// CAST gives the columns of VALUES a type on Postgres.
	const row = "(?, ?, ?, CAST(? AS BIGINT), CAST(? AS BIGINT), ?)"
	args := make([]any, 0, 6*len(group))
	for _, u := range group {
		args = append(args, string(u.Credential), u.Workflow, u.Node, micros(u.At), u.Status, u.Error)
	}
	return tx.Exec(`INSERT INTO credential_usages (credential, workflow, node, last_used_at, last_status, last_error)
		SELECT v.column1, v.column2, v.column3, v.column4, v.column5, v.column6
		FROM (VALUES `+row+strings.Repeat(", "+row, len(group)-1)+`) AS v JOIN credentials AS c ON c.id = v.column1 WHERE true
		ORDER BY v.column1, v.column2, v.column3
		ON CONFLICT (credential, workflow, node) DO UPDATE SET
			last_used_at = excluded.last_used_at, last_status = excluded.last_status, last_error = excluded.last_error
		WHERE credential_usages.last_used_at <= excluded.last_used_at`, args...).Error
}

// Usages implements credentials.UsageStore.
func (s *Store) Usages(ctx context.Context, id credentials.ID) ([]credentials.Seen, error) {
	var rows []struct {
		Workflow, Node, LastError string
		LastUsedAt                int64
		LastStatus                int
	}
	err := s.db.Read().WithContext(ctx).Raw("SELECT workflow, node, last_used_at, last_status, last_error FROM credential_usages WHERE credential = ? ORDER BY workflow, node",
		string(id)).Scan(&rows).Error
	if err != nil {
		return nil, database.Translate(err, what(id))
	}
	seen := make([]credentials.Seen, len(rows))
	for i, r := range rows {
		seen[i] = credentials.Seen{
			Credential: id, Workflow: r.Workflow, Node: r.Node, At: moment(r.LastUsedAt), Status: r.LastStatus, Error: r.LastError,
		}
	}
	return seen, nil
}

// UsedBy implements credentials.UsageStore.
func (s *Store) UsedBy(ctx context.Context, ids []credentials.ID) (map[credentials.ID][]string, error) {
	var rows []struct{ Credential, Workflow string }
	err := s.db.Read().WithContext(ctx).Raw("SELECT DISTINCT credential, workflow FROM credential_usages WHERE credential IN ?", ids).Scan(&rows).Error
	if err != nil {
		return nil, database.Translate(err, "uses of credentials")
	}
	used := make(map[credentials.ID][]string)
	for _, r := range rows {
		id := credentials.ID(r.Credential)
		used[id] = append(used[id], r.Workflow)
	}
	return used, nil
}

// UsedBefore implements credentials.UsageStore.
func (s *Store) UsedBefore(ctx context.Context, before time.Time) (workflows []string, err error) {
	err = s.db.Read().WithContext(ctx).Raw("SELECT DISTINCT workflow FROM credential_usages WHERE last_used_at < ? ORDER BY workflow", micros(before)).Scan(&workflows).Error
	return workflows, database.Translate(err, "uses of credentials")
}

// ForgetUsages implements credentials.UsageStore.
func (s *Store) ForgetUsages(ctx context.Context, workflows []string, before time.Time) error {
	if len(workflows) == 0 {
		return nil
	}
	err := s.db.Write().WithContext(ctx).Exec("DELETE FROM credential_usages WHERE workflow IN ? AND last_used_at < ?", workflows, micros(before)).Error
	return database.Translate(err, "uses of credentials")
}
