package standard

import (
	"fmt"
	"io"
	"net/http"
	"net/url"
	"strconv"
	"strings"
	"time"

	"keyflow/internal/egress"
	"keyflow/internal/jsonvalue"
	"keyflow/internal/secret"
	"keyflow/nodes"
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
	// unreadable says why body is not decoded but raw; nil when it is decoded.
	unreadable *nodes.Error
}

// readAnswer reads the body whole. When the body cannot be had, the error keeps status and
// headers. A body that cannot be decoded is no error yet: see answer.unreadable.
func readAnswer(res *http.Response, f format, masked func() bool, now time.Time) (*answer, error) {
	a := &answer{
		status: res.StatusCode, header: res.Header, headers: headerData(res.Header),
		host: res.Request.URL.Host, url: finalURL(res), at: now,
	}
	data, err := io.ReadAll(res.Body)
	if err != nil {
		return nil, a.broken(err)
	}
	a.size = len(data)
	contentType := res.Header.Get("Content-Type")
	if a.body, err = f.decode(data, contentType); err != nil {
		a.body = rawBody(data, contentType)
		a.unreadable = a.undecoded(err)
	}
	if masked() {
		a.headers, a.body = hideMasked(a.headers).(map[string]any), hideMasked(a.body)
	}
	return a, nil
}

// hideMasked marks the texts of an answer in which secrets were masked. A literal *** among them
// cannot be distinguished.
func hideMasked(v any) any {
	return jsonvalue.ReplaceTexts(v, func(text any) any {
		if plain, ok := text.(string); ok && strings.Contains(plain, secret.Mask) {
			return jsonvalue.Hide("a secret of the credential was masked in this answer")
		}
		return text
	})
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
	message := strings.TrimSpace(fmt.Sprintf("%s answered %d %s", a.host, a.status, http.StatusText(a.status)))
	if a.unreadable != nil {
		message += "; " + a.unreadable.Message
	}
	return a.failed(nodes.CodeHTTPStatus, message, nil)
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
