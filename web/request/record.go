// Package request keeps the record of one HTTP request while it is answered: its id, source, route
// and caller. It limits the duration and the size of a body.
//
// It must not know routes, errors as clients see them, or any resource.
package request

import (
	"context"
	"net/http"
	"strings"
	"unicode/utf8"

	"keyflow/web/session"
)

// Record is what the handlers and the access log know about one request. It is made by
// the outermost handler and filled in on the way in, by one goroutine.
type Record struct {
	ID     string // random; in the X-Request-Id header, each problem and each log line
	Source string // the client's address, for throttles and logs
	Route  string // the pattern that matched; "" when none did
	Who    session.Who
	HTTP   *http.Request
	Broken error // why the body is incomplete
}

type recordKey struct{}

// From returns the request's record; an empty one outside the handler.
func From(ctx context.Context) *Record {
	if r, ok := ctx.Value(recordKey{}).(*Record); ok {
		return r
	}
	return &Record{}
}

// With returns a context with the record.
func With(ctx context.Context, r *Record) context.Context {
	return context.WithValue(ctx, recordKey{}, r)
}

// IsText reports whether s can be a name or a value: databases differ in how they handle NUL and
// invalid UTF-8.
func IsText(s string) bool { return utf8.ValidString(s) && !strings.ContainsRune(s, 0) }
