package authtype

import (
	"maps"
	"net/http"
	"slices"
	"time"

	"keyflow/credentials"
	"keyflow/credentials/internal/problem"
)

// The grant types of oauth2.
const (
	AuthorizationCode = "authorization_code"
	ClientCredentials = "client_credentials"
)

// oauth2 sends a token that Keyflow gets and renews itself (RFC 6749, RFC 7636). How tokens
// are got is the business of the resolver and of package credentials/oauth.
func oauth2() Type {
	fields := oauth2Client()
	fields = append(fields, oauth2TokenRequest()...)
	fields = append(fields, oauth2TokenAnswer()...)
	fields = append(fields, oauth2Placement()...)
	fields = append(fields, oauth2Assertion()...)
	fields = append(fields, certificateFields()...)
	return Type{
		Name:         credentials.TypeOAuth2,
		Label:        "OAuth 2.0",
		Summary:      "An access token that Keyflow obtains and renews.",
		Fields:       fields,
		Renews:       true,
		Check:        checkOAuth2,
		Authenticate: authenticateOAuth2,
		Placement:    placementOAuth2,
		Certificate:  certificateOf,
	}
}

func oauth2Client() []Field {
	connect := map[string]string{"grant_type": AuthorizationCode}
	return []Field{
		{
			Name: "grant_type", Label: "Grant Type", Kind: KindChoice, Required: true, Grants: true,
			Choices: []string{AuthorizationCode, ClientCredentials},
			Help:    "authorization_code: a person signs in once with Connect. client_credentials: the client speaks for itself.",
		},
		{
			Name: "authorization_url", Label: "Authorization URL", Kind: KindText, Format: FormatURL, Required: true, ShowIf: connect, Grants: true,
			Help: "Where a person is sent to sign in and agree.",
		},
		{
			Name: "access_token_url", Label: "Access Token URL", Kind: KindText, Format: FormatURL, Required: true, Steers: true, Grants: true,
			Help: "Where tokens are obtained. Its host is allowed for token requests only.",
		},
		{Name: "refresh_url", Label: "Refresh URL", Kind: KindText, Format: FormatURL, ShowIf: connect, Steers: true, Grants: true, Help: "Where tokens are renewed, if elsewhere."},
		{Name: "client_id", Label: "Client ID", Kind: KindText, Required: true, Grants: true, Help: "As registered at the provider."},
		{Name: "client_secret", Label: "Client Secret", Kind: KindText, Secret: true, Grants: true, Help: "Empty for clients that prove themselves by a private key, and for public ones (client authentication none)."},
		{Name: "scope", Label: "Scope", Kind: KindText, Grants: true, Help: "Separated by spaces."},
		{
			Name: "client_authentication", Label: "Client Authentication", Kind: KindChoice, Default: "header", Steers: true, Grants: true,
			Choices: []string{"header", "body", "query", clientAssertion, publicClient},
			Help:    "How client ID and secret are sent to the token URL. It is never guessed: a failed first try could spend a one-time code.",
		},
		{
			Name: "pkce", Label: "PKCE", Kind: KindBoolean, Default: "true", ShowIf: connect,
			Help: "Proof key for code exchange, S256 (RFC 7636). Switch it off only for a provider that refuses it.",
		},
		{Name: "authorize_params", Label: "Authorization parameters", Kind: KindMap, ShowIf: connect, Grants: true, Help: "Added to the authorization URL, for example access_type: offline."},
	}
}

// The values of maps are shown to whoever may view the credential: they are options such as
// audience. What is secret has a secret field.
func oauth2TokenRequest() []Field {
	return []Field{
		{Name: "token_method", Label: "Token request method", Kind: KindChoice, Default: "POST", Choices: []string{"POST", "GET"}, Steers: true, Grants: true, Help: "GET sends everything as query parameters."},
		{Name: "token_body", Label: "Token request body", Kind: KindChoice, Default: "form", Choices: []string{"form", "json"}, Grants: true, Help: "How a POST carries the parameters."},
		{Name: "token_params", Label: "Token parameters", Kind: KindMap, Grants: true, Help: "Added to requests for a first token, for example audience. Values are shown; do not put secrets here."},
		{
			Name: "refresh_params", Label: "Refresh parameters", Kind: KindMap, ShowIf: map[string]string{"grant_type": AuthorizationCode}, Grants: true,
			Help: "Added to requests that renew a token. Values are shown; do not put secrets here.",
		},
		{Name: "token_headers", Label: "Token headers", Kind: KindMap, Grants: true, Help: "Added to all token requests. Values are shown; do not put secrets here."},
		{Name: "scope_separator", Label: "Scope separator", Kind: KindText, Default: " ", Grants: true, Help: "What the provider wants between scopes; a space by the standard."},
	}
}

func oauth2TokenAnswer() []Field {
	const path = `[A-Za-z0-9_-]+(\.[A-Za-z0-9_-]+)*`
	return []Field{
		{Name: "access_token_path", Label: "Path of the access token", Kind: KindText, Default: "access_token", Pattern: path, Grants: true, Help: "Where the token is in the answer, for example data.token."},
		{Name: "refresh_token_path", Label: "Path of the refresh token", Kind: KindText, Default: "refresh_token", Pattern: path, Grants: true, Help: "Where the refresh token is in the answer."},
		{Name: "expires_in_path", Label: "Path of the lifetime", Kind: KindText, Default: "expires_in", Pattern: path, Grants: true, Help: "Where the remaining lifetime is in the answer."},
		{Name: "expires_in_unit", Label: "Unit of the lifetime", Kind: KindChoice, Default: "seconds", Choices: []string{"seconds", "milliseconds", "minutes", "hours"}, Grants: true, Help: "Seconds by the standard."},
		{Name: "default_lifetime", Label: "Default lifetime", Kind: KindText, Format: FormatDuration, Grants: true, Help: "Used when the provider states none, for example 1h. Without it a token is kept until it is refused."},
		{
			Name: "keep_alive", Label: "Keep alive", Kind: KindText, Format: FormatDuration, ShowIf: map[string]string{"grant_type": AuthorizationCode},
			Help: "Renew the token of an idle credential after this time, for example 7d: ahead of the provider's limit of inactivity.",
		},
	}
}

func oauth2Placement() []Field {
	header, query := map[string]string{"placement": inHeader}, map[string]string{"placement": inQuery}
	return []Field{
		{Name: "placement", Label: "Send the token in", Kind: KindChoice, Default: inHeader, Choices: []string{inHeader, inQuery}, Steers: true, Help: "Queries often end up in the logs of servers on the way; prefer the header."},
		{Name: "header_name", Label: "Header", Kind: KindText, Default: "Authorization", ShowIf: header, Steers: true, Help: "The header that carries the token."},
		{Name: "prefix", Label: "Prefix", Kind: KindText, Default: "Bearer ", ShowIf: header, Blank: true, Help: "Put before the token as it is, spaces included."},
		{Name: "query_name", Label: "Query parameter", Kind: KindText, Default: "access_token", ShowIf: query, Steers: true, Help: "The query parameter that carries the token."},
	}
}

func checkOAuth2(v *Values) []Issue {
	var found []Issue
	how := v.Text("client_authentication")
	if how != publicClient && how != clientAssertion && v.Text("client_secret") == "" {
		found = append(found, Issue{"client_secret", problem.Required, "is required unless client_authentication is private_key_jwt or none"})
	}
	if v.Text("grant_type") == ClientCredentials && how == publicClient && v.Text("client_certificate") == "" {
		found = append(found, Issue{"client_authentication", problem.InvalidValue, "client_credentials needs a client that proves itself (RFC 6749 section 4.4): use header, body, query or private_key_jwt, or enter a client_certificate"})
	}
	found = append(found, checkAssertion(v)...)
	found = append(found, checkCertificate(v)...)
	if v.Text("placement") == inHeader {
		found = append(found, checkHeader("header_name", v.Text("header_name"), "prefix", v.Text("prefix")+"x")...)
	}
	for _, name := range slices.Sorted(maps.Keys(v.Map("authorize_params"))) {
		if ownParameter(name) {
			found = append(found, Issue{"authorize_params", problem.InvalidValue, name + " is set by Keyflow itself: it protects the sign-in (RFC 9700)"})
		}
	}
	for _, field := range []string{"token_params", "refresh_params"} {
		if v.Map(field)["grant_type"] == "password" {
			found = append(found, Issue{field, problem.InvalidValue, "the grant type password is not possible: it must not be used any more (RFC 9700 section 2.4)"})
		}
	}
	if every, err := credentials.ParseDuration(v.Text("keep_alive")); err == nil && every < time.Hour {
		found = append(found, Issue{"keep_alive", problem.InvalidValue, "must be at least 1h"})
	}
	for name, value := range v.Map("token_headers") {
		for _, i := range checkHeader("token_headers", name, "token_headers", value) {
			found = append(found, Issue{"token_headers", i.Code, "header " + name + ": " + i.Message})
		}
	}
	return found
}

// ownParameter reports the parameters of an authorization request that bind it to the
// session that began it, and its answer to this server.
func ownParameter(name string) bool {
	switch name {
	case "response_type", "client_id", "redirect_uri", "state", "code_challenge", "code_challenge_method":
		return true
	default:
		return false
	}
}

func authenticateOAuth2(v *Values, req *http.Request, with Proof) ([]string, error) {
	token := with.Token
	if v.Text("placement") == inQuery {
		return setQuery(req, v.Text("query_name"), token), nil
	}
	value := v.Text("prefix") + token
	req.Header.Set(v.Text("header_name"), value)
	return []string{value, token}, nil
}

func placementOAuth2(v *Values) string {
	if v.Text("placement") == inQuery {
		return "query " + v.Text("query_name")
	}
	return "header " + v.Text("header_name")
}
