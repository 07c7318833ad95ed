package vault

import (
	"encoding/base64"
	"net/http"
	"strings"

	"keyflow/credentials"
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
				Name: "password", Label: "Password", Kind: KindText, Secret: true, blank: true,
				Help: "May be empty. Some providers take any text here, for example x.",
			},
			{
				Name: "username_secret", Label: "Username is secret", Kind: KindBoolean, Default: "false",
				Help: "Encrypts the user name and never shows it again.",
			},
		},
		check:        checkBasicAuth,
		authenticate: authenticateBasic,
		verify:       verifyBasic,
		placement:    inAuthorization,
	}
}

func checkBasicAuth(o *values) []issue {
	var found []issue
	if strings.Contains(o.text("username"), ":") {
		found = append(found, issue{"username", codeInvalidValue, "a user name cannot contain a colon (RFC 7617)"})
	}
	for _, field := range []string{"username", "password"} {
		if strings.ContainsFunc(o.text(field), isControl) {
			found = append(found, issue{field, codeInvalidValue, "line breaks and other control characters are not possible here; was a line break copied along?"})
		}
	}
	return found
}

func authenticateBasic(o *values, req *http.Request, _ proof) ([]string, error) {
	pair := base64.StdEncoding.EncodeToString([]byte(o.text("username") + ":" + o.text("password")))
	header := "Basic " + pair
	req.Header.Set("Authorization", header)
	return []string{header, pair}, nil
}

// Both parts are compared whatever the first says.
func verifyBasic(o *values, r inbound) (proven, bool) {
	username, password, sent := r.BasicAuth()
	sameName, samePassword := sameText(username, o.text("username")), sameText(password, o.text("password"))
	once := len(r.Header.Values("Authorization")) == 1 // another reader of the request might take the other
	return proven{held: []string{"Authorization"}}, sent && once && sameName&samePassword == 1
}

func inAuthorization(*values) string { return "header Authorization" }

func isControl(r rune) bool { return r < 0x20 || r == 0x7f }
