package standard

import (
	"encoding/json"
	"fmt"
	"maps"
	"net/http"
	"net/url"
	"slices"
	"strconv"
	"strings"

	"keyflow/nodes"
)

// userAgent is sent unless the author gives another one.
const userAgent = "keyflow"

// invalid is the failure of a parameter whose value cannot be used. Its message names the
// parameter and never repeats the value, which may be anything.
func invalid(param, format string, args ...any) error {
	return &nodes.Error{
		Code:      nodes.CodeInvalidParam,
		Message:   "with." + param + ": " + fmt.Sprintf(format, args...),
		Permanent: true,
	}
}

// parseURL checks the author's URL and adds the query; what the URL itself has stays first
// and as it is. A fragment is dropped, as it is never sent.
func parseURL(text string, query map[string]any) (*url.URL, error) {
	if strings.ContainsAny(text, "\r\n\x00") {
		return nil, invalid("url", "holds a line break or NUL")
	}
	u, err := url.Parse(text)
	switch {
	case err != nil:
		return nil, invalid("url", "is not a valid URL")
	case u.Scheme != "http" && u.Scheme != "https":
		return nil, invalid("url", "must begin with http:// or https://")
	case u.Hostname() == "":
		return nil, invalid("url", "has no host")
	case u.User != nil:
		return nil, invalid("url", "holds a user name or password; store them as a credential")
	}
	u.Fragment, u.RawFragment = "", ""
	u.RawQuery = escapeQuery(u.RawQuery)
	values, err := formValues("query", query)
	if err != nil {
		return nil, err
	}
	if more := values.Encode(); more != "" && u.RawQuery != "" {
		u.RawQuery += "&" + more
	} else {
		u.RawQuery += more
	}
	return u, nil
}

// escapeQuery encodes what cannot stand in a request line, as browsers do (URL standard,
// query percent-encode set): net/http sends a raw query as it is. Escapes stay as they are.
func escapeQuery(raw string) string {
	const hex = "0123456789ABCDEF"
	var b strings.Builder
	for i := range len(raw) {
		switch c := raw[i]; {
		case c <= ' ' || c >= 0x7f || c == '"' || c == '<' || c == '>':
			b.WriteString("%" + string(hex[c>>4]) + string(hex[c&15]))
		default:
			b.WriteByte(c)
		}
	}
	return b.String()
}

// formValues turns an object into fields: lists repeat a field, null leaves it out.
func formValues(param string, object map[string]any) (url.Values, error) {
	out := make(url.Values, len(object))
	for _, name := range slices.Sorted(maps.Keys(object)) {
		texts, ok := textsOf(object[name])
		if !ok {
			return nil, invalid(param, "%.80q must be text, a number, a boolean, or a list of those", name)
		}
		if len(texts) > 0 {
			out[name] = texts
		}
	}
	return out, nil
}

// textsOf returns a scalar as one text, a list of scalars as several, null as none.
func textsOf(v any) ([]string, bool) {
	list, isList := v.([]any)
	if !isList {
		if v == nil {
			return nil, true
		}
		s, ok := scalarText(v)
		return []string{s}, ok
	}
	out := make([]string, 0, len(list))
	for _, e := range list {
		s, ok := scalarText(e)
		if !ok {
			return nil, false
		}
		out = append(out, s)
	}
	return out, true
}

func scalarText(v any) (string, bool) {
	switch v := v.(type) {
	case string:
		return v, true
	case int:
		return strconv.Itoa(v), true
	case json.Number:
		return v.String(), true
	case float64:
		return strconv.FormatFloat(v, 'f', -1, 64), true
	case bool:
		return strconv.FormatBool(v), true
	}
	return "", false
}

// framing are the headers that belong to the connection (RFC 9110 section 7.6.1) or say
// where the message ends: an author who sets them could smuggle requests.
var framing = map[string]bool{
	"Host": true, "Content-Length": true, "Transfer-Encoding": true, "Connection": true,
	"Upgrade": true, "Te": true, "Trailer": true, "Expect": true, "Keep-Alive": true,
}

// header checks the author's headers. Lists repeat a header, null leaves it out.
func header(object map[string]any) (http.Header, error) {
	out := make(http.Header, len(object)+2)
	for _, name := range slices.Sorted(maps.Keys(object)) {
		key := http.CanonicalHeaderKey(name)
		switch {
		case !isToken(name):
			return nil, invalid("headers", "%.80q is not a header name", name)
		case framing[key] || strings.HasPrefix(key, "Proxy-"):
			return nil, invalid("headers", "%s is set by Keyflow itself", key)
		case out[key] != nil:
			return nil, invalid("headers", "%s is given twice", key)
		}
		texts, ok := textsOf(object[name])
		if !ok {
			return nil, invalid("headers", "%s must be text, a number, a boolean, or a list of those", key)
		}
		for _, text := range texts {
			if strings.ContainsFunc(text, isControl) {
				return nil, invalid("headers", "the value of %s holds a line break or control character", key)
			}
			out.Add(key, text)
		}
	}
	return out, nil
}

// isControl is what RFC 9110 section 5.5 forbids in a field value.
func isControl(r rune) bool { return r < ' ' && r != '\t' || r == 0x7f }

// isToken reports whether s is a token of RFC 9110 section 5.6.2.
func isToken(s string) bool {
	return s != "" && !strings.ContainsFunc(s, func(r rune) bool {
		return (r < '0' || r > '9') && (r < 'A' || r > 'Z') && (r < 'a' || r > 'z') &&
			!strings.ContainsRune("!#$%&'*+-.^_`|~", r)
	})
}

// setDefault sets a header that the author left out.
func setDefault(h http.Header, name, value string) {
	if h.Get(name) == "" && value != "" {
		h.Set(name, value)
	}
}

func textOr(with map[string]any, name, fallback string) string {
	if s, ok := with[name].(string); ok {
		return s
	}
	return fallback
}

func integerOr(with map[string]any, name string, fallback int) int {
	if n, ok := with[name].(int); ok {
		return n
	}
	return fallback
}

func object(with map[string]any, name string) map[string]any {
	m, _ := with[name].(map[string]any)
	return m
}
