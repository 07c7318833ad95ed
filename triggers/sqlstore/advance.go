package sqlstore

import (
	"cmp"
	"context"
	"slices"

	"gorm.io/gorm"

	"keyflow/internal/database"
	"keyflow/triggers/plans"
)

const advance = `UPDATE schedules SET next_at = ?, missed = missed + ?, skipped = skipped + ?
	WHERE workflow = ? AND trigger_id = ? AND revision = ? AND next_at = ?`

// Advance implements plans.Store. Rows are moved in the order of their keys, because other
// processes move the same ones and each row stays locked until the end.
func (s *Store) Advance(ctx context.Context, moves []plans.Move) ([]bool, error) {
	if len(moves) == 0 {
		return nil, nil
	}
	order := make([]int, len(moves))
	for i := range order {
		order[i] = i
	}
	slices.SortFunc(order, func(i, j int) int {
		a, b := moves[i].Plan, moves[j].Plan
		return cmp.Or(cmp.Compare(a.Workflow, b.Workflow), cmp.Compare(a.Trigger, b.Trigger))
	})
	moved := make([]bool, len(moves))
	err := s.db.Tx(ctx, func(tx *gorm.DB) error {
		for _, i := range order {
			m := moves[i]
			done := tx.Exec(advance, micros(m.NextAt), m.Missed, m.Skipped,
				string(m.Plan.Workflow), m.Plan.Trigger, m.Plan.Revision, m.Plan.NextAt.UnixMicro())
			if done.Error != nil {
				return done.Error
			}
			moved[i] = done.RowsAffected == 1
		}
		return nil
	})
	if err != nil {
		return nil, database.Translate(err, what)
	}
	return moved, nil
}
