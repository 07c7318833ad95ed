package standard_test

import (
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"mime"
	"mime/multipart"
	"net/http"
	"net/http/httptest"
	"strings"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"
	"github.com/google/go-cmp/cmp/cmpopts"

	"keyflow/internal/egress"
	"keyflow/internal/jsonvalue"
	"keyflow/nodes"
	"keyflow/nodes/nodetest"
)

func TestWebRequestSends(t *testing.T) {
	t.Parallel()
	tests := map[string]struct {
		with    map[string]any
		method  string
		query   string
		headers map[string]string
		body    string
	}{
		"nothing but a URL": {
			with: map[string]any{}, method: "GET",
			headers: map[string]string{"Accept": "application/json, */*;q=0.5", "User-Agent": "keyflow", "Content-Type": ""},
		},
		"query": {
			with: map[string]any{"query": map[string]any{
				"n": 1, "f": 0.5, "b": true, "none": nil, "list": []any{"a b", 2}, "big": 1e21, "한": "글",
			}},
			method: "GET", query: "b=true&big=1000000000000000000000&f=0.5&list=a+b&list=2&n=1&%ED%95%9C=%EA%B8%80",
		},
		"headers": {
			with: map[string]any{"headers": map[string]any{
				"x-list": []any{"a", 1}, "X-None": nil, "accept": "text/csv", "user-agent": "other", "authorization": "Bearer x",
			}},
			method:  "GET",
			headers: map[string]string{"X-List": "a, 1", "X-None": "", "Accept": "text/csv", "User-Agent": "other", "Authorization": "Bearer x"},
		},
		"object as JSON": {
			with:   map[string]any{"method": "post", "body": map[string]any{"b": []any{1}, "a": "<"}},
			method: "POST", body: `{"a":"<","b":[1]}`, headers: map[string]string{"Content-Type": "application/json"},
		},
		"number as JSON": {with: map[string]any{"method": "PUT", "body": 5}, method: "PUT", body: `5`},
		"text as text": {
			with:   map[string]any{"method": "PATCH", "body": "hi"},
			method: "PATCH", body: "hi", headers: map[string]string{"Content-Type": "text/plain; charset=utf-8"},
		},
		"text as JSON": {with: map[string]any{"method": "POST", "body": "hi", "body_type": "json"}, method: "POST", body: `"hi"`},
		"null as JSON": {with: map[string]any{"method": "POST", "body": nil, "body_type": "json"}, method: "POST", body: `null`},
		"own content type": {
			with:   map[string]any{"method": "POST", "body": map[string]any{}, "headers": map[string]any{"content-type": "application/vnd.x+json"}},
			method: "POST", body: `{}`, headers: map[string]string{"Content-Type": "application/vnd.x+json"},
		},
		"form": {
			with:   map[string]any{"method": "POST", "body_type": "form", "body": map[string]any{"a": "x&y", "b": []any{1, 2}, "c": nil}},
			method: "POST", body: "a=x%26y&b=1&b=2", headers: map[string]string{"Content-Type": "application/x-www-form-urlencoded"},
		},
		"base64": {
			with:   map[string]any{"method": "POST", "body_type": "base64", "body": "AAH/"},
			method: "POST", body: "\x00\x01\xff", headers: map[string]string{"Content-Type": "application/octet-stream"},
		},
		"unusual method": {with: map[string]any{"method": "PROPFIND"}, method: "PROPFIND"},
	}
	for name, tt := range tests {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			var seen recorder
			tt.with["url"] = serve(t, seen.ServeHTTP) + "/p%2Fq"
			if _, err := nodetest.New(t).Run(t, typeOf(t, "web_request"), tt.with); err != nil {
				t.Fatal(err)
			}
			req, body := seen.last(t)
			if req.Method != tt.method || req.URL.EscapedPath() != "/p%2Fq" || req.URL.RawQuery != tt.query || body != tt.body {
				t.Errorf("got %s %s with %q", req.Method, req.URL, body)
			}
			for name, want := range tt.headers {
				if got := strings.Join(req.Header.Values(name), ", "); got != want {
					t.Errorf("%s is %q, want %q", name, got, want)
				}
			}
		})
	}
}

func TestWebRequestKeepsTheURLsOwnQuery(t *testing.T) {
	t.Parallel()
	var seen recorder
	_, err := nodetest.New(t).Run(t, typeOf(t, "web_request"), map[string]any{
		"url": serve(t, seen.ServeHTTP) + "/?z=1&a=%20#part", "query": map[string]any{"m": "2"},
	})
	if err != nil {
		t.Fatal(err)
	}
	if req, _ := seen.last(t); req.URL.RawQuery != "z=1&a=%20&m=2" {
		t.Errorf("query is %q", req.URL.RawQuery)
	}
}

// What an author puts into the URL itself arrives as one request line.
func TestWebRequestEscapesTheURLsOwnQuery(t *testing.T) {
	t.Parallel()
	var seen recorder
	_, err := nodetest.New(t).Run(t, typeOf(t, "web_request"), map[string]any{"url": serve(t, seen.ServeHTTP) + "/a b/\u00e9?q=x HTTP/1.1&n=\uae40&e=%2f&p=a+b&l=<\">"})
	if err != nil {
		t.Fatal(err)
	}
	if req, _ := seen.last(t); req.RequestURI != "/a%20b/%C3%A9?q=x%20HTTP/1.1&n=%EA%B9%80&e=%2f&p=a+b&l=%3C%22%3E" {
		t.Errorf("request line has %q", req.RequestURI)
	}
}

// Receivers can distinguish a repeated request from a new one.
func TestWebRequestIdempotencyKey(t *testing.T) {
	t.Parallel()
	tests := map[string]struct {
		with map[string]any
		want string
	}{
		"POST":         {map[string]any{"method": "POST"}, "run/node/0"},
		"PATCH":        {map[string]any{"method": "patch"}, "run/node/0"},
		"the author's": {map[string]any{"method": "POST", "headers": map[string]any{"idempotency-key": "order-7"}}, "order-7"},
		"GET":          {map[string]any{}, ""},
		"PUT":          {map[string]any{"method": "PUT"}, ""},
	}
	for name, tt := range tests {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			var seen recorder
			tt.with["url"] = serve(t, seen.ServeHTTP)
			env := nodetest.New(t)
			env.Number = 2 // an attempt does not change it
			if _, err := env.Run(t, typeOf(t, "web_request"), tt.with); err != nil {
				t.Fatal(err)
			}
			if req, _ := seen.last(t); req.Header.Get("Idempotency-Key") != tt.want {
				t.Errorf("Idempotency-Key is %q, want %q", req.Header.Get("Idempotency-Key"), tt.want)
			}
		})
	}
}

func TestWebRequestMultipart(t *testing.T) {
	t.Parallel()
	var seen recorder
	_, err := nodetest.New(t).Run(t, typeOf(t, "web_request"), map[string]any{
		"url": serve(t, seen.ServeHTTP), "method": "POST", "body_type": "multipart",
		"body": map[string]any{
			"text": "a", "many": []any{1, true}, "none": nil,
			"file":  map[string]any{"filename": "a\"\r\nb.csv", "content_type": "text/csv", "content": "x,y"},
			"bytes": map[string]any{"base64": "AAH/"},
		},
	})
	if err != nil {
		t.Fatal(err)
	}
	req, body := seen.last(t)
	_, params, err := mime.ParseMediaType(req.Header.Get("Content-Type"))
	if err != nil {
		t.Fatal(err)
	}
	var got []string
	for reader := multipart.NewReader(strings.NewReader(body), params["boundary"]); ; {
		part, err := reader.NextPart()
		if errors.Is(err, io.EOF) {
			break
		}
		if err != nil {
			t.Fatal(err)
		}
		content, err := io.ReadAll(part)
		if err != nil {
			t.Fatal(err)
		}
		got = append(got, fmt.Sprintf("%s %s %q %q", part.FormName(), part.Header.Get("Content-Type"), part.FileName(), content))
	}
	want := []string{
		`bytes application/octet-stream "file" "\x00\x01\xff"`,
		`file text/csv "a\"%0D%0Ab.csv" "x,y"`,
		`many  "" "1"`,
		`many  "" "true"`,
		`text  "" "a"`,
	}
	if diff := cmp.Diff(want, got); diff != "" {
		t.Error(diff)
	}
}

func TestWebRequestRefusesParameters(t *testing.T) {
	t.Parallel()
	tests := map[string]struct {
		with map[string]any
		want string
	}{
		"scheme":               {map[string]any{"url": "ftp://example.com"}, "with.url: must begin with http:// or https://"},
		"no scheme":            {map[string]any{"url": "example.com/x"}, "with.url: must begin with http:// or https://"},
		"no host":              {map[string]any{"url": "http:///x"}, "with.url: has no host"},
		"user":                 {map[string]any{"url": "http://u:canary@example.com"}, "with.url: holds a user name or password; store them as a credential"},
		"bad escape":           {map[string]any{"url": "http://example.com/%zz"}, "with.url: is not a valid URL"},
		"line break in URL":    {map[string]any{"url": "http://example.com/\r\nX: y"}, "with.url: holds a line break or NUL"},
		"NUL in URL":           {map[string]any{"url": "http://example.com/\x00"}, "with.url: holds a line break or NUL"},
		"connect":              {map[string]any{"method": "connect"}, "with.method: must be a method such as GET or POST"},
		"bad method":           {map[string]any{"method": "GET /"}, "with.method: must be a method such as GET or POST"},
		"line break in method": {map[string]any{"method": "GET\r\n"}, "with.method: must be a method such as GET or POST"},
		"object in query":      {map[string]any{"query": map[string]any{"q": map[string]any{}}}, `with.query: "q" must be text, a number, a boolean, or a list of those`},
		"list in list":         {map[string]any{"query": map[string]any{"q": []any{[]any{}}}}, `with.query: "q" must be text, a number, a boolean, or a list of those`},
		"host":                 {map[string]any{"headers": map[string]any{"host": "x"}}, "with.headers: Host is set by Keyflow itself"},
		"length":               {map[string]any{"headers": map[string]any{"Content-length": 1}}, "with.headers: Content-Length is set by Keyflow itself"},
		"transfer encoding":    {map[string]any{"headers": map[string]any{"transfer-encoding": "chunked"}}, "with.headers: Transfer-Encoding is set by Keyflow itself"},
		"connection":           {map[string]any{"headers": map[string]any{"Connection": "close"}}, "with.headers: Connection is set by Keyflow itself"},
		"keep-alive":           {map[string]any{"headers": map[string]any{"Keep-Alive": "x"}}, "with.headers: Keep-Alive is set by Keyflow itself"},
		"upgrade":              {map[string]any{"headers": map[string]any{"Upgrade": "h2c"}}, "with.headers: Upgrade is set by Keyflow itself"},
		"te":                   {map[string]any{"headers": map[string]any{"TE": "trailers"}}, "with.headers: Te is set by Keyflow itself"},
		"trailer":              {map[string]any{"headers": map[string]any{"Trailer": "x"}}, "with.headers: Trailer is set by Keyflow itself"},
		"expect":               {map[string]any{"headers": map[string]any{"Expect": "100-continue"}}, "with.headers: Expect is set by Keyflow itself"},
		"proxy":                {map[string]any{"headers": map[string]any{"proxy-authorization": "x"}}, "with.headers: Proxy-Authorization is set by Keyflow itself"},
		"header name":          {map[string]any{"headers": map[string]any{"a b": "x"}}, `with.headers: "a b" is not a header name`},
		"header name breaks":   {map[string]any{"headers": map[string]any{"a\r\nb": "x"}}, `with.headers: "a\r\nb" is not a header name`},
		"empty header name":    {map[string]any{"headers": map[string]any{"": "x"}}, `with.headers: "" is not a header name`},
		"line break in header": {map[string]any{"headers": map[string]any{"x-a": "canary\r\nb: c"}}, "with.headers: the value of X-A holds a line break or control character"},
		"NUL in header":        {map[string]any{"headers": map[string]any{"x-a": []any{"a", "\x00"}}}, "with.headers: the value of X-A holds a line break or control character"},
		"object in headers":    {map[string]any{"headers": map[string]any{"x-a": map[string]any{}}}, "with.headers: X-A must be text, a number, a boolean, or a list of those"},
		"header twice":         {map[string]any{"headers": map[string]any{"x-a": 1, "X-A": 2}}, "with.headers: X-A is given twice"},
		"text of no text":      {map[string]any{"body_type": "text", "body": 1}, "with.body: must be text for body_type text"},
		"no base64":            {map[string]any{"body_type": "base64", "body": "!"}, "with.body: must be base64 for body_type base64"},
		"form of text":         {map[string]any{"body_type": "form", "body": "a=b"}, "with.body: must be an object for body_type form"},
		"form of objects":      {map[string]any{"body_type": "form", "body": map[string]any{"a": map[string]any{}}}, `with.body: "a" must be text, a number, a boolean, or a list of those`},
		"multipart of a list":  {map[string]any{"body_type": "multipart", "body": []any{}}, "with.body: must be an object for body_type multipart"},
		"multipart file":       {map[string]any{"body_type": "multipart", "body": map[string]any{"f": map[string]any{"name": "x"}}}, `with.body: the file "f" has no field "name"; it has filename, content_type, and content or base64`},
		"multipart type":       {map[string]any{"body_type": "multipart", "body": map[string]any{"f": map[string]any{"content_type": "a\r\nb"}}}, `with.body: the content_type of the file "f" is not a media type`},
		"multipart base64":     {map[string]any{"body_type": "multipart", "body": map[string]any{"f": map[string]any{"base64": "!"}}}, `with.body: the base64 of the file "f" is not base64`},
		"multipart part":       {map[string]any{"body_type": "multipart", "body": map[string]any{"f": []any{[]any{}}}}, `with.body: the part "f" must be text, a number, a boolean or a file`},
		"multipart boundary":   {map[string]any{"body_type": "multipart", "body": map[string]any{}, "headers": map[string]any{"content-type": "x/y"}}, "with.headers: Content-Type is set by Keyflow itself for body_type multipart"},
		"success text":         {map[string]any{"success": []any{"ok"}}, `with.success: must list statuses and ranges such as 404 or "200-299"`},
		"success backwards":    {map[string]any{"success": []any{"299-200"}}, `with.success: must list statuses and ranges such as 404 or "200-299"`},
		"success beyond":       {map[string]any{"success": []any{1000}}, `with.success: must list statuses and ranges such as 404 or "200-299"`},
	}
	for name, tt := range tests {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			if tt.with["url"] == nil {
				tt.with["url"] = serve(t, func(http.ResponseWriter, *http.Request) { t.Error("a request was sent") })
			}
			_, err := nodetest.New(t).Run(t, typeOf(t, "web_request"), tt.with)
			want := &nodes.Error{Code: "invalid_param", Message: tt.want, Permanent: true}
			if diff := cmp.Diff(want, stepError(t, err)); diff != "" {
				t.Error(diff)
			}
		})
	}
}

func TestWebRequestOutput(t *testing.T) {
	t.Parallel()
	url := serve(t, func(w http.ResponseWriter, _ *http.Request) {
		w.Header()["Date"] = nil
		w.Header().Add("X-Many", "a")
		w.Header().Add("X-Many", "b")
		w.Header().Add("Set-Cookie", "session=canary")
		w.Header().Set("Content-Type", "application/problem+json; charset=utf-8")
		w.WriteHeader(http.StatusCreated)
		_, _ = io.WriteString(w, `{"id": 9007199254740993}`)
	})
	got, err := nodetest.New(t).Run(t, typeOf(t, "web_request"), map[string]any{"url": url + "/x?a=1"})
	if err != nil {
		t.Fatal(err)
	}
	want := map[string]any{
		"status": 201,
		"headers": map[string]any{
			"x-many": "a, b", "set-cookie": "***", "content-length": "24", "content-type": "application/problem+json; charset=utf-8",
		},
		"body": map[string]any{"id": 9007199254740993},
		"url":  url + "/x?a=1",
	}
	ignored := cmpopts.IgnoreMapEntries(func(k string, _ any) bool { return k == "duration_ms" })
	if diff := cmp.Diff(want, jsonvalue.Shown(got), ignored); diff != "" {
		t.Error(diff)
	}
	if ms, ok := got.(map[string]any)["duration_ms"].(int); !ok || ms < 0 || ms > 10_000 {
		t.Errorf("duration_ms is %v", got.(map[string]any)["duration_ms"])
	}
	if r := jsonvalue.FindRedacted(got); r == nil {
		t.Error("the cookie is ordinary text")
	} else if text, usable := jsonvalue.TextOf(r); text != "session=canary" || !usable || fmt.Sprintf("%v %+v %#v %s", r, r, r, r) != "*** *** *** ***" {
		t.Errorf("the cookie is %q, printed as %v", text, r)
	}
}

func TestWebRequestReadsBodies(t *testing.T) {
	t.Parallel()
	tests := map[string]struct {
		as, contentType, body string
		want                  any
	}{
		"json":               {"", "application/json", `[1, 2.50]`, []any{1, json.Number("2.50")}},
		"json by suffix":     {"auto", "application/hal+json", `{}`, map[string]any{}},
		"json of nothing":    {"auto", "application/json", ``, nil},
		"text":               {"auto", "text/plain", `{"a": 1}`, `{"a": 1}`},
		"xml":                {"auto", "application/xml", `<a/>`, `<a/>`},
		"binary":             {"auto", "image/png", "\x89PNG", "iVBORw=="},
		"unknown but text":   {"auto", "", "héllo", "héllo"},
		"unknown and binary": {"auto", "", "\xff\xfe", "//4="},
		"bad content type":   {"auto", ";;", "abc", "abc"},
		"forced json":        {"json", "text/plain", `{"a": 1}`, map[string]any{"a": 1}},
		"forced json, empty": {"json", "text/plain", ``, nil},
		"forced text":        {"text", "application/json", `{"a": 1}`, `{"a": 1}`},
		"forced text, empty": {"text", "application/json", ``, ``},
		"forced base64":      {"base64", "text/plain", "abc", "YWJj"},
		"data stays data":    {"auto", "text/plain", "{{ 1 + 1 }}", "{{ 1 + 1 }}"},
		"json with a mark":   {"auto", "application/json", "\xef\xbb\xbf{\"a\": 1}", map[string]any{"a": 1}},
		"json in UTF-16":     {"auto", "application/json", "\xff\xfe[\x001\x00]\x00", []any{1}},
		"json in EUC-KR":     {"auto", "application/json; charset=EUC-KR", "{\"\xbe\xc8\": \"\xb3\xe7\"}", map[string]any{"안": "녕"}},
		"text in EUC-KR":     {"auto", "text/plain; charset=EUC-KR", "\xbe\xc8\xb3\xe7", "안녕"},
		"xml in EUC-KR":      {"auto", "application/xml", "<?xml version='1.0' encoding='euc-kr'?>\xbe\xc8", "<?xml version='1.0' encoding='euc-kr'?>안"},
		"text with a mark":   {"text", "", "\xef\xbb\xbfa", "a"},
		"a mark alone":       {"auto", "application/json", "\xef\xbb\xbf", nil},
		"base64 of EUC-KR":   {"base64", "text/plain; charset=EUC-KR", "\xbe\xc8", "vsg="},
	}
	for name, tt := range tests {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			url := serve(t, func(w http.ResponseWriter, _ *http.Request) {
				w.Header()["Content-Type"] = nil
				if tt.contentType != "" {
					w.Header().Set("Content-Type", tt.contentType)
				}
				_, _ = io.WriteString(w, tt.body)
			})
			with := map[string]any{"url": url}
			if tt.as != "" {
				with["response"] = tt.as
			}
			got, err := nodetest.New(t).Run(t, typeOf(t, "web_request"), with)
			if err != nil {
				t.Fatal(err)
			}
			if diff := cmp.Diff(tt.want, got.(map[string]any)["body"]); diff != "" {
				t.Error(diff)
			}
		})
	}
}

// TestWebRequestCharset reads answers in the encoding that the author names.
func TestWebRequestCharset(t *testing.T) {
	t.Parallel()
	tests := map[string]struct {
		kind, contentType, body string
		want                    any
	}{
		"auto":                   {"", "text/plain", "\xbe\xc8\xb3\xe7", "안녕"},
		"auto, no content type":  {"", "", "\xbe\xc8\xb3\xe7", "안녕"},
		"json":                   {"json", "text/plain", "{\"\xbe\xc8\": 1}", map[string]any{"안": 1}},
		"against a wrong header": {"text", "text/plain; charset=utf-8", "\xbe\xc8\xb3\xe7", "안녕"},
		"binary stays binary":    {"", "image/png", "\xbe\xc8", "vsg="},
	}
	for name, tt := range tests {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			url := serve(t, func(w http.ResponseWriter, _ *http.Request) {
				w.Header()["Content-Type"] = nil
				if tt.contentType != "" {
					w.Header().Set("Content-Type", tt.contentType)
				}
				_, _ = io.WriteString(w, tt.body)
			})
			with := map[string]any{"url": url, "response.charset": "euc-kr"}
			if tt.kind != "" {
				with["response.type"] = tt.kind
			}
			got, err := nodetest.New(t).Run(t, typeOf(t, "web_request"), with)
			if err != nil {
				t.Fatal(err)
			}
			if diff := cmp.Diff(tt.want, got.(map[string]any)["body"]); diff != "" {
				t.Error(diff)
			}
		})
	}
}

// TestWebRequestRefusesBodies requires an error where a body is not what it says that it is.
func TestWebRequestRefusesBodies(t *testing.T) {
	t.Parallel()
	const asText, charsetHelp = `; to take it as it is, set "response": "text"`, `; name its encoding in "response": {"charset": …}, or read it as base64`
	tests := map[string]struct {
		status                     int
		contentType, body          string
		code, message, wantInError string
	}{
		"json that is none":  {200, "application/json", `<html>`, "network", " answered with a body that is not JSON: invalid character '<' looking for beginning of value" + asText, "<html>"},
		"NaN":                {200, "application/json", `{"a": NaN}`, "network", " answered with a body that is not JSON: invalid character 'N' looking for beginning of value" + asText, `{"a": NaN}`},
		"truncated json":     {200, "application/hal+json", `{"a": [1,`, "network", " answered with a body that is not JSON: unexpected EOF" + asText, `{"a": [1,`},
		"deep json":          {200, "application/json", strings.Repeat("[", 1001), "too_large", " answered with JSON that cannot be read: nested deeper than 1000 levels" + asText, strings.Repeat("[", 1001)},
		"broken text":        {200, "text/plain", "a\xffb", "network", " answered with a body that is not valid utf-8 (byte 2)" + charsetHelp, "a\uFFFDb"},
		"broken EUC-KR":      {200, "text/plain; charset=euc-kr", "a\xff", "network", " answered with a body that is not valid euc-kr" + charsetHelp, "a\uFFFD"},
		"json in no UTF-8":   {200, "application/json", "{\"\xbe\xc8\": 1}", "network", " answered with a body that is not valid utf-8 (byte 3)" + charsetHelp, "{\"\uFFFD\": 1}"},
		"an unknown charset": {200, "text/plain; charset=klingon", "a", "network", ` answered with a body that is in the charset "klingon", which is not known` + charsetHelp, "a"},
		"a refusal too":      {400, "application/json", `no`, "http_status", " answered 400 Bad Request; %s answered with a body that is not JSON: invalid character 'o' in literal null (expecting 'u')" + asText, "no"},
	}
	for name, tt := range tests {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			url := serve(t, func(w http.ResponseWriter, _ *http.Request) {
				w.Header().Set("Content-Type", tt.contentType)
				w.WriteHeader(tt.status)
				_, _ = io.WriteString(w, tt.body)
			})
			_, err := nodetest.New(t).Run(t, typeOf(t, "web_request"), map[string]any{"url": url})
			e, host := stepError(t, err), strings.TrimPrefix(url, "http://")
			if want := host + strings.ReplaceAll(tt.message, "%s", host); e.Code != tt.code || e.Message != want {
				t.Errorf("error is %s: %s\nwant %s: %s", e.Code, e.Message, tt.code, want)
			}
			if got := e.Response.(map[string]any)["body"]; got != tt.wantInError {
				t.Errorf("error.response.body is %q, want %q", got, tt.wantInError)
			}
		})
	}
}

func TestWebRequestFailures(t *testing.T) {
	t.Parallel()
	tests := map[string]struct {
		status  int
		success []any
		failIf  string
		as      string
		code    string // "" is success
		message string // behind the host
	}{
		"not found":          {status: 404, code: "http_status", message: " answered 404 Not Found"},
		"server error":       {status: 503, code: "http_status", message: " answered 503 Service Unavailable"},
		"unnamed status":     {status: 599, code: "http_status", message: " answered 599"},
		"listed":             {status: 404, success: []any{200, 404}},
		"in a range":         {status: 418, success: []any{"200-299", " 400 - 499 "}},
		"not in the list":    {status: 200, success: []any{"201-299"}, code: "http_status", message: " answered 200 OK"},
		"fail_if holds":      {status: 200, failIf: `response.body.success == false and response.headers["x-a"] == "b"`, code: "fail_if", message: " answered 200, but fail_if holds"},
		"fail_if does not":   {status: 200, failIf: `response.status != 200`},
		"fail_if is no test": {status: 200, failIf: `response.body.list`, code: "expression", message: "with.fail_if gave something that is not a boolean"},
		"not the JSON asked": {status: 200, as: "json", code: "network", message: " answered with a body that is not JSON: invalid character '<' looking for beginning of value; to take it as it is, set \"response\": \"text\""},
	}
	for name, tt := range tests {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			body, contentType := `{"success": false, "list": [1]}`, "application/json"
			if tt.as == "json" {
				body, contentType = "<html>", "text/html"
			}
			url := serve(t, func(w http.ResponseWriter, _ *http.Request) {
				w.Header().Set("Content-Type", contentType)
				w.Header().Set("X-A", "b")
				w.WriteHeader(tt.status)
				_, _ = io.WriteString(w, body)
			})
			env := nodetest.New(t)
			if tt.failIf != "" {
				env.Expressions = map[string]string{"fail_if": tt.failIf}
			}
			with := map[string]any{"url": url + "/secret-path?key=canary"}
			if tt.success != nil {
				with["success"] = tt.success
			}
			if tt.as != "" {
				with["response"] = tt.as
			}
			_, err := env.Run(t, typeOf(t, "web_request"), with)
			if tt.code == "" {
				if err != nil {
					t.Fatal(err)
				}
				return
			}
			e := stepError(t, err)
			host := strings.TrimPrefix(url, "http://")
			if got := strings.TrimPrefix(e.Message, host); e.Code != tt.code || got != tt.message {
				t.Errorf("error is %s: %s", e.Code, e.Message)
			}
			if e.Status != tt.status || e.Permanent {
				t.Errorf("status %d, permanent %v", e.Status, e.Permanent)
			}
			response := e.Response.(map[string]any)
			if response["status"] != tt.status || response["headers"].(map[string]any)["x-a"] != "b" {
				t.Errorf("response is %v", response)
			}
			if tt.as == "" && response["body"].(map[string]any)["success"] != false {
				t.Errorf("body is %v", response["body"])
			}
		})
	}
}

func TestWebRequestRetryAfter(t *testing.T) {
	t.Parallel()
	now := time.Now().UTC().Truncate(time.Second)
	date := func(d time.Duration) string { return now.Add(d).Format(http.TimeFormat) }
	tests := map[string]struct {
		status  int
		headers map[string]string
		want    time.Duration
	}{
		"nothing":                    {503, nil, 0},
		"seconds":                    {503, map[string]string{"Retry-After": "120"}, 2 * time.Minute},
		"date":                       {429, map[string]string{"Retry-After": date(90 * time.Second), "Date": date(0)}, 90 * time.Second},
		"date by the server's clock": {429, map[string]string{"Retry-After": date(time.Hour), "Date": date(time.Hour - 5*time.Second)}, 5 * time.Second},
		"past date":                  {429, map[string]string{"Retry-After": date(-time.Hour), "Date": date(0)}, 0},
		"nonsense":                   {503, map[string]string{"Retry-After": "soon"}, 0},
		"negative":                   {503, map[string]string{"Retry-After": "-5"}, 0},
		"absurd":                     {503, map[string]string{"Retry-After": "99999999999"}, 365 * 24 * time.Hour},
		"reset in seconds":           {429, map[string]string{"RateLimit-Reset": "30"}, 30 * time.Second},
		"reset as a time":            {429, map[string]string{"X-RateLimit-Reset": fmt.Sprint(now.Unix() + 60), "Date": date(0)}, time.Minute},
		"reset of a used-up limit":   {403, map[string]string{"X-RateLimit-Remaining": "0", "X-RateLimit-Reset": "7"}, 7 * time.Second},
		"reset of another matter":    {500, map[string]string{"RateLimit-Remaining": "9", "RateLimit-Reset": "30"}, 0},
		"Retry-After goes first":     {429, map[string]string{"Retry-After": "1", "RateLimit-Reset": "30"}, time.Second},
	}
	for name, tt := range tests {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			url := serve(t, func(w http.ResponseWriter, _ *http.Request) {
				for k, v := range tt.headers {
					w.Header().Set(k, v)
				}
				w.WriteHeader(tt.status)
			})
			_, err := nodetest.New(t).Run(t, typeOf(t, "web_request"), map[string]any{"url": url})
			if got := stepError(t, err).RetryAfter; got != tt.want {
				t.Errorf("got %s, want %s", got, tt.want)
			}
		})
	}
}

func TestWebRequestRedirects(t *testing.T) {
	t.Parallel()
	target := bin(t)
	follow := func(n any) (map[string]any, error) {
		with := map[string]any{"url": target + "/redirect/3"}
		if n != nil {
			with["follow_redirects"] = n
		}
		got, err := nodetest.New(t).Run(t, typeOf(t, "web_request"), with)
		out, _ := got.(map[string]any)
		return out, err
	}
	if got, err := follow(nil); err != nil || got["status"] != 200 || got["url"] != target+"/get" {
		t.Errorf("by default: %v, %v", got, err)
	}
	if got, err := follow(0); err != nil || got["status"] != 302 || got["url"] != target+"/redirect/3" {
		t.Errorf("without following: %v, %v", got, err)
	}
	_, err := follow(2)
	if e, ok := egress.AsError(err); !ok || e.Phase != "redirect" || e.Message != "redirected more than 2 times" {
		t.Errorf("beyond the limit: %v", err)
	}
}

// Where a redirect ends, the query is often a ticket.
func TestWebRequestHidesTheQueryOfARedirect(t *testing.T) {
	t.Parallel()
	url := serve(t, func(w http.ResponseWriter, r *http.Request) {
		if r.URL.Path == "/" {
			http.Redirect(w, r, "/file?ticket=canary", http.StatusFound)
		}
	})
	got, err := nodetest.New(t).Run(t, typeOf(t, "web_request"), map[string]any{"url": url + "/?q=1"})
	if err != nil {
		t.Fatal(err)
	}
	if got := got.(map[string]any)["url"]; got != url+"/file" {
		t.Errorf("url is %v", got)
	}
}

func TestWebRequestLimitsAnswers(t *testing.T) {
	t.Parallel()
	for _, path := range []string{"/bytes/2000", "/gzip"} {
		_, err := nodetest.New(t).Run(t, typeOf(t, "web_request"), map[string]any{"url": bin(t) + path, "max_bytes": 100})
		e := stepError(t, err)
		if e.Code != "too_large" || !strings.HasSuffix(e.Message, "the answer is larger than 100 bytes (max_bytes)") || e.Status != 200 {
			t.Errorf("%s: %+v", path, e)
		}
		if response := e.Response.(map[string]any); response["status"] != 200 || response["body"] != nil {
			t.Errorf("%s: response is %v", path, response)
		}
	}
}

func TestWebRequestBrokenAnswer(t *testing.T) {
	t.Parallel()
	url := serve(t, func(w http.ResponseWriter, _ *http.Request) {
		w.Header().Set("Content-Length", "100")
		_, _ = io.WriteString(w, "half")
		if err := http.NewResponseController(w).Flush(); err != nil {
			t.Error(err)
		}
		panic(http.ErrAbortHandler)
	})
	_, err := nodetest.New(t).Run(t, typeOf(t, "web_request"), map[string]any{"url": url})
	e := stepError(t, err)
	want := strings.TrimPrefix(url, "http://") + ": the connection broke in the middle of the answer"
	if e.Code != "network" || e.Message != want || e.Status != 200 {
		t.Errorf("%+v", e)
	}
}

// Failures of the client itself reach the engine as they are: it knows what they mean.
func TestWebRequestPassesClientErrorsOn(t *testing.T) {
	t.Parallel()
	closed := httptest.NewServer(http.NotFoundHandler())
	closed.Close()
	_, err := nodetest.New(t).Run(t, typeOf(t, "web_request"), map[string]any{"url": closed.URL})
	if e, ok := egress.AsError(err); !ok || e.Code != "network" || e.Phase != "connect" {
		t.Errorf("refused connection: %v", err)
	}
	_, err = nodetest.New(t).Run(t, typeOf(t, "web_request"), map[string]any{"url": "http://10.1.2.3/"})
	if e, ok := egress.AsError(err); !ok || e.Code != "host_not_allowed" {
		t.Errorf("private address: %v", err)
	}
	env := nodetest.New(t)
	env.ClientErr = &nodes.Error{Code: "credential_unknown", Message: "no such credential"}
	if _, err = env.Run(t, typeOf(t, "web_request"), map[string]any{"url": closed.URL}); !errors.Is(err, env.ClientErr) {
		t.Errorf("no client: %v", err)
	}
}

// Against a real go-httpbin: what was sent is what arrived, whatever the encoding.
func TestWebRequestAgainstHTTPBin(t *testing.T) {
	t.Parallel()
	target := bin(t)
	got, err := nodetest.New(t).Run(t, typeOf(t, "web_request"), map[string]any{
		"url": target + "/anything", "method": "POST", "query": map[string]any{"q": []any{"1", "2"}},
		"body": map[string]any{"a": []any{1, "x"}},
	})
	if err != nil {
		t.Fatal(err)
	}
	body := got.(map[string]any)["body"].(map[string]any)
	if diff := cmp.Diff(map[string]any{"a": []any{1, "x"}}, body["json"]); diff != "" {
		t.Error(diff)
	}
	if diff := cmp.Diff(map[string]any{"q": []any{"1", "2"}}, body["args"]); diff != "" {
		t.Error(diff)
	}
	for path, status := range map[string]int{"/status/204": 204, "/encoding/utf8": 200, "/gzip": 200, "/image/png": 200, "/drip?duration=0&numbytes=10": 200} {
		got, err := nodetest.New(t).Run(t, typeOf(t, "web_request"), map[string]any{"url": target + path})
		if err != nil || got.(map[string]any)["status"] != status {
			t.Errorf("%s: %v, %v", path, got, err)
		}
	}
}
