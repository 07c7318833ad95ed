package charset_test

import (
	"errors"
	"strings"
	"testing"

	"keyflow/internal/charset"
)

func TestDecode(t *testing.T) {
	t.Parallel()
	const hello = "안녕"
	tests := map[string]struct {
		data     string
		declared charset.Declared
		want     string
		err      string
	}{
		"nothing declared":                 {data: hello, want: hello},
		"empty":                            {},
		"a UTF-8 mark":                     {data: "\xef\xbb\xbf{}", want: "{}"},
		"a UTF-16 mark, little-endian":     {data: "\xff\xfe\x48\xc5\x55\xb1", want: hello},
		"a UTF-16 mark, big-endian":        {data: "\xfe\xff\xc5\x48\xb1\x55", want: hello},
		"a mark beats the header":          {data: "\xef\xbb\xbf" + hello, declared: charset.Declared{ContentType: "text/plain; charset=euc-kr"}, want: hello},
		"the header":                       {data: "\xbe\xc8\xb3\xe7", declared: charset.Declared{ContentType: "text/plain; charset=EUC-KR"}, want: hello},
		"the header, quoted":               {data: "\xbe\xc8\xb3\xe7", declared: charset.Declared{ContentType: `application/json; charset="euc-kr"`}, want: hello},
		"a name of Microsoft":              {data: "\xbe\xc8\xb3\xe7", declared: charset.Declared{ContentType: "text/plain; charset=cp949"}, want: hello},
		"UTF-16 without a mark":            {data: "\x48\xc5\x55\xb1", declared: charset.Declared{ContentType: "text/plain; charset=utf-16le"}, want: hello},
		"a name of IANA":                   {data: "\x81", declared: charset.Declared{Name: "IBM437"}, want: "ü"},
		"the author beats all":             {data: "\xbe\xc8\xb3\xe7", declared: charset.Declared{Name: "euc-kr", ContentType: "text/plain; charset=utf-8"}, want: hello},
		"the author's UTF-16 has a mark":   {data: "\xfe\xff\xc5\x48", declared: charset.Declared{Name: "UTF-16"}, want: "안"},
		"the author's UTF-8 has a mark":    {data: "\xef\xbb\xbfx", declared: charset.Declared{Name: "utf-8"}, want: "x"},
		"an XML declaration":               {data: "<?xml version=\"1.0\" encoding='euc-kr'?><a>\xbe\xc8\xb3\xe7</a>", declared: charset.Declared{ContentType: "application/xml"}, want: "<?xml version=\"1.0\" encoding='euc-kr'?><a>안녕</a>"},
		"the header beats the declaration": {data: "<?xml version=\"1.0\" encoding='euc-kr'?><a>안녕</a>", declared: charset.Declared{ContentType: "text/xml; charset=utf-8"}, want: "<?xml version=\"1.0\" encoding='euc-kr'?><a>안녕</a>"},
		"no XML in a JSON text":            {data: "<?xml version='1.0' encoding='euc-kr'?>\xbe\xc8", declared: charset.Declared{ContentType: "application/json"}, err: "is not valid utf-8 (byte 40)"},
		"U+FFFD is a character":            {data: "a\uFFFDb", want: "a\uFFFDb"},
		"U+FFFD in UTF-16":                 {data: "\xff\xfe\xfd\xff", want: "\uFFFD"},
		"U+FFFD in GB 18030":               {data: "\x84\x31\xa4\x37", declared: charset.Declared{Name: "gb18030"}, want: "\uFFFD"},
		"invalid UTF-8":                    {data: "ab\xff", err: "is not valid utf-8 (byte 3)"},
		"invalid EUC-KR":                   {data: "\xbe\xc8\xff\xff", declared: charset.Declared{Name: "euc-kr"}, err: "is not valid euc-kr"},
		"truncated EUC-KR":                 {data: "\xbe\xc8\xb3", declared: charset.Declared{Name: "euc-kr"}, err: "is not valid euc-kr"},
		"truncated UTF-16":                 {data: "\xff\xfe\x48", err: "is not valid utf-16le"},
		"half a pair in UTF-16":            {data: "\xff\xfe\x00\xd8\x41\x00", err: "is not valid utf-16le"},
		"an unknown charset":               {data: "x", declared: charset.Declared{ContentType: "text/plain; charset=klingon"}, err: `is in the charset "klingon", which is not known`},
		"a charset that is not decoded":    {data: "x", declared: charset.Declared{Name: "iso-2022-kr"}, err: `is in the charset "iso-2022-kr", which is not known`},
		"XML that is not in UTF-16":        {data: "<?xml version='1.0' encoding='utf-16'?>", declared: charset.Declared{ContentType: "text/xml"}, err: "declares the encoding utf-16le, but is not in it"},
	}
	for name, tt := range tests {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			got, err := charset.Decode([]byte(tt.data), tt.declared)
			if tt.err != "" {
				if e, ok := errors.AsType[*charset.Error](err); !ok || e.Message != tt.err {
					t.Errorf("got %v, want %s", err, tt.err)
				}
				return
			}
			if err != nil || string(got) != tt.want {
				t.Errorf("got %q, %v, want %q", got, err, tt.want)
			}
		})
	}
}

// TestEncode requires that what was decoded can be encoded as it was.
func TestEncode(t *testing.T) {
	t.Parallel()
	for _, name := range []string{"", "utf-8", "utf-16le", "utf-16be", "euc-kr", "shift_jis", "gb18030", "iso-2022-jp", "windows-1252"} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			e, err := charset.Detect([]byte("x"), charset.Declared{Name: name})
			if err != nil {
				t.Fatal(err)
			}
			encoded, err := e.Encode([]byte("a***b"))
			if err != nil {
				t.Fatal(err)
			}
			if got, err := e.Decode(encoded); err != nil || string(got) != "a***b" {
				t.Errorf("got %q, %v", got, err)
			}
		})
	}
}

func FuzzDecode(f *testing.F) {
	f.Add([]byte("\xbe\xc8\xb3\xe7"), "euc-kr", "text/plain")
	f.Add([]byte("\xff\xfe\x48\xc5"), "", "application/json; charset=utf-16")
	f.Fuzz(func(t *testing.T, data []byte, name, contentType string) {
		text, err := charset.Decode(data, charset.Declared{Name: name, ContentType: contentType})
		if err == nil && strings.ToValidUTF8(string(text), "") != string(text) {
			t.Errorf("%q is not valid UTF-8", text)
		}
	})
}
