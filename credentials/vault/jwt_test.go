package vault_test

import (
	"crypto/ecdsa"
	"crypto/elliptic"
	"crypto/rand"
	"crypto/rsa"
	"fmt"
	"net/http"
	"strings"
	"testing"
	"time"

	"github.com/golang-jwt/jwt/v5"

	"keyflow/credentials"
	"keyflow/internal/fault"
)

const shared = "canary-shared-secret-of-32-bytes"

// A token that one credential signs is what another, with the public half, lets in.
func TestJWTSignsAndVerifies(t *testing.T) {
	t.Parallel()
	rsaKey, err := rsa.GenerateKey(rand.Reader, 2048)
	if err != nil {
		t.Fatal(err)
	}
	ecKey, err := ecdsa.GenerateKey(elliptic.P256(), rand.Reader)
	if err != nil {
		t.Fatal(err)
	}
	tests := map[string]struct{ key, public string }{
		"RS256": {privatePEM(t, rsaKey), publicPEM(t, rsaKey.Public())},
		"ES256": {privatePEM(t, ecKey), publicPEM(t, ecKey.Public())},
		"HS256": {key: shared},
	}
	for algorithm, tt := range tests {
		t.Run(algorithm, func(t *testing.T) {
			t.Parallel()
			n := online(t)
			up := serve(t, nil)
			n.create(t, fmt.Sprintf(`{"id": "ours", "type": "jwt", "allowed_hosts": [%q], "fields": {"algorithm": %q, "key": %q, "key_id": "k1",
				"issuer": "keyflow", "audience": "erp", "subject": "sync", "claims": {"tenant": "acme"}, "lifetime": "2m"}}`, up.host, algorithm, tt.key))
			mustGet(t, n, "ours", up.URL)
			mustGet(t, n, "ours", up.URL)
			first, second := up.requests()[0].Header.Get("Authorization"), up.requests()[1].Header.Get("Authorization")
			if first == second {
				t.Error("two requests have the same token")
			}
			token, _, err := jwt.NewParser().ParseUnverified(strings.TrimPrefix(first, "Bearer "), jwt.MapClaims{})
			if err != nil {
				t.Fatal(err)
			}
			claims, _ := token.Claims.(jwt.MapClaims)
			life := claims["exp"].(float64) - claims["iat"].(float64)
			if token.Header["kid"] != "k1" || claims["iss"] != "keyflow" || claims["aud"] != "erp" || claims["sub"] != "sync" || claims["tenant"] != "acme" || life != 120 {
				t.Errorf("header %v, claims %v", token.Header, claims)
			}
			key := `"public_key": ` + quoted(t, tt.public)
			if tt.public == "" {
				key = `"key": ` + quoted(t, tt.key)
			}
			n.create(t, fmt.Sprintf(`{"id": "theirs", "type": "jwt", "allowed_hosts": ["erp.example"], "fields": {"algorithm": %q, %s, "issuer": "keyflow", "audience": "erp", "claims": {"tenant": "acme"}}}`, algorithm, key))
			n.create(t, fmt.Sprintf(`{"id": "strict", "type": "jwt", "allowed_hosts": ["erp.example"], "fields": {"algorithm": %q, %s, "issuer": "somebody"}}`, algorithm, key))
			for _, id := range []credentials.ID{"theirs", "ours"} {
				if err := n.verify(t, id, "{}", map[string]string{"Authorization": first}); err != nil {
					t.Errorf("%s refuses: %v", id, err)
				}
			}
			if err := n.verify(t, "strict", "{}", map[string]string{"Authorization": first}); !fault.Is(err, fault.Unauthenticated) {
				t.Errorf("another issuer: %v", err)
			}
			if err := n.verify(t, "theirs", "{}", map[string]string{"Authorization": first + "x"}); !fault.Is(err, fault.Unauthenticated) {
				t.Errorf("another signature: %v", err)
			}
			n.advance(4 * time.Minute)
			if err := n.verify(t, "theirs", "{}", map[string]string{"Authorization": first}); !fault.Is(err, fault.Unauthenticated) {
				t.Errorf("a token that has ended: %v", err)
			}
		})
	}
}

// What a token says of itself never chooses how it is verified (RFC 8725 section 2.1).
func TestJWTRefusesForgeries(t *testing.T) {
	t.Parallel()
	key, err := rsa.GenerateKey(rand.Reader, 2048)
	if err != nil {
		t.Fatal(err)
	}
	public := publicPEM(t, key.Public())
	n := online(t)
	n.create(t, fmt.Sprintf(`{"id": "theirs", "type": "jwt", "allowed_hosts": ["a.example"], "fields": {"public_key": %q}}`, public))
	end := time.Now().Add(time.Minute).Unix()
	sign := func(method jwt.SigningMethod, with any, claims jwt.MapClaims) string {
		text, err := jwt.NewWithClaims(method, claims).SignedString(with)
		if err != nil {
			t.Fatal(err)
		}
		return "Bearer " + text
	}
	good := sign(jwt.SigningMethodRS256, key, jwt.MapClaims{"exp": end})
	if err := n.verify(t, "theirs", "", map[string]string{"Authorization": good}); err != nil {
		t.Fatalf("a good token: %v", err)
	}
	for name, value := range map[string]string{
		"none":                   sign(jwt.SigningMethodNone, jwt.UnsafeAllowNoneSignatureType, jwt.MapClaims{"exp": end}),
		"public key as secret":   sign(jwt.SigningMethodHS256, []byte(public), jwt.MapClaims{"exp": end}),
		"another RSA algorithm":  sign(jwt.SigningMethodRS512, key, jwt.MapClaims{"exp": end}),
		"without end":            sign(jwt.SigningMethodRS256, key, jwt.MapClaims{}),
		"issued in the future":   sign(jwt.SigningMethodRS256, key, jwt.MapClaims{"exp": end + 3600, "iat": end + 600}),
		"not before":             sign(jwt.SigningMethodRS256, key, jwt.MapClaims{"exp": end + 3600, "nbf": end + 600}),
		"no scheme":              strings.TrimPrefix(good, "Bearer "),
		"another scheme":         strings.Replace(good, "Bearer", "Basic", 1),
		"nothing after the word": "Bearer ",
		"not a token":            "Bearer a.b.c",
		"a megabyte":             "Bearer " + strings.Repeat("e", 1<<20),
	} {
		if err := n.verify(t, "theirs", "", map[string]string{"Authorization": value}); !fault.Is(err, fault.Unauthenticated) {
			t.Errorf("%s: %v", name, err)
		}
	}
	r, raw := signed("", map[string]string{"Authorization": good})
	r.Header.Add("Authorization", good)
	if _, err := n.Verify(t.Context(), "theirs", "hook", "/", r, raw); !fault.Is(err, fault.Unauthenticated) {
		t.Errorf("two headers: %v", err)
	}
	if _, err := call(t, n.client(t, useOf("theirs")), http.MethodGet, "https://a.example/", ""); err == nil ||
		!strings.Contains(err.Error(), `credential "theirs" cannot be used for this request`) {
		t.Errorf("signing without a key: %v", err)
	}
}

func TestJWTBadInput(t *testing.T) {
	t.Parallel()
	n := online(t)
	rsaKey, err := rsa.GenerateKey(rand.Reader, 1024) // too short on purpose
	if err != nil {
		t.Fatal(err)
	}
	p384, err := ecdsa.GenerateKey(elliptic.P384(), rand.Reader)
	if err != nil {
		t.Fatal(err)
	}
	tests := map[string]struct {
		fields map[string]any
		want   string
	}{
		"no key":            {map[string]any{}, "/fields/key required: is required, unless a public_key only verifies webhooks"},
		"public only, HS":   {map[string]any{"algorithm": "HS256", "public_key": shared}, "/fields/key required: is required, unless a public_key only verifies webhooks"},
		"text":              {map[string]any{"key": "hello"}, "/fields/key invalid_value: is not an RSA private key in PEM form without pass phrase"},
		"short secret":      {map[string]any{"algorithm": "HS256", "key": "short"}, "/fields/key invalid_value: is shorter than 32 bytes, which HS256 needs (RFC 7518 section 3.2)"},
		"short key":         {map[string]any{"key": privatePEM(t, rsaKey)}, "/fields/key invalid_value: is shorter than 2048 bits (RFC 7518 section 3.3)"},
		"wrong kind":        {map[string]any{"algorithm": "ES256", "key": privatePEM(t, rsaKey)}, "/fields/key invalid_value: is not an EC private key in PEM form without pass phrase"},
		"wrong curve":       {map[string]any{"algorithm": "ES256", "key": privatePEM(t, p384)}, "/fields/key invalid_value: is not a key of the curve P-256, which ES256 needs"},
		"private as public": {map[string]any{"algorithm": "ES256", "public_key": privatePEM(t, p384)}, "/fields/public_key invalid_value: is shown to everyone who may see the credential, and this is a private key: enter its public half"},
		"reserved claim":    {map[string]any{"algorithm": "HS256", "key": shared, "claims": map[string]string{"exp": "1"}}, "/fields/claims invalid_value: cannot hold exp, which has a field of its own or is set for each token"},
		"long life":         {map[string]any{"algorithm": "HS256", "key": shared, "lifetime": "2d"}, "/fields/lifetime invalid_value: is longer than 24h"},
		"algorithm":         {map[string]any{"algorithm": "none", "key": shared}, "/fields/algorithm invalid_value: must be one of RS256, ES256, HS256"},
	}
	for name, tt := range tests {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			_, err := n.Create(t.Context(), admin, input(t, `{"id": "x", "type": "jwt", "allowed_hosts": ["a.example"], "fields": `+quoted(t, tt.fields)+`}`))
			if got := strings.Join(problemLines(err), "\n"); !strings.HasPrefix(got, tt.want) {
				t.Errorf("got\n%s\nwant\n%s", got, tt.want)
			}
		})
	}
}
