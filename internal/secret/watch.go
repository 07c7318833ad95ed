package secret

import (
	"context"
	"sync/atomic"
)

type watchKey struct{}

// Watch returns a context for a request, and whether secrets were masked in its answer so far.
func Watch(ctx context.Context) (watched context.Context, masked func() bool) {
	var noted atomic.Bool
	return context.WithValue(ctx, watchKey{}, &noted), noted.Load
}

// NoteMasked says that a secret was masked in the answer to the request with this context.
func NoteMasked(ctx context.Context) {
	if noted, ok := ctx.Value(watchKey{}).(*atomic.Bool); ok {
		noted.Store(true)
	}
}
