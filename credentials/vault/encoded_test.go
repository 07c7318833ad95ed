package vault_test

import (
	"fmt"
	"net/http"
	"strings"
	"testing"

	"keyflow/credentials"
	"keyflow/internal/charset"
)

// TestEchoInAnotherEncodingIsRedacted echoes a secret in encodings that the answer or the author
// declares: the caller reads the answer decoded and must not find the secret.
func TestEchoInAnotherEncodingIsRedacted(t *testing.T) {
	t.Parallel()
	const secret = "비밀-canary-77"
	tests := map[string]struct {
		encoding, contentType, author string
	}{
		"EUC-KR JSON":                 {"euc-kr", "application/json; charset=EUC-KR", ""},
		"EUC-KR that the author says": {"euc-kr", "text/plain", "euc-kr"},
		"UTF-16 JSON":                 {"utf-16le", "application/json; charset=utf-16le", ""},
		"UTF-16 that the author says": {"utf-16be", "application/octet-stream", "utf-16be"},
	}
	for name, tt := range tests {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			encoding, err := charset.Detect(nil, charset.Declared{Name: tt.encoding})
			if err != nil {
				t.Fatal(err)
			}
			n := online(t)
			api := serve(t, func(w http.ResponseWriter, _ *http.Request) {
				body, _ := encoding.Encode([]byte(`{"` + secret + `": "a ` + strings.ReplaceAll(secret, "c", `\u0063`) + `"}`))
				w.Header().Set("Content-Type", tt.contentType)
				_, _ = w.Write(body)
			})
			n.create(t, fmt.Sprintf(`{"id": "c", "type": "basic_auth", "allowed_hosts": [%q], "fields": {"username": "it", "password": %q}}`, api.host, secret))
			a, err := call(t, n.client(t, credentials.Use{ID: "c", Charset: tt.author}), http.MethodGet, api.URL, "")
			if err != nil {
				t.Fatal(err)
			}
			got, err := encoding.Decode([]byte(a.body))
			if err != nil || string(got) != `{"***": "a ***"}` {
				t.Errorf("got %q, %v", got, err)
			}
		})
	}
}
