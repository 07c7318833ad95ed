package schedule

import "time"

const (
	// horizonYears is how far Next searches. 29 February on a given weekday is at most 40
	// years away.
	horizonYears = 100
	// clockChange is the longest jump of local time that is compensated, as in classic cron. A
	// longer one (a zone that skips a day) is a change of calendar.
	clockChange = 3 * time.Hour
)

// Grain is the least time between two occurrences that the fields of the schedule can express.
func (s *Schedule) Grain() time.Duration { return s.grain }

// Next returns the first occurrence after t, in UTC; zero when there is none within a
// hundred years. anchor is where "@every" counts from.
//
// It searches one stretch of constant offset from UTC after another, so that it never builds a
// local time that exists twice or not at all.
func (s *Schedule) Next(t, anchor time.Time) time.Time {
	t = t.UTC()
	if t.Before(s.from) {
		t = s.from.Add(-1)
	}
	if !s.from.IsZero() {
		anchor = s.from
	}
	next := s.next(t, anchor.UTC())
	if !s.until.IsZero() && next.After(s.until) {
		return time.Time{}
	}
	return next
}

// next is Next without bounds.
func (s *Schedule) next(t, anchor time.Time) time.Time {
	if s.every > 0 {
		return s.nextEvery(t, anchor)
	}
	horizon := t.AddDate(horizonYears, 0, 0)
	for from := t.Add(1); from.Before(horizon); {
		stretch := s.stretch(from)
		if at, ok := s.nextIn(stretch, from, horizon); ok {
			return at
		}
		if stretch.end.IsZero() {
			break
		}
		from = stretch.end
	}
	return time.Time{}
}

// nextEvery is the first multiple of the interval, counted from the anchor, after t.
func (s *Schedule) nextEvery(t, anchor time.Time) time.Time {
	anchor = anchor.Truncate(time.Second)
	steps := int64(t.Sub(anchor) / s.every)
	if t.Before(anchor) {
		steps--
	}
	next := anchor.Add(time.Duration(steps) * s.every)
	for !next.After(t) {
		next = next.Add(s.every)
	}
	return next
}

// stretch is a time of constant offset. Local time within it is UTC plus offset.
type stretch struct {
	start, end time.Time // zero: unbounded
	offset     time.Duration
	before     time.Duration // the offset that ended at start
}

func (s *Schedule) stretch(t time.Time) stretch {
	local := t.In(s.zone)
	start, end := local.ZoneBounds()
	out := stretch{start: start.UTC(), end: end.UTC(), offset: offsetOf(local)}
	if start.IsZero() {
		out.start = time.Time{}
	}
	if end.IsZero() {
		out.end = time.Time{}
	}
	out.before = out.offset
	if !start.IsZero() {
		out.before = offsetOf(start.Add(-1))
	}
	return out
}

func offsetOf(local time.Time) time.Duration {
	_, seconds := local.Zone()
	return time.Duration(seconds) * time.Second
}

// nextIn finds the first occurrence at or after from within a stretch.
func (s *Schedule) nextIn(st stretch, from, horizon time.Time) (time.Time, bool) {
	wall := from.Add(st.offset)
	end := horizon
	if !st.end.IsZero() && st.end.Before(horizon) {
		end = st.end
	}
	jump := st.offset - st.before
	if !s.realTime && !st.start.IsZero() {
		switch {
		case jump > 0 && jump < clockChange && from.Equal(st.start):
			// Local times that were skipped run right after the jump, once.
			if _, ok := s.nextWall(st.start.Add(st.before), st.start.Add(st.offset)); ok {
				return st.start, true
			}
		case jump < 0 && -jump < clockChange:
			// Local times that repeat have run the first time.
			if repeated := st.start.Add(st.before); wall.Before(repeated) {
				wall = repeated
			}
		}
	}
	at, ok := s.nextWall(wall, end.Add(st.offset))
	return at.Add(-st.offset), ok
}

// nextWall finds the first local time of the schedule at or after from and before limit.
// Local times are written as if they were UTC, where every day has 24 hours.
func (s *Schedule) nextWall(from, limit time.Time) (time.Time, bool) {
	t := from.Truncate(s.grain)
	if t.Before(from) {
		t = t.Add(s.grain)
	}
	for t.Before(limit) {
		year, month, day := t.Date()
		switch {
		case s.spec.Month&(1<<month) == 0:
			t = time.Date(year, month+1, 1, 0, 0, 0, 0, time.UTC)
		case !s.matchesDay(t):
			t = time.Date(year, month, day+1, 0, 0, 0, 0, time.UTC)
		case s.spec.Hour&(1<<t.Hour()) == 0:
			t = t.Truncate(time.Hour).Add(time.Hour)
		case s.spec.Minute&(1<<t.Minute()) == 0:
			t = t.Truncate(time.Minute).Add(time.Minute)
		case s.spec.Second&(1<<t.Second()) == 0:
			t = t.Add(time.Second)
		default:
			return t, true
		}
	}
	return time.Time{}, false
}

func (s *Schedule) matchesDay(t time.Time) bool {
	date, weekday := s.spec.Dom&(1<<t.Day()) != 0, s.spec.Dow&(1<<t.Weekday()) != 0
	if s.eitherDay {
		return date || weekday
	}
	return date && weekday
}

// Skip returns the first occurrence that is not before oldest, and the number of occurrences
// from first up to it. After a very long outage the number is at least maxCounted.
func (s *Schedule) Skip(first, oldest, anchor time.Time) (next time.Time, missed int64) {
	if s.every > 0 && !first.IsZero() && first.Before(oldest) {
		last := oldest.Add(-1)
		if !s.until.IsZero() && s.until.Before(last) {
			last = s.until
		}
		return s.Next(oldest.Add(-1), anchor), int64(last.Sub(first)/s.every) + 1
	}
	for next = first; !next.IsZero() && next.Before(oldest); next = s.Next(next, anchor) {
		if missed++; missed == maxCounted {
			return s.Next(oldest.Add(-1), anchor), missed
		}
	}
	return next, missed
}

// maxCounted bounds the walk over missed occurrences.
const maxCounted = 10_000

// Latest returns the n-th last of the occurrences from a time up to another, both inclusive;
// from itself when there are fewer.
func (s *Schedule) Latest(n int, from, to, anchor time.Time) time.Time {
	for window := time.Duration(n) * s.grain; ; window *= 2 {
		begin := to.Add(-window)
		if begin.Before(from) {
			begin = from
		}
		var found []time.Time
		for at := s.Next(begin.Add(-1), anchor); !at.IsZero() && !at.After(to); at = s.Next(at, anchor) {
			found = append(found, at)
		}
		if len(found) >= n {
			return found[len(found)-n]
		}
		if !begin.After(from) {
			return from
		}
	}
}
