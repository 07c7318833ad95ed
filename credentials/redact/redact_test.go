package redact_test

import (
	"bytes"
	"encoding/base64"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"net/http"
	"net/url"
	"regexp"
	"strings"
	"testing"
	"testing/iotest"

	"github.com/google/go-cmp/cmp"

	"keyflow/credentials/redact"
	"keyflow/internal/charset"
	"keyflow/internal/secret"
)

const (
	plainSecret = "canary-4f9d2b71c0"
	oddSecret   = `pä ss"w/o\rd+<&>=?` + "\n😀end"
	wireSecret  = "Basic dXNlcjpwYXNz"
)

func setup(t *testing.T) *redact.Redactor {
	t.Helper()
	return redact.New(redact.Secrets{Values: []string{plainSecret, oddSecret, "short", ""}, Wire: []string{wireSecret, "abc"}})
}

func quote(t *testing.T, v any) string {
	t.Helper()
	b, err := json.Marshal(v)
	if err != nil {
		t.Fatal(err)
	}
	return string(b)
}

func TestStringFindsEveryForm(t *testing.T) {
	t.Parallel()
	r := setup(t)
	for _, s := range []string{plainSecret, oddSecret, wireSecret} {
		quoted := quote(t, s)
		forms := map[string]string{
			"raw":             s,
			"form":            url.QueryEscape(s),
			"path":            url.PathEscape(s),
			"form, lower hex": regexp.MustCompile(`%..`).ReplaceAllStringFunc(url.QueryEscape(s), strings.ToLower),
			"base64":          base64.StdEncoding.EncodeToString([]byte(s)),
			"base64 raw":      base64.RawStdEncoding.EncodeToString([]byte(s)),
			"base64url":       base64.URLEncoding.EncodeToString([]byte(s)),
			"base64url raw":   base64.RawURLEncoding.EncodeToString([]byte(s)),
			"JSON":            quoted[1 : len(quoted)-1],
		}
		for name, form := range forms {
			t.Run(s[:5]+"/"+name, func(t *testing.T) {
				t.Parallel()
				got := r.String("before " + form + " after")
				if strings.Contains(got, form) || !strings.Contains(got, secret.Mask) {
					t.Errorf("%q is not redacted: %q", form, got)
				}
			})
		}
	}
}

func TestBase64AtAnyAlignment(t *testing.T) {
	t.Parallel()
	r := setup(t)
	for before := range 6 {
		for after := range 6 {
			text := strings.Repeat("x", before) + plainSecret + strings.Repeat("y", after)
			for _, alphabet := range []*base64.Encoding{base64.StdEncoding, base64.RawURLEncoding} {
				got := r.String(alphabet.EncodeToString([]byte(text)))
				// At most the six bits that the secret shares with a neighbour remain on each side.
				if left := len(strings.ReplaceAll(got, secret.Mask, "")); left > (before*8+5)/6+(after*8+5)/6+4 {
					t.Errorf("%d before, %d after: %q", before, after, got)
				}
				decoded, _ := base64.RawStdEncoding.DecodeString(strings.Trim(got, "*="))
				if strings.Contains(string(decoded), plainSecret[2:len(plainSecret)-2]) || !strings.Contains(got, secret.Mask) {
					t.Errorf("%d before, %d after: %q", before, after, got)
				}
			}
		}
	}
}

func TestOverlappingSecretsLeaveNothing(t *testing.T) {
	t.Parallel()
	r := redact.New(redact.Secrets{Values: []string{"abcdefgh", "fghijklmno", "abcdefghXY"}})
	tests := map[string]string{
		"abcdefghijklmno":     "***",
		"-abcdefgh-":          "-***-",
		"abcdefghabcdefgh":    "******",
		"abcdefghXYfghijkl":   "***fghijkl",
		"abcdefg":             "abcdefg",
		"":                    "",
		"abcdefghXfghijklmno": "***X***",
	}
	for in, want := range tests {
		if got := r.String(in); got != want {
			t.Errorf("String(%q) = %q, want %q", in, got, want)
		}
		if got := string(r.Bytes([]byte(in))); got != want {
			t.Errorf("Bytes(%q) = %q, want %q", in, got, want)
		}
	}
}

func TestShortSecrets(t *testing.T) {
	t.Parallel()
	r := setup(t)
	tests := map[string]struct{ in, want string }{
		"a short secret is an ordinary word": {`a short text`, `a short text`},
		"a short wire value inside a text":   {`abcd`, `abcd`},
		"a short wire value as a whole":      {`abc`, `***`},
		"a short wire value in JSON":         {`{"abc":["abc","abcd"]}`, `{"***":["***","abcd"]}`},
	}
	for name, tt := range tests {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			if got := string(r.Bytes([]byte(tt.in))); got != tt.want {
				t.Errorf("got %s, want %s", got, tt.want)
			}
		})
	}
}

func TestJSON(t *testing.T) {
	t.Parallel()
	r := redact.New(redact.Secrets{Values: []string{plainSecret, oddSecret, "12345678"}})
	escaped := ""
	for _, c := range plainSecret {
		escaped += fmt.Sprintf(`\u%04X`, c)
	}
	tests := map[string]struct{ in, want string }{
		"untouched":                       {`{"a": [1, 2.50, true, null, "x\n"]}`, `{"a": [1, 2.50, true, null, "x\n"]}`},
		"text":                            {`{"a":"x canary-4f9d2b71c0 y"}`, `{"a":"x *** y"}`},
		"key":                             {`{"canary-4f9d2b71c0":1}`, `{"***":1}`},
		"every character escaped":         {`["` + escaped + `"]`, `["***"]`},
		"odd secret":                      {`[` + quote(t, oddSecret) + `]`, `["***"]`},
		"JSON in a JSON text":             {`[` + quote(t, quote(t, oddSecret)) + `]`, `["\"***\""]`},
		"escapes elsewhere stay":          {`["\u0041\/", "canary-4f9d2b71c0"]`, `["\u0041\/", "***"]`},
		"equal number":                    {`{"n":12345678}`, `{"n":"***"}`},
		"equal number, written otherwise": {`[1.2345678e7,12345678.0]`, `["***","***"]`},
		"long number close to it":         {`[12345678000000000001,12345678.0000000000001]`, `[12345678000000000001,12345678.0000000000001]`},
		"number that contains it":         {`[9123456789,123456780]`, `[9123456789,123456780]`},
		"text that contains it":           {`["9123456789"]`, `["9***9"]`},
		"top-level text":                  {`"canary-4f9d2b71c0"`, `"***"`},
		"not quite JSON":                  {`{"a":"canary-4f9d2b71c0"`, `{"a":"***"`},
		"lines of JSON":                   {"{\"a\":\"canary-4f9d2b71c0\"}\n{\"a\":1}", "{\"a\":\"***\"}\n{\"a\":1}"},
	}
	for name, tt := range tests {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			if got := string(r.Bytes([]byte(tt.in))); got != tt.want {
				t.Errorf("got  %s\nwant %s", got, tt.want)
			}
		})
	}
}

func TestHeader(t *testing.T) {
	t.Parallel()
	h := http.Header{
		"Location":         {"https://x/?key=" + plainSecret},
		"X-" + plainSecret: {"a"},
		http.CanonicalHeaderKey("y-" + plainSecret): {"b"}, // as HTTP/1 brings it
		"X-Auth":  {"ok", "Basic dXNlcjpwYXNz"},
		"X-Short": {"abc", "abcd"},
	}
	setup(t).Header(h)
	want := http.Header{
		"Location": {"https://x/?key=***"}, "X-***": {"a"}, "***": {"b"}, "X-Auth": {"ok", "***"}, "X-Short": {"***", "abcd"},
	}
	if diff := cmp.Diff(want, h); diff != "" {
		t.Errorf("header (-want +got):\n%s", diff)
	}
}

func TestBody(t *testing.T) {
	t.Parallel()
	errLimit, errBroken := errors.New("too large"), errors.New("broken")
	text := strings.Repeat("x", 5000) + plainSecret + strings.Repeat("y", 5000)
	want := strings.ReplaceAll(text, plainSecret, secret.Mask)
	tests := map[string]struct {
		src   io.Reader
		limit int64
		want  string
		err   error
	}{
		"one byte at a time":   {iotest.OneByteReader(strings.NewReader(text)), 1 << 20, want, nil},
		"halves":               {iotest.HalfReader(strings.NewReader(text)), 1 << 20, want, nil},
		"exactly the limit":    {strings.NewReader(text), int64(len(text)), want, nil},
		"one byte too much":    {strings.NewReader(text), int64(len(text)) - 1, "", errLimit},
		"breaks in the middle": {io.MultiReader(strings.NewReader(text), iotest.ErrReader(errBroken)), 1 << 20, want, errBroken},
		"empty":                {strings.NewReader(""), 1 << 20, "", nil},
	}
	for name, tt := range tests {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			got, err := io.ReadAll(setup(t).Body(io.NopCloser(tt.src), charset.Declared{}, redact.Limit{Bytes: tt.limit, TooLarge: errLimit}))
			if !errors.Is(err, tt.err) || string(got) != tt.want {
				t.Errorf("got %d bytes, error %v; want %d bytes, error %v", len(got), err, len(tt.want), tt.err)
			}
		})
	}
}

// TestEncodedBody finds secrets in bodies in other encodings, declared or not, and keeps the
// encoding.
func TestEncodedBody(t *testing.T) {
	t.Parallel()
	const latin, korean = "canary-secret-1", "비밀번호-카나리아"
	r := redact.New(redact.Secrets{Values: []string{latin, korean}})
	encode := func(name, text string) string {
		t.Helper()
		e, err := charset.Detect(nil, charset.Declared{Name: name})
		if err != nil {
			t.Fatal(err)
		}
		encoded, err := e.Encode([]byte(text))
		if err != nil {
			t.Fatal(err)
		}
		return string(encoded)
	}
	tests := map[string]struct {
		body     string
		declared charset.Declared
		want     string
	}{
		"EUC-KR JSON":                    {encode("euc-kr", `{"안":"`+korean+`"}`), charset.Declared{ContentType: "application/json; charset=euc-kr"}, encode("euc-kr", `{"안":"***"}`)},
		"EUC-KR key":                     {encode("euc-kr", `{"`+korean+`":1}`), charset.Declared{ContentType: "application/json; charset=euc-kr"}, encode("euc-kr", `{"***":1}`)},
		"EUC-KR text by the author":      {encode("euc-kr", "안 "+korean), charset.Declared{Name: "euc-kr", ContentType: "text/plain"}, encode("euc-kr", "안 ***")},
		"ASCII in EUC-KR":                {encode("euc-kr", "안 "+latin), charset.Declared{ContentType: "text/plain; charset=euc-kr"}, encode("euc-kr", "안 ***")},
		"UTF-16 with a mark":             {"\xff\xfe" + encode("utf-16le", latin+"!"), charset.Declared{}, "\xff\xfe" + encode("utf-16le", "***!")},
		"UTF-16 JSON with escapes":       {encode("utf-16be", `{"a":"\u0063anary-secret-1"}`), charset.Declared{ContentType: "application/json; charset=utf-16be"}, encode("utf-16be", `{"a":"***"}`)},
		"UTF-16 JSON by the author":      {encode("utf-16le", `["`+korean+`"]`), charset.Declared{Name: "utf-16le"}, encode("utf-16le", `["***"]`)},
		"UTF-16 that nothing declares":   {encode("utf-16le", latin), charset.Declared{ContentType: "application/octet-stream"}, "***"},
		"UTF-8 JSON with a mark":         {"\xef\xbb\xbf" + `{"a":"\u0063anary-secret-1"}`, charset.Declared{}, "\xef\xbb\xbf" + `{"a":"***"}`},
		"ISO-2022-JP":                    {encode("iso-2022-jp", "日本 "+latin), charset.Declared{Name: "iso-2022-jp"}, encode("iso-2022-jp", "日本 ***")},
		"EUC-KR that is cut off":         {encode("euc-kr", korean) + "\xbe", charset.Declared{ContentType: "text/plain; charset=euc-kr"}, "***"},
		"cut off without a secret":       {encode("euc-kr", "안녕") + "\xbe", charset.Declared{ContentType: "text/plain; charset=euc-kr"}, encode("euc-kr", "안녕") + "\xbe"},
		"an unknown charset":             {latin, charset.Declared{ContentType: "text/plain; charset=klingon"}, "***"},
		"UTF-8 that is called latin":     {"é " + latin, charset.Declared{ContentType: "text/plain; charset=latin1"}, "é ***"},
		"nothing to hide stays as it is": {encode("euc-kr", "안녕"), charset.Declared{ContentType: "text/plain; charset=euc-kr"}, encode("euc-kr", "안녕")},
	}
	for name, tt := range tests {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			got, err := io.ReadAll(r.Body(io.NopCloser(strings.NewReader(tt.body)), tt.declared, redact.Limit{Bytes: 1 << 20}))
			if err != nil || string(got) != tt.want {
				t.Errorf("got %q, %v, want %q", got, err, tt.want)
			}
		})
	}
}

func FuzzJSONStaysJSONAndIsClean(f *testing.F) {
	const secret = `a"b\c/de`
	r := redact.New(redact.Secrets{Values: []string{"12345678", secret}})
	f.Add([]byte(`{"a\"b\\c/de":[12345678,"\u0061\"b\\c\/de"]}`))
	f.Add([]byte(`[-1.5e+7,"",{}]`))
	f.Fuzz(func(t *testing.T, data []byte) {
		if !json.Valid(data) {
			return
		}
		out := r.Bytes(bytes.Clone(data))
		var v any
		if err := json.Unmarshal(out, &v); err != nil && json.Unmarshal(data, &v) == nil {
			t.Fatalf("%q became %q", data, out)
		}
		if text := fmt.Sprint(v); strings.Contains(text, secret) {
			t.Fatalf("%q still holds the secret: %q", data, out)
		}
	})
}

func BenchmarkBytes2KB(b *testing.B) {
	r := redact.New(redact.Secrets{
		Values: []string{plainSecret, "client-secret-0123456789", strings.Repeat("eyJhbGciOi", 80)},
		Wire:   []string{"Bearer " + strings.Repeat("eyJhbGciOi", 80)},
	})
	var rows []map[string]any
	for i := range 20 {
		rows = append(rows, map[string]any{"id": i, "name": "Basic Bearer example", "email": "someone@example.com", "active": true})
	}
	data, err := json.Marshal(rows)
	if err != nil {
		b.Fatal(err)
	}
	b.SetBytes(int64(len(data)))
	b.ReportAllocs()
	for b.Loop() {
		if out := r.Bytes(data); len(out) != len(data) {
			b.Fatal("changed")
		}
	}
}

func BenchmarkNew(b *testing.B) {
	b.ReportAllocs()
	for b.Loop() {
		redact.New(redact.Secrets{Values: []string{plainSecret}, Wire: []string{wireSecret}})
	}
}
