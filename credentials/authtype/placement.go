package authtype

import (
	"crypto/sha256"
	"crypto/subtle"
	"net/http"
	"net/url"
	"strings"

	"golang.org/x/net/http/httpguts"

	"keyflow/credentials/internal/problem"
)

// Where a key or token goes in a request.
const (
	inHeader = "header"
	inQuery  = "query"
	inCookie = "cookie"
)

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

func inAuthorization(*Values) string { return "header Authorization" }

func isControl(r rune) bool { return r < 0x20 || r == 0x7f }

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

// sameText compares in constant time, whatever content and length; 1 is equal.
func sameText(a, b string) int {
	x, y := sha256.Sum256([]byte(a)), sha256.Sum256([]byte(b))
	return subtle.ConstantTimeCompare(x[:], y[:])
}
