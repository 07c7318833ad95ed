package authtype

import (
	"net/http"
	"net/url"
	"strings"

	"golang.org/x/net/http/httpguts"

	"keyflow/credentials"
	"keyflow/credentials/internal/problem"
)

// The places of a key or token in a request.
const (
	inHeader = "header"
	inQuery  = "query"
	inCookie = "cookie"
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
	held := key
	switch v.Text("in") {
	case inQuery:
		got = r.URL.Query()[key]
	case inCookie:
		held = "Cookie"
		for _, c := range r.CookiesNamed(key) {
			got = append(got, c.Value)
		}
	default:
		held = http.CanonicalHeaderKey(key)
		got = r.Header.Values(key)
	}
	// More than one value is refused: another reader of the request might take the other.
	return Proven{CarriedIn: []string{held}}, len(got) == 1 && sameText(got[0], v.Text("prefix")+v.Text("value")) == 1
}

// setQuery makes key occur once, with value, and leaves the other parameters as they were written.
func setQuery(req *http.Request, key, value string) []string {
	u := *req.URL
	kept := keepParts(u.RawQuery, "&", func(part string) bool {
		name, _, _ := strings.Cut(part, "=")
		plain, err := url.QueryUnescape(name)
		return err != nil || plain != key
	})
	escaped := url.QueryEscape(value)
	u.RawQuery = strings.Join(append(kept, url.QueryEscape(key)+"="+escaped), "&")
	req.URL = &u
	return []string{value, escaped}
}

// setCookie makes the cookie occur once. The value is sent as it is: http.Request.AddCookie
// would drop or quote what it does not like.
func setCookie(req *http.Request, name, value string) {
	kept := keepParts(strings.Join(req.Header["Cookie"], "; "), ";", func(part string) bool {
		n, _, _ := strings.Cut(strings.TrimSpace(part), "=")
		return n != name
	})
	for i := range kept {
		kept[i] = strings.TrimSpace(kept[i])
	}
	req.Header.Set("Cookie", strings.Join(append(kept, name+"="+value), "; "))
}

func keepParts(list, separator string, keep func(part string) bool) []string {
	var kept []string
	for part := range strings.SplitSeq(list, separator) {
		if strings.TrimSpace(part) != "" && keep(part) {
			kept = append(kept, part)
		}
	}
	return kept
}

// checkHeader finds why a secret could not be sent in a header.
func checkHeader(nameField, name, valueField, value string) []Issue {
	var found []Issue
	switch {
	case name == "":
	case !httpguts.ValidHeaderFieldName(name):
		found = append(found, Issue{nameField, problem.InvalidValue, "not a possible header name: use letters, digits and -"})
	case framingHeader(name):
		found = append(found, Issue{nameField, problem.InvalidValue, "this header belongs to the connection and cannot carry a credential"})
	}
	switch {
	case !httpguts.ValidHeaderFieldValue(value):
		found = append(found, Issue{valueField, problem.InvalidValue, "a header cannot hold line breaks or control characters; was a line break copied along?"})
	case strings.Trim(value, " \t") != value:
		found = append(found, Issue{valueField, problem.InvalidValue, "begins or ends with a space, which a header cannot carry; was it copied along?"})
	}
	return found
}

// framingHeader reports whether a header steers the connection instead of the request (RFC 9110
// sections 7.2 and 7.6.1).
func framingHeader(name string) bool {
	switch http.CanonicalHeaderKey(name) {
	case "Connection", "Content-Length", "Host", "Keep-Alive", "Proxy-Authenticate", "Proxy-Authorization",
		"Proxy-Connection", "Te", "Trailer", "Transfer-Encoding", "Upgrade":
		return true
	default:
		return false
	}
}

// notCookieOctet reports what RFC 6265 section 4.1.1 keeps out of cookie values.
func notCookieOctet(r rune) bool {
	return r <= 0x20 || r >= 0x7f || r == '"' || r == ',' || r == ';' || r == '\\'
}
