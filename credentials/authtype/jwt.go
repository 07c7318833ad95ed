package authtype

import (
	"net/http"
	"strings"
	"time"

	"github.com/golang-jwt/jwt/v5"
	"github.com/google/uuid"

	"keyflow/credentials"
	"keyflow/credentials/internal/problem"
)

const (
	jwtLeeway   = time.Minute // between our clock and a sender's
	maxLifetime = 24 * time.Hour
)

// jwtType makes a short-lived token of its own for each request (RFC 7519), and verifies those
// of others.
func jwtType() Type {
	return Type{
		Name:    credentials.TypeJWT,
		Label:   "JWT",
		Summary: "A short-lived bearer token that Keyflow signs itself.",
		Fields: []Field{
			{
				Name: "algorithm", Label: "Algorithm", Kind: KindChoice, Required: true, Default: "RS256",
				Choices: []string{"RS256", "ES256", "HS256"}, Help: "RS256 and ES256 sign with a private key, HS256 with a shared secret.",
			},
			{
				Name: "key", Label: "Signing key", Kind: KindLines, Secret: true,
				Help: "A private key in PEM form without pass phrase; for HS256 the shared secret, at least 32 bytes.",
			},
			{
				Name: "public_key", Label: "Public key", Kind: KindLines,
				Help: "In PEM form. For webhooks that others sign; without it they are verified by the signing key.",
			},
			{Name: "key_id", Label: "Key ID", Kind: KindText, Help: "The kid of the token's header, where the service asks for one."},
			{Name: "issuer", Label: "Issuer", Kind: KindText, Help: "The claim iss. Of inbound webhooks: the only issuer that is accepted."},
			{Name: "subject", Label: "Subject", Kind: KindText, Help: "The claim sub."},
			{Name: "audience", Label: "Audience", Kind: KindText, Help: "The claim aud."},
			{Name: "claims", Label: "More claims", Kind: KindMap, Help: "Texts added to the token. They are shown; do not put secrets here."},
			{
				Name: "lifetime", Label: "Lifetime", Kind: KindText, Format: FormatDuration, Default: "5m",
				Help: "How long a token is valid, at most 24h.",
			},
		},
		Check:        checkJWT,
		Authenticate: authenticateJWT,
		Verify:       verifyJWT,
		Placement:    inAuthorization,
	}
}

func checkJWT(v *Values) []Issue {
	var found []Issue
	algorithm := v.Text("algorithm")
	if v.Text("key") == "" && (algorithm == "HS256" || v.Text("public_key") == "") {
		found = append(found, Issue{"key", problem.Required, "is required, unless a public_key only verifies webhooks"})
	} else if _, err := signingKey(algorithm, v.Text("key")); err != nil && v.Text("key") != "" {
		found = append(found, Issue{"key", problem.InvalidValue, err.Error()})
	}
	if text := v.Text("public_key"); strings.Contains(text, "PRIVATE KEY") {
		found = append(found, Issue{"public_key", problem.InvalidValue, "is shown to everyone who may see the credential, and this is a private key: enter its public half"})
	} else if text != "" {
		if _, err := verifyingKey(algorithm, text); err != nil {
			found = append(found, Issue{"public_key", problem.InvalidValue, err.Error()})
		}
	}
	for _, name := range []string{"iss", "sub", "aud", "iat", "nbf", "exp", "jti"} {
		if _, ok := v.Map("claims")[name]; ok {
			found = append(found, Issue{"claims", problem.InvalidValue, "cannot hold " + name + ", which has a field of its own or is set for each token"})
		}
	}
	if d, err := credentials.ParseDuration(v.Text("lifetime")); err == nil && d > maxLifetime {
		found = append(found, Issue{"lifetime", problem.InvalidValue, "is longer than 24h"})
	}
	return found
}

func authenticateJWT(v *Values, req *http.Request, with Proof) ([]string, error) {
	lifetime, err := credentials.ParseDuration(v.Text("lifetime"))
	if err != nil {
		return nil, err
	}
	claims := jwt.MapClaims{"iat": with.Now.Unix(), "exp": with.Now.Add(lifetime).Unix(), "jti": uuid.NewString()}
	for claim, field := range map[string]string{"iss": "issuer", "sub": "subject", "aud": "audience"} {
		if text := v.Text(field); text != "" {
			claims[claim] = text
		}
	}
	for name, value := range v.Map("claims") {
		claims[name] = value
	}
	token, err := signJWT(v.Text("algorithm"), v.Text("key"), map[string]any{"kid": v.Text("key_id")}, claims)
	if err != nil {
		return nil, err
	}
	req.Header.Set("Authorization", "Bearer "+token)
	return []string{"Bearer " + token, token}, nil
}

// verifyJWT accepts the algorithm of the credential only: what a token says of itself never
// chooses how it is verified (RFC 8725 section 3.1). A token must end.
func verifyJWT(v *Values, r Inbound) (Proven, bool) {
	found := Proven{CarriedIn: []string{"Authorization"}}
	text, sent := bearerOf(r.Request)
	algorithm, key := v.Text("algorithm"), v.Text("public_key")
	if key == "" {
		key = v.Text("key")
	}
	verifier, err := verifyingKey(algorithm, key)
	if !sent || err != nil {
		return found, false
	}
	options := []jwt.ParserOption{
		jwt.WithValidMethods([]string{algorithm}), jwt.WithExpirationRequired(), jwt.WithIssuedAt(),
		jwt.WithLeeway(jwtLeeway), jwt.WithTimeFunc(func() time.Time { return r.Now }),
	}
	for field, option := range map[string]func(string) jwt.ParserOption{
		"issuer": jwt.WithIssuer, "subject": jwt.WithSubject, "audience": func(a string) jwt.ParserOption { return jwt.WithAudience(a) },
	} {
		if want := v.Text(field); want != "" {
			options = append(options, option(want))
		}
	}
	claims := jwt.MapClaims{}
	if _, err := jwt.ParseWithClaims(text, claims, func(*jwt.Token) (any, error) { return verifier, nil }, options...); err != nil {
		return found, false
	}
	for name, want := range v.Map("claims") {
		if claims[name] != want {
			return found, false
		}
	}
	return found, true
}
