package web

import (
	"context"
	"crypto/rand"
	"encoding/json"
	"net/http"
	"strings"
	"time"

	"github.com/danielgtaylor/huma/v2"

	"keyflow/credentials/document"
	"keyflow/workflows"
)

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

type docsGroup struct {
	Name       string
	Operations []docsOperation
}

type docsOperation struct{ Method, Path, Summary string }

func (s *server) docs(w http.ResponseWriter, _ *http.Request) {
	nonce := rand.Text()
	s.showPage(w, http.StatusOK, s.docsTemplate, nonce, map[string]any{
		"Nonce": nonce, "Version": s.version, "Base": s.base, "Groups": s.docsGroups(),
	})
}

// docsGroups lists the operations in the order of the routes, by tag.
func (s *server) docsGroups() []docsGroup {
	var groups []docsGroup
	for _, pattern := range s.api.routes {
		method, path, _ := strings.Cut(pattern, " ")
		op := operationAt(s.api.huma.OpenAPI().Paths[path], method)
		if op == nil {
			continue
		}
		if len(groups) == 0 || groups[len(groups)-1].Name != op.Tags[0] {
			groups = append(groups, docsGroup{Name: op.Tags[0]})
		}
		last := &groups[len(groups)-1]
		last.Operations = append(last.Operations, docsOperation{method, path, op.Summary})
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

func (s *server) openAPI(w http.ResponseWriter, r *http.Request) {
	s.writeJSON(w, r, "application/openapi+json", s.api.huma.OpenAPI())
}

func (s *server) workflowSchema(w http.ResponseWriter, r *http.Request) {
	s.schema(w, r, workflows.Schema)
}

func (s *server) credentialSchema(w http.ResponseWriter, r *http.Request) {
	s.schema(w, r, document.Schema)
}

func (s *server) schema(w http.ResponseWriter, r *http.Request, of func() ([]byte, error)) {
	schema, err := of()
	if err != nil {
		s.fail(r.Context(), w, err)
		return
	}
	w.Header().Set("Content-Type", "application/schema+json")
	_, _ = w.Write(schema)
}

// readyTimeout bounds a readiness check: a database that hangs is not ready.
const readyTimeout = 5 * time.Second

func (s *server) healthz(w http.ResponseWriter, r *http.Request) {
	s.writeJSON(w, r, "application/json", map[string]string{"status": "ok"})
}

func (s *server) readyz(w http.ResponseWriter, r *http.Request) {
	ctx, cancel := context.WithTimeout(r.Context(), readyTimeout)
	defer cancel()
	if err := s.ready(ctx); err != nil {
		s.fail(r.Context(), w, err)
		return
	}
	s.writeJSON(w, r, "application/json", map[string]string{"status": "ready"})
}

func (s *server) writeJSON(w http.ResponseWriter, r *http.Request, contentType string, v any) {
	data, err := json.Marshal(v)
	if err != nil {
		s.fail(r.Context(), w, err)
		return
	}
	w.Header().Set("Content-Type", contentType)
	_, _ = w.Write(data)
}
