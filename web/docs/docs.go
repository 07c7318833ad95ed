// Package docs answers what describes the API: the list of its operations, the OpenAPI document and
// the JSON Schemas of workflows and credentials.
//
// It must not know what the operations do.
package docs

import (
	"crypto/rand"
	"encoding/json"
	"html/template"
	"net/http"
	"slices"
	"strings"

	"github.com/danielgtaylor/huma/v2"

	"keyflow/credentials/document"
	"keyflow/web/page"
	"keyflow/web/problem"
	"keyflow/web/rest"
	"keyflow/workflows"
)

// Handler has one method for each path.
type Handler struct {
	API      *rest.API
	Version  string
	Base     string // the public URL's path, without a slash at its end
	Problems problem.Responder
}

// docsPage lists the operations; the details are in the OpenAPI document. It needs no script.
const docsPage = `<!doctype html>
<html lang="en">
<head>
<meta charset="utf-8">
<meta name="viewport" content="width=device-width, initial-scale=1">
<meta name="color-scheme" content="light dark">
<title>Keyflow API</title>
<style nonce="{{.Nonce}}">body{font:15px/1.5 system-ui,sans-serif;max-width:60rem;margin:2rem auto;padding:0 1rem}table{border-collapse:collapse;width:100%}td{padding:.25rem .75rem .25rem 0;border-top:1px solid #8884;vertical-align:top}code{font-size:.95em}h2{margin-top:2rem}</style>
</head>
<body>
<main>
<h1>Keyflow API</h1>
<p>Version {{.Version}}. The complete description, with every parameter and shape, is the
<a href="{{.Base}}/openapi.json">OpenAPI 3.1 document</a>. Send <code>Authorization: Bearer kf_…</code>.
Errors are <code>application/problem+json</code>.</p>
{{range .Groups}}<h2>{{.Name}}</h2>
<table>
{{range .Operations}}<tr><td><code>{{.Method}}</code></td><td><code>{{.Path}}</code></td><td>{{.Summary}}</td></tr>
{{end}}</table>
{{end}}</main>
</body>
</html>
`

type group struct {
	Name       string
	Operations []operation
}

type operation struct{ Method, Path, Summary string }

// List answers a page with all operations.
func (h *Handler) List(w http.ResponseWriter, _ *http.Request) {
	nonce := rand.Text()
	data := map[string]any{"Nonce": nonce, "Version": h.Version, "Base": h.Base, "Groups": h.groups()}
	page.Begin(w, http.StatusOK, nonce)
	if err := template.Must(template.New("docs").Parse(docsPage)).Execute(w, data); err != nil {
		h.Problems.Logger.Debug("page was not sent to its end", "error", err)
	}
}

// groups lists the operations in the order of the routes, by tag.
func (h *Handler) groups() []group {
	var groups []group
	for _, pattern := range h.API.Routes() {
		method, path, _ := strings.Cut(pattern, " ")
		op := operationAt(h.API.Document().Paths[path], method)
		if op == nil {
			continue
		}
		i := slices.IndexFunc(groups, func(g group) bool { return g.Name == op.Tags[0] })
		if i < 0 {
			i = len(groups)
			groups = append(groups, group{Name: op.Tags[0]})
		}
		groups[i].Operations = append(groups[i].Operations, operation{method, path, op.Summary})
	}
	return groups
}

func operationAt(item *huma.PathItem, method string) *huma.Operation {
	if item == nil {
		return nil
	}
	switch method {
	case http.MethodGet:
		return item.Get
	case http.MethodPost:
		return item.Post
	case http.MethodPut:
		return item.Put
	case http.MethodPatch:
		return item.Patch
	case http.MethodDelete:
		return item.Delete
	}
	return nil
}

// OpenAPI answers the OpenAPI 3.1 document.
func (h *Handler) OpenAPI(w http.ResponseWriter, r *http.Request) {
	h.writeJSON(w, r, "application/openapi+json", h.API.Document())
}

// WorkflowSchema answers the JSON Schema of workflows.
func (h *Handler) WorkflowSchema(w http.ResponseWriter, r *http.Request) {
	h.schema(w, r, workflows.Schema)
}

// CredentialSchema answers the JSON Schema of credentials.
func (h *Handler) CredentialSchema(w http.ResponseWriter, r *http.Request) {
	h.schema(w, r, document.Schema)
}

func (h *Handler) schema(w http.ResponseWriter, r *http.Request, of func() ([]byte, error)) {
	schema, err := of()
	if err != nil {
		h.Problems.Fail(r.Context(), w, err)
		return
	}
	w.Header().Set("Content-Type", "application/schema+json")
	_, _ = w.Write(schema)
}

func (h *Handler) writeJSON(w http.ResponseWriter, r *http.Request, contentType string, v any) {
	data, err := json.Marshal(v)
	if err != nil {
		h.Problems.Fail(r.Context(), w, err)
		return
	}
	w.Header().Set("Content-Type", contentType)
	_, _ = w.Write(data)
}
