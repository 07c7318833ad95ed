// Package sqlstore keeps the plans of cron triggers in the database of package
// internal/database, SQLite or Postgres.
package sqlstore

import (
	"context"
	"time"

	"gorm.io/gorm"
	"gorm.io/gorm/clause"

	"keyflow/internal/database"
	"keyflow/triggers"
	"keyflow/workflows"
)

// Store implements triggers.Store. It is safe for concurrent use.
type Store struct{ db *database.DB }

var _ triggers.Store = (*Store)(nil)

// New returns a store over db.
func New(db *database.DB) *Store { return &Store{db} }

type scheduleRow struct {
	Workflow  string `gorm:"primaryKey"`
	TriggerID string `gorm:"primaryKey"`
	Schedule  string
	Timezone  string
	Anchor    int64
	Revision  int64
	NextAt    *int64
	Missed    int64
}

func (scheduleRow) TableName() string { return "schedules" }

func (r scheduleRow) plan() triggers.Plan {
	p := triggers.Plan{
		Workflow: workflows.ID(r.Workflow), Trigger: r.TriggerID, Schedule: r.Schedule, Timezone: r.Timezone,
		Anchor: time.UnixMicro(r.Anchor).UTC(), Revision: r.Revision, Missed: r.Missed,
	}
	if r.NextAt != nil {
		p.NextAt = time.UnixMicro(*r.NextAt).UTC()
	}
	return p
}

func plans(rows []scheduleRow) []triggers.Plan {
	out := make([]triggers.Plan, len(rows))
	for i, r := range rows {
		out[i] = r.plan()
	}
	return out
}

// micros is null for the zero time.
func micros(t time.Time) *int64 {
	if t.IsZero() {
		return nil
	}
	return new(t.UnixMicro())
}

const what = "the schedule"

// Arm implements triggers.Store.
func (s *Store) Arm(ctx context.Context, p triggers.Plan) error {
	row := scheduleRow{
		Workflow: string(p.Workflow), TriggerID: p.Trigger, Schedule: p.Schedule, Timezone: p.Timezone,
		Anchor: p.Anchor.UnixMicro(), Revision: 1, NextAt: micros(p.NextAt), Missed: p.Missed,
	}
	onConflict := clause.OnConflict{
		Columns: []clause.Column{{Name: "workflow"}, {Name: "trigger_id"}},
		DoUpdates: append(clause.AssignmentColumns([]string{"schedule", "timezone", "anchor", "next_at", "missed"}),
			clause.Assignment{Column: clause.Column{Name: "revision"}, Value: gorm.Expr("schedules.revision + 1")}),
	}
	return database.Translate(s.db.Write().WithContext(ctx).Clauses(onConflict).Create(&row).Error, what)
}

// Keep implements triggers.Store.
func (s *Store) Keep(ctx context.Context, workflow workflows.ID, ids []string) error {
	q := s.db.Write().WithContext(ctx).Where("workflow = ?", string(workflow))
	if len(ids) > 0 {
		q = q.Where("trigger_id NOT IN ?", ids)
	}
	return database.Translate(q.Delete(&scheduleRow{}).Error, what)
}

// Plans implements triggers.Store.
func (s *Store) Plans(ctx context.Context, workflow workflows.ID) ([]triggers.Plan, error) {
	var rows []scheduleRow
	err := s.db.Read().WithContext(ctx).Where("workflow = ?", string(workflow)).Order("trigger_id").Find(&rows).Error
	return plans(rows), database.Translate(err, what)
}

// Counts implements triggers.Store.
func (s *Store) Counts(ctx context.Context) (map[workflows.ID]int, error) {
	var rows []struct {
		Workflow string
		N        int
	}
	err := s.db.Read().WithContext(ctx).Model(&scheduleRow{}).Select("workflow, COUNT(*) AS n").
		Where("next_at IS NOT NULL").Group("workflow").Find(&rows).Error
	out := make(map[workflows.ID]int, len(rows))
	for _, r := range rows {
		out[workflows.ID(r.Workflow)] = r.N
	}
	return out, database.Translate(err, what)
}

// Due implements triggers.Store.
func (s *Store) Due(ctx context.Context, now time.Time, after triggers.Plan, limit int) ([]triggers.Plan, error) {
	q := s.db.Read().WithContext(ctx).Where("next_at IS NOT NULL AND next_at <= ?", now.UnixMicro())
	if !after.NextAt.IsZero() {
		q = q.Where("(next_at, workflow, trigger_id) > (?, ?, ?)", after.NextAt.UnixMicro(), string(after.Workflow), after.Trigger)
	}
	var rows []scheduleRow
	err := q.Order("next_at, workflow, trigger_id").Limit(limit).Find(&rows).Error
	return plans(rows), database.Translate(err, what)
}

// NextDue implements triggers.Store.
func (s *Store) NextDue(ctx context.Context) (time.Time, error) {
	var rows []scheduleRow
	err := s.db.Read().WithContext(ctx).Select("next_at").Where("next_at IS NOT NULL").Order("next_at").Limit(1).Find(&rows).Error
	if err != nil || len(rows) == 0 {
		return time.Time{}, database.Translate(err, what)
	}
	return rows[0].plan().NextAt, nil
}

// Advance implements triggers.Store.
func (s *Store) Advance(ctx context.Context, p triggers.Plan, next time.Time, missed int64) (bool, error) {
	result := s.db.Write().WithContext(ctx).Model(&scheduleRow{}).
		Where("workflow = ? AND trigger_id = ? AND revision = ? AND next_at = ?", string(p.Workflow), p.Trigger, p.Revision, p.NextAt.UnixMicro()).
		Updates(map[string]any{"next_at": micros(next), "missed": gorm.Expr("missed + ?", missed)})
	return result.RowsAffected == 1, database.Translate(result.Error, what)
}
