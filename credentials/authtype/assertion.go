package authtype

import (
	"crypto/sha1" //nolint:gosec // x5t is defined as a SHA-1 thumbprint (RFC 7515 section 4.1.7); it protects nothing
	"crypto/sha256"
	"encoding/base64"
	"time"

	"github.com/golang-jwt/jwt/v5"
	"github.com/google/uuid"

	"keyflow/credentials/internal/problem"
)

// The ways of client authentication that need no client secret.
const (
	clientAssertion = "private_key_jwt"
	publicClient    = "none"
)

// assertionLifetime is how long a token endpoint may take to read an assertion.
const assertionLifetime = 2 * time.Minute

// oauth2Assertion declares what private_key_jwt needs beyond the key (RFC 7523 section 2.2).
func oauth2Assertion() []Field {
	signed := map[string]string{"client_authentication": clientAssertion}
	return []Field{
		{
			Name: "assertion_algorithm", Label: "Algorithm of the assertion", Kind: KindChoice, Default: "RS256", ShowIf: signed, Grants: true,
			Choices: []string{"RS256", "PS256", "ES256"}, Help: "How the private key signs.",
		},
		{Name: "assertion_key_id", Label: "Key ID of the assertion", Kind: KindText, ShowIf: signed, Grants: true, Help: "The kid under which the provider knows the public key."},
		{Name: "assertion_audience", Label: "Audience of the assertion", Kind: KindText, ShowIf: signed, Grants: true, Help: "The access token URL, unless the provider wants another one."},
	}
}

func checkAssertion(v *Values) []Issue {
	if v.Text("client_authentication") != clientAssertion {
		return nil
	}
	if v.Text("client_key") == "" {
		return []Issue{{"client_key", problem.Required, "is required: private_key_jwt signs with it"}}
	}
	if _, err := signingKey(v.Text("assertion_algorithm"), v.Text("client_key")); err != nil {
		return []Issue{{"client_key", problem.InvalidValue, err.Error()}}
	}
	return nil
}

// Assertion makes the proof that a client holds its private key, one for each token request
// (RFC 7523 section 3). With a certificate its thumbprints are sent, by which some providers
// find the public key.
func Assertion(v *Values, tokenURL string, now time.Time) (string, error) {
	id, audience := v.Text("client_id"), v.Text("assertion_audience")
	if audience == "" {
		audience = tokenURL
	}
	header := map[string]any{"kid": v.Text("assertion_key_id")}
	pair, err := certificateOf(v)
	if err != nil {
		return "", err
	}
	if pair != nil {
		old, new := sha1.Sum(pair.Certificate[0]), sha256.Sum256(pair.Certificate[0]) //nolint:gosec // see the import
		header["x5t"] = base64.RawURLEncoding.EncodeToString(old[:])
		header["x5t#S256"] = base64.RawURLEncoding.EncodeToString(new[:])
	}
	return signJWT(v.Text("assertion_algorithm"), v.Text("client_key"), header, jwt.MapClaims{
		"iss": id, "sub": id, "aud": audience, "jti": uuid.NewString(),
		"iat": now.Unix(), "nbf": now.Unix(), "exp": now.Add(assertionLifetime).Unix(),
	})
}
