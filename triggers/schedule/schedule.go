// Package schedule parses cron expressions and intervals, and computes their times. It must not know
// what is started then, nor where plans are stored.
package schedule

import (
	"errors"
	"fmt"
	"regexp"
	"strconv"
	"strings"
	"time"
	_ "time/tzdata" // zones must not depend on the machine

	"github.com/robfig/cron/v3"

	"keyflow/workflows"
)

// Spec is the schedule of a cron trigger as its author wrote it.
type Spec struct {
	Schedule string // five cron fields, a name such as "@daily", or "@every 5m"
	Timezone string // IANA name
	Seconds  bool   // six fields, the first for seconds
	// From and Until are the first and the last moment; zero is unbounded. "@every" counts
	// from From.
	From, Until time.Time
}

// Of is the spec of a cron trigger, as it is stored.
func Of(t workflows.Trigger) Spec {
	s := Spec{Schedule: t.Schedule, Timezone: t.Timezone, Seconds: t.Seconds}
	if t.From != nil {
		s.From = *t.From
	}
	if t.Until != nil {
		s.Until = *t.Until
	}
	return s
}

// Same reports whether both were written the same way.
func (s Spec) Same(o Spec) bool {
	return s.Schedule == o.Schedule && s.Timezone == o.Timezone && s.Seconds == o.Seconds && s.From.Equal(o.From) && s.Until.Equal(o.Until)
}

// Schedule is a parsed [Spec]. It is immutable.
type Schedule struct {
	every       time.Duration // of "@every"; else 0
	spec        *cron.SpecSchedule
	zone        *time.Location
	grain       time.Duration // occurrences are at least this far apart
	from, until time.Time

	// realTime says that the minute or hour field begins with a star: the schedule follows
	// real time through clock changes instead of local times of day.
	realTime bool
	// eitherDay says that neither day field begins with a star: one match is enough.
	eitherDay bool
}

// shortest is the shortest interval of "@every".
const shortest = time.Second

// Parse returns the schedule. Errors say what to write instead; [*ZoneError] and [*BoundsError]
// are about other fields than the schedule. The conventions are those of
// docs/reference/triggers.md (classic cron).
func (s Spec) Parse() (*Schedule, error) {
	zone, err := parseZone(s.Timezone)
	if err != nil {
		return nil, err
	}
	out, err := parseText(strings.TrimSpace(s.Schedule), s.Seconds)
	if err != nil {
		return nil, err
	}
	out.zone, out.from, out.until = zone, s.From.UTC(), s.Until.UTC()
	return out, out.checkBounds()
}

func parseText(text string, seconds bool) (*Schedule, error) {
	switch {
	case strings.Contains(strings.ToUpper(text), "TZ="): // the parser panics on some of these
		return nil, errors.New("a time zone cannot be part of the schedule; write it in the field \"timezone\"")
	case strings.HasPrefix(text, "@every"):
		return parseEvery(text)
	case strings.HasPrefix(text, "@"):
		fields, ok := descriptors[text]
		if !ok {
			return nil, fmt.Errorf("%.40q is not a known name; use @hourly, @daily, @weekly, @monthly, @yearly or \"@every 5m\"", text)
		}
		return parseFields(strings.Fields(fields), false)
	default:
		return parseFields(strings.Fields(text), seconds)
	}
}

// BoundsError says that no occurrence lies within from and until.
type BoundsError struct{ message string }

// Error implements error.
func (e *BoundsError) Error() string { return e.message }

func (s *Schedule) checkBounds() error {
	if s.from.IsZero() || s.until.IsZero() {
		return nil
	}
	if s.until.Before(s.from) {
		return &BoundsError{"\"until\" is before \"from\""}
	}
	if s.Next(s.from.Add(-1), s.from).IsZero() {
		return &BoundsError{"the schedule has no time between \"from\" and \"until\""}
	}
	return nil
}

// descriptors are names for schedules; the map is not changed.
var descriptors = map[string]string{
	"@yearly": "0 0 1 1 *", "@annually": "0 0 1 1 *", "@monthly": "0 0 1 * *",
	"@weekly": "0 0 * * 0", "@daily": "0 0 * * *", "@midnight": "0 0 * * *", "@hourly": "0 * * * *",
}

// parseZone takes IANA names only; the error is a *ZoneError.
func parseZone(name string) (*time.Location, error) {
	if name != "UTC" && !strings.Contains(name, "/") {
		return nil, &ZoneError{fmt.Sprintf("%.40q is not an IANA time zone; write a name such as \"Asia/Seoul\", \"Europe/Berlin\" or \"UTC\"", name)}
	}
	zone, err := time.LoadLocation(name)
	if err != nil {
		return nil, &ZoneError{fmt.Sprintf("%.40q is not a known IANA time zone; write a name such as \"Asia/Seoul\", \"Europe/Berlin\" or \"UTC\"", name)}
	}
	return zone, nil
}

// ZoneError says that the time zone is wrong, not the schedule.
type ZoneError struct{ message string }

// Error implements error.
func (e *ZoneError) Error() string { return e.message }

func parseEvery(text string) (*Schedule, error) {
	words := strings.Fields(text)
	if len(words) != 2 || words[0] != "@every" {
		return nil, errors.New("\"@every\" takes one duration, for example \"@every 5m\"")
	}
	d, err := workflows.ParseDuration(words[1])
	every := time.Duration(d)
	switch {
	case err != nil:
		return nil, err
	case every < shortest || every > maxEvery || every%time.Second != 0:
		return nil, fmt.Errorf("%.40q is out of range: \"@every\" takes whole seconds from 1s to %v", words[1], workflows.Duration(maxEvery))
	}
	return &Schedule{every: every, grain: every}, nil
}

const maxEvery = 366 * 24 * time.Hour

// cronField is the grammar of one field.
type cronField struct {
	name     string
	min, max int
	words    string // three-letter names in order
	base     int    // number of the first
}

var cronFields = [6]cronField{
	{name: "second", max: 59},
	{name: "minute", max: 59},
	{name: "hour", max: 23},
	{name: "day of month", min: 1, max: 31},
	{name: "month", min: 1, max: 12, words: "janfebmaraprmayjunjulaugsepoctnovdec", base: 1},
	{name: "day of week", max: 7, words: "sunmontuewedthufrisat"},
}

// parseFields parses the five fields from the minute on, with seconds one more before them.
func parseFields(fields []string, seconds bool) (*Schedule, error) {
	if err := countFields(fields, seconds); err != nil {
		return nil, err
	}
	grain := time.Second
	if !seconds {
		fields, grain = append([]string{"0"}, fields...), time.Minute
	}
	for i, f := range cronFields {
		if err := f.check(fields[i]); err != nil {
			return nil, err
		}
	}
	fields[5] = cronFields[5].sundayIsZero(fields[5])
	parsed, err := cron.NewParser(cron.Second | cron.Minute | cron.Hour | cron.Dom | cron.Month | cron.Dow).Parse(strings.Join(fields, " "))
	if err != nil {
		return nil, err
	}
	spec, ok := parsed.(*cron.SpecSchedule)
	if !ok {
		return nil, fmt.Errorf("the schedule is %T", parsed)
	}
	star := func(i int) bool { return strings.HasPrefix(fields[i], "*") }
	s := &Schedule{spec: spec, grain: grain, realTime: star(1) || star(2), eitherDay: !star(3) && !star(5)}
	if _, ok := s.nextWall(epoch, epoch.AddDate(horizonYears, 0, 0)); !ok {
		return nil, errors.New("the schedule has no time: none of its months has that day")
	}
	return s, nil
}

func countFields(fields []string, seconds bool) error {
	switch {
	case seconds && len(fields) != 6:
		return fmt.Errorf("with \"seconds\" a schedule has six fields (second, minute, hour, day of month, month, day of week), not %d", len(fields))
	case !seconds && len(fields) == 6:
		return errors.New("a schedule has five fields (minute, hour, day of month, month, day of week), not 6; for a field of seconds set \"seconds\": true")
	case !seconds && len(fields) != 5:
		return fmt.Errorf("a schedule has five fields (minute, hour, day of month, month, day of week), not %d", len(fields))
	}
	return nil
}

// epoch is any time; a schedule without an occurrence in the hundred years after it has none.
var epoch = time.Date(2000, 1, 1, 0, 0, 0, 0, time.UTC)

var cronItem = regexp.MustCompile(`^(\*|([0-9]{1,2}|[A-Za-z]{3})(-([0-9]{1,2}|[A-Za-z]{3}))?)(/[0-9]{1,3})?$`)

// check accepts the exact grammar only, so that the parser never sees anything else.
func (f cronField) check(field string) error {
	for _, item := range strings.Split(field, ",") {
		if item == "" {
			return fmt.Errorf("the field for the %s has an empty item: %.40q", f.name, field)
		}
		from, to, step, ok := f.item(item)
		switch {
		case !ok:
			return fmt.Errorf("%.40q is not valid for the %s; write *, a number, a range such as 1-5, a step such as */15, or a list of these", item, f.name)
		case from < f.min || to > f.max:
			return fmt.Errorf("%.40q is out of range: the %s must be between %d and %d", item, f.name, f.min, f.max)
		case from > to:
			return fmt.Errorf("the range %.40q runs backwards; write two ranges", item)
		case step < 1 || step > f.max-f.min:
			return fmt.Errorf("the step in %.40q is out of range: for the %s it must be between 1 and %d", item, f.name, f.max-f.min)
		}
	}
	return nil
}

// item splits an item into its numbers: "mon-fri/2" is 1, 5, 2. The default step is 1.
func (f cronField) item(item string) (from, to, step int, ok bool) {
	if !cronItem.MatchString(item) {
		return 0, 0, 0, false
	}
	span, stepText, hasStep := strings.Cut(item, "/")
	step = 1
	if hasStep {
		step, _ = strconv.Atoi(stepText)
	}
	if span == "*" {
		return f.min, f.max, step, true
	}
	first, last, isRange := strings.Cut(span, "-")
	from, ok = f.number(first)
	to = from
	if isRange && ok {
		to, ok = f.number(last)
	} else if hasStep {
		to = f.max // "5/10" is from 5 on
	}
	return from, to, step, ok
}

// number reads a number or the name of a month or day.
func (f cronField) number(text string) (int, bool) {
	if n, err := strconv.Atoi(text); err == nil {
		return n, true
	}
	at := strings.Index(f.words, strings.ToLower(text))
	return f.base + at/3, at >= 0 && at%3 == 0
}

// sundayIsZero replaces ranges that reach day 7 by lists: the parser knows days 0 to 6.
func (f cronField) sundayIsZero(field string) string {
	items := strings.Split(field, ",")
	for i, item := range items {
		from, to, step, _ := f.item(item)
		if to != 7 || strings.HasPrefix(item, "*") {
			continue
		}
		var days []string
		for day := from; day <= to; day += step {
			days = append(days, strconv.Itoa(day%7))
		}
		items[i] = strings.Join(days, ",")
	}
	return strings.Join(items, ",")
}
