package egress

import "context"

type ownTimeout struct{}

// WithOwnTimeout marks a context whose owner ends it in time: its requests have all of that time,
// and an upstream may be silent for as long. Without it, an upstream that is silent for 30 s ends
// the exchange.
func WithOwnTimeout(ctx context.Context) context.Context {
	return context.WithValue(ctx, ownTimeout{}, true)
}

// HasOwnTimeout reports whether WithOwnTimeout marked ctx.
func HasOwnTimeout(ctx context.Context) bool {
	own, _ := ctx.Value(ownTimeout{}).(bool)
	return own
}
