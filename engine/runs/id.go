package runs

import (
	"encoding/binary"
	"math/rand/v2"
	"time"
)

// NewID returns a UUID version 7 (RFC 9562 section 5.7) whose 12 bits behind the
// millisecond hold the fraction of it, so that ids of one process sort by creation.
func NewID(now time.Time) ID {
	var id ID
	ns := now.UnixNano()
	ms := uint64(ns / int64(time.Millisecond))
	fraction := uint64(ns%int64(time.Millisecond)) << 12 / uint64(time.Millisecond)
	high := ms<<16 | 0x7000 | fraction
	low := rand.Uint64()>>2 | 1<<63 //nolint:gosec // ids are unique, not secret
	binary.BigEndian.PutUint64(id[:8], high)
	binary.BigEndian.PutUint64(id[8:], low)
	return id
}
