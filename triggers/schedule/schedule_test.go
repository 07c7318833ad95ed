package schedule_test

import (
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"
	"pgregory.net/rapid"

	"keyflow/triggers/schedule"
)

// TestScheduleNext holds the cases C1 to C47 and C56 of the research table: the instants of
// classic cron (column V) around clock changes and odd dates. Times are UTC.
func TestScheduleNext(t *testing.T) {
	t.Parallel()
	tests := []struct {
		name, zone, spec string
		after            string // exclusive
		want             string // the next instants
	}{
		{"C1 skipped time runs after the jump", "America/New_York", "30 2 * * *", "2026-03-08 00:00", "2026-03-08 07:00, 2026-03-09 06:30"},
		{"C2 skipped hour", "America/New_York", "0 2 * * *", "2026-03-08 00:00", "2026-03-08 07:00, 2026-03-09 06:00"},
		{"C3 the hour after the jump, once", "America/New_York", "0 3 * * *", "2026-03-08 00:00", "2026-03-08 07:00, 2026-03-09 07:00"},
		{"C2+C3 both in one schedule run once", "America/New_York", "0 2,3 * * *", "2026-03-08 00:00", "2026-03-08 07:00, 2026-03-09 06:00"},
		{"C4 the minute before the jump", "America/New_York", "59 1 * * *", "2026-03-08 00:00", "2026-03-08 06:59, 2026-03-09 05:59"},
		{"C5 half hours", "America/New_York", "*/30 * * * *", "2026-03-08 04:59", "2026-03-08 05:00, 2026-03-08 05:30, 2026-03-08 06:00, 2026-03-08 06:30, 2026-03-08 07:00, 2026-03-08 07:30, 2026-03-08 08:00, 2026-03-08 08:30"},
		{"C6 hours", "America/New_York", "0 * * * *", "2026-03-08 04:59", "2026-03-08 05:00, 2026-03-08 06:00, 2026-03-08 07:00, 2026-03-08 08:00, 2026-03-08 09:00"},
		{"C7 a star in the minute is not made up", "America/New_York", "*/30 2 * * *", "2026-03-08 00:00", "2026-03-09 06:00, 2026-03-09 06:30"},
		{"C8 every six hours", "America/New_York", "0 */6 * * *", "2026-03-08 04:59", "2026-03-08 05:00, 2026-03-08 10:00, 2026-03-08 16:00, 2026-03-08 22:00"},
		{"C9 yearly on the day of the jump", "America/New_York", "30 2 8 3 *", "2026-01-01 00:00", "2026-03-08 07:00, 2027-03-08 07:30"},
		{"C10 repeated time runs once", "America/New_York", "30 1 * * *", "2026-11-01 00:00", "2026-11-01 05:30, 2026-11-02 06:30"},
		{"C10 asked between both", "America/New_York", "30 1 * * *", "2026-11-01 05:45", "2026-11-02 06:30"},
		{"C11 repeated hour", "America/New_York", "0 1 * * *", "2026-11-01 00:00", "2026-11-01 05:00, 2026-11-02 06:00"},
		{"C12 the hour after", "America/New_York", "0 2 * * *", "2026-11-01 00:00", "2026-11-01 07:00, 2026-11-02 07:00"},
		{"C13 half hours", "America/New_York", "*/30 * * * *", "2026-11-01 03:59", "2026-11-01 04:00, 2026-11-01 04:30, 2026-11-01 05:00, 2026-11-01 05:30, 2026-11-01 06:00, 2026-11-01 06:30, 2026-11-01 07:00, 2026-11-01 07:30"},
		{"C14 hours", "America/New_York", "0 * * * *", "2026-11-01 03:59", "2026-11-01 04:00, 2026-11-01 05:00, 2026-11-01 06:00, 2026-11-01 07:00, 2026-11-01 08:00"},
		{"C15 a star in the minute follows real time", "America/New_York", "*/30 1 * * *", "2026-11-01 00:00", "2026-11-01 05:00, 2026-11-01 05:30, 2026-11-01 06:00, 2026-11-01 06:30, 2026-11-02 06:00"},
		{"C16 every six hours", "America/New_York", "0 */6 * * *", "2026-11-01 03:59", "2026-11-01 04:00, 2026-11-01 11:00, 2026-11-01 17:00, 2026-11-01 23:00"},
		{"C17 Berlin in spring", "Europe/Berlin", "30 2 * * *", "2026-03-28 12:00", "2026-03-29 01:00, 2026-03-30 00:30"},
		{"C18 Berlin hours in spring", "Europe/Berlin", "0 * * * *", "2026-03-28 21:59", "2026-03-28 22:00, 2026-03-28 23:00, 2026-03-29 00:00, 2026-03-29 01:00, 2026-03-29 02:00, 2026-03-29 03:00, 2026-03-29 04:00"},
		{"C19 Berlin in autumn", "Europe/Berlin", "30 2 * * *", "2026-10-24 12:00", "2026-10-25 00:30, 2026-10-26 01:30"},
		{"C20 Berlin hours in autumn", "Europe/Berlin", "0 * * * *", "2026-10-24 21:59", "2026-10-24 22:00, 2026-10-24 23:00, 2026-10-25 00:00, 2026-10-25 01:00, 2026-10-25 02:00, 2026-10-25 03:00, 2026-10-25 04:00"},
		{"C21 half an hour back", "Australia/Lord_Howe", "45 1 * * *", "2026-04-04 12:00", "2026-04-04 14:45, 2026-04-05 15:15"},
		{"C22 quarters through half an hour back", "Australia/Lord_Howe", "*/15 * * * *", "2026-04-04 12:59", "2026-04-04 13:00, 2026-04-04 13:15, 2026-04-04 13:30, 2026-04-04 13:45, 2026-04-04 14:00, 2026-04-04 14:15, 2026-04-04 14:30, 2026-04-04 14:45, 2026-04-04 15:00, 2026-04-04 15:15, 2026-04-04 15:30, 2026-04-04 15:45, 2026-04-04 16:00, 2026-04-04 16:15, 2026-04-04 16:30, 2026-04-04 16:45"},
		{"C23 hours through half an hour back", "Australia/Lord_Howe", "0 * * * *", "2026-04-04 12:59", "2026-04-04 13:00, 2026-04-04 14:00, 2026-04-04 15:30, 2026-04-04 16:30, 2026-04-04 17:30"},
		{"C24 half an hour forward", "Australia/Lord_Howe", "15 2 * * *", "2026-10-03 12:00", "2026-10-03 15:30, 2026-10-04 15:15"},
		{"C25 after it", "Australia/Lord_Howe", "45 2 * * *", "2026-10-03 12:00", "2026-10-03 15:45, 2026-10-04 15:45"},
		{"C26 hours through it", "Australia/Lord_Howe", "0 * * * *", "2026-10-03 13:29", "2026-10-03 13:30, 2026-10-03 14:30, 2026-10-03 16:00, 2026-10-03 17:00"},
		{"C27 Seoul has no clock change", "Asia/Seoul", "30 2 * * *", "2026-03-07 00:00", "2026-03-07 17:30, 2026-03-08 17:30"},
		{"C28 New Year in Seoul", "Asia/Seoul", "0 0 1 1 *", "2026-02-01 00:00", "2026-12-31 15:00, 2027-12-31 15:00"},
		{"C29 Havana has no midnight", "America/Havana", "0 0 * * *", "2026-03-07 12:00", "2026-03-08 05:00, 2026-03-09 04:00"},
		{"C30 Cairo has no midnight", "Africa/Cairo", "0 0 * * *", "2026-04-23 12:00", "2026-04-23 22:00, 2026-04-24 21:00"},
		{"C30 nor half past", "Africa/Cairo", "30 0 * * *", "2026-04-23 12:00", "2026-04-23 22:00, 2026-04-24 21:30"},
		{"C31 Santiago has no midnight", "America/Santiago", "0 0 * * *", "2026-09-05 12:00", "2026-09-06 04:00, 2026-09-07 03:00"},
		{"C32 Santiago has 23:30 twice", "America/Santiago", "30 23 * * *", "2026-04-04 12:00", "2026-04-05 02:30, 2026-04-06 03:30"},
		{"C33 Casablanca before Ramadan", "Africa/Casablanca", "30 2 * * *", "2026-02-14 12:00", "2026-02-15 01:30, 2026-02-16 02:30"},
		{"C34 Casablanca after Ramadan", "Africa/Casablanca", "30 2 * * *", "2026-03-21 12:00", "2026-03-22 02:00, 2026-03-23 01:30"},
		{"C35 Dublin's winter is the exception", "Europe/Dublin", "30 1 * * *", "2026-10-24 12:00", "2026-10-25 00:30, 2026-10-26 01:30"},
		{"C36 Apia skips a day", "Pacific/Apia", "0 12 * * *", "2011-12-29 12:00", "2011-12-29 22:00, 2011-12-30 22:00, 2011-12-31 22:00"},
		{"C37 Kathmandu", "Asia/Kathmandu", "0 9 * * *", "2026-02-01 00:00", "2026-02-01 03:15, 2026-02-02 03:15"},
		{"C38 leap days", "UTC", "0 0 29 2 *", "2026-02-01 00:00", "2028-02-29 00:00, 2032-02-29 00:00"},
		{"C38 over the year without one", "UTC", "0 0 29 2 *", "2097-01-01 00:00", "2104-02-29 00:00"},
		{"C39 months with 31 days", "UTC", "0 0 31 * *", "2026-01-01 00:00", "2026-01-31 00:00, 2026-03-31 00:00, 2026-05-31 00:00, 2026-07-31 00:00, 2026-08-31 00:00, 2026-10-31 00:00, 2026-12-31 00:00, 2027-01-31 00:00"},
		{"C41 either day matches", "UTC", "0 0 13 * 5", "2026-02-01 00:00", "2026-02-06 00:00, 2026-02-13 00:00, 2026-02-20 00:00, 2026-02-27 00:00, 2026-03-06 00:00, 2026-03-13 00:00, 2026-03-20 00:00, 2026-03-27 00:00"},
		{"C42 a leading star: both days match", "UTC", "0 0 */5 * 1", "2026-02-01 00:00", "2026-02-16 00:00, 2026-03-16 00:00"},
		{"C43 a range is no star", "UTC", "0 0 1-31 * 1", "2026-02-01 00:00", "2026-02-02 00:00, 2026-02-03 00:00, 2026-02-04 00:00"},
		{"C44 Mondays", "UTC", "0 0 * * 1", "2026-02-01 00:00", "2026-02-02 00:00, 2026-02-09 00:00, 2026-02-16 00:00"},
		{"C45 Sunday is 7 too", "UTC", "0 0 * * 7", "2026-02-01 00:00", "2026-02-08 00:00, 2026-02-15 00:00"},
		{"C45 Friday to Sunday", "UTC", "0 0 * * 5-7", "2026-02-01 00:00", "2026-02-06 00:00, 2026-02-07 00:00, 2026-02-08 00:00, 2026-02-13 00:00"},
		{"from 5 on", "UTC", "0 0 * * 5/1", "2026-02-01 00:00", "2026-02-06 00:00, 2026-02-07 00:00, 2026-02-08 00:00, 2026-02-13 00:00"},
		{"C45 Friday to Sunday by name", "UTC", "0 0 * * fri-7/2", "2026-02-01 00:00", "2026-02-06 00:00, 2026-02-08 00:00, 2026-02-13 00:00"},
		{"C46 not every 45 minutes", "UTC", "*/45 * * * *", "2026-02-01 00:00", "2026-02-01 00:45, 2026-02-01 01:00, 2026-02-01 01:45"},
		{"C47 steps begin anew each month", "UTC", "0 0 */10 * *", "2026-01-20 00:00", "2026-01-21 00:00, 2026-01-31 00:00, 2026-02-01 00:00, 2026-02-11 00:00"},
		{"C59 names of any case", "UTC", "0 0 * FEB Mon", "2026-02-01 00:00", "2026-02-02 00:00, 2026-02-09 00:00"},
		{"C55 spaces around", "UTC", " \t0  0\t* * 1\n", "2026-02-01 00:00", "2026-02-02 00:00"},
		{"daily", "Asia/Seoul", "@daily", "2026-02-01 00:00", "2026-02-01 15:00, 2026-02-02 15:00"},
		{"hourly", "UTC", "@hourly", "2026-02-01 00:00", "2026-02-01 01:00, 2026-02-01 02:00"},
		{"exactly on the time", "UTC", "0 12 * * *", "2026-02-01 12:00", "2026-02-02 12:00"},
		{"C56 every 90 minutes from the anchor", "UTC", "@every 90m", "2026-02-01 00:00", "2026-02-01 00:20, 2026-02-01 01:50, 2026-02-01 03:20"},
		{"C60 no 61st second", "UTC", "59 23 31 12 *", "2016-12-31 00:00", "2016-12-31 23:59, 2017-12-31 23:59"},                        // 2016-12-31 23:59:60 was one
		{"C61 a zone that changed its rules", "Europe/Istanbul", "0 3 * * *", "2016-10-29 12:00", "2016-10-30 00:00, 2016-10-31 00:00"}, // summer time for good
		{"C56 before the anchor", "UTC", "@every 90m", "2026-01-31 10:00", "2026-01-31 10:50, 2026-01-31 12:20"},
	}
	anchor := time.Date(2026, 1, 31, 13, 50, 0, 0, time.UTC)
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			t.Parallel()
			s, err := schedule.Spec{Schedule: tt.spec, Timezone: tt.zone}.Parse()
			if err != nil {
				t.Fatal(err)
			}
			at, err := time.Parse("2006-01-02 15:04", tt.after)
			if err != nil {
				t.Fatal(err)
			}
			var got []string
			for range strings.Split(tt.want, ",") {
				at = s.Next(at, anchor)
				got = append(got, at.Format("2006-01-02 15:04"))
			}
			if diff := cmp.Diff(tt.want, strings.Join(got, ", ")); diff != "" {
				t.Errorf("-want +got\n%s", diff)
			}
		})
	}
}

func TestScheduleNextWithSecondsAndBounds(t *testing.T) {
	t.Parallel()
	at := func(text string) time.Time {
		if text == "" {
			return time.Time{}
		}
		out, err := time.Parse(time.DateTime, text)
		if err != nil {
			t.Fatal(err)
		}
		return out
	}
	tests := []struct {
		name, zone, spec   string
		seconds            bool
		from, until, after string
		want               string // until the end, or the first four
	}{
		{"every ten seconds", "UTC", "*/10 * * * * *", true, "", "", "2026-02-01 00:00:35", "2026-02-01 00:00:40, 2026-02-01 00:00:50, 2026-02-01 00:01:00, 2026-02-01 00:01:10"},
		{"one second a day", "UTC", "7 30 2 * * *", true, "", "", "2026-02-01 02:30:07", "2026-02-02 02:30:07, 2026-02-03 02:30:07, 2026-02-04 02:30:07, 2026-02-05 02:30:07"},
		{"skipped seconds run once", "America/New_York", "*/30 30 2 * * *", true, "", "", "2026-03-08 00:00:00", "2026-03-08 07:00:00, 2026-03-09 06:30:00, 2026-03-09 06:30:30, 2026-03-10 06:30:00"},
		{"repeated seconds run the first time", "America/New_York", "*/30 30 1 * * *", true, "", "", "2026-11-01 00:00:00", "2026-11-01 05:30:00, 2026-11-01 05:30:30, 2026-11-02 06:30:00, 2026-11-02 06:30:30"},
		{"a name", "UTC", "@hourly", true, "", "", "2026-02-01 00:00:00", "2026-02-01 01:00:00, 2026-02-01 02:00:00, 2026-02-01 03:00:00, 2026-02-01 04:00:00"},
		{"bounds are inclusive", "UTC", "0 * * * *", false, "2026-02-01 05:00:00", "2026-02-01 07:00:00", "2026-01-01 00:00:00", "2026-02-01 05:00:00, 2026-02-01 06:00:00, 2026-02-01 07:00:00"},
		{"bounds between occurrences", "UTC", "0 * * * *", false, "2026-02-01 05:00:01", "2026-02-01 07:59:59", "2026-02-01 05:30:00", "2026-02-01 06:00:00, 2026-02-01 07:00:00"},
		{"only from", "UTC", "0 0 * * *", false, "2026-02-01 12:00:00", "", "2020-01-01 00:00:00", "2026-02-02 00:00:00, 2026-02-03 00:00:00, 2026-02-04 00:00:00, 2026-02-05 00:00:00"},
		{"over", "UTC", "0 0 * * *", false, "", "2026-02-01 12:00:00", "2026-02-01 00:00:00", ""},
		{"every counts from from", "UTC", "@every 90m", false, "2026-02-01 00:20:00", "2026-02-01 04:50:00", "2026-01-01 00:00:00", "2026-02-01 00:20:00, 2026-02-01 01:50:00, 2026-02-01 03:20:00, 2026-02-01 04:50:00"},
		{"bounds in a skipped hour", "Europe/Berlin", "30 2 * * *", false, "2026-03-29 00:30:00", "2026-03-29 01:00:00", "2026-03-28 12:00:00", "2026-03-29 01:00:00"},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			t.Parallel()
			s, err := schedule.Spec{Schedule: tt.spec, Timezone: tt.zone, Seconds: tt.seconds, From: at(tt.from), Until: at(tt.until)}.Parse()
			if err != nil {
				t.Fatal(err)
			}
			var got []string
			for next := s.Next(at(tt.after), at(tt.after)); !next.IsZero() && len(got) < 4; next = s.Next(next, at(tt.after)) {
				got = append(got, next.Format(time.DateTime))
			}
			if diff := cmp.Diff(tt.want, strings.Join(got, ", ")); diff != "" {
				t.Errorf("-want +got\n%s", diff)
			}
		})
	}
}

func TestParseRefusesBounds(t *testing.T) {
	t.Parallel()
	day := func(n int) time.Time { return time.Date(2026, 2, n, 0, 0, 0, 0, time.UTC) }
	tests := []struct {
		name string
		spec schedule.Spec
		want string
	}{
		{"backwards", schedule.Spec{Schedule: "@daily", Timezone: "UTC", From: day(2), Until: day(1)}, `"until" is before "from"`},
		{"nothing within", schedule.Spec{Schedule: "0 12 * * *", Timezone: "UTC", From: day(1), Until: day(1).Add(time.Hour)}, `the schedule has no time between "from" and "until"`},
		{"five fields with seconds", schedule.Spec{Schedule: "0 12 * * *", Timezone: "UTC", Seconds: true}, `with "seconds" a schedule has six fields (second, minute, hour, day of month, month, day of week), not 5`},
		{"second 60", schedule.Spec{Schedule: "60 0 12 * * *", Timezone: "UTC", Seconds: true}, `"60" is out of range: the second must be between 0 and 59`},
		{"six fields without a day", schedule.Spec{Schedule: "0 0 0 30 2 *", Timezone: "UTC", Seconds: true}, `the schedule has no time: none of its months has that day`},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			t.Parallel()
			if _, err := tt.spec.Parse(); err == nil || err.Error() != tt.want {
				t.Errorf("got %v\nwant %s", err, tt.want)
			}
		})
	}
}

func TestParseScheduleRefuses(t *testing.T) {
	t.Parallel()
	tests := []struct{ name, spec, zone, want string }{
		{"C40 30 February", "0 0 30 2 *", "UTC", "the schedule has no time: none of its months has that day"},
		{"C40 31 April", "0 0 31 4 *", "UTC", "the schedule has no time: none of its months has that day"},
		{"C48 around midnight", "* 22-2 * * *", "UTC", `the range "22-2" runs backwards; write two ranges`},
		{"C49 a step of 61", "*/61 * * * *", "UTC", `the step in "*/61" is out of range: for the minute it must be between 1 and 59`},
		{"a step of 0", "*/0 * * * *", "UTC", `the step in "*/0" is out of range: for the minute it must be between 1 and 59`},
		{"C50 empty items", "0,, * * * *", "UTC", `the field for the minute has an empty item: "0,,"`},
		{"C51 seconds", "* * * * * *", "UTC", "a schedule has five fields (minute, hour, day of month, month, day of week), not 6; for a field of seconds set \"seconds\": true"},
		{"four fields", "* * * *", "UTC", "a schedule has five fields (minute, hour, day of month, month, day of week), not 4"},
		{"nothing", "", "UTC", "a schedule has five fields (minute, hour, day of month, month, day of week), not 0"},
		{"C52 nth weekday", "0 0 * * 5#2", "UTC", `"5#2" is not valid for the day of week; write *, a number, a range such as 1-5, a step such as */15, or a list of these`},
		{"C53 a panic of the parser", "TZ=0", "UTC", `a time zone cannot be part of the schedule; write it in the field "timezone"`},
		{"C53 another", "TZ=", "UTC", `a time zone cannot be part of the schedule; write it in the field "timezone"`},
		{"C53 and another", "CRON_TZ=UTC", "UTC", `a time zone cannot be part of the schedule; write it in the field "timezone"`},
		{"C53 and the last", "TZ=TZ=TZ=", "UTC", `a time zone cannot be part of the schedule; write it in the field "timezone"`},
		{"C54 a zone in the schedule", "CRON_TZ=EST 0 0 * * *", "UTC", `a time zone cannot be part of the schedule; write it in the field "timezone"`},
		{"C54 the machine's zone", "0 0 * * *", "Local", `"Local" is not an IANA time zone; write a name such as "Asia/Seoul", "Europe/Berlin" or "UTC"`},
		{"C54 no zone", "0 0 * * *", "", `"" is not an IANA time zone; write a name such as "Asia/Seoul", "Europe/Berlin" or "UTC"`},
		{"C54 three letters", "0 0 * * *", "EST", `"EST" is not an IANA time zone; write a name such as "Asia/Seoul", "Europe/Berlin" or "UTC"`},
		{"an unknown zone", "0 0 * * *", "Asia/Soul", `"Asia/Soul" is not a known IANA time zone; write a name such as "Asia/Seoul", "Europe/Berlin" or "UTC"`},
		{"a zone that is a path", "0 0 * * *", "../../etc/passwd", `"../../etc/passwd" is not a known IANA time zone; write a name such as "Asia/Seoul", "Europe/Berlin" or "UTC"`},
		{"C55 full-width digits", "０ 0 * * *", "UTC", `"０" is not valid for the minute; write *, a number, a range such as 1-5, a step such as */15, or a list of these`},
		{"C57 every 0s", "@every 0s", "UTC", `"0s" is out of range: "@every" takes whole seconds from 1s to 366d`},
		{"C57 every -1h", "@every -1h", "UTC", `"-1h" is not a duration; write a number and a unit, for example "30s", "5m", "1h30m" or "2d"`},
		{"C57 every 1ns", "@every 1ns", "UTC", `"1ns" is out of range: "@every" takes whole seconds from 1s to 366d`},
		{"C57 every 500ms", "@every 500ms", "UTC", `"500ms" is out of range: "@every" takes whole seconds from 1s to 366d`},
		{"every", "@every", "UTC", `"@every" takes one duration, for example "@every 5m"`},
		{"everyday", "@everyday 5m", "UTC", `"@every" takes one duration, for example "@every 5m"`},
		{"C58 reboot", "@reboot", "UTC", `"@reboot" is not a known name; use @hourly, @daily, @weekly, @monthly, @yearly or "@every 5m"`},
		{"C59 names are lower case", "@Daily", "UTC", `"@Daily" is not a known name; use @hourly, @daily, @weekly, @monthly, @yearly or "@every 5m"`},
		{"C59 long names", "0 0 * * sunday", "UTC", `"sunday" is not valid for the day of week; write *, a number, a range such as 1-5, a step such as */15, or a list of these`},
		{"an unknown name", "0 0 * * sup", "UTC", `"sup" is not valid for the day of week; write *, a number, a range such as 1-5, a step such as */15, or a list of these`},
		{"a question mark", "0 0 ? * 1", "UTC", `"?" is not valid for the day of month; write *, a number, a range such as 1-5, a step such as */15, or a list of these`},
		{"minute 60", "60 * * * *", "UTC", `"60" is out of range: the minute must be between 0 and 59`},
		{"day 8", "0 0 * * 8", "UTC", `"8" is out of range: the day of week must be between 0 and 7`},
		{"from 6 to 1", "0 0 * * sat-mon", "UTC", `the range "sat-mon" runs backwards; write two ranges`},
		{"a star with a range", "*-5 * * * *", "UTC", `"*-5" is not valid for the minute; write *, a number, a range such as 1-5, a step such as */15, or a list of these`},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			t.Parallel()
			_, err := schedule.Spec{Schedule: tt.spec, Timezone: tt.zone}.Parse()
			if err == nil || err.Error() != tt.want {
				t.Errorf("got %v\nwant %s", err, tt.want)
			}
		})
	}
}

// A fixed time of day runs exactly once on each local date that has a clock, in any zone.
func TestScheduleNextOncePerLocalDay(t *testing.T) {
	t.Parallel()
	zones := []string{"America/New_York", "Europe/Dublin", "Australia/Lord_Howe", "Africa/Cairo", "America/Havana", "America/Santiago", "Africa/Casablanca", "Asia/Kathmandu", "UTC"}
	rapid.Check(t, func(t *rapid.T) {
		zone := rapid.SampledFrom(zones).Draw(t, "zone")
		spec := rapid.StringMatching(`[0-5][0-9] ([01][0-9]|2[0-3]) \* \* \*`).Draw(t, "spec")
		s, err := schedule.Spec{Schedule: spec, Timezone: zone}.Parse()
		if err != nil {
			t.Fatal(err)
		}
		location, err := time.LoadLocation(zone)
		if err != nil {
			t.Fatal(err)
		}
		start := time.Date(2026, 1, 1, 12, 0, 0, 0, time.UTC)
		end := start.AddDate(1, 0, 0)
		var dates []string
		for at := s.Next(start, start); !at.After(end); at = s.Next(at, start) {
			dates = append(dates, at.In(location).Format(time.DateOnly))
		}
		if len(dates) != 365 || len(slices.Compact(slices.Clone(dates))) != len(dates) {
			t.Fatalf("%s in %s runs %d times a year, on %d dates", spec, zone, len(dates), len(slices.Compact(dates)))
		}
	})
}

func FuzzParseSchedule(f *testing.F) {
	for _, spec := range []string{"*/5 1-3 * jan,feb mon-7/2", "@every 1h", "TZ=0", "@daily", "0 0 29 2 1"} {
		f.Add(spec, "Europe/Berlin", false)
		f.Add("*/7 "+spec, "America/New_York", true)
	}
	f.Fuzz(func(t *testing.T, spec, zone string, seconds bool) {
		s, err := schedule.Spec{Schedule: spec, Timezone: zone, Seconds: seconds}.Parse()
		if err != nil {
			return
		}
		now := time.Date(2026, 3, 7, 12, 0, 0, 0, time.UTC)
		for range 5 {
			next := s.Next(now, now)
			if !next.After(now) {
				t.Fatalf("%q in %q: after %v comes %v", spec, zone, now, next)
			}
			now = next
		}
	})
}

func BenchmarkScheduleNext(b *testing.B) {
	s, err := schedule.Spec{Schedule: "30 2 * * 1-5", Timezone: "America/New_York"}.Parse()
	if err != nil {
		b.Fatal(err)
	}
	now := time.Date(2026, 3, 7, 12, 0, 0, 0, time.UTC)
	for b.Loop() {
		s.Next(now, now)
	}
}
