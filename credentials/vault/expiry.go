package vault

import (
	"context"
	"log/slog"
	"time"

	"keyflow/credentials"
)

const (
	remindEvery = time.Minute // how often due reminders are looked for
	remindPage  = 100
)

// Reminders publishes that credentials end.
type Reminders struct {
	store   credentials.ReminderStore // nil: nobody does
	planned chan struct{}             // holds a token when an edit may have planned a reminder
	now     func() time.Time
	log     *slog.Logger
}

// serveReminders publishes due reminders until ctx is done.
func (r *Reminders) serveReminders(ctx context.Context) {
	if r.store == nil {
		return
	}
	ticker := time.NewTicker(remindEvery)
	defer ticker.Stop()
	for {
		if err := r.remind(ctx); err != nil && ctx.Err() == nil {
			r.log.WarnContext(ctx, "reminders of credentials that expire not published", "error", err)
		}
		select {
		case <-ticker.C:
		case <-r.planned:
		case <-ctx.Done():
			return
		}
	}
}

func (r *Reminders) remind(ctx context.Context) error {
	for {
		n, err := r.store.Remind(ctx, credentials.Moment(r.now()), remindPage)
		if err != nil || n < remindPage {
			return err
		}
	}
}

// plan has reminders looked for soon after an edit.
func (r *Reminders) plan() {
	select {
	case r.planned <- struct{}{}:
	default:
	}
}
