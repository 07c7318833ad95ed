package oauth_test

import (
	"encoding/base64"
	"fmt"
	"net/http"
	"testing"
	"time"

	"keyflow/credentials/oauth"
)

func jwt(payload string) string {
	part := base64.RawURLEncoding.EncodeToString([]byte(payload))
	return "eyJhbGciOiJub25lIn0." + part + ".c2ln"
}

func TestExpiry(t *testing.T) {
	t.Parallel()
	sent := time.Date(2026, 1, 2, 3, 4, 5, 0, time.UTC)
	const year = 365 * 24 * time.Hour
	exp := fmt.Sprint(sent.Add(5 * time.Minute).Unix())
	tests := map[string]struct {
		expiresIn string // JSON; "" leaves it out
		access    string
		change    func(*oauth.Config)
		want      time.Duration // from sent; unknown when negative beyond an hour
		unknown   bool
	}{
		"number":                 {expiresIn: `3599`, want: 3599 * time.Second},
		"text":                   {expiresIn: `"3599"`, want: 3599 * time.Second},
		"half a minute":          {expiresIn: `30`, want: 30 * time.Second},
		"one":                    {expiresIn: `1`, want: time.Second},
		"whole as a fraction":    {expiresIn: `3599.0`, want: 3599 * time.Second},
		"long fraction in text":  {expiresIn: `"3599.5"`, want: 3599500 * time.Millisecond},
		"fraction":               {expiresIn: `3599.5`, want: 3599500 * time.Millisecond},
		"fraction in text":       {expiresIn: `" 1.5 "`, want: 1500 * time.Millisecond},
		"zero":                   {expiresIn: `0`, want: 0},
		"negative":               {expiresIn: `-1`, want: -time.Second},
		"huge":                   {expiresIn: `1e400`, want: 10 * year},
		"beyond 32 bits":         {expiresIn: `99999999999`, want: 10 * year},
		"null":                   {expiresIn: `null`, unknown: true},
		"missing":                {unknown: true},
		"empty text":             {expiresIn: `""`, unknown: true},
		"words":                  {expiresIn: `"soon"`, unknown: true},
		"not a number":           {expiresIn: `"NaN"`, unknown: true},
		"infinite in words":      {expiresIn: `"Infinity"`, unknown: true},
		"an object":              {expiresIn: `{"s":1}`, unknown: true},
		"milliseconds":           {expiresIn: `60000`, change: func(c *oauth.Config) { c.ExpiresInUnit = time.Millisecond }, want: time.Minute},
		"another field":          {expiresIn: `1,"ttl":{"left":60}`, change: func(c *oauth.Config) { c.ExpiresInPath = "ttl.left" }, want: time.Minute},
		"default when missing":   {change: func(c *oauth.Config) { c.DefaultLifetime = time.Hour }, want: time.Hour},
		"stated beats default":   {expiresIn: `10`, change: func(c *oauth.Config) { c.DefaultLifetime = time.Hour }, want: 10 * time.Second},
		"exp of a JWT":           {access: jwt(`{"exp":` + exp + `}`), want: 5 * time.Minute},
		"default beats the JWT":  {access: jwt(`{"exp":` + exp + `}`), change: func(c *oauth.Config) { c.DefaultLifetime = time.Hour }, want: time.Hour},
		"JWT without exp":        {access: jwt(`{"sub":"x"}`), unknown: true},
		"JWT with a broken exp":  {access: jwt(`{"exp":1e300}`), unknown: true},
		"three parts but no JWT": {access: "a.b.c", unknown: true},
	}
	for name, tt := range tests {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			access := tt.access
			if access == "" {
				access = "opaque"
			}
			server := provider(t, func(w http.ResponseWriter, _ *http.Request) {
				body := `{"access_token":"` + access + `"`
				if tt.expiresIn != "" {
					body += `,"expires_in":` + tt.expiresIn
				}
				_, _ = w.Write([]byte(body + "}"))
			})
			cfg := oauth.Config{TokenURL: server.URL, ClientID: "id"}
			if tt.change != nil {
				tt.change(&cfg)
			}
			client := newClient(t)
			client.Now = func() time.Time { return sent }
			token, err := client.ClientCredentials(t.Context(), cfg)
			if err != nil {
				t.Fatal(err)
			}
			if token.Expiry.IsZero() != tt.unknown {
				t.Fatalf("expiry %v, unknown: want %v", token.Expiry, tt.unknown)
			}
			if got := token.Expiry.Sub(sent); !tt.unknown && got != tt.want {
				t.Errorf("lifetime %v, want %v", got, tt.want)
			}
		})
	}
}

func TestDue(t *testing.T) {
	t.Parallel()
	start := time.Date(2026, 1, 2, 3, 4, 5, 0, time.UTC)
	tests := map[string]struct {
		lifetime time.Duration
		unknown  bool
		age      time.Duration
		untilEnd bool
		due      bool
		expired  bool
	}{
		"new":                               {lifetime: time.Hour},
		"a minute and a second left":        {lifetime: time.Hour, age: 59*time.Minute - time.Second},
		"less than a minute left":           {lifetime: time.Hour, age: 59*time.Minute + time.Second, due: true},
		"short life, a tenth left":          {lifetime: 100 * time.Second, age: 90 * time.Second},
		"short life, less left":             {lifetime: 100 * time.Second, age: 91 * time.Second, due: true},
		"same token again, nearly over":     {lifetime: time.Hour, age: time.Hour - time.Second, untilEnd: true},
		"same token again, over":            {lifetime: time.Hour, age: time.Hour, untilEnd: true, due: true, expired: true},
		"over":                              {lifetime: time.Hour, age: time.Hour, due: true, expired: true},
		"unknown never":                     {unknown: true, age: 1000 * time.Hour},
		"born expired, asked just now":      {lifetime: 0, age: 999 * time.Millisecond},
		"born expired, a second ago":        {lifetime: 0, age: time.Second, due: true, expired: true},
		"negative lifetime, asked just now": {lifetime: -time.Hour},
		"negative lifetime, a second ago":   {lifetime: -time.Hour, age: time.Second, due: true, expired: true},
		"clock went back":                   {lifetime: time.Hour, age: -time.Minute},
	}
	for name, tt := range tests {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			token := oauth.Token{ObtainedAt: start, Expiry: start.Add(tt.lifetime)}
			if tt.unknown {
				token.Expiry = time.Time{}
			}
			now := start.Add(tt.age)
			if got := token.Due(now, tt.untilEnd); got != tt.due {
				t.Errorf("due: %v, want %v", got, tt.due)
			}
			if got := token.Expired(now); got != tt.expired {
				t.Errorf("expired: %v, want %v", got, tt.expired)
			}
		})
	}
}
