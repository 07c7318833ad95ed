package vault

import (
	"context"
	"time"
)

const (
	remindEvery = time.Minute // how often due reminders are looked for
	remindPage  = 100
)

// serveReminders publishes due reminders until ctx is done.
func (v *Vault) serveReminders(ctx context.Context) {
	if v.reminders == nil {
		return
	}
	ticker := time.NewTicker(remindEvery)
	defer ticker.Stop()
	for {
		if err := v.remind(ctx); err != nil && ctx.Err() == nil {
			v.log.WarnContext(ctx, "reminders of credentials that expire not published", "error", err)
		}
		select {
		case <-ticker.C:
		case <-v.planned:
		case <-ctx.Done():
			return
		}
	}
}

func (v *Vault) remind(ctx context.Context) error {
	for {
		n, err := v.reminders.Remind(ctx, v.moment(), remindPage)
		if err != nil || n < remindPage {
			return err
		}
	}
}

// plan has reminders looked for soon after an edit.
func (v *Vault) plan() {
	select {
	case v.planned <- struct{}{}:
	default:
	}
}
