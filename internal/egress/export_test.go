package egress

import "time"

// SetIdle shortens the time between two bytes of a body.
func (t *Transport) SetIdle(d time.Duration) { t.idle = d }
