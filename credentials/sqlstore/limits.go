package sqlstore

import (
	"context"
	"errors"
	"time"

	"gorm.io/gorm"

	"keyflow/credentials"
	"keyflow/internal/database"
)

const (
	slotLife = 30 * time.Second // of slots whose process says nothing
	waitLife = 2 * time.Second  // of a claim without slots: whoever waits asks often
	slotTurn = time.Second      // with fewer slots than processes, each keeps one for so long
	fineness = 100              // a limit is exact to this part of its span
)

// exclusively runs fn in a transaction that no other one for the same credential overlaps. at
// is the time: the database's when processes share it, else the caller's.
func (s *Store) exclusively(ctx context.Context, id credentials.ID, now time.Time, fn func(tx *gorm.DB, at int64) error) error {
	err := s.db.Tx(ctx, func(tx *gorm.DB) error {
		lock := tx.Exec("INSERT INTO credential_limits (credential) VALUES (?) ON CONFLICT (credential) DO UPDATE SET credential = excluded.credential", string(id))
		if lock.Error != nil {
			return lock.Error
		}
		at, err := s.clock(tx, now)
		if err != nil {
			return err
		}
		return fn(tx, at)
	})
	if errors.Is(err, gorm.ErrForeignKeyViolated) {
		err = gorm.ErrRecordNotFound
	}
	return database.Translate(err, what(id))
}

func (s *Store) clock(tx *gorm.DB, now time.Time) (int64, error) {
	at := micros(now)
	if !s.Shared() {
		return at, nil
	}
	err := tx.Raw("SELECT CAST(extract(epoch FROM clock_timestamp()) * 1000000 AS BIGINT)").Scan(&at).Error
	return at, err
}

// TakeRequests implements credentials.LimitStore. Requests whose ends lie close together share
// a row, so that a limit has at most about a hundred.
func (s *Store) TakeRequests(ctx context.Context, id credentials.ID, want int, r credentials.Rate, now time.Time) (granted int, wait time.Duration, err error) {
	err = s.exclusively(ctx, id, now, func(tx *gorm.DB, at int64) error {
		if err := tx.Exec("DELETE FROM credential_requests WHERE credential = ? AND expires_at <= ?", string(id), at).Error; err != nil {
			return err
		}
		var counted struct{ Used, First int64 }
		err := tx.Raw("SELECT COALESCE(SUM(requests), 0) AS used, COALESCE(MIN(expires_at), 0) AS first FROM credential_requests WHERE credential = ?", string(id)).
			Scan(&counted).Error
		if err != nil {
			return err
		}
		step := max(r.Per.Microseconds()/fineness, 1000)
		end := at + (r.Per + credentials.PermitLife(r)).Microseconds()
		end += step - end%step
		if counted.First == 0 {
			counted.First = end
		}
		granted = min(want, max(r.Requests-int(counted.Used), 0))
		if granted < want {
			wait = time.Duration(counted.First-at) * time.Microsecond
		}
		if granted == 0 {
			return nil
		}
		return tx.Exec(`INSERT INTO credential_requests (credential, expires_at, requests) VALUES (?, ?, ?)
			ON CONFLICT (credential, expires_at) DO UPDATE SET requests = credential_requests.requests + excluded.requests`,
			string(id), end, granted).Error
	})
	return granted, wait, err
}

type slotRow struct {
	Credential string
	Holder     string
	Slots      int
	Wanted     int
	Since      int64 // with slots: when the first was got; without: when the waiting began
	ExpiresAt  int64
}

func (slotRow) TableName() string { return "credential_slots" }

// HoldSlots implements credentials.LimitStore.
func (s *Store) HoldSlots(ctx context.Context, id credentials.ID, c credentials.Claim, now time.Time) (slots int, err error) {
	err = s.exclusively(ctx, id, now, func(tx *gorm.DB, at int64) error {
		var rows []slotRow
		if err := tx.Where("credential = ? AND expires_at > ?", string(id), at).Find(&rows).Error; err != nil {
			return err
		}
		own := slotRow{Credential: string(id), Holder: c.Holder, Since: at}
		var others []slotRow
		for _, row := range rows {
			if row.Holder == c.Holder {
				own = row
			} else {
				others = append(others, row)
			}
		}
		slots = allot(own, others, c, at)
		if err := tx.Exec("DELETE FROM credential_slots WHERE credential = ? AND (holder = ? OR expires_at <= ?)", string(id), c.Holder, at).Error; err != nil {
			return err
		}
		if c.Want == 0 && slots == 0 {
			return nil
		}
		if (own.Slots == 0) != (slots == 0) {
			own.Since = at
		}
		life := slotLife
		if slots == 0 {
			life = waitLife
		}
		own.Slots, own.Wanted, own.ExpiresAt = slots, c.Want, at+life.Microseconds()
		return tx.Create(&own).Error
	})
	return slots, err
}

// allot decides how many slots a claim gets.
func allot(own slotRow, others []slotRow, c credentials.Claim, at int64) int {
	taken, rivals, hungry, longer := 0, 1, false, false
	for _, row := range others {
		taken += row.Slots
		if row.Wanted > 0 {
			rivals++
		}
		hungry = hungry || row.Slots < row.Wanted
		longer = longer || row.Slots == 0 && row.Wanted > 0 && (own.Slots > 0 || row.Since < own.Since)
	}
	granted := max(min(c.Want, c.Limit-taken), 0)
	if hungry {
		granted = min(granted, (c.Limit+rivals-1)/rivals)
	}
	if longer && (own.Slots == 0 && granted > 0 && c.Limit-taken <= 1 || own.Slots > 0 && at-own.Since >= slotTurn.Microseconds() && rivals > c.Limit) {
		granted = 0
	}
	return max(granted, c.Busy)
}
