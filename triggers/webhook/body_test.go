package webhook_test

import (
	"encoding/base64"
	"encoding/json"
	"net/http"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"
)

func contentType(value string) http.Header { return http.Header{"Content-Type": {value}} }

// TestHookBodies sends bodies of many types and encodings and looks at what expressions see.
func TestHookBodies(t *testing.T) {
	t.Parallel()
	multipart := func(parts ...string) string {
		return "--XX\r\n" + strings.Join(parts, "\r\n--XX\r\n") + "\r\n--XX--\r\n"
	}
	const field = "Content-Disposition: form-data; name="
	form := contentType("multipart/form-data; boundary=XX")
	tests := map[string]struct {
		header  http.Header
		body    string
		want    any
		warning string
		raw     string // of raw_body, when it matters
	}{
		"JSON in EUC-KR":                {header: contentType("application/json; charset=EUC-KR"), body: "{\"\xbe\xc8\": \"\xb3\xe7\"}", want: map[string]any{"안": "녕"}, raw: `{"안": "녕"}`},
		"JSON with a mark":              {header: contentType("application/json"), body: "\xef\xbb\xbf[1]", want: []any{1.0}},
		"JSON in UTF-16":                {header: contentType("application/json; charset=utf-16"), body: "\xff\xfe[\x001\x00]\x00", want: []any{1.0}},
		"text in EUC-KR":                {header: contentType("text/plain; charset=euc-kr"), body: "\xbe\xc8\xb3\xe7", want: "안녕", raw: "안녕"},
		"a form in EUC-KR":              {header: contentType("application/x-www-form-urlencoded; charset=euc-kr"), body: "a=%BE%C8&%B3%E7=1", want: map[string]any{"a": "안", "녕": "1"}},
		"a form in EUC-KR, not escaped": {header: contentType("application/x-www-form-urlencoded; charset=euc-kr"), body: "a=\xbe\xc8&\xb3\xe7=%BE%C8+1", want: map[string]any{"a": "안", "녕": "안 1"}, raw: "a=안&녕=%BE%C8+1"},
		"a form with a mark":            {header: contentType("application/x-www-form-urlencoded"), body: "\xef\xbb\xbfa=1", want: map[string]any{"a": "1"}},
		"a mark without a type":         {header: nil, body: "\xef\xbb\xbf{}", want: map[string]any{}},
		"an unknown charset of JSON in UTF-8": {
			header: contentType("application/json; charset=klingon"), body: "[1]", want: []any{1.0},
			warning: `the body is in the charset "klingon", which is not known`,
		},
		"multipart": {
			header: form, body: multipart(field+"\"a\"\r\n\r\n1", field+"\"b\"\r\n\r\nx", field+"\"b\"\r\nContent-Type: text/plain; charset=euc-kr\r\n\r\n\xbe\xc8",
				field+"\"f\"; filename=\"../x.bin\"\r\nContent-Type: application/octet-stream\r\n\r\n\x00\xff"),
			want: map[string]any{"a": "1", "b": []any{"x", "안"}, "f": map[string]any{
				"filename": "x.bin", "content_type": "application/octet-stream", "size": 2.0, "base64": "AP8=",
			}},
		},
		"multipart without parts": {header: form, body: "--XX--\r\n", want: map[string]any{}},
		"multipart without a boundary": {
			header: contentType("multipart/form-data"), body: "--XX--\r\n",
			warning: "the body is not parsed, so trigger.request.body is null: it is multipart/form-data, but its Content-Type names no boundary",
		},
		"multipart of another boundary": {
			header: form, body: "--YY--\r\n",
			warning: "the body is not parsed, so trigger.request.body is null: it is not valid multipart/form-data",
		},
		"multipart with a nameless part": {
			header: form, body: multipart("Content-Type: text/plain\r\n\r\n1"),
			warning: "the body is not parsed, so trigger.request.body is null: it has a part without a name",
		},
		"XML": {
			header: contentType("application/xml"), body: "<?xml version='1.0' encoding='euc-kr'?><a>\xbe\xc8</a>", raw: "<?xml version='1.0' encoding='euc-kr'?><a>안</a>",
			warning: "a body of the type application/xml is not parsed, so trigger.request.body is null; raw_body has it as text, in which bytes that are not UTF-8 are replaced",
		},
		"bytes": {
			header: contentType("image/png"), body: "\x89PNG", raw: "\uFFFDPNG",
			warning: "a body of the type image/png is not parsed, so trigger.request.body is null; raw_body has it as text, in which bytes that are not UTF-8 are replaced",
		},
	}
	for name, tt := range tests {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			h, base := hookServer(t)
			res, answer := call{path: "/hooks/plain", header: tt.header, body: tt.body}.do(t, base)
			starts := h.Starter.All()
			if res.StatusCode != http.StatusAccepted || len(starts) != 1 {
				t.Fatalf("status %d, %d runs: %s", res.StatusCode, len(starts), answer)
			}
			var request map[string]any
			if err := json.Unmarshal(starts[0].Trigger.Request, &request); err != nil {
				t.Fatal(err)
			}
			if diff := cmp.Diff(tt.want, request["body"]); diff != "" {
				t.Errorf("body: -want +got\n%s", diff)
			}
			if warning, _ := request["warning"].(string); warning != tt.warning {
				t.Errorf("warning %q, want %q", warning, tt.warning)
			}
			if tt.raw != "" && request["raw_body"] != tt.raw {
				t.Errorf("raw_body %q, want %q", request["raw_body"], tt.raw)
			}
		})
	}
}

// TestHookRefusesBodies: what cannot be decoded is told to the sender, who has the body.
func TestHookRefusesBodies(t *testing.T) {
	t.Parallel()
	tests := map[string]struct{ contentType, body, detail string }{
		"UTF-16 undeclared":  {"application/json", "\xff\xfe{\x00}\x00", "the body is JSON in UTF-16: name the charset in its Content-Type, or send UTF-8"},
		"broken EUC-KR":      {"application/json; charset=euc-kr", "\"\xbe\"", "the body is not valid euc-kr"},
		"text in no UTF-8":   {"text/plain", "\xbe\xc8", "the body is not valid utf-8 (byte 1)"},
		"a form in no UTF-8": {"application/x-www-form-urlencoded", "a=%BE", "the body is not valid utf-8 (byte 1)"},
		"an unknown charset": {"text/plain; charset=klingon", "\xbe", `the body is in the charset \"klingon\", which is not known`},
		"multipart that is cut": {
			"multipart/form-data; boundary=XX", "--XX\r\nContent-Disposition: form-data; name=a\r\n\r\n1", `the body has a part \"a\" that is cut off`,
		},
		"a field in no UTF-8": {
			"multipart/form-data; boundary=XX", "--XX\r\nContent-Disposition: form-data; name=a\r\n\r\n\xbe\r\n--XX--\r\n",
			`the body has a part \"a\" that is not valid utf-8 (byte 1)`,
		},
	}
	for name, tt := range tests {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			h, base := hookServer(t)
			res, answer := call{path: "/hooks/plain", header: contentType(tt.contentType), body: tt.body}.do(t, base)
			if res.StatusCode != http.StatusBadRequest || !strings.Contains(answer, tt.detail) {
				t.Errorf("status %d: %s", res.StatusCode, answer)
			}
			if n := len(h.Starter.All()); n != 0 {
				t.Errorf("%d runs were started", n)
			}
		})
	}
}

// TestHookHidesSecretsInEveryEncoding repeats the caller's secret in encoded bodies, of which the run
// sees the decoded form.
func TestHookHidesSecretsInEveryEncoding(t *testing.T) {
	t.Parallel()
	for name, tt := range map[string]struct{ contentType, body string }{
		"UTF-16":    {"application/json; charset=utf-16", "\xff\xfe" + wide(`{"again": "right-key-123"}`)},
		"multipart": {"multipart/form-data; boundary=XX", "--XX\r\nContent-Disposition: form-data; name=a\r\n\r\nright-key-123\r\n--XX--\r\n"},
		"a part in UTF-16": {
			"multipart/form-data; boundary=XX", "--XX\r\nContent-Disposition: form-data; name=a\r\nContent-Type: text/plain; charset=utf-16le\r\n\r\n" +
				wide("right-key-123") + "\r\n--XX--\r\n",
		},
		"a form":                {"application/x-www-form-urlencoded", "a=%72ight-key-123"},
		"JSON with escapes":     {"application/json", `{"again": "righ\u0074-key-123"}`},
		"JSON key with escapes": {"application/json", `{"righ\u0074-key-123": 1}`},
		"JSON without a type":   {"", `["righ\u0074-key-123"]`},
		"base64":                {"text/plain", "x" + base64.StdEncoding.EncodeToString([]byte("right-key-123"))},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			h, base := hookServer(t)
			res, answer := call{path: "/hooks/key", header: http.Header{"X-Key": {"right-key-123"}, "Content-Type": {tt.contentType}}, body: tt.body}.do(t, base)
			starts := h.Starter.All()
			if res.StatusCode != http.StatusAccepted || len(starts) != 1 {
				t.Fatalf("status %d, %d runs: %s", res.StatusCode, len(starts), answer)
			}
			for what, seen := range map[string]string{"input": string(starts[0].Input), "request": string(starts[0].Trigger.Request)} {
				plain := strings.NewReplacer(`\\u0074`, "t", `\u0074`, "t").Replace(seen)
				if strings.Contains(plain, "right-key") || strings.Contains(plain, "cmlnaHQta2V5") || !strings.Contains(seen, "***") {
					t.Errorf("the %s that the run sees: %s", what, seen)
				}
			}
		})
	}
}

// wide is ASCII text in UTF-16LE.
func wide(text string) string {
	var b strings.Builder
	for i := range len(text) {
		b.WriteByte(text[i])
		b.WriteByte(0)
	}
	return b.String()
}
