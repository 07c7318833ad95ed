package jsonvalue_test

import (
	"encoding/json"
	"errors"
	"math"
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
		"larger becomes float":     {`9223372036854775808`, 9223372036854775808.0},
		"fraction":                 {`0.5`, 0.5},
		"written as fraction":      {`5.0`, 5.0},
		"exponent":                 {`1e2`, 100.0},
		"too small becomes zero":   {`1e-999`, 0.0},
		"zero has no sign":         {`-0.0`, 0.0},
		"empty containers":         {`[{}, []]`, []any{map[string]any{}, []any{}}},
		"nested": {`{"a": [1, {"b": 2.5}], "c": null}`,
			map[string]any{"a": []any{1, map[string]any{"b": 2.5}}, "c": nil}},
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
		"out of range":        {`[1e999]`, "number 1e999 is out of range"},
		"long and out of it":  {strings.Repeat("9", 400), "number " + strings.Repeat("9", 40) + " is out of range"},
		"too deep":            {strings.Repeat("[", 1001) + strings.Repeat("]", 1001), "nested deeper than 1000 levels"},
		"much too deep":       {strings.Repeat(`{"a":`, 1_000_000), "nested deeper than 1000 levels"},
		"deep in an object":   {`{"a":` + strings.Repeat("[", 1000) + strings.Repeat("]", 1000) + `}`, "nested deeper than 1000 levels"},
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
	wide := "[" + strings.Repeat("[],", 5000) + "{}]"
	if _, err := jsonvalue.Decode([]byte(wide)); err != nil {
		t.Errorf("many brackets side by side: %v", err)
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

func TestEncodeRefusesWhatIsNoJSON(t *testing.T) {
	t.Parallel()
	for _, v := range []any{math.NaN(), math.Inf(1), func() {}, map[string]any{"a": []any{math.NaN()}}} {
		if got, err := jsonvalue.Encode(v); err == nil {
			t.Errorf("encoded as %s", got)
		}
	}
}

// FuzzDecode: what is decoded can be encoded, and then decodes to the same JSON.
func FuzzDecode(f *testing.F) {
	for _, s := range []string{`{"a":[1,2.5,"x",null,true]}`, `9007199254740993`, `"\ud800"`, `1e400`, `[[[`, `-0`} {
		f.Add([]byte(s))
	}
	f.Fuzz(func(t *testing.T, data []byte) {
		v, err := jsonvalue.Decode(data)
		if err != nil {
			return
		}
		once, err := jsonvalue.Encode(v)
		if err != nil {
			t.Fatalf("%#v cannot be encoded: %v", v, err)
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
