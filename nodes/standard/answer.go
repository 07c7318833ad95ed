package standard

import (
	"encoding/base64"
	"errors"
	"fmt"
	"io"
	"mime"
	"net/http"
	"net/url"
	"strconv"
	"strings"
	"time"
	"unicode/utf8"

	"keyflow/internal/egress"
	"keyflow/internal/jsonvalue"
	"keyflow/nodes"
)

// Values of response.
const (
	answerAuto   = "auto"
	answerJSON   = "json"
	answerText   = "text"
	answerBase64 = "base64"
)

// answer is what a server answered, as plain data.
type answer struct {
	status  int
	header  http.Header
	headers map[string]any
	body    any
	host    string
	url     string    // where the answer came from; see finalURL
	at      time.Time // when it came
	asked   *url.URL  // of web_request: what was asked, before redirects
	size    int       // of the body, in bytes
}

// readAnswer reads the body whole. When the body cannot be had, the error
// keeps status and headers.
func readAnswer(res *http.Response, as string, now time.Time) (*answer, error) {
	a := &answer{
		status: res.StatusCode, header: res.Header, headers: headerData(res.Header),
		host: res.Request.URL.Host, url: finalURL(res), at: now,
	}
	data, err := io.ReadAll(res.Body)
	if err != nil {
		return nil, a.broken(err)
	}
	a.size = len(data)
	a.body, err = decodeBody(data, as, res.Header.Get("Content-Type"))
	switch {
	case errors.Is(err, jsonvalue.ErrTooDeep), errors.Is(err, jsonvalue.ErrTooMany):
		return nil, a.failed(nodes.CodeTooLarge, a.host+" answered with JSON that cannot be taken: "+err.Error(), err)
	case err != nil:
		return nil, a.failed(nodes.CodeNetwork, a.host+" answered with a body that is not JSON", err)
	}
	return a, nil
}

// broken classifies an answer that ended in the middle.
func (a *answer) broken(err error) error {
	out := a.failed(nodes.CodeNetwork, a.host+": the connection broke in the middle of the answer", err)
	if e, ok := egress.AsError(err); ok {
		out.Code, out.Message = e.Code, e.Error()
	}
	return out
}

// failed returns an error that keeps the answer.
func (a *answer) failed(code, message string, cause error) *nodes.Error {
	return &nodes.Error{
		Code: code, Message: message, Err: cause,
		Status: a.status, Response: a.data(), RetryAfter: retryAfter(a.status, a.header, a.at),
	}
}

// refused is the failure of a status that is not a success.
func (a *answer) refused() *nodes.Error {
	message := fmt.Sprintf("%s answered %d %s", a.host, a.status, http.StatusText(a.status))
	return a.failed(nodes.CodeHTTPStatus, strings.TrimSpace(message), nil)
}

// data is the answer as expressions see it.
func (a *answer) data() map[string]any {
	return map[string]any{"status": a.status, "headers": a.headers, "body": a.body}
}

// finalURL is the URL of the request that was answered: without what a credential put into
// it, because it is the request as this package made it, and after redirects without its
// query, because servers put tickets there.
func finalURL(res *http.Response) string {
	u := url.URL{Scheme: res.Request.URL.Scheme, Host: res.Request.URL.Host, Path: res.Request.URL.Path, RawPath: res.Request.URL.RawPath}
	if res.Request.Response == nil {
		u.RawQuery = res.Request.URL.RawQuery
	}
	return u.String()
}

// headerData returns headers as data: names in lower case, repeats joined by ", ". Cookies
// are redacted: they are secrets of a session, which only a later request may use.
func headerData(h http.Header) map[string]any {
	out := make(map[string]any, len(h))
	for name, values := range h {
		text := strings.ToValidUTF8(strings.Join(values, ", "), "\uFFFD")
		if name == "Set-Cookie" || name == "Set-Cookie2" {
			out[strings.ToLower(name)] = jsonvalue.Keep("it is a cookie of this answer", text)
			continue
		}
		out[strings.ToLower(name)] = text
	}
	return out
}

// decodeBody turns a body into data. auto goes by the content type: JSON becomes data,
// text text, anything else base64; what calls itself JSON and is not becomes text. An
// empty body is null, except as text. The error is that of bad JSON.
func decodeBody(data []byte, as, contentType string) (any, error) {
	if as == answerAuto {
		return autoBody(data, contentType), nil
	}
	switch {
	case as == answerText:
		return strings.ToValidUTF8(string(data), "\uFFFD"), nil
	case len(data) == 0:
		return nil, nil
	case as == answerBase64:
		return base64.StdEncoding.EncodeToString(data), nil
	default:
		return jsonvalue.Decode(data)
	}
}

func autoBody(data []byte, contentType string) any {
	if len(data) == 0 {
		return nil
	}
	media, _, _ := mime.ParseMediaType(contentType) // "" for what is no media type
	if isJSON(media) {
		if v, err := jsonvalue.Decode(data); err == nil {
			return v
		}
	}
	if isJSON(media) || isText(media) || media == "" && utf8.Valid(data) {
		return strings.ToValidUTF8(string(data), "\uFFFD")
	}
	return base64.StdEncoding.EncodeToString(data)
}

func isJSON(media string) bool {
	return media == "application/json" || media == "text/json" || strings.HasSuffix(media, "+json")
}

func isText(media string) bool {
	switch media {
	case "application/xml", "application/javascript", "application/x-ndjson", "application/yaml",
		"application/x-www-form-urlencoded", "application/graphql":
		return true
	}
	return strings.HasPrefix(media, "text/") || strings.HasSuffix(media, "+xml") || strings.HasSuffix(media, "+yaml")
}

// retryAfter is how long the server wants to be left alone: Retry-After (RFC 9110 section
// 10.2.3), else RateLimit-Reset when the limit is what failed the request. 0 is nothing.
func retryAfter(status int, h http.Header, now time.Time) time.Duration {
	if text := h.Get("Retry-After"); text != "" {
		if n, err := strconv.Atoi(text); err == nil && n >= 0 {
			return seconds(n)
		}
		if at, err := http.ParseTime(text); err == nil {
			return max(0, at.Sub(dateOr(h, now)))
		}
	}
	for _, prefix := range []string{"Ratelimit-", "X-Ratelimit-"} {
		if status != http.StatusTooManyRequests && h.Get(prefix+"Remaining") != "0" {
			continue
		}
		if n, err := strconv.Atoi(h.Get(prefix + "Reset")); err == nil && n >= 0 {
			return untilReset(n, dateOr(h, now))
		}
	}
	return 0
}

// epoch is where a reset stops being a delay in seconds and starts being a Unix time.
const epoch = 1_000_000_000

func untilReset(n int, now time.Time) time.Duration {
	if n < epoch {
		return seconds(n)
	}
	return max(0, time.Unix(int64(n), 0).Sub(now))
}

// seconds bounds what a server can ask for to a year.
func seconds(n int) time.Duration {
	const year = 365 * 24 * 3600
	return time.Duration(min(n, year)) * time.Second
}

// dateOr is the server's clock, which its times are by.
func dateOr(h http.Header, now time.Time) time.Time {
	if at, err := http.ParseTime(h.Get("Date")); err == nil {
		return at
	}
	return now
}
