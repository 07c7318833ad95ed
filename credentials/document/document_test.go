package document

import (
	"bytes"
	"fmt"
	"log/slog"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"

	"keyflow/credentials"
	"keyflow/internal/jsonvalue"
)

// The examples of RFC 7396 appendix A.
func TestMergePatch(t *testing.T) {
	t.Parallel()
	tests := []struct{ target, patch, want string }{
		{`{"a":"b"}`, `{"a":"c"}`, `{"a":"c"}`},
		{`{"a":"b"}`, `{"b":"c"}`, `{"a":"b","b":"c"}`},
		{`{"a":"b"}`, `{"a":null}`, `{}`},
		{`{"a":"b","b":"c"}`, `{"a":null}`, `{"b":"c"}`},
		{`{"a":["b"]}`, `{"a":"c"}`, `{"a":"c"}`},
		{`{"a":"c"}`, `{"a":["b"]}`, `{"a":["b"]}`},
		{`{"a":{"b":"c"}}`, `{"a":{"b":"d","c":null}}`, `{"a":{"b":"d"}}`},
		{`{"a":[{"b":"c"}]}`, `{"a":[1]}`, `{"a":[1]}`},
		{`["a","b"]`, `["c","d"]`, `["c","d"]`},
		{`{"a":"b"}`, `["c"]`, `["c"]`},
		{`{"a":"foo"}`, `null`, `null`},
		{`{"a":"foo"}`, `"bar"`, `"bar"`},
		{`{"e":null}`, `{"a":1}`, `{"a":1,"e":null}`},
		{`[1,2]`, `{"a":"b","c":null}`, `{"a":"b"}`},
		{`{}`, `{"a":{"bb":{"ccc":null}}}`, `{"a":{"bb":{}}}`},
	}
	for _, tt := range tests {
		t.Run(tt.target+" "+tt.patch, func(t *testing.T) {
			t.Parallel()
			target, err := jsonvalue.Decode([]byte(tt.target))
			if err != nil {
				t.Fatal(err)
			}
			patch, err := jsonvalue.Decode([]byte(tt.patch))
			if err != nil {
				t.Fatal(err)
			}
			got, err := jsonvalue.Encode(mergePatch(target, patch))
			if err != nil || cmp.Diff(tt.want, string(got)) != "" {
				t.Errorf("got %s, %v; want %s", got, err, tt.want)
			}
		})
	}
}

func TestInputNeverPrints(t *testing.T) {
	t.Parallel()
	in := credentials.Input{ID: "erp", Type: credentials.TypeBasicAuth, Fields: map[string]any{"password": "canary-Pw-1"}}
	var out bytes.Buffer
	for _, verb := range []string{"%v", "%+v", "%#v", "%s", "%q", "%x", "%d"} {
		fmt.Fprintf(&out, verb+verb+"\n", in, &in)
	}
	log := slog.New(slog.NewJSONHandler(&out, nil))
	log.Info("m", "input", in, "pointer", &in)
	log = slog.New(slog.NewTextHandler(&out, nil))
	log.Info("m", "input", in, "pointer", &in)
	if strings.Contains(out.String(), "canary") || !strings.Contains(out.String(), "{erp basic_auth}") {
		t.Errorf("prints %s", out.String())
	}
}
