package demo

import (
	"embed"
	"encoding/json"
	"net/url"
	"path"
	"slices"
	"strings"

	"keyflow/credentials"
)

//go:embed workflows/*.json
var files embed.FS

// Workflows returns the demo's definitions, which call base, in the order they are shown.
func Workflows(base string) [][]byte {
	entries, err := files.ReadDir("workflows")
	if err != nil {
		return nil // embedded: cannot happen
	}
	names := make([]string, len(entries))
	for i, e := range entries {
		names[i] = path.Join("workflows", e.Name())
	}
	slices.Sort(names)
	out := make([][]byte, 0, len(names))
	for _, name := range names {
		if data, err := files.ReadFile(name); err == nil {
			out = append(out, []byte(strings.ReplaceAll(string(data), "http://demo.invalid", base)))
		}
	}
	return out
}

// Credentials returns one credential per authentication type for the API at base.
func Credentials(base string, s Secrets) []credentials.Input {
	host := base
	if u, err := url.Parse(base); err == nil {
		host = u.Scheme + "://" + u.Host
	}
	hosts := []string{host}
	input := func(id credentials.ID, name string, typ credentials.TypeName, folder string, fields map[string]any) credentials.Input {
		return credentials.Input{ID: id, Name: name, Type: typ, Folder: folder, Fields: fields, AllowedHosts: hosts, AllowedWorkflows: []string{"/**"}}
	}
	oauth := func(tokenPath string) map[string]any {
		return map[string]any{
			"grant_type": "client_credentials", "access_token_url": base + tokenPath,
			"client_id": s.ClientID, "client_secret": s.ClientSecret,
		}
	}
	consent := oauth("/oauth/token")
	consent["grant_type"] = "authorization_code"
	consent["authorization_url"] = base + "/oauth/authorize"
	marketo := input("demo-marketo", "Marketo-like API", "oauth2", "/demo", oauth("/identity/oauth/token"))
	marketo.Fields["client_authentication"] = "body"
	marketo.FailureRules = []credentials.FailureRule{{
		Status: []int{200}, Body: `response.body.success == false and any(response.body.errors, .code in ["601", "602"])`,
		Action: "renew", NotExecuted: true,
	}}
	erp := input("demo-erp", "ERP", "basic_auth", "/demo", map[string]any{"username": s.Username, "password": s.Password})
	erp.TestURL = base + "/erp/orders"
	return []credentials.Input{
		{ID: "demo-open", Name: "Open data", Type: "no_auth", Folder: "/demo", AllowedWorkflows: []string{"/**"}},
		erp,
		input("demo-cloud", "Cloud keys", "api_key", "/demo", map[string]any{"key": "X-Api-Key", "value": s.APIKey, "in": "header"}),
		input("demo-hr", "HR system", "oauth2", "/demo", oauth("/oauth/token")),
		marketo,
		input("demo-hr-consent", "HR system, with a person's consent", "oauth2", "/demo", consent),
	}
}

// Input is the JSON input of every demo run.
func Input() json.RawMessage { return json.RawMessage(`{}`) }
