package rest

import (
	"strconv"
	"strings"

	"keyflow/internal/fault"
)

// Matching is the input of a change that honours If-Match (RFC 9110 section 13.1.1).
type Matching struct {
	IfMatch string `header:"If-Match" doc:"The ETag that you saw; 412 when the object has changed since."`
}

// Revision returns the revision that the caller saw, -1 when any will do.
func (m Matching) Revision() (int64, error) {
	tag := strings.TrimSpace(m.IfMatch)
	if tag == "" || tag == "*" {
		return -1, nil
	}
	if strings.Count(tag, `"`) > 2 {
		return 0, fault.New(fault.Malformed, "If-Match takes one ETag here, as it was received")
	}
	inner, opened := strings.CutPrefix(tag, `"`)
	inner, closed := strings.CutSuffix(inner, `"`)
	n, err := strconv.ParseInt(inner, 10, 64)
	if !opened || !closed || err != nil || n < 0 {
		// A tag that was never issued matches nothing (RFC 9110 section 13.1.1).
		return 0, fault.New(fault.Stale, "If-Match names no revision of this object: read it again")
	}
	return n, nil
}

// ETag is the tag of a revision.
func ETag[N int | int64](revision N) string {
	return `"` + strconv.FormatInt(int64(revision), 10) + `"`
}
