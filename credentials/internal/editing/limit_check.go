package editing

import (
	"fmt"
	"time"

	"keyflow/credentials"
	"keyflow/credentials/internal/problem"
)

// checkLimits checks limits as written; none at all become nil.
func (e *Edit) checkLimits() {
	l := e.In.Limits
	if l == nil {
		return
	}
	if *l == (credentials.Limits{}) {
		e.In.Limits = nil
		return
	}
	if l.Requests < 0 || l.Requests > maxLimit {
		e.Add("/limits/requests", problem.InvalidValue, fmt.Sprintf("must be from 1 to %d", maxLimit))
	}
	if l.Concurrency < 0 || l.Concurrency > maxLimit {
		e.Add("/limits/concurrency", problem.InvalidValue, fmt.Sprintf("must be from 1 to %d", maxLimit))
	}
	switch {
	case l.Requests != 0 && l.Per == "":
		e.Add("/limits/per", problem.Required, "is required with requests, for example 20s")
	case l.Requests == 0 && l.Per != "":
		e.Add("/limits/requests", problem.Required, "is required with per")
	case l.Per != "":
		if per, err := credentials.ParseDuration(l.Per); err != nil {
			e.Add("/limits/per", problem.InvalidValue, err.Error())
		} else if per < time.Second || per > maxPer {
			e.Add("/limits/per", problem.InvalidValue, "must be from 1s to 31d")
		}
	}
}

const (
	maxPer   = 31 * 24 * time.Hour
	maxLimit = 1_000_000
)
