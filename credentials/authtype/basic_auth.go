package authtype

import (
	"encoding/base64"
	"net/http"
	"strings"

	"keyflow/credentials"
	"keyflow/credentials/internal/problem"
)

// basicAuth sends user name and password with every request (RFC 7617, UTF-8).
func basicAuth() Type {
	return Type{
		Name:    credentials.TypeBasicAuth,
		Label:   "Basic Auth",
		Summary: "User name and password in the Authorization header.",
		Fields: []Field{
			{
				Name: "username", Label: "Username", Kind: KindText, Required: true, SecretIf: "username_secret",
				Help: "Where the provider takes an API key as username, set \"Username is secret\" as well.",
			},
			{
				Name: "password", Label: "Password", Kind: KindText, Secret: true, Blank: true,
				Help: "May be empty. Some providers take any text here, for example x.",
			},
			{
				Name: "username_secret", Label: "Username is secret", Kind: KindBoolean, Default: "false",
				Help: "Encrypts the user name and never shows it again.",
			},
		},
		Check:        checkBasicAuth,
		Authenticate: authenticateBasic,
		Verify:       verifyBasic,
		Placement:    inAuthorization,
	}
}

func checkBasicAuth(v *Values) []Issue {
	var found []Issue
	if strings.Contains(v.Text("username"), ":") {
		found = append(found, Issue{"username", problem.InvalidValue, "a user name cannot contain a colon (RFC 7617)"})
	}
	for _, field := range []string{"username", "password"} {
		if strings.ContainsFunc(v.Text(field), isControl) {
			found = append(found, Issue{field, problem.InvalidValue, "line breaks and other control characters are not possible here; was a line break copied along?"})
		}
	}
	return found
}

func authenticateBasic(v *Values, req *http.Request, _ Proof) ([]string, error) {
	pair := base64.StdEncoding.EncodeToString([]byte(v.Text("username") + ":" + v.Text("password")))
	header := "Basic " + pair
	req.Header.Set("Authorization", header)
	return []string{header, pair}, nil
}

// Both parts are compared whatever the first says.
func verifyBasic(v *Values, r Inbound) (Proven, bool) {
	username, password, sent := r.BasicAuth()
	sameName, samePassword := sameText(username, v.Text("username")), sameText(password, v.Text("password"))
	once := len(r.Header.Values("Authorization")) == 1 // another reader of the request might take the other
	return Proven{CarriedIn: []string{"Authorization"}}, sent && once && sameName&samePassword == 1
}
