package record

import (
	"encoding/binary"
	"time"
)

// Micros returns the value of a time column: microseconds since 1970, 0 for none.
func Micros(t *time.Time) int64 {
	if t == nil || t.IsZero() {
		return 0
	}
	return t.UnixMicro()
}

// Time returns the time of a column's value.
func Time(us int64) time.Time { return time.UnixMicro(us).UTC() }

// OptionalTime returns the time of a column that may be NULL, which is 0.
func OptionalTime(us int64) *time.Time {
	if us == 0 {
		return nil
	}
	t := Time(us)
	return &t
}

// FirstID returns the smallest UUIDv7 of a millisecond.
func FirstID(ms int64) []byte {
	id := make([]byte, 16)
	binary.BigEndian.PutUint64(id, uint64(max(ms, 0))<<16)
	return id
}
