package rest

import (
	"maps"
	"reflect"
	"strings"
)

// Operation describes one route of the API. It is built by Get, Post and so on.
type Operation struct {
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

// V1 is the base of the versioned API.
const V1 = "/api/v1"

// defaultLimit bounds a body unless the route says otherwise.
const defaultLimit = 1 << 20

// Get describes a route of the method GET.
func Get(path, summary string) Operation {
	return Operation{method: "GET", path: path, summary: summary}
}

// Post describes a route of the method POST.
func Post(path, summary string) Operation {
	return Operation{method: "POST", path: path, summary: summary}
}

// Put describes a route of the method PUT.
func Put(path, summary string) Operation {
	return Operation{method: "PUT", path: path, summary: summary}
}

// Patch describes a route of the method PATCH.
func Patch(path, summary string) Operation {
	return Operation{method: "PATCH", path: path, summary: summary}
}

// Delete describes a route of the method DELETE.
func Delete(path, summary string) Operation {
	return Operation{method: "DELETE", path: path, summary: summary}
}

// JSON declares the body's type, by any value of it.
func (o Operation) JSON(example any) Operation {
	o.takes = reflect.TypeOf(example)
	if o.limit == 0 {
		o.limit = defaultLimit
	}
	return o
}

// Also declares other media types of the body.
func (o Operation) Also(forms map[string]any) Operation { o.forms = forms; return o }

// OrCSV says that the body may also be text/csv.
func (o Operation) OrCSV() Operation { o.orCSV = true; return o }

// OptionalBody says that the body may be missing.
func (o Operation) OptionalBody() Operation { o.optional = true; return o }

// MaxBytes bounds the body; the default is 1 MiB.
func (o Operation) MaxBytes(n int64) Operation { o.limit = n; return o }

// Answers sets the status of success; the default is 200.
func (o Operation) Answers(status int) Operation { o.status = status; return o }

// Or declares another answer: of the same shape as the first, or empty when it is 204.
func (o Operation) Or(status int, says string) Operation {
	more := maps.Clone(o.more)
	if more == nil {
		more = make(map[int]string)
	}
	more[status] = says
	o.more = more
	return o
}

// Streams says that the answer is server-sent events.
func (o Operation) Streams() Operation { o.stream = true; return o }

// OrList says that the JSON body may also be a list.
func (o Operation) OrList() Operation { o.batch = true; return o }

// WithoutSignIn allows callers that are not signed in.
func (o Operation) WithoutSignIn() Operation { o.open = true; return o }

func (o Operation) pattern() string { return o.method + " " + V1 + o.path }

func (o Operation) id() string {
	return strings.ToLower(o.method) + strings.NewReplacer("/", "-", "{", "", "}", "").Replace(o.path)
}

func (o Operation) tag() string { first, _, _ := strings.Cut(o.path[1:], "/"); return first }

func (o Operation) hasBody() bool { return o.takes != nil }
