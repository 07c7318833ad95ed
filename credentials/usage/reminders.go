package usage

import (
	"context"
	"log/slog"
	"time"

	"keyflow/credentials"
)

const (
	remindEvery = time.Minute // how often due reminders are published
	remindPage  = 100
)

// Reminders publishes that credentials end.
type Reminders struct {
	Store   credentials.ReminderStore // nil: nobody does
	Planned chan struct{}             // holds a token when an edit may have planned a reminder
	Now     func() time.Time
	Log     *slog.Logger
}

// Serve publishes due reminders until ctx is done.
func (r *Reminders) Serve(ctx context.Context) {
	if r.Store == nil {
		return
	}
	ticker := time.NewTicker(remindEvery)
	defer ticker.Stop()
	for {
		if err := r.remind(ctx); err != nil && ctx.Err() == nil {
			r.Log.WarnContext(ctx, "reminders of credentials that expire not published", "error", err)
		}
		select {
		case <-ticker.C:
		case <-r.Planned:
		case <-ctx.Done():
			return
		}
	}
}

func (r *Reminders) remind(ctx context.Context) error {
	for {
		n, err := r.Store.Remind(ctx, credentials.Moment(r.Now()), remindPage)
		if err != nil || n < remindPage {
			return err
		}
	}
}

// Plan wakes Serve after an edit, which may have planned a reminder.
func (r *Reminders) Plan() {
	select {
	case r.Planned <- struct{}{}:
	default:
	}
}
