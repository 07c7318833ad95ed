package standard_test

import (
	"net/http"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"

	"keyflow/nodes"
	"keyflow/nodes/nodetest"
)

func TestRespond(t *testing.T) {
	t.Parallel()
	plain := http.Header{"Content-Type": {"text/plain; charset=utf-8"}}
	tests := []struct {
		name string
		with map[string]any
		want nodes.Respond
	}{
		{"nothing", nil, nodes.Respond{Status: 200, Header: http.Header{}}},
		{"status alone", map[string]any{"status": 204}, nodes.Respond{Status: 204, Header: http.Header{}}},
		{"text", map[string]any{"body": "hi"}, nodes.Respond{Status: 200, Header: plain, Body: []byte("hi")}},
		{"empty text", map[string]any{"body": ""}, nodes.Respond{Status: 200, Header: plain, Body: []byte{}}},
		{"object", map[string]any{"status": 201, "body": map[string]any{"a": []any{1, "x"}}},
			nodes.Respond{Status: 201, Header: http.Header{"Content-Type": {"application/json"}}, Body: []byte(`{"a":[1,"x"]}`)}},
		{"null", map[string]any{"body": nil}, nodes.Respond{Status: 200, Header: http.Header{"Content-Type": {"application/json"}}, Body: []byte("null")}},
		{"own content type", map[string]any{"body": "<p>", "headers": map[string]any{"content-type": "text/html", "x-a": []any{1, true}, "x-b": nil}},
			nodes.Respond{Status: 200, Header: http.Header{"Content-Type": {"text/html"}, "X-A": {"1", "true"}}, Body: []byte("<p>")}},
		{"redirect", map[string]any{"status": 303, "headers": map[string]any{"Location": "/elsewhere"}},
			nodes.Respond{Status: 303, Header: http.Header{"Location": {"/elsewhere"}}}},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			t.Parallel()
			got, err := typeOf(t, "respond").New().Run(t.Context(), nodetest.New(t), nodes.Input{With: tt.with})
			if err != nil {
				t.Fatal(err)
			}
			if diff := cmp.Diff(nodes.Result(tt.want), got); diff != "" {
				t.Errorf("-want +got\n%s", diff)
			}
		})
	}
}

func TestRespondRefuses(t *testing.T) {
	t.Parallel()
	headers := func(name string, value any) map[string]any {
		return map[string]any{"headers": map[string]any{name: value}}
	}
	const onlyOurs = " is not for answers of workflows: it would act on Keyflow itself"
	tests := []struct {
		name string
		with map[string]any
		want string
	}{
		{"informational", map[string]any{"status": 103}, "invalid_param: with.status: must be between 200 and 599"},
		{"over 599", map[string]any{"status": 600}, "invalid_param: with.status: must be between 200 and 599"},
		{"body of a 204", map[string]any{"status": 204, "body": "x"}, "invalid_param: with.body: an answer with status 204 has none"},
		{"body of a 304", map[string]any{"status": 304, "body": map[string]any{}}, "invalid_param: with.body: an answer with status 304 has none"},
		{"cookie", headers("set-cookie", "a=b"), "invalid_param: with.headers: Set-Cookie" + onlyOurs},
		{"policy", headers("Content-security-policy", "default-src *"), "invalid_param: with.headers: Content-Security-Policy" + onlyOurs},
		{"sniffing", headers("X-Content-Type-Options", ""), "invalid_param: with.headers: X-Content-Type-Options" + onlyOurs},
		{"signing everybody out", headers("Clear-Site-Data", `"*"`), "invalid_param: with.headers: Clear-Site-Data" + onlyOurs},
		{"service worker", headers("Service-Worker-Allowed", "/"), "invalid_param: with.headers: Service-Worker-Allowed" + onlyOurs},
		{"asking for a password", headers("WWW-Authenticate", "Basic"), "invalid_param: with.headers: Www-Authenticate" + onlyOurs},
		{"our own", headers("keyflow-duplicate", "true"), "invalid_param: with.headers: Keyflow-Duplicate" + onlyOurs},
		{"framing", headers("Content-Length", 3), "invalid_param: with.headers: Content-Length is set by Keyflow itself"},
		{"framing in pieces", headers("transfer-encoding", "chunked"), "invalid_param: with.headers: Transfer-Encoding is set by Keyflow itself"},
		{"hop by hop", headers("Connection", "close"), "invalid_param: with.headers: Connection is set by Keyflow itself"},
		{"line break", headers("X-A", "a\r\nSet-Cookie: x=1"), "invalid_param: with.headers: the value of X-A holds a line break or control character"},
		{"line break in a name", headers("X-A\r\nB", "1"), `invalid_param: with.headers: "X-A\r\nB" is not a header name`},
		{"object as a value", headers("X-A", map[string]any{}), "invalid_param: with.headers: X-A must be text, a number, a boolean, or a list of those"},
		{"large headers", headers("X-A", strings.Repeat("a", 16<<10)), "too_large: with.headers: more than 16 KiB in all"},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			t.Parallel()
			_, err := nodetest.New(t).Run(t, typeOf(t, "respond"), tt.with)
			if got := stepError(t, err); got.Error() != tt.want || !got.Permanent {
				t.Errorf("got %q, permanent %v", got, got.Permanent)
			}
		})
	}
}
