package failurerule

import (
	"fmt"
	"net/http"
	"strconv"
	"strings"
	"time"

	"keyflow/credentials"
)

// Until reads the `until` of a failure rule, counted from now: a duration ("20s", "1d"), or the
// next time that a clock in a zone of the IANA database shows HH:MM ("00:00 America/Chicago");
// where it is put forward over that time, the hour before or after.
func Until(text string, now time.Time) (time.Time, error) {
	clock, zone, isTime := strings.Cut(text, " ")
	if !isTime {
		d, err := credentials.ParseDuration(text)
		if err != nil {
			return time.Time{}, fmt.Errorf("%.40q is neither a duration such as 20s nor a time of day with its zone such as 00:00 America/Chicago", text)
		}
		return now.Add(d), nil
	}
	at, err := time.Parse("15:04", clock)
	if err != nil {
		return time.Time{}, fmt.Errorf("%.40q must begin with a time of day such as 00:00", text)
	}
	location, err := time.LoadLocation(zone)
	if err != nil || zone == "" || zone == "Local" {
		return time.Time{}, fmt.Errorf("%.40q must end with a zone such as UTC or America/Chicago", text)
	}
	day := now.In(location)
	next := time.Date(day.Year(), day.Month(), day.Day(), at.Hour(), at.Minute(), 0, 0, location)
	if !next.After(now) {
		next = time.Date(day.Year(), day.Month(), day.Day()+1, at.Hour(), at.Minute(), 0, 0, location)
	}
	return next.UTC(), nil
}

// End is until when a rule wants nothing to be sent: its own word, else that of the answer.
func (v *Verdict) End(header http.Header, now time.Time) time.Time {
	if v.until != "" {
		if until, err := Until(v.until, now); err == nil {
			return until
		}
	}
	after := header.Get("Retry-After")
	if seconds, err := strconv.Atoi(after); err == nil && seconds > 0 {
		return now.Add(min(time.Duration(seconds)*time.Second, maxWait))
	}
	if at, err := http.ParseTime(after); err == nil && at.After(now) {
		return now.Add(min(at.Sub(now), maxWait))
	}
	return now.Add(defaultWait)
}

const (
	defaultWait = 5 * time.Second // of a rule without until, when the answer does not say
	maxWait     = time.Hour       // of what an answer may ask for
)

// CheckUntil says what is wrong with the `until` of a failure rule; nil is nothing.
func CheckUntil(text string) error {
	_, err := Until(text, time.Now())
	return err
}
