package token

import (
	"time"

	"keyflow/credentials/internal/decrypted"
	"keyflow/credentials/oauth"
)

// Cached is the token state of one credential, decrypted. It is immutable.
type Cached struct {
	oauth.Token
	Generation int64
	Grant      int64
	untilEnd   bool      // the provider gave the same token again: use it to its end
	restUntil  time.Time // see sameTokenRest
}

// Fits reports whether the token was got by the configuration that o has now.
func (h *Cached) Fits(o *decrypted.Credential) bool {
	return h != nil && h.Access.IsSet() && h.Grant == o.Grant
}

// storedToken is the sealed part of a [Token].
type storedToken struct {
	Grant      int64     `json:"grant"` // what counts: the one beside it is not sealed
	Access     string    `json:"access"`
	Refresh    *string   `json:"refresh,omitempty"`
	Scope      string    `json:"scope,omitempty"`
	ObtainedAt time.Time `json:"obtained_at"`
	Expiry     time.Time `json:"expiry,omitzero"`
	UntilEnd   bool      `json:"until_end,omitempty"`
	RestUntil  time.Time `json:"rest_until,omitzero"`
}

// sameTokenRest is how long failure rules cause no renewal after the provider answered one
// with the token that was in use already.
const sameTokenRest = 30 * time.Second
