package credentials

import (
	"context"
	"time"
)

// Rate is the limit of requests per time; false when there is none. It was checked when saved.
func (l *Limits) Rate() (Rate, bool) {
	if l.Requests == 0 {
		return Rate{}, false
	}
	per, err := ParseDuration(l.Per)
	return Rate{Requests: l.Requests, Per: per}, err == nil
}

// Rate is at most Requests in any span of Per.
type Rate struct {
	Requests int
	Per      time.Duration
}

// Claim is what one process wants of the requests at once that a credential allows.
type Claim struct {
	Holder string // the process
	Busy   int    // requests under way
	Want   int    // those and the ones that wait
	Limit  int
}

// LimitStore keeps what all processes together may do with a credential. now is the caller's
// clock; a store that processes share goes by its own. A missing credential is NotFound. It is
// safe for concurrent use.
type LimitStore interface {
	// TakeRequests grants up to want requests, to be sent within PermitLife(r). With fewer, wait
	// is how long it takes until there may be more.
	TakeRequests(ctx context.Context, id ID, want int, r Rate, now time.Time) (granted int, wait time.Duration, err error)
	// HoldSlots decides how many requests the holder may have under way for a while; a claim of
	// nothing ends that. When others wait, nobody gets more than an equal part, and with fewer
	// slots than processes each has its turn.
	HoldSlots(ctx context.Context, id ID, c Claim, now time.Time) (slots int, err error)
}

// PermitLife is how soon a granted request must be sent. It counts as if it were sent last.
func PermitLife(r Rate) time.Duration { return min(time.Second, r.Per/10) }
