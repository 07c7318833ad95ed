package vault_test

import (
	"net/http"
	"net/url"
	"strings"
	"testing"

	"keyflow/credentials"
)

// A redirect whose URL holds a secret is not followed to the URL in which it is masked; where the
// credential itself puts the secret into the URL, nothing is masked in the end.
func TestMaskedRedirectTargetIsAnError(t *testing.T) {
	t.Parallel()
	const secret = "canary-key-for-urls"
	tests := map[string]struct {
		credential string // type and fields
		location   string
		follows    bool
	}{
		"in the path":                  {`"type": "api_key", "fields": {"key": "X-Key", "value": "` + secret + `"}`, "/files/" + secret + "/1", false},
		"in the query":                 {`"type": "api_key", "fields": {"key": "X-Key", "value": "` + secret + `"}`, "/files?token=" + secret, false},
		"where the credential puts it": {`"type": "api_key", "fields": {"key": "token", "value": "` + secret + `", "in": "query"}`, "/files?token=" + secret, true},
		"a literal mask":               {`"type": "api_key", "fields": {"key": "X-Key", "value": "` + secret + `"}`, "/files/***", true},
	}
	for name, tt := range tests {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			n := online(t)
			api := serve(t, func(w http.ResponseWriter, r *http.Request) {
				if r.URL.Path == "/start" {
					w.Header().Set("Location", tt.location)
					w.WriteHeader(http.StatusFound)
				}
			})
			n.create(t, `{"id": "c", `+tt.credential+`, "allowed_hosts": ["`+api.host+`"]}`)
			_, err := call(t, n.client(t, credentials.Use{ID: "c", MaxRedirects: 3}), http.MethodGet, api.URL+"/start", "")
			seen := api.requests()
			if tt.follows {
				want, _ := url.Parse(tt.location)
				if got, _ := url.Parse(seen[len(seen)-1].URL); err != nil || got.Path != want.Path || got.RawQuery != want.RawQuery {
					t.Errorf("%v, %s", err, got)
				}
				return
			}
			if len(seen) != 1 || err == nil || !strings.Contains(err.Error(), "a secret of the credential") || strings.Contains(err.Error(), secret) {
				t.Errorf("%v, %d requests, the last to %s", err, len(seen), seen[len(seen)-1].URL)
			}
		})
	}
}
