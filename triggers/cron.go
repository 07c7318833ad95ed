package triggers

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

// Schedule is a parsed cron schedule in its time zone. It is immutable.
type Schedule struct {
	every time.Duration // of "@every"; else 0
	spec  *cron.SpecSchedule
	zone  *time.Location

	// realTime says that the minute or hour field begins with a star: the schedule follows
	// real time through clock changes instead of local times of day.
	realTime bool
	// eitherDay says that neither day field begins with a star: one match is enough.
	eitherDay bool
}

// shortest is the shortest interval of "@every".
const shortest = time.Second

// ParseSchedule parses five cron fields, a name such as "@daily" or "@every 5m"; timezone is
// an IANA name. Errors say what to write instead. The conventions are those of
// docs/triggers.md (classic cron).
func ParseSchedule(text, timezone string) (*Schedule, error) {
	zone, err := parseZone(timezone)
	if err != nil {
		return nil, err
	}
	text = strings.TrimSpace(text)
	switch {
	case strings.Contains(strings.ToUpper(text), "TZ="): // the parser panics on some of these
		return nil, errors.New("a time zone cannot be part of the schedule; write it in the field \"timezone\"")
	case strings.HasPrefix(text, "@every"):
		return parseEvery(text, zone)
	case strings.HasPrefix(text, "@"):
		fields, ok := descriptors[text]
		if !ok {
			return nil, fmt.Errorf("%.40q is not a known name; use @hourly, @daily, @weekly, @monthly, @yearly or \"@every 5m\"", text)
		}
		text = fields
	}
	return parseFields(strings.Fields(text), zone)
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

func parseEvery(text string, zone *time.Location) (*Schedule, error) {
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
	return &Schedule{every: every, zone: zone}, nil
}

const maxEvery = 366 * 24 * time.Hour

// cronField is the grammar of one of the five fields.
type cronField struct {
	name     string
	min, max int
	words    string // three-letter names in order
	base     int    // number of the first
}

var cronFields = [5]cronField{
	{name: "minute", max: 59},
	{name: "hour", max: 23},
	{name: "day of month", min: 1, max: 31},
	{name: "month", min: 1, max: 12, words: "janfebmaraprmayjunjulaugsepoctnovdec", base: 1},
	{name: "day of week", max: 7, words: "sunmontuewedthufrisat"},
}

func parseFields(fields []string, zone *time.Location) (*Schedule, error) {
	if len(fields) != 5 {
		hint := ""
		if len(fields) == 6 {
			hint = "; seconds are not supported by this release"
		}
		return nil, fmt.Errorf("a schedule has five fields (minute, hour, day of month, month, day of week), not %d%s", len(fields), hint)
	}
	for i, f := range cronFields {
		if err := f.check(fields[i]); err != nil {
			return nil, err
		}
	}
	fields[4] = cronFields[4].sundayIsZero(fields[4])
	parsed, err := cron.NewParser(cron.Minute | cron.Hour | cron.Dom | cron.Month | cron.Dow).Parse(strings.Join(fields, " "))
	if err != nil {
		return nil, err
	}
	spec, ok := parsed.(*cron.SpecSchedule)
	if !ok {
		return nil, fmt.Errorf("the schedule is %T", parsed)
	}
	star := func(i int) bool { return strings.HasPrefix(fields[i], "*") }
	s := &Schedule{spec: spec, zone: zone, realTime: star(0) || star(1), eitherDay: !star(2) && !star(4)}
	if _, ok := s.nextWall(epoch, epoch.AddDate(horizonYears, 0, 0)); !ok {
		return nil, errors.New("this never happens: no month of the schedule has that day")
	}
	return s, nil
}

// epoch is any time; a schedule without an occurrence in the hundred years after it has none.
var epoch = time.Date(2000, 1, 1, 0, 0, 0, 0, time.UTC)

var cronItem = regexp.MustCompile(`^(\*|([0-9]{1,2}|[A-Za-z]{3})(-([0-9]{1,2}|[A-Za-z]{3}))?)(/[0-9]{1,3})?$`)

// check holds a field to the exact grammar, so that the parser only sees what is right.
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

// item takes an item apart: "mon-fri/2" is 1, 5, 2. Without a step it is 1.
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

// sundayIsZero writes out items that reach day 7: the parser counts from 0 to 6.
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
