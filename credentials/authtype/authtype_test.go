package authtype

import (
	"net/http"
	"net/http/httptest"
	"slices"
	"testing"

	"github.com/google/go-cmp/cmp"

	"keyflow/internal/secret"
)

func TestAuthenticate(t *testing.T) {
	t.Parallel()
	tests := map[string]struct {
		typ     Type
		fields  map[string]any
		secrets map[string]string
		token   string
		request func(r *http.Request) // what the author of the node wrote
		header  http.Header
		query   string
		wire    []string
	}{
		"no_auth": {typ: noAuth(), query: "a=b&c=%20d", header: http.Header{}},
		"basic": {
			typ: basicAuth(), fields: map[string]any{"username": "Aladdin"}, secrets: map[string]string{"password": "open sesame"},
			request: func(r *http.Request) { r.Header.Set("Authorization", "Bearer mine") },
			header:  http.Header{"Authorization": {"Basic QWxhZGRpbjpvcGVuIHNlc2FtZQ=="}}, query: "a=b&c=%20d",
			wire: []string{"Basic QWxhZGRpbjpvcGVuIHNlc2FtZQ==", "QWxhZGRpbjpvcGVuIHNlc2FtZQ=="},
		},
		"basic in UTF-8, no password": {
			typ: basicAuth(), fields: map[string]any{"username": "ü"}, header: http.Header{"Authorization": {"Basic w7w6"}}, query: "a=b&c=%20d",
			wire: []string{"Basic w7w6", "w7w6"},
		},
		"basic, user name secret": {
			typ: basicAuth(), fields: map[string]any{"username_secret": true}, secrets: map[string]string{"username": "k", "password": "x"},
			header: http.Header{"Authorization": {"Basic azp4"}}, query: "a=b&c=%20d", wire: []string{"Basic azp4", "azp4"},
		},
		"api key in a header": {
			typ: apiKey(), fields: map[string]any{"key": "x-api-key"}, secrets: map[string]string{"value": "v"},
			header: http.Header{"X-Api-Key": {"v"}}, query: "a=b&c=%20d", wire: []string{"v"},
		},
		"api key with prefix": {
			typ: apiKey(), fields: map[string]any{"key": "Authorization", "prefix": "Token "}, secrets: map[string]string{"value": "v"},
			header: http.Header{"Authorization": {"Token v"}}, query: "a=b&c=%20d", wire: []string{"Token v"},
		},
		"api key in the query": {
			typ: apiKey(), fields: map[string]any{"key": "k y", "in": "query"}, secrets: map[string]string{"value": "a+b&c d"},
			request: func(r *http.Request) { r.URL.RawQuery = "k+y=old&a=b&c=%20d&k%20y=older" },
			header:  http.Header{}, query: "a=b&c=%20d&k+y=a%2Bb%26c+d", wire: []string{"a+b&c d", "a%2Bb%26c+d"},
		},
		"api key in a cookie": {
			typ: apiKey(), fields: map[string]any{"key": "sid", "in": "cookie"}, secrets: map[string]string{"value": "v=1"},
			request: func(r *http.Request) { r.Header.Set("Cookie", "a=b; sid=old;c=d") },
			header:  http.Header{"Cookie": {"a=b; c=d; sid=v=1"}}, query: "a=b&c=%20d", wire: []string{"v=1"},
		},
		"token": {
			typ: oauth2(), token: "t", header: http.Header{"Authorization": {"Bearer t"}}, query: "a=b&c=%20d", wire: []string{"Bearer t", "t"},
		},
		"token in another header": {
			typ: oauth2(), fields: map[string]any{"header_name": "x-token", "prefix": ""}, token: "t",
			header: http.Header{"X-Token": {"t"}}, query: "a=b&c=%20d", wire: []string{"t", "t"},
		},
		"token in the query": {
			typ: oauth2(), fields: map[string]any{"placement": "query"}, token: "t/1", header: http.Header{},
			query: "a=b&c=%20d&access_token=t%2F1", wire: []string{"t/1", "t%2F1"},
		},
		"token in another parameter": {
			typ: oauth2(), fields: map[string]any{"placement": "query", "query_name": "auth"}, token: "t", header: http.Header{},
			query: "a=b&c=%20d&auth=t", wire: []string{"t", "t"},
		},
	}
	for name, tt := range tests {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			o := &Values{Plain: Texts(&tt.typ, tt.fields), Secret: make(map[string]secret.Text)}
			for field, text := range tt.secrets {
				o.Secret[field] = secret.New(text)
			}
			r := httptest.NewRequest(http.MethodGet, "https://a.example/p?a=b&c=%20d", nil)
			if tt.request != nil {
				tt.request(r)
			}
			wire, err := tt.typ.Authenticate(o, r, Proof{Token: tt.token})
			if err != nil {
				t.Fatal(err)
			}
			if diff := cmp.Diff(tt.header, r.Header); diff != "" {
				t.Errorf("header (-want +got):\n%s", diff)
			}
			if r.URL.RawQuery != tt.query {
				t.Errorf("query %q, want %q", r.URL.RawQuery, tt.query)
			}
			if diff := cmp.Diff(tt.wire, wire); diff != "" {
				t.Errorf("wire (-want +got):\n%s", diff)
			}
		})
	}
}

// Every declared field is complete, so that forms and documentation can be made from it.
func TestTypeDeclarations(t *testing.T) {
	t.Parallel()
	for _, typ := range All() {
		if typ.Label == "" || typ.Summary == "" || typ.Fields == nil || typ.Authenticate == nil {
			t.Errorf("type %s is not complete", typ.Name)
		}
		for _, f := range typ.Fields {
			if f.Label == "" || f.Help == "" || f.Kind == "" || (f.Kind == KindChoice) != (len(f.Choices) > 0) {
				t.Errorf("field %s of %s is not complete", f.Name, typ.Name)
			}
			for other := range f.ShowIf {
				if typ.Field(other) == nil {
					t.Errorf("field %s of %s is shown by the unknown field %s", f.Name, typ.Name, other)
				}
			}
			if f.SecretIf != "" && typ.Field(f.SecretIf) == nil {
				t.Errorf("field %s of %s is secret by the unknown field %s", f.Name, typ.Name, f.SecretIf)
			}
			if f.Default != "" && f.Kind == KindChoice && !slices.Contains(f.Choices, f.Default) {
				t.Errorf("default of field %s of %s is not a choice", f.Name, typ.Name)
			}
		}
	}
}
