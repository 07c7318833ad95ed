package oauth

import (
	"bytes"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"maps"
	"net/http"
	"net/url"
	"slices"
	"strconv"
	"strings"

	"keyflow/credentials/redact"
	"keyflow/internal/charset"
	"keyflow/internal/secret"
)

// answer is what a provider said, read tolerantly.
type answer struct {
	status    int
	fields    map[string]any // nil when the body is neither JSON nor a form
	tooLarge  bool
	access    string
	refresh   string
	scope     string
	expiresIn any
	code      string // error code; also set for errors inside a 200
	text      string // the provider's explanation
	header    http.Header
}

// read understands JSON whatever its label, form-encoded answers (GitHub), renamed and
// nested fields, and errors inside a 200.
func (cfg Config) read(res *http.Response, body []byte) *answer {
	a := &answer{status: res.StatusCode, header: res.Header}
	if len(body) > maxAnswer {
		a.tooLarge = true
		return a
	}
	if text, err := charset.Decode(body, charset.Declared{ContentType: res.Header.Get("Content-Type")}); err == nil {
		body = text
	}
	a.fields = parseFields(body)
	a.access = textOf(lookup(a.fields, cfg.AccessTokenPath, "access_token"))
	a.refresh = textOf(lookup(a.fields, cfg.RefreshTokenPath, "refresh_token"))
	a.expiresIn = lookup(a.fields, cfg.ExpiresInPath, "expires_in")
	a.scope = scopeOf(a.fields["scope"])
	a.code, a.text = errorOf(a.fields)
	if a.code == "" && a.access == "" && a.status < 300 {
		a.text = a.missing(cfg)
	}
	if a.fields == nil && a.status >= 300 {
		a.text = strings.TrimSpace(string(body))
	}
	return a
}

func parseFields(body []byte) map[string]any {
	decoder := json.NewDecoder(bytes.NewReader(body))
	decoder.UseNumber() // expires_in may be larger than any number type
	var fields map[string]any
	if err := decoder.Decode(&fields); err == nil {
		return fields
	}
	form, err := url.ParseQuery(strings.TrimSpace(string(body)))
	if err != nil || !form.Has("access_token") && !form.Has("error") {
		return nil
	}
	fields = make(map[string]any, len(form))
	for name := range form {
		fields[name] = form.Get(name)
	}
	return fields
}

// lookup follows a dotted path; an empty one is the standard name.
func lookup(fields map[string]any, path, standard string) any {
	if path == "" {
		return fields[standard]
	}
	var v any = fields
	for name := range strings.SplitSeq(path, ".") {
		object, ok := v.(map[string]any)
		if !ok {
			return nil
		}
		v = object[name]
	}
	return v
}

func textOf(v any) string {
	switch v := v.(type) {
	case string:
		return v
	case json.Number:
		return v.String()
	default:
		return ""
	}
}

// scopeOf accepts a text or a list of texts.
func scopeOf(v any) string {
	list, ok := v.([]any)
	if !ok {
		return textOf(v)
	}
	var words []string
	for _, word := range list {
		words = append(words, textOf(word))
	}
	return strings.Join(words, " ")
}

// errorOf finds the error of RFC 6749 section 5.2, also as an object as some providers write it.
func errorOf(fields map[string]any) (code, text string) {
	text = textOf(fields["error_description"])
	switch e := fields["error"].(type) {
	case map[string]any:
		code, text = textOf(e["code"]), textOf(e["message"])
		if kind := textOf(e["type"]); kind != "" {
			code = kind
		}
		if code == "" {
			code = "error"
		}
	default:
		code = textOf(e)
	}
	return code, text
}

func (a *answer) missing(cfg Config) string {
	path := cfg.AccessTokenPath
	if path == "" {
		path = "access_token"
	}
	if a.fields == nil {
		return "the answer is neither JSON nor form-encoded"
	}
	names := slices.Sorted(maps.Keys(a.fields))
	return fmt.Sprintf("the answer holds no %s (it has: %s)", path, cut(strings.Join(names, ", ")))
}

// standard is the answer as RFC 6749 writes it, for the library.
func (a *answer) standard(res *http.Response, req *http.Request) *http.Response {
	fields := map[string]string{"access_token": a.access, "refresh_token": a.refresh, "error": a.code}
	body, err := json.Marshal(fields)
	if err != nil {
		body = []byte("{}")
	}
	return &http.Response{
		Status: res.Status, StatusCode: res.StatusCode,
		Proto: res.Proto, ProtoMajor: res.ProtoMajor, ProtoMinor: res.ProtoMinor,
		Header:        http.Header{"Content-Type": {"application/json"}},
		Body:          io.NopCloser(bytes.NewReader(body)),
		ContentLength: int64(len(body)), Request: req,
	}
}

// shown is the answer for a trace: only values whose meaning is known are kept.
func (a *answer) shown(hide *redact.Redactor) map[string]any {
	known := []string{"token_type", "expires_in", "scope", "error", "error_description", "error_uri"}
	out := make(map[string]any, len(a.fields))
	for name, v := range a.fields {
		name = hide.String(cut(name))
		out[name] = secret.Mask
		if slices.Contains(known, name) {
			out[name] = a.hideTokens(hide.String(cut(scopeOf(v))))
		}
	}
	if a.fields == nil && a.text != "" {
		out["text"] = a.hideTokens(hide.String(cut(a.text)))
	}
	return out
}

// hideTokens masks the tokens that the answer itself contains.
func (a *answer) hideTokens(text string) string {
	return redact.New(redact.Secrets{Values: []string{a.access, a.refresh}}).String(text)
}

// failure turns the library's error, or the answer that caused it, into ours.
func (t *tokenCall) failure(err error) *Error {
	if t.answer == nil {
		if u, ok := errors.AsType[*url.Error](err); ok {
			err = u.Err
		}
		text := t.redactor().String(cut(err.Error()))
		return &Error{Kind: Transient, Message: "the token request got no answer: " + text, Err: err}
	}
	a := t.answer
	e := &Error{Kind: kindOf(a.status, a.code), Status: a.status, RetryAfter: retryAfter(a.header, t.client.Now())}
	hide := func(text string) string { return a.hideTokens(t.redactor().String(cut(text))) }
	e.Code = hide(a.code)
	switch {
	case a.tooLarge:
		e.Message = "the token answer is larger than 1 MiB"
	case a.code != "" && a.text != "":
		e.Message = "the provider answered " + e.Code + ": " + hide(a.text)
	case a.code != "":
		e.Message = "the provider answered " + e.Code
	case a.status >= 300 && a.status < 400:
		e.Message = "the token URL redirects (status " + strconv.Itoa(a.status) + "); enter the URL it leads to"
	case a.text != "":
		e.Message = "the token URL answered status " + strconv.Itoa(a.status) + ": " + hide(a.text)
	default:
		e.Message = "the token URL answered status " + strconv.Itoa(a.status)
	}
	return e
}
