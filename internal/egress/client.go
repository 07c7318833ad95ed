package egress

import (
	"fmt"
	"io"
	"net/http"
	"net/url"
	"strconv"
)

// ClientOptions are the rules of one client.
type ClientOptions struct {
	MaxRedirects int   // 0: a redirect is an answer like any other
	MaxBytes     int64 // of a decompressed body; 0 is DefaultMaxBytes
	// KeepAuth reports whether a redirect target on another origin may see what the first
	// request carried; nil is never.
	KeepAuth func(*url.URL) bool
}

// NewClient returns a client over rt that follows redirects by the rules of
// docs/explanation/security.md and bounds bodies. It has no cookie jar and no overall timeout: the
// request's context has the deadline.
func NewClient(rt http.RoundTripper, o ClientOptions) *http.Client {
	if o.MaxBytes <= 0 {
		o.MaxBytes = DefaultMaxBytes
	}
	return &http.Client{
		Transport: limitedTripper{rt, o.MaxBytes},
		CheckRedirect: func(req *http.Request, via []*http.Request) error {
			return checkRedirect(req, via, o)
		},
	}
}

func checkRedirect(req *http.Request, via []*http.Request, o ClientOptions) error {
	if o.MaxRedirects == 0 {
		return http.ErrUseLastResponse
	}
	stop := func(message string) error {
		return &Error{Phase: "redirect", Host: req.URL.Host, Code: CodeNetwork, Message: message}
	}
	last := via[len(via)-1].URL
	switch {
	case len(via) > o.MaxRedirects:
		return stop("redirected more than " + strconv.Itoa(o.MaxRedirects) + " times")
	case req.URL.Scheme != "http" && req.URL.Scheme != "https":
		return stop("redirected to a scheme other than http and https")
	case last.Scheme == "https" && req.URL.Scheme == "http":
		return stop("redirected from https to http")
	}
	if method, status := via[len(via)-1].Method, req.Response.StatusCode; !keepsMeaning(method, req.Method, status) {
		return stop(fmt.Sprintf("the %s was redirected here with status %d, which would make it a GET without a body; "+
			"send the request to the URL of the redirect", method, status))
	}
	req.Header.Del("Referer") // net/http adds the former URL with its query
	if !crossed(req, via) || o.KeepAuth != nil && o.KeepAuth(req.URL) {
		return nil
	}
	if req.Body != nil && req.Body != http.NoBody {
		return &Error{Phase: "redirect", Host: req.URL.Host, Code: CodeHostNotAllowed,
			Message: "the request was redirected here from another origin, which may not get its body; " +
				"add the host to the allowed_hosts of the node's credential, or send the request to its URL"}
	}
	// net/http copies the first request's headers to every hop, so each hop is cleaned.
	for name := range req.Header {
		switch name {
		case "Accept", "Accept-Language", "User-Agent":
		default:
			delete(req.Header, name)
		}
	}
	return nil
}

// keepsMeaning reports whether a redirect may send method as next. After 301, 302 and 303 net/http
// makes everything but HEAD a GET; RFC 9110 section 15.4 allows that for POST, after 303 for all.
func keepsMeaning(method, next string, status int) bool {
	switch method {
	case next, "", http.MethodPost, http.MethodOptions:
		return true
	}
	return status == http.StatusSeeOther
}

// crossed reports whether the chain up to req has touched another origin than it began at.
func crossed(req *http.Request, via []*http.Request) bool {
	first := via[0].URL
	if !sameOrigin(first, req.URL) {
		return true
	}
	for _, hop := range via[1:] {
		if !sameOrigin(first, hop.URL) {
			return true
		}
	}
	return false
}

func sameOrigin(a, b *url.URL) bool {
	return a.Scheme == b.Scheme && a.Hostname() == b.Hostname() && portOf(a) == portOf(b)
}

func portOf(u *url.URL) string {
	switch {
	case u.Port() != "":
		return u.Port()
	case u.Scheme == "https":
		return "443"
	default:
		return "80"
	}
}

// limitedTripper bounds the bodies of answers.
type limitedTripper struct {
	rt  http.RoundTripper
	max int64
}

// RoundTrip implements http.RoundTripper.
func (l limitedTripper) RoundTrip(req *http.Request) (*http.Response, error) {
	res, err := l.rt.RoundTrip(req)
	if err != nil {
		return nil, err
	}
	if !hasUsableLocation(req.URL, res) {
		closeErr := res.Body.Close()
		return nil, &Error{Phase: "redirect", Host: req.URL.Host, Code: CodeNetwork, Err: closeErr,
			Message: "redirected to something that is not a URL"}
	}
	res.Body = &limitedBody{body: res.Body, left: l.max, max: l.max, host: req.URL.Host}
	return res, nil
}

// hasUsableLocation reports whether http.Client can read where an answer leads, which it
// does before it asks whether redirects are wanted; its own error would quote the text.
func hasUsableLocation(from *url.URL, res *http.Response) bool {
	location := res.Header.Get("Location")
	if location == "" || res.StatusCode < 300 || res.StatusCode > 399 {
		return true
	}
	_, err := from.Parse(location)
	return err == nil
}

type limitedBody struct {
	body io.ReadCloser
	left int64
	max  int64
	host string
}

// Read implements io.Reader. The byte after the limit turns into an error.
func (b *limitedBody) Read(p []byte) (int, error) {
	if int64(len(p)) > b.left+1 {
		p = p[:b.left+1]
	}
	n, err := b.body.Read(p)
	if int64(n) > b.left {
		n = int(b.left)
		b.left = 0
		return n, &Error{Phase: "limit", Host: b.host, Code: CodeTooLarge,
			Message: "the answer is larger than " + strconv.FormatInt(b.max, 10) + " bytes (max_bytes)"}
	}
	b.left -= int64(n)
	return n, err
}

// Close implements io.Closer.
func (b *limitedBody) Close() error { return b.body.Close() }
