package workflows

import "time"

// instant is a moment in time, written as RFC 3339 with its offset from UTC.
type instant struct{ into **time.Time }

var _ shape = instant{}

// instantPattern is the form of RFC 3339, for the schema.
const instantPattern = `^[0-9]{4}-[0-9]{2}-[0-9]{2}T[0-9]{2}:[0-9]{2}:[0-9]{2}(\.[0-9]+)?(Z|[+-][0-9]{2}:[0-9]{2})$`

func (i instant) read(r *report, v *value) {
	if !expect(r, v, textKind) {
		return
	}
	t, err := time.Parse(time.RFC3339, v.text)
	if err != nil || t.Year() < 1 {
		r.add(v, codeValue, "%q is not a time; write it with its offset from UTC, for example \"2026-03-01T00:00:00Z\" or \"2026-03-01T09:00:00+09:00\"", clip(v.text, 40))
		return
	}
	t = t.UTC().Truncate(time.Microsecond) // the precision of the stores
	*i.into = &t
}

func (i instant) schema() map[string]any {
	return map[string]any{"type": "string", "pattern": instantPattern}
}

// maybeDuration is an optional duration from 0 to max.
type maybeDuration struct {
	into **Duration
	max  Duration
}

var _ shape = maybeDuration{}

func (m maybeDuration) read(r *report, v *value) {
	const unread = Duration(-1)
	d := unread
	if (duration{&d, 0, m.max}).read(r, v); d != unread {
		*m.into = &d
	}
}

func (m maybeDuration) schema() map[string]any { return duration{}.schema() }
