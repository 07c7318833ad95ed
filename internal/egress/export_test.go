package egress

import "time"

// SetSilence shortens how long an upstream may be silent.
func (t *Transport) SetSilence(d time.Duration) { t.silence = d }
