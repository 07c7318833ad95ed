package sqlstore

import (
	"context"
	"time"

	"gorm.io/gorm"

	"keyflow/credentials"
	"keyflow/internal/database"
	outbox "keyflow/internal/outbox/sqlstore"
)

// plan fills in when the credential ends and, when that has changed, when people are reminded of
// it. It reports whether it has changed.
func (row *credentialRow) plan(old, r *credentials.Record) bool {
	end := credentials.ExpiryOf(&r.Credential)
	if end != nil {
		row.ExpiresAt = microsOf(end.At)
	}
	if old != nil {
		was := credentials.ExpiryOf(&old.Credential)
		if was == nil && end == nil || was != nil && end != nil && was.At.Equal(end.At) {
			return false
		}
	}
	if end != nil {
		row.RemindAt = microsOf(credentials.PlanReminder(end.At, r.UpdatedAt))
	}
	return true
}

// Remind implements credentials.ReminderStore.
func (s *Store) Remind(ctx context.Context, now time.Time, limit int) (int, error) {
	var due []struct {
		ID       string
		RemindAt int64
	}
	err := s.db.Read().WithContext(ctx).Raw("SELECT id, remind_at FROM credentials WHERE remind_at IS NOT NULL AND remind_at <= ? ORDER BY remind_at, id LIMIT ?",
		micros(now), limit).Scan(&due).Error
	if err != nil {
		return 0, database.Translate(err, "reminders")
	}
	for _, d := range due {
		if err := s.remind(ctx, credentials.ID(d.ID), d.RemindAt, now); err != nil {
			return 0, database.Translate(err, what(credentials.ID(d.ID)))
		}
	}
	return len(due), nil
}

// remind publishes one reminder, unless another process has, or an edit has planned anew.
func (s *Store) remind(ctx context.Context, id credentials.ID, seen int64, now time.Time) error {
	return s.tx(ctx, func(tx *gorm.DB) error {
		// The first statement locks the row, so that what is read next stays as it is.
		done := tx.Exec("UPDATE credentials SET remind_at = NULL WHERE id = ? AND remind_at = ?", string(id), seen)
		if done.Error != nil || done.RowsAffected == 0 {
			return done.Error
		}
		r, err := get(tx, id)
		if err != nil {
			return err
		}
		end := credentials.ExpiryOf(&r.Credential)
		if end == nil {
			return nil // a damaged record: nobody knows when it ends
		}
		next := microsOf(credentials.NextReminder(end.At, now))
		if err := tx.Exec("UPDATE credentials SET remind_at = ? WHERE id = ?", next, string(id)).Error; err != nil {
			return err
		}
		return outbox.Append(tx, credentials.ReminderEvent(r, end, now))
	})
}

// narrow adds the conditions of a list that concern state, end, last use and keep_alive. A status
// is that which is shown: a credential that works and ends soon is expiring.
func narrow(q *gorm.DB, f *credentials.Filter) *gorm.DB {
	now, soon := micros(f.Now), micros(f.Now.Add(credentials.ExpiringSoon))
	const works = "c.state IN ('ok', 'untested')"
	switch f.Status {
	case "":
	case credentials.Expiring:
		q = q.Where(works+" AND c.expires_at > ? AND c.expires_at <= ?", now, soon)
	case credentials.Expired:
		q = q.Where(works+" AND c.expires_at <= ?", now)
	case credentials.OK, credentials.Untested:
		q = q.Where("c.state = ? AND (c.expires_at IS NULL OR c.expires_at > ?)", string(f.Status), soon)
	default:
		q = q.Where("c.state = ?", string(f.Status))
	}
	if f.KeptAlive {
		q = q.Where("c.kept_alive = 1") // as the index says it
	}
	if f.Attention {
		q = q.Where("(c.state IN ('needs_connect', 'needs_reconnect', 'refused', 'quota') OR c.expires_at <= ?)", soon)
	}
	if f.Unused {
		q = q.Where("(c.last_used_at IS NULL OR c.last_used_at < ?)", micros(f.Now.Add(-credentials.UnusedLong)))
	}
	return q
}
