package credentials

import (
	"fmt"
	"time"
)

// Expires is when a credential ends, and by which of its settings.
type Expires struct {
	At     time.Time `json:"at"`
	Reason string    `json:"reason"` // expires_at or rotate_every
}

// message says when the credential ends.
func (e *Expires) message(now time.Time) string {
	day := e.At.UTC().Format("2006-01-02 15:04 MST")
	verb := "expires"
	if e.Reason == "rotate_every" {
		verb = "is to be rotated"
	}
	switch left := e.At.Sub(now); {
	case left <= 0 && verb == "expires":
		return "expired at " + day
	case left <= 0:
		return "was to be rotated by " + day
	case left < 48*time.Hour:
		return fmt.Sprintf("%s in %d hours, at %s", verb, max(int(left.Hours()), 1), day)
	default:
		return fmt.Sprintf("%s in %d days, at %s", verb, int(left.Hours()/24), day)
	}
}

// ExpiryOf returns the sooner of expires_at and rotate_every after the last change of the
// secrets; nil when neither is set.
func ExpiryOf(c *Credential) *Expires {
	var end *Expires
	if c.ExpiresAt != nil {
		end = &Expires{At: *c.ExpiresAt, Reason: "expires_at"}
	}
	every, err := ParseDuration(c.RotateEvery)
	if err != nil {
		return end
	}
	changed := c.CreatedAt
	for _, s := range c.Secrets {
		if s.UpdatedAt != nil && s.UpdatedAt.After(changed) {
			changed = *s.UpdatedAt
		}
	}
	if at := changed.Add(every); end == nil || at.Before(end.At) {
		end = &Expires{At: at, Reason: "rotate_every"}
	}
	return end
}

const (
	// ExpiringSoon is how long before its end a credential is shown as expiring.
	ExpiringSoon = 30 * 24 * time.Hour
	// UnusedLong is how long nobody used a credential that counts as unused.
	UnusedLong = 90 * 24 * time.Hour
)

// PlanReminder says when the first reminder of an end is due, for a credential that gets this
// end now: at once when it is near already.
func PlanReminder(end, now time.Time) time.Time {
	due := end.Add(-ExpiringSoon)
	for _, before := range reminders() {
		if at := end.Add(-before); !at.After(now) {
			due = at
		}
	}
	return due
}

// NextReminder says when the reminder after those that are due now is; zero is never.
func NextReminder(end, now time.Time) time.Time {
	for _, before := range reminders() {
		if at := end.Add(-before); at.After(now) {
			return at
		}
	}
	return time.Time{}
}

// reminders are the stages at which people are reminded that a credential ends.
func reminders() []time.Duration {
	return []time.Duration{ExpiringSoon, 7 * 24 * time.Hour, 24 * time.Hour, 0}
}

// ShownState is the state with what the end of the credential makes of it. It never blocks calls.
func ShownState(s State, end *Expires, now time.Time) State {
	if end == nil || s.Status != OK && s.Status != Untested || now.Before(end.At.Add(-ExpiringSoon)) {
		return s
	}
	message := end.message(now)
	if !now.Before(end.At) {
		return State{Status: Expired, Message: message, Since: end.At}
	}
	return State{Status: Expiring, Message: message, Since: end.At.Add(-ExpiringSoon)}
}
