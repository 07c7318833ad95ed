package oauth

import (
	"encoding/base64"
	"encoding/json"
	"math"
	"strconv"
	"strings"
	"time"

	"keyflow/internal/secret"
)

// Renewal starts when less than the smaller of renewMargin and a tenth of the lifetime remains.
const renewMargin = 60 * time.Second

// minimumAge keeps a token that was born expired (expires_in 0 or negative) in use, so that
// such a provider is asked at most once in that time.
const minimumAge = time.Second

// maxLifetime caps what providers state (1e400 seconds); it is far beyond any real token.
const maxLifetime = 10 * 365 * 24 * time.Hour

// Token is what a provider gave. Secrets in it cannot print themselves.
type Token struct {
	Access     secret.Text
	Refresh    secret.Text // not set when the provider gave none
	Scope      string      // granted; "" when the provider did not say
	ObtainedAt time.Time   // when the request for it was sent
	Expiry     time.Time   // zero: unknown, the token is used until it is refused
}

// Expired reports whether the token can no longer be used.
func (t Token) Expired(now time.Time) bool {
	return !t.Expiry.IsZero() && !now.Before(t.Expiry) && now.Sub(t.ObtainedAt) >= minimumAge
}

// Due reports whether the token should be renewed before it is used. untilEnd is set when
// the provider answered an early renewal with this same token: asking again before its
// true end would be useless.
func (t Token) Due(now time.Time, untilEnd bool) bool {
	if t.Expiry.IsZero() || now.Sub(t.ObtainedAt) < minimumAge {
		return false
	}
	if untilEnd {
		return t.Expired(now)
	}
	margin := min(renewMargin, t.Expiry.Sub(t.ObtainedAt)/10)
	return t.Expiry.Sub(now) < max(margin, 1)
}

// expiry decides the end of a token's life: the stated lifetime, else the configured one,
// else the token's own exp claim, else unknown.
func (cfg Config) expiry(sent time.Time, expiresIn any, access string) time.Time {
	unit := cfg.ExpiresInUnit
	if unit == 0 {
		unit = time.Second
	}
	if lifetime, ok := parseLifetime(expiresIn, unit); ok {
		return sent.Add(lifetime)
	}
	if cfg.DefaultLifetime > 0 {
		return sent.Add(cfg.DefaultLifetime)
	}
	return jwtExpiry(access)
}

// parseLifetime reads expires_in as providers write it: a number or a text that holds one,
// with or without a fraction, however large. Anything else counts as missing.
func parseLifetime(v any, unit time.Duration) (time.Duration, bool) {
	var text string
	switch v := v.(type) {
	case json.Number:
		text = v.String()
	case string:
		text = strings.TrimSpace(v)
	default:
		return 0, false
	}
	n, err := strconv.ParseFloat(text, 64)
	if math.IsNaN(n) || err != nil && !math.IsInf(n, 0) || math.IsInf(n, 0) && !strings.ContainsAny(text, "0123456789") {
		return 0, false
	}
	n *= float64(unit)
	limit := float64(maxLifetime)
	return time.Duration(max(-limit, min(n, limit))), true
}

// jwtExpiry reads the exp claim (RFC 7519 section 4.1.4) of a token that happens to be a
// JWT. It only plans a renewal, so the signature does not matter.
func jwtExpiry(access string) time.Time {
	parts := strings.Split(access, ".")
	if len(parts) != 3 {
		return time.Time{}
	}
	payload, err := base64.RawURLEncoding.DecodeString(strings.TrimRight(parts[1], "="))
	if err != nil {
		return time.Time{}
	}
	var claims struct {
		Exp json.Number `json:"exp"`
	}
	if json.Unmarshal(payload, &claims) != nil {
		return time.Time{}
	}
	seconds, err := claims.Exp.Float64()
	if err != nil || seconds <= 0 || seconds > 1<<40 {
		return time.Time{}
	}
	return time.Unix(int64(seconds), 0).UTC()
}
