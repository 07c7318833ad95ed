package web

import (
	"context"
	"maps"
	"net/http"
	"reflect"
	"strconv"
	"strings"

	"github.com/danielgtaylor/huma/v2"
	"github.com/danielgtaylor/huma/v2/adapters/humago"

	"keyflow/internal/fault"
	"keyflow/web/session"
)

// api is the set of routes: huma operations, which make the OpenAPI document, and plain
// handlers beside them.
type api struct {
	huma   huma.API
	mux    *http.ServeMux
	fail   func(ctx context.Context, p *Problem, err error) // logs what a problem does not show
	routes []string                                         // patterns, in order of registration
	open   map[string]bool                                  // patterns that need no sign-in; all others do
}

func newAPI(version string, logFailure func(context.Context, *Problem, error)) *api {
	config := huma.DefaultConfig("Keyflow", version)
	config.Info.Description = "Workflows as JSON, and the credentials they call other systems with."
	config.OpenAPIPath, config.DocsPath, config.SchemasPath = "", "", "" // served by us
	config.Components.Schemas = huma.NewMapRegistry("#/components/schemas/", schemaName)
	config.CreateHooks = nil // no $schema property in answers
	config.Transformers = []huma.Transformer{scrub}
	config.RejectUnknownQueryParameters = true
	config.Components.SecuritySchemes = map[string]*huma.SecurityScheme{
		"token":   {Type: "http", Scheme: "bearer", Description: "An API token (kf_…)."},
		"session": {Type: "apiKey", In: "cookie", Name: "keyflow_session", Description: "The page's session."},
	}
	config.Security = []map[string][]string{{"token": {}}, {"session": {}}}
	mux := http.NewServeMux()
	return &api{huma: humago.New(mux, config), mux: mux, fail: logFailure, open: make(map[string]bool)}
}

// schemaName tells types apart that have the same name in two packages.
func schemaName(t reflect.Type, hint string) string {
	if t == reflect.TypeFor[fault.Problem]() {
		return "Finding"
	}
	return huma.DefaultSchemaNamer(t, hint)
}

// operation describes one route of the API. It is built by get, post and so on.
type operation struct {
	method, path, summary string
	status                int
	takes                 reflect.Type   // of the JSON body; nil: none
	optional              bool           // the body may be missing
	orCSV                 bool           // the body may also be text/csv
	forms                 map[string]any // other media types of the body, by any value of each
	limit                 int64          // of the body, in bytes
	more                  map[int]string // other answers: what each status says
	stream                bool           // the answer is server-sent events
	batch                 bool           // the JSON body may also be a list
	open                  bool
}

// v1 is the base of the versioned API.
const v1 = "/api/v1"

// defaultLimit bounds a body unless the route says otherwise.
const defaultLimit = 1 << 20

func get(path, summary string) operation {
	return operation{method: "GET", path: path, summary: summary}
}
func post(path, summary string) operation {
	return operation{method: "POST", path: path, summary: summary}
}
func put(path, summary string) operation {
	return operation{method: "PUT", path: path, summary: summary}
}
func patch(path, summary string) operation {
	return operation{method: "PATCH", path: path, summary: summary}
}
func del(path, summary string) operation {
	return operation{method: "DELETE", path: path, summary: summary}
}

// json declares the body's type, by any value of it.
func (o operation) json(example any) operation {
	o.takes = reflect.TypeOf(example)
	if o.limit == 0 {
		o.limit = defaultLimit
	}
	return o
}

// also declares other media types of the body.
func (o operation) also(forms map[string]any) operation { o.forms = forms; return o }
func (o operation) orCSVBody() operation                { o.orCSV = true; return o }
func (o operation) optionalBody() operation             { o.optional = true; return o }
func (o operation) maxBytes(n int64) operation          { o.limit = n; return o }
func (o operation) answers(status int) operation        { o.status = status; return o }

// or declares another answer: of the same shape as the first, or empty when it is 204.
func (o operation) or(status int, says string) operation {
	more := maps.Clone(o.more)
	if more == nil {
		more = make(map[int]string)
	}
	more[status] = says
	o.more = more
	return o
}
func (o operation) streams() operation       { o.stream = true; return o }
func (o operation) orList() operation        { o.batch = true; return o }
func (o operation) withoutSignIn() operation { o.open = true; return o }
func (o operation) pattern() string          { return o.method + " " + v1 + o.path }
func (o operation) id() string {
	return strings.ToLower(o.method) + strings.NewReplacer("/", "-", "{", "", "}", "").Replace(o.path)
}
func (o operation) tag() string   { first, _, _ := strings.Cut(o.path[1:], "/"); return first }
func (o operation) hasBody() bool { return o.takes != nil }

// add registers an operation. The handler gets who calls; its errors become problems.
func add[I, O any](a *api, o operation, handler func(ctx context.Context, who session.Who, in *I) (*O, error)) {
	op := huma.Operation{
		OperationID: o.id(), Method: o.method, Path: v1 + o.path, Summary: o.summary, Tags: []string{o.tag()},
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
		rec := requestFrom(ctx)
		if err = rec.broken; err == nil {
			out, err = handler(ctx, rec.who, in)
		}
		if err != nil {
			p := problem(ctx, err)
			a.fail(ctx, p, err)
			return nil, p
		}
		return out, nil
	})
	a.routes = append(a.routes, o.pattern())
	a.document(&op, o)
}

// document corrects what huma wrote about raw bodies and errors; op shares its maps and
// pointers with the registered operation.
func (a *api) document(op *huma.Operation, o operation) {
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
			"application/problem+json": {Schema: schemas.Schema(reflect.TypeFor[Problem](), true, "")},
		},
	}
	for _, name := range []string{"ErrorModel", "ErrorDetail"} { // huma's own, which we never send
		delete(schemas.Map(), name)
	}
}

// documentAnswers adds what an operation answers beside what huma knows.
func (a *api) documentAnswers(op *huma.Operation, o operation) {
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

// plain registers a handler that is no part of the OpenAPI document.
func (a *api) plain(pattern string, handler http.HandlerFunc) {
	a.mux.HandleFunc(pattern, handler)
	a.routes = append(a.routes, pattern)
}

// plainOpen is plain for a route that needs no sign-in.
func (a *api) plainOpen(pattern string, handler http.HandlerFunc) {
	a.plain(pattern, handler)
	a.open[pattern] = true
}

// answer is a JSON answer.
type answer[T any] struct {
	Status   int    `json:"-"`
	ETag     string `header:"ETag" doc:"The revision, for If-Match."`
	Location string `header:"Location"`
	Body     T
}

func ok[T any](v T) *answer[T] { return &answer[T]{Status: http.StatusOK, Body: v} }

// empty is the answer 204.
type empty struct{}

// page is one page of a list.
type page[T any] struct {
	Items      []T     `json:"items" nullable:"false"`
	NextCursor *string `json:"next_cursor" doc:"Give it as cursor to get the next page; null on the last."`
}

// Paging is the input of every list.
type Paging struct {
	Cursor string `query:"cursor" maxLength:"200" doc:"next_cursor of the page before."`
	Limit  int    `query:"limit" minimum:"1" maximum:"200" default:"50"`
}

// fetch is how many items to ask for: one more than the page, to see whether it is the last.
func (p Paging) fetch() int { return p.Limit + 1 }

// pageOf makes a page of views of what was fetched; cursor names its last item when there
// are more. limit 0 is all.
func pageOf[T, V any](items []T, limit int, view func(T) V, cursor func(T) string) *answer[page[V]] {
	more := limit > 0 && len(items) > limit
	if more {
		items = items[:limit]
	}
	p := page[V]{Items: make([]V, len(items))}
	for i, item := range items {
		p.Items[i] = view(item)
	}
	if more {
		last := cursor(items[len(items)-1])
		p.NextCursor = &last
	}
	return ok(p)
}

// listOf makes the only page of a short list.
func listOf[T, V any](items []T, view func(T) V) *answer[page[V]] {
	return pageOf(items, 0, view, nil)
}
