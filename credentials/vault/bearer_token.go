package vault

import (
	"net/http"
	"strings"

	"keyflow/credentials"
)

// bearerToken sends a token that somebody got elsewhere (RFC 6750 section 2.1).
func bearerToken() Type {
	return Type{
		Name:    credentials.TypeBearerToken,
		Label:   "Bearer Token",
		Summary: "A fixed token in the Authorization header.",
		Fields: []Field{{
			Name: "token", Label: "Token", Kind: KindText, Secret: true, Required: true,
			Help: "The token alone, without the word Bearer. A token that ends is better kept as OAuth 2.0, which renews it.",
		}},
		check:        checkBearer,
		authenticate: authenticateBearer,
		verify:       verifyBearer,
		placement:    inAuthorization,
	}
}

func checkBearer(o *values) []issue {
	token := o.text("token")
	if scheme, _, ok := strings.Cut(token, " "); ok && strings.EqualFold(scheme, "Bearer") {
		return []issue{{"token", codeInvalidValue, "begins with the word Bearer: leave it out, it is added"}}
	}
	return checkHeader("token", "Authorization", "token", token)
}

func authenticateBearer(o *values, req *http.Request, _ proof) ([]string, error) {
	token := o.text("token")
	req.Header.Set("Authorization", "Bearer "+token)
	return []string{"Bearer " + token, token}, nil
}

func verifyBearer(o *values, r inbound) (proven, bool) {
	token, sent := bearerOf(r.Request)
	return proven{held: []string{"Authorization"}}, sameText(token, o.text("token")) == 1 && sent
}

// bearerOf reads the bearer token of a request; the scheme's case does not matter (RFC 9110
// section 11.1). Two Authorization headers are refused: another reader might take the other.
func bearerOf(r *http.Request) (token string, sent bool) {
	values := r.Header.Values("Authorization")
	if len(values) != 1 {
		return "", false
	}
	scheme, token, ok := strings.Cut(values[0], " ")
	return token, ok && strings.EqualFold(scheme, "Bearer") && token != ""
}
