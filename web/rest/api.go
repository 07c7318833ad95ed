// Package rest is how a route of the API is declared: its operation for the OpenAPI document, the
// shape of its inputs and answers, pages of lists, ETags and strict JSON bodies.
//
// It must not know resources; packages below web/api declare theirs with it.
package rest

import (
	"context"
	"net/http"
	"reflect"
	"slices"
	"strconv"

	"github.com/danielgtaylor/huma/v2"
	"github.com/danielgtaylor/huma/v2/adapters/humago"

	"keyflow/internal/fault"
	"keyflow/web/problem"
	"keyflow/web/request"
	"keyflow/web/session"
)

// API is the set of routes: huma operations, which make the OpenAPI document, and plain
// handlers beside them.
type API struct {
	huma   huma.API
	mux    *http.ServeMux
	report func(ctx context.Context, p *problem.Problem, err error) // logs what a problem does not show
	routes []string                                                 // patterns, in order of registration
	open   map[string]bool                                          // patterns that need no sign-in; all others do
}

// New returns an API without routes; report logs what a problem does not show.
func New(version string, report func(context.Context, *problem.Problem, error)) *API {
	config := huma.DefaultConfig("Keyflow", version)
	config.Info.Description = "Workflows as JSON, and the credentials they call other systems with."
	config.OpenAPIPath, config.DocsPath, config.SchemasPath = "", "", "" // package docs serves them
	config.Components.Schemas = huma.NewMapRegistry("#/components/schemas/", schemaName)
	config.CreateHooks = nil // no $schema property in answers
	config.Transformers = []huma.Transformer{problem.Scrub}
	config.RejectUnknownQueryParameters = true
	config.Components.SecuritySchemes = map[string]*huma.SecurityScheme{
		"token":   {Type: "http", Scheme: "bearer", Description: "An API token (kf_…)."},
		"session": {Type: "apiKey", In: "cookie", Name: "keyflow_session", Description: "The page's session."},
	}
	config.Security = []map[string][]string{{"token": {}}, {"session": {}}}
	mux := http.NewServeMux()
	return &API{huma: humago.New(mux, config), mux: mux, report: report, open: make(map[string]bool)}
}

// schemaName distinguishes types that have the same name in two packages.
func schemaName(t reflect.Type, hint string) string {
	if t == reflect.TypeFor[fault.Problem]() {
		return "Finding"
	}
	return huma.DefaultSchemaNamer(t, hint)
}

// Add registers an operation. The handler gets the caller; its errors become problems.
func Add[I, O any](a *API, o Operation, handler func(ctx context.Context, who session.Who, in *I) (*O, error)) {
	op := huma.Operation{
		OperationID: o.id(), Method: o.method, Path: V1 + o.path, Summary: o.summary, Tags: []string{o.tag()},
		DefaultStatus: o.status, MaxBodyBytes: o.limit, SkipValidateBody: true,
		Responses: map[string]*huma.Response{},
	}
	if o.hasBody() {
		op.RequestBody = &huma.RequestBody{}
	}
	if o.open {
		op.Security = []map[string][]string{}
		a.open[o.pattern()] = true
	}
	huma.Register(a.huma, op, func(ctx context.Context, in *I) (out *O, err error) {
		rec := request.From(ctx)
		if err = rec.Broken; err == nil {
			out, err = handler(ctx, rec.Who, in)
		}
		if err != nil {
			p := problem.From(ctx, err)
			a.report(ctx, p, err)
			return nil, p
		}
		return out, nil
	})
	a.routes = append(a.routes, o.pattern())
	a.document(&op, o)
}

// document corrects what huma documents for raw bodies and errors. op shares its maps and pointers
// with the registered operation.
func (a *API) document(op *huma.Operation, o Operation) {
	schemas := a.huma.OpenAPI().Components.Schemas
	if o.hasBody() {
		op.RequestBody.Required = !o.optional
		op.RequestBody.Content = map[string]*huma.MediaType{
			"application/json": {Schema: schemas.Schema(o.takes, true, "")},
		}
		for media, example := range o.forms {
			op.RequestBody.Content[media] = &huma.MediaType{Schema: schemas.Schema(reflect.TypeOf(example), true, "")}
		}
		if o.orCSV {
			op.RequestBody.Content["text/csv"] = &huma.MediaType{Schema: &huma.Schema{Type: huma.TypeString}}
		}
	}
	a.documentAnswers(op, o)
	op.Responses["default"] = &huma.Response{
		Description: "Error",
		Content: map[string]*huma.MediaType{
			"application/problem+json": {Schema: schemas.Schema(reflect.TypeFor[problem.Problem](), true, "")},
		},
	}
	for _, name := range []string{"ErrorModel", "ErrorDetail"} { // of huma, never sent
		delete(schemas.Map(), name)
	}
}

// documentAnswers adds what an operation answers beside what huma knows.
func (a *API) documentAnswers(op *huma.Operation, o Operation) {
	if o.batch {
		one := op.RequestBody.Content["application/json"]
		one.Schema = &huma.Schema{OneOf: []*huma.Schema{one.Schema, {Type: huma.TypeArray, Items: one.Schema}}}
	}
	if o.stream {
		op.Responses["200"] = &huma.Response{
			Description: http.StatusText(http.StatusOK),
			Content:     map[string]*huma.MediaType{"text/event-stream": {Schema: &huma.Schema{Type: huma.TypeString}}},
		}
	}
	for status, says := range o.more {
		response := &huma.Response{Description: says}
		if first := op.Responses[strconv.Itoa(op.DefaultStatus)]; status != http.StatusNoContent && first != nil {
			response.Content, response.Headers = first.Content, first.Headers
		}
		op.Responses[strconv.Itoa(status)] = response
	}
}

// Plain registers a handler that is no part of the OpenAPI document.
func (a *API) Plain(pattern string, handler http.HandlerFunc) {
	a.mux.HandleFunc(pattern, handler)
	a.routes = append(a.routes, pattern)
}

// PlainOpen is Plain for a route that needs no sign-in.
func (a *API) PlainOpen(pattern string, handler http.HandlerFunc) {
	a.Plain(pattern, handler)
	a.open[pattern] = true
}

// Routes returns the patterns of all routes, in the order of their registration.
func (a *API) Routes() []string { return slices.Clone(a.routes) }

// Open reports whether a pattern needs no sign-in.
func (a *API) Open(pattern string) bool { return a.open[pattern] }

// Document returns the OpenAPI document.
func (a *API) Document() *huma.OpenAPI { return a.huma.OpenAPI() }

// Match returns the handler of a request and the pattern that matched; "" when none did.
func (a *API) Match(r *http.Request) (http.Handler, string) { return a.mux.Handler(r) }

// ServeHTTP implements http.Handler.
func (a *API) ServeHTTP(w http.ResponseWriter, r *http.Request) { a.mux.ServeHTTP(w, r) }
