package vault_test

import (
	"fmt"
	"io"
	"net/http"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"

	"keyflow/credentials"
	"keyflow/internal/fault"
)

func useOf(id credentials.ID) credentials.Use { return credentials.Use{ID: id} }

const customFields = `{"headers": {"X-Tenant": "acme"}, "secret_headers": {"X-App": "canary-App-1", "X-Key": "canary-Key-1"},
	"query": {"v": "2"}, "secret_query": {"sig": "canary+Sig/1"}, "body": {"client": "c1"}, "secret_body": {"token": "canary-Body-1"}}`

func TestCustom(t *testing.T) {
	t.Parallel()
	n := online(t)
	up := serve(t, func(w http.ResponseWriter, r *http.Request) { // an upstream that repeats what it was sent
		_, _ = fmt.Fprint(w, r.Header.Get("X-App"), r.Header.Get("X-Key"), r.URL.RawQuery)
	})
	n.create(t, fmt.Sprintf(`{"id": "custom", "type": "custom", "allowed_hosts": [%q], "fields": %s}`, up.host, customFields))
	tests := map[string]struct{ contentType, body, want, err string }{
		"json":          {"application/json", `{"n": 12345678901234567890, "client": "theirs"}`, `{"client":"c1","n":12345678901234567890,"token":"canary-Body-1"}`, ""},
		"another json":  {"application/vnd.api+json; charset=utf-8", `{}`, `{"client":"c1","token":"canary-Body-1"}`, ""},
		"form":          {"application/x-www-form-urlencoded", "a=b&token=theirs", "a=b&client=c1&token=canary-Body-1", ""},
		"json list":     {"application/json", `[1]`, "", "its values belong into a JSON object or a form"},
		"json null":     {"application/json", `null`, "", "its values belong into a JSON object or a form"},
		"text":          {"text/plain", `hello`, "", "its values belong into a JSON object or a form"},
		"broken form":   {"application/x-www-form-urlencoded", "a=%zz", "", "its values belong into a JSON object or a form"},
		"no type":       {"", "{}", "", "its values belong into a JSON object or a form"},
		"far too large": {"application/json", `{"a":"` + strings.Repeat("x", 10<<20) + `"}`, "", "the body is larger than 10 MiB"},
	}
	for name, tt := range tests {
		t.Run(name, func(t *testing.T) {
			req, err := http.NewRequestWithContext(t.Context(), http.MethodPost, up.URL+"/?a=1", strings.NewReader(tt.body))
			if err != nil {
				t.Fatal(err)
			}
			req.Header.Set("Content-Type", tt.contentType)
			before := len(up.requests())
			res, err := n.client(t, useOf("custom")).Do(req)
			if tt.err != "" {
				if err == nil || !strings.Contains(err.Error(), tt.err) || len(up.requests()) != before {
					t.Errorf("got %v, want %q and nothing sent", err, tt.err)
				}
				return
			}
			if err != nil {
				t.Fatal(err)
			}
			defer res.Body.Close()
			echo, _ := io.ReadAll(res.Body)
			if strings.Contains(string(echo), "anary") {
				t.Errorf("the answer shows a secret: %s", echo)
			}
			got := up.requests()[before]
			if diff := cmp.Diff(tt.want, got.Body); diff != "" {
				t.Errorf("body (-want +got):\n%s", diff)
			}
			if got.URL != "/?a=1&v=2&sig=canary%2BSig%2F1" || got.Header.Get("X-Tenant") != "acme" || got.Header.Get("X-App") != "canary-App-1" || got.Header.Get("X-Key") != "canary-Key-1" {
				t.Errorf("sent %+v", got)
			}
		})
	}
}

// A map of secrets is one secret: it is replaced or cleared as a whole, and never shown.
func TestSecretMaps(t *testing.T) {
	t.Parallel()
	n := online(t)
	up := serve(t, nil)
	n.create(t, fmt.Sprintf(`{"id": "custom", "type": "custom", "allowed_hosts": [%q], "fields": {"headers": {"X-A": "1"}, "secret_headers": {"X-App": "canary-App-1", "X-Key": "abc"}}}`, up.host))
	c, err := n.Get(t.Context(), admin, "custom")
	if err != nil {
		t.Fatal(err)
	}
	if text := quoted(t, c); strings.Contains(text, "canary") || strings.Contains(text, "abc") || !c.Secrets["secret_headers"].Set {
		t.Errorf("shown as %s", text)
	}
	if want := []string{"secret_headers is shorter than 8 characters: easy to guess, and not recognized when an answer repeats it alone"}; !cmp.Equal(want, c.Warnings) {
		t.Errorf("warnings %v", c.Warnings)
	}
	n.patch(t, "custom", `{"fields": {"secret_headers": {"X-Other": "canary-Other-1"}}}`)
	mustGet(t, n, "custom", up.URL)
	if h := up.requests()[0].Header; h.Get("X-Other") != "canary-Other-1" || h.Get("X-App") != "" {
		t.Errorf("after the replacement %v", h)
	}
	n.patch(t, "custom", `{"fields": {"secret_headers": {}}}`)
	mustGet(t, n, "custom", up.URL)
	if h := up.requests()[1].Header; h.Get("X-Other") != "" || h.Get("X-A") != "1" {
		t.Errorf("after clearing %v", h)
	}
}

func TestStaticTypesBadInput(t *testing.T) {
	t.Parallel()
	n := online(t)
	tests := map[string]struct{ typ, fields, want string }{
		"bearer missing":       {"bearer_token", `{}`, "/fields/token required: is required"},
		"bearer empty":         {"bearer_token", `{"token": ""}`, "/fields/token required: is required"},
		"bearer with the word": {"bearer_token", `{"token": "bearer abc"}`, "/fields/token invalid_value: begins with the word Bearer: leave it out, it is added"},
		"bearer with newline":  {"bearer_token", `{"token": "abc\n"}`, "/fields/token invalid_value: a header cannot hold line breaks or control characters; was a line break copied along?"},
		"bearer binary":        {"bearer_token", `{"token": "a\u0000b"}`, "/fields/token invalid_value: a header cannot hold line breaks or control characters; was a line break copied along?"},
		"bearer 1 MiB":         {"bearer_token", `{"token": "` + strings.Repeat("x", 1<<20) + `"}`, "/fields/token invalid_value: is longer than 64 KiB"},
		"bearer as number":     {"bearer_token", `{"token": 5}`, "/fields/token invalid_type: must be a text"},
		"custom empty":         {"custom", `{}`, "/fields/secret_headers required: is required, or another of the fields: without any the type is no_auth"},
		"custom header":        {"custom", `{"secret_headers": {"a b": "x\n"}}`, "/fields/secret_headers invalid_value: header \"a b\": not a possible header name: use letters, digits and -"},
		"custom twice":         {"custom", `{"secret_query": {"k": "canary-1"}, "query": {"k": "2"}}`, "/fields/query invalid_value: holds k, which secret_query holds too"},
		"custom text":          {"custom", `{"secret_headers": "X-Key: canary"}`, "/fields/secret_headers invalid_type: must be an object of texts"},
		"custom number":        {"custom", `{"secret_headers": {"X-Key": 5}}`, "/fields/secret_headers/X-Key invalid_type: must be a text with a name"},
		"certificate, no text": {"client_certificate", `{"client_certificate": 5, "client_key": "k"}`, "/fields/client_certificate invalid_type: must be a text"},
	}
	for name, tt := range tests {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			_, err := n.Create(t.Context(), admin, input(t, fmt.Sprintf(`{"id": "x", "type": %q, "allowed_hosts": ["a.example"], "fields": %s}`, tt.typ, tt.fields)))
			got := strings.Join(problemLines(err), "\n")
			if !strings.HasPrefix(got, tt.want) || !fault.Is(err, fault.Invalid) {
				t.Errorf("got\n%.300s\nwant\n%s", got, tt.want)
			}
			if err != nil && strings.Contains(err.Error(), "canary") {
				t.Errorf("the error shows a secret: %v", err)
			}
		})
	}
}

func TestBearerToken(t *testing.T) {
	t.Parallel()
	n := online(t)
	up := serve(t, nil)
	n.create(t, fmt.Sprintf(`{"id": "gh", "type": "bearer_token", "allowed_hosts": [%q], "fields": {"token": "canary-Token-1"}}`, up.host))
	mustGet(t, n, "gh", up.URL)
	if got := up.requests()[0].Header.Get("Authorization"); got != "Bearer canary-Token-1" {
		t.Errorf("sent %q", got)
	}
	for value, ok := range map[string]bool{
		"Bearer canary-Token-1": true, "bearer canary-Token-1": true, "canary-Token-1": false, "Bearer canary-Token-2": false, "Bearer  canary-Token-1": false, "": false,
	} {
		err := n.verify(t, "gh", "", map[string]string{"Authorization": value})
		if ok != (err == nil) || !ok && !fault.Is(err, fault.Unauthenticated) {
			t.Errorf("%q: %v", value, err)
		}
	}
}
