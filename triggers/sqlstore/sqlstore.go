// Package sqlstore keeps the plans of cron triggers in the database of package
// internal/database, SQLite or Postgres.
package sqlstore

import (
	"cmp"
	"context"
	"slices"
	"time"

	"gorm.io/gorm"
	"gorm.io/gorm/clause"

	"keyflow/internal/database"
	"keyflow/triggers/plans"
	"keyflow/triggers/schedule"
	"keyflow/workflows"
)

// Store implements plans.Store. It is safe for concurrent use.
type Store struct{ db *database.DB }

var _ plans.Store = (*Store)(nil)

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
	Seconds   int
	FromAt    *int64
	UntilAt   *int64
	Skipped   int64
}

func (scheduleRow) TableName() string { return "schedules" }

func (r scheduleRow) plan() plans.Plan {
	return plans.Plan{
		Workflow: workflows.ID(r.Workflow), Trigger: r.TriggerID,
		Spec:   schedule.Spec{Schedule: r.Schedule, Timezone: r.Timezone, Seconds: r.Seconds == 1, From: instant(r.FromAt), Until: instant(r.UntilAt)},
		Anchor: time.UnixMicro(r.Anchor).UTC(), Revision: r.Revision, NextAt: instant(r.NextAt),
		Missed: r.Missed, Skipped: r.Skipped,
	}
}

// instant is zero for null.
func instant(micros *int64) time.Time {
	if micros == nil {
		return time.Time{}
	}
	return time.UnixMicro(*micros).UTC()
}

func plansOf(rows []scheduleRow) []plans.Plan {
	out := make([]plans.Plan, len(rows))
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

// rowsAtOnce keeps a statement below the number of parameters that databases take.
const rowsAtOnce = 500

// Arm implements plans.Store. Rows are written in the order of their keys, because other
// processes arm the same ones and each row stays locked until the end.
func (s *Store) Arm(ctx context.Context, list []plans.Plan) error {
	rows := make([]scheduleRow, len(list))
	for i, p := range list {
		rows[i] = scheduleRow{
			Workflow: string(p.Workflow), TriggerID: p.Trigger, Schedule: p.Schedule, Timezone: p.Timezone,
			Anchor: p.Anchor.UnixMicro(), Revision: 1, NextAt: micros(p.NextAt), Missed: p.Missed,
			FromAt: micros(p.From), UntilAt: micros(p.Until), Skipped: p.Skipped,
		}
		if p.Seconds {
			rows[i].Seconds = 1
		}
	}
	slices.SortFunc(rows, func(a, b scheduleRow) int {
		return cmp.Or(cmp.Compare(a.Workflow, b.Workflow), cmp.Compare(a.TriggerID, b.TriggerID))
	})
	onConflict := clause.OnConflict{
		Columns: []clause.Column{{Name: "workflow"}, {Name: "trigger_id"}},
		DoUpdates: append(clause.AssignmentColumns([]string{"schedule", "timezone", "anchor", "next_at", "missed", "seconds", "from_at", "until_at", "skipped"}),
			clause.Assignment{Column: clause.Column{Name: "revision"}, Value: gorm.Expr("schedules.revision + 1")}),
	}
	return database.Translate(s.db.Write().WithContext(ctx).Clauses(onConflict).CreateInBatches(&rows, rowsAtOnce).Error, what)
}

// Keep implements plans.Store.
func (s *Store) Keep(ctx context.Context, workflow workflows.ID, ids []string) error {
	q := s.db.Write().WithContext(ctx).Where("workflow = ?", string(workflow))
	if len(ids) > 0 {
		q = q.Where("trigger_id NOT IN ?", ids)
	}
	return database.Translate(q.Delete(&scheduleRow{}).Error, what)
}

// Plans implements plans.Store.
func (s *Store) Plans(ctx context.Context, of ...workflows.ID) ([]plans.Plan, error) {
	var rows []scheduleRow
	err := s.db.Read().WithContext(ctx).Where("workflow IN ?", of).Order("workflow, trigger_id").Find(&rows).Error
	return plansOf(rows), database.Translate(err, what)
}

// Counts implements plans.Store.
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

// Planned implements plans.Store.
func (s *Store) Planned(ctx context.Context) (int, error) {
	var n int64
	err := s.db.Read().WithContext(ctx).Model(&scheduleRow{}).Where("next_at IS NOT NULL").Count(&n).Error
	return int(n), database.Translate(err, what)
}

// Due implements plans.Store.
func (s *Store) Due(ctx context.Context, now time.Time, after plans.Plan, limit int) ([]plans.Plan, error) {
	q := s.db.Read().WithContext(ctx).Where("next_at IS NOT NULL AND next_at <= ?", now.UnixMicro())
	if !after.NextAt.IsZero() {
		q = q.Where("(next_at, workflow, trigger_id) > (?, ?, ?)", after.NextAt.UnixMicro(), string(after.Workflow), after.Trigger)
	}
	var rows []scheduleRow
	err := q.Order("next_at, workflow, trigger_id").Limit(limit).Find(&rows).Error
	return plansOf(rows), database.Translate(err, what)
}

// NextDue implements plans.Store.
func (s *Store) NextDue(ctx context.Context) (time.Time, error) {
	var rows []scheduleRow
	err := s.db.Read().WithContext(ctx).Select("next_at").Where("next_at IS NOT NULL").Order("next_at").Limit(1).Find(&rows).Error
	if err != nil || len(rows) == 0 {
		return time.Time{}, database.Translate(err, what)
	}
	return rows[0].plan().NextAt, nil
}
