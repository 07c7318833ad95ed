package authtype

import (
	"net/http"
	"strings"

	"golang.org/x/net/http/httpguts"

	"keyflow/credentials"
	"keyflow/credentials/internal/problem"
)

// apiKey sends one fixed value with every request.
func apiKey() Type {
	return Type{
		Name:    credentials.TypeAPIKey,
		Label:   "API Key",
		Summary: "A fixed value in a header, a query parameter or a cookie.",
		Fields: []Field{
			{
				Name: "key", Label: "Key", Kind: KindText, Required: true, Steers: true,
				Help: "Name of the header, query parameter or cookie, for example X-Api-Key.",
			},
			{Name: "value", Label: "Value", Kind: KindText, Secret: true, Required: true, Help: "The key itself."},
			{
				Name: "in", Label: "Add to", Kind: KindChoice, Default: inHeader, Steers: true,
				Choices: []string{inHeader, inQuery, inCookie},
				Help:    "Values in a query often end up in the logs of servers on the way; prefer the header.",
			},
			{
				Name: "prefix", Label: "Prefix", Kind: KindText,
				Help: "Put before the value as it is, spaces included, for example \"Token \".",
			},
		},
		Check:        checkAPIKey,
		Authenticate: authenticateAPIKey,
		Verify:       verifyAPIKey,
		Placement:    func(v *Values) string { return v.Text("in") + " " + v.Text("key") },
	}
}

func checkAPIKey(v *Values) []Issue {
	key, value := v.Text("key"), v.Text("prefix")+v.Text("value")
	switch v.Text("in") {
	case inHeader:
		return checkHeader("key", key, "value", value)
	case inCookie:
		var found []Issue
		if key != "" && !httpguts.ValidHeaderFieldName(key) {
			found = append(found, Issue{"key", problem.InvalidValue, "not a possible cookie name: use letters, digits, - and _"})
		}
		if strings.ContainsFunc(value, notCookieOctet) {
			found = append(found, Issue{"value", problem.InvalidValue, "a cookie cannot hold spaces, quotes, commas, semicolons, backslashes or characters outside ASCII (RFC 6265)"})
		}
		return found
	default:
		return nil
	}
}

func authenticateAPIKey(v *Values, req *http.Request, _ Proof) ([]string, error) {
	key, value := v.Text("key"), v.Text("prefix")+v.Text("value")
	switch v.Text("in") {
	case inQuery:
		return setQuery(req, key, value), nil
	case inCookie:
		setCookie(req, key, value)
	default:
		req.Header.Set(key, value)
	}
	return []string{value}, nil
}

func verifyAPIKey(v *Values, r Inbound) (Proven, bool) {
	key := v.Text("key")
	var got []string
	carrier := key
	switch v.Text("in") {
	case inQuery:
		got = r.URL.Query()[key]
	case inCookie:
		carrier = "Cookie"
		for _, c := range r.CookiesNamed(key) {
			got = append(got, c.Value)
		}
	default:
		carrier = http.CanonicalHeaderKey(key)
		got = r.Header.Values(key)
	}
	// More than one value is refused: another reader of the request might take the other.
	return Proven{CarriedIn: []string{carrier}}, len(got) == 1 && sameText(got[0], v.Text("prefix")+v.Text("value")) == 1
}
