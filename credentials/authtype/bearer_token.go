package authtype

import (
	"net/http"
	"strings"

	"keyflow/credentials"
	"keyflow/credentials/internal/problem"
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
		Check:        checkBearer,
		Authenticate: authenticateBearer,
		Verify:       verifyBearer,
		Placement:    inAuthorization,
	}
}

func checkBearer(v *Values) []Issue {
	token := v.Text("token")
	if scheme, _, ok := strings.Cut(token, " "); ok && strings.EqualFold(scheme, "Bearer") {
		return []Issue{{"token", problem.InvalidValue, "begins with the word Bearer: leave it out, it is added"}}
	}
	return checkHeader("token", "Authorization", "token", token)
}

func authenticateBearer(v *Values, req *http.Request, _ Proof) ([]string, error) {
	token := v.Text("token")
	req.Header.Set("Authorization", "Bearer "+token)
	return []string{"Bearer " + token, token}, nil
}

func verifyBearer(v *Values, r Inbound) (Proven, bool) {
	token, sent := bearerOf(r.Request)
	return Proven{CarriedIn: []string{"Authorization"}}, sameText(token, v.Text("token")) == 1 && sent
}
