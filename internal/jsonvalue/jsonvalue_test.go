package jsonvalue_test

import (
	"bytes"
	"encoding/json"
	"errors"
	"io"
	"math"
	"strconv"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"

	"keyflow/internal/jsonvalue"
)

func TestDecode(t *testing.T) {
	t.Parallel()
	tests := map[string]struct {
		in   string
		want any
	}{
		"null":                     {`null`, nil},
		"boolean":                  {` true `, true},
		"text":                     {`"a\u00e9\ud83d\ude00"`, "aé😀"},
		"brackets in a text":       {`"[[{\"[\\"`, `[[{"[\`},
		"integer":                  {`-7`, -7},
		"beyond float64 precision": {`9007199254740993`, 9007199254740993},
		"largest int":              {`9223372036854775807`, math.MaxInt64},
		"smallest int":             {`-9223372036854775808`, math.MinInt64},
		"larger keeps its digits":  {`9223372036854775808`, json.Number("9223372036854775808")},
		"much larger":              {`12345678901234567890123456789`, json.Number("12345678901234567890123456789")},
		"fraction":                 {`0.5`, json.Number("0.5")},
		"zero at the end":          {`1.10`, json.Number("1.10")},
		"written as fraction":      {`5.0`, json.Number("5.0")},
		"exponent":                 {`1e2`, json.Number("1e2")},
		"beyond any float":         {`[1e999, 1E-999]`, []any{json.Number("1e999"), json.Number("1E-999")}},
		"zero":                     {`[0, -0, -0.0]`, []any{0, json.Number("-0"), json.Number("-0.0")}},
		"empty containers":         {`[{}, []]`, []any{map[string]any{}, []any{}}},
		"nested": {`{"a": [1, {"b": 2.5}], "c": null}`,
			map[string]any{"a": []any{1, map[string]any{"b": json.Number("2.5")}}, "c": nil}},
		"last of duplicates": {`{"a": 1, "a": 2}`, map[string]any{"a": 2}},
	}
	for name, tt := range tests {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			got, err := jsonvalue.Decode([]byte(tt.in))
			if err != nil {
				t.Fatal(err)
			}
			if diff := cmp.Diff(tt.want, got); diff != "" {
				t.Error(diff)
			}
		})
	}
}

func TestDecodeErrors(t *testing.T) {
	t.Parallel()
	tests := map[string]struct{ in, want string }{
		"nothing":             {``, "unexpected EOF"},
		"space":               {" \n", "unexpected EOF"},
		"cut off":             {`{"a": [1`, "unexpected EOF"},
		"second value":        {`1 2`, "more data after the JSON value"},
		"closing bracket":     {`{}]`, "more data after the JSON value"},
		"garbage":             {`{} x`, "more data after the JSON value"},
		"no JSON":             {`{a: 1}`, "invalid character 'a' looking for beginning of object key string"},
		"too deep":            {strings.Repeat("[", 1001) + strings.Repeat("]", 1001), "nested deeper than 1000 levels"},
		"much too deep":       {strings.Repeat(`{"a":`, 1_000_000), "nested deeper than 1000 levels"},
		"deep in an object":   {`{"a":` + strings.Repeat("[", 1000) + strings.Repeat("]", 1000) + `}`, "nested deeper than 1000 levels"},
		"many objects":        {"[" + strings.Repeat(`{"":0},`, 400_000) + "0]", "too many lists and objects"},
		"many lists":          {"[" + strings.Repeat("[0],", 2_000_000) + "0]", "too many lists and objects"},
		"text that goes on":   {`"abc\"`, "unexpected EOF"},
		"control character":   {"\"a\nb\"", `invalid character '\n' in string literal`},
		"number with a zero":  {`01`, "more data after the JSON value"},
		"not a number in Go":  {`NaN`, "invalid character 'N' looking for beginning of value"},
		"trailing comma":      {`[1,]`, "invalid character ']' looking for beginning of value"},
		"unfinished constant": {`tru`, "unexpected EOF"},
	}
	for name, tt := range tests {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			got, err := jsonvalue.Decode([]byte(tt.in))
			if err == nil {
				t.Fatalf("decoded as %v", got)
			}
			if err.Error() != tt.want {
				t.Errorf("error is %q, want %q", err, tt.want)
			}
		})
	}
}

func TestDecodeStrict(t *testing.T) {
	t.Parallel()
	tests := map[string]struct {
		in   string
		want any // the value, or the error
	}{
		"a value":             {`{"a": {"b": 1}, "c": {"b": [2]}}`, map[string]any{"a": map[string]any{"b": 1}, "c": map[string]any{"b": []any{2}}}},
		"no JSON":             {`{"a": `, "unexpected EOF"},
		"not UTF-8":           {"\"\xff\"", jsonvalue.ErrNotUTF8.Error()},
		"half of a pair":      {`{"a": ["x\ud800y"]}`, jsonvalue.ErrNotUTF8.Error()},
		"other half, in keys": {`{"\udc00": 1}`, jsonvalue.ErrNotUTF8.Error()},
		"a pair":              {`"\ud83d\ude00 \ufffd"`, "😀 \ufffd"},
		"twice":               {`{"a": 1, "a": 1}`, []string{"a"}},
		"twice, escaped":      {`{"a": 1, "\u0061": 1}`, []string{"a"}},
		"twice, below":        {`{"x/y": [0, {"a": 1, "b": 2, "a": 3}]}`, []string{"x/y", "1", "a"}},
		"twice, of two":       {`[{"a": {"b": 1, "b": 2}, "a": 1}]`, []string{"0", "a", "b"}},
	}
	for name, tt := range tests {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			got, err := jsonvalue.DecodeStrict([]byte(tt.in))
			if repeated, ok := errors.AsType[*jsonvalue.RepeatedKeyError](err); ok {
				got = repeated.Path
			} else if err != nil {
				got = err.Error()
			}
			if diff := cmp.Diff(tt.want, got); diff != "" {
				t.Error(diff)
			}
		})
	}
}

func TestDepth(t *testing.T) {
	t.Parallel()
	deepest := strings.Repeat("[", jsonvalue.MaxDepth) + strings.Repeat("]", jsonvalue.MaxDepth)
	v, err := jsonvalue.Decode([]byte(deepest))
	if err != nil {
		t.Fatal(err)
	}
	out, err := jsonvalue.Encode(v)
	if err != nil || string(out) != deepest {
		t.Errorf("encoded as %.20s..., %v", out, err)
	}
	if _, err := jsonvalue.Decode([]byte("[" + deepest + "]")); !errors.Is(err, jsonvalue.ErrTooDeep) {
		t.Errorf("error is %v", err)
	}
	for _, wide := range []string{
		"[" + strings.Repeat("[],", 5000) + "{}]",
		"[" + strings.Repeat(`{"id":1,"name":"a","tags":[],"price":1.5,"active":true},`, 100_000) + "{}]",
		"[" + strings.Repeat("1,", 1_000_000) + `"` + strings.Repeat("{[,", 1_000_000) + `"]`,
	} {
		if _, err := jsonvalue.Decode([]byte(wide)); err != nil {
			t.Errorf("%.60s...: %v", wide, err)
		}
	}
}

func TestEncode(t *testing.T) {
	t.Parallel()
	tests := map[string]struct {
		in   any
		want string
	}{
		"null":                  {nil, `null`},
		"no HTML escaping":      {"a<b>&c", `"a<b>&c"`},
		"sorted keys":           {map[string]any{"b": 1, "a": []any{true, nil}}, `{"a":[true,null],"b":1}`},
		"exact integer":         {9007199254740993, `9007199254740993`},
		"whole float":           {5.0, `5`},
		"number as it was read": {[]any{json.Number("1.10"), json.Number("12345678901234567890"), json.Number("1E400")}, `[1.10,12345678901234567890,1E400]`},
		"raw text is untouched": {json.RawMessage(`{ "a" : 1 }`), `{ "a" : 1 }`},
	}
	for name, tt := range tests {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			got, err := jsonvalue.Encode(tt.in)
			if err != nil {
				t.Fatal(err)
			}
			if diff := cmp.Diff(tt.want, string(got)); diff != "" {
				t.Error(diff)
			}
		})
	}
}

func TestCanonical(t *testing.T) {
	t.Parallel()
	for in, want := range map[string]string{
		`{"b": [5.0, 50e-1, 5, -0], "a": {"x": 1.10}}`: `{"a":{"x":1.1},"b":[5,5,5,0]}`,
		`[12345678901234567890, 1e99999999999]`:        `[12345678901234567890,1e99999999999]`,
	} {
		v, err := jsonvalue.Decode([]byte(in))
		if err != nil {
			t.Fatal(err)
		}
		if got, err := jsonvalue.Canonical(v); err != nil || string(got) != want {
			t.Errorf("%s is %s, %v; want %s", in, got, err, want)
		}
	}
}

func TestEncodeRefusesWhatIsNoJSON(t *testing.T) {
	t.Parallel()
	for _, v := range []any{math.NaN(), math.Inf(1), func() {}, map[string]any{"a": []any{math.NaN()}}} {
		if got, err := jsonvalue.Encode(v); err == nil {
			t.Errorf("encoded as %s", got)
		}
	}
}

// FuzzDecode: data and text are those of encoding/json, and what is encoded decodes to the
// same JSON.
func FuzzDecode(f *testing.F) {
	for _, s := range []string{
		`{"a":[1,2.5,"x",null,true]}`, `9007199254740993`, `"\ud800"`, `1e400`, `[[[`, `"\ud83d\ude00 \ud83d\u0041 \ude00 \b\f\n\r\t\/\\\"\u00FF"`, `-0`, "[\"\xff\u2028<\x7f\\b\", { } , [ ] ]",
		`{"b":1,"a":{"b":"\u0000\"\\/"},"b":[-1.5e-7]}`, ` { "a" : [ false , "` + strings.Repeat("x", 200) + `" ] } `,
	} {
		f.Add([]byte(s))
	}
	f.Fuzz(func(t *testing.T, data []byte) {
		v, err := jsonvalue.Decode(data)
		if want, ok := reference(data); ok != (err == nil) || err == nil && !cmp.Equal(v, want) {
			t.Fatalf("%q became %#v, %v; encoding/json says %#v, %t", data, v, err, want, ok)
		}
		if err != nil {
			return
		}
		once, err := jsonvalue.Encode(v)
		if err != nil {
			t.Fatalf("%#v cannot be encoded: %v", v, err)
		}
		if want := referenceText(t, v); string(once) != want {
			t.Fatalf("%#v became %s; encoding/json writes %s", v, once, want)
		}
		again, err := jsonvalue.Decode(once)
		if err != nil {
			t.Fatalf("%s does not decode: %v", once, err)
		}
		if twice, err := jsonvalue.Encode(again); err != nil || string(once) != string(twice) {
			t.Errorf("%s became %s, %v", once, twice, err)
		}
	})
}

// reference decodes with encoding/json alone; ok is false for what Decode must refuse.
func reference(data []byte) (v any, ok bool) {
	dec := json.NewDecoder(bytes.NewReader(data))
	dec.UseNumber()
	if dec.Decode(&v) != nil || dec.More() {
		return nil, false
	}
	if _, err := dec.Token(); !errors.Is(err, io.EOF) {
		return nil, false
	}
	return plain(v)
}

func plain(v any) (_ any, ok bool) {
	ok = true
	switch v := v.(type) {
	case json.Number:
		if n, err := strconv.Atoi(v.String()); err == nil && strconv.Itoa(n) == v.String() {
			return n, true
		}
		return v, true
	case []any:
		for i := range v {
			var each bool
			v[i], each = plain(v[i])
			ok = ok && each
		}
	case map[string]any:
		for k := range v {
			var each bool
			v[k], each = plain(v[k])
			ok = ok && each
		}
	}
	return v, ok
}

func referenceText(t *testing.T, v any) string {
	t.Helper()
	var buf bytes.Buffer
	enc := json.NewEncoder(&buf)
	enc.SetEscapeHTML(false)
	if err := enc.Encode(v); err != nil {
		t.Fatal(err)
	}
	return strings.TrimSuffix(buf.String(), "\n")
}

// benchmarkText is an answer of an API of ordinary size and shape.
func benchmarkText() []byte {
	row := `{"id":9007199254740993,"name":"J\u00f6rg","tags":["a","b"],"price":12.5,"active":true,"note":"line\nline"}`
	return []byte("[" + strings.Repeat(row+",", 19) + row + "]")
}

func BenchmarkDecode2KB(b *testing.B) {
	data := benchmarkText()
	b.SetBytes(int64(len(data)))
	b.ReportAllocs()
	for b.Loop() {
		if _, err := jsonvalue.Decode(data); err != nil {
			b.Fatal(err)
		}
	}
}

func BenchmarkEncode2KB(b *testing.B) {
	v, err := jsonvalue.Decode(benchmarkText())
	if err != nil {
		b.Fatal(err)
	}
	b.ReportAllocs()
	for b.Loop() {
		if _, err := jsonvalue.Encode(v); err != nil {
			b.Fatal(err)
		}
	}
}
