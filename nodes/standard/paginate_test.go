package standard_test

import (
	"encoding/json"
	"fmt"
	"net/http"
	"net/http/httptest"
	"strconv"
	"testing"

	"github.com/google/go-cmp/cmp"

	"keyflow/nodes"
	"keyflow/nodes/nodetest"
)

// numbers serves a list of numbers, two a page, in the ways of pagination that APIs have.
func numbers(t *testing.T, total int) (url string, asked *[]string) {
	t.Helper()
	asked = &[]string{}
	server := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		*asked = append(*asked, r.Method+" "+r.URL.RequestURI()+" "+r.Header.Get("Idempotency-Key"))
		from, _ := strconv.Atoi(r.URL.Query().Get("from"))
		page := []int{}
		for n := from; n < min(from+2, total); n++ {
			page = append(page, n)
		}
		body := map[string]any{"items": page, "next": nil}
		if from+2 < total {
			body["next"] = fmt.Sprintf("/list?from=%d&kind=a", from+2)
			w.Header().Set("Link", fmt.Sprintf(`<http://%s/list?from=%d>; rel="next"`, r.Host, from+2))
		}
		w.Header().Set("Content-Type", "application/json")
		_ = json.NewEncoder(w).Encode(body)
	}))
	t.Cleanup(server.Close)
	return server.URL, asked
}

func TestPaginate(t *testing.T) {
	t.Parallel()
	tests := []struct {
		name   string
		method string
		next   string
		limit  int // 0: not given
		total  int
		want   []any
		pages  int
		more   bool
		asked  []string
	}{
		{
			name: "a path in the body", next: "response.body.next", total: 5, want: []any{0, 1, 2, 3, 4}, pages: 3,
			asked: []string{"GET /list?kind=a ", "GET /list?from=2&kind=a ", "GET /list?from=4&kind=a "},
		},
		{
			name: "a Link header", next: `split(split(response.headers["link"] ?? "<>", "<")[1], ">")[0]`, total: 3, want: []any{0, 1, 2}, pages: 2,
			asked: []string{"GET /list?kind=a ", "GET /list?from=2 "},
		},
		{
			name: "a patch of the query", next: `response.body.next != nil ? {"from": page * 2, "kind": nil} : nil`, total: 4, want: []any{0, 1, 2, 3}, pages: 2,
			asked: []string{"GET /list?kind=a ", "GET /list?from=2 "},
		},
		{name: "one page", next: "response.body.next", total: 2, want: []any{0, 1}, pages: 1, asked: []string{"GET /list?kind=a "}},
		{name: "no items", next: "response.body.next", total: 0, want: []any{}, pages: 1, asked: []string{"GET /list?kind=a "}},
		{
			name: "no more pages than asked for", next: "response.body.next", limit: 2, total: 100, want: []any{0, 1, 2, 3}, pages: 2, more: true,
			asked: []string{"GET /list?kind=a ", "GET /list?from=2&kind=a "},
		},
		{
			name: "POST has a key for each page", method: "POST", next: "response.body.next", total: 3, want: []any{0, 1, 2}, pages: 2,
			asked: []string{"POST /list?kind=a run/node/0", "POST /list?from=2&kind=a run/node/0/1"},
		},
	}
	for _, test := range tests {
		t.Run(test.name, func(t *testing.T) {
			t.Parallel()
			url, asked := numbers(t, test.total)
			env := nodetest.New(t)
			env.Expressions = map[string]string{"paginate.next": test.next, "paginate.items": "response.body.items"}
			with := map[string]any{"url": url + "/list", "query": map[string]any{"kind": "a"}, "method": "GET"}
			if test.method != "" {
				with["method"] = test.method
			}
			if test.limit > 0 {
				with["paginate.max_pages"] = test.limit
			}
			out, err := env.Run(t, typeOf(t, "web_request"), with)
			if err != nil {
				t.Fatal(err)
			}
			got, _ := out.(map[string]any)
			if diff := cmp.Diff(test.want, got["body"]); diff != "" || got["pages"] != test.pages || got["more"] != test.more || got["status"] != 200 {
				t.Errorf("status %v, %v pages, more: %v; items (-want +got):\n%s", got["status"], got["pages"], got["more"], diff)
			}
			if diff := cmp.Diff(test.asked, *asked); diff != "" {
				t.Errorf("requests (-want +got):\n%s", diff)
			}
		})
	}
}

func TestPaginateRefused(t *testing.T) {
	t.Parallel()
	tests := []struct {
		name, next, items string
		code, message     string
		asked             int // requests
	}{
		{"for ever the same page", `"/list?kind=a"`, "", nodes.CodeExpression, "with.paginate.next asks for a page that was read already; it would never end", 1},
		{"for ever new pages", `{"from": page}`, "", nodes.CodeTooLarge, "there are more than 100 pages: set paginate.max_pages", 100},
		{"another origin", `"http://127.0.0.2:1/steal"`, "", nodes.CodeHostNotAllowed, "", 1},
		{"another scheme", `"file:///etc/passwd"`, "", nodes.CodeHostNotAllowed, "", 1},
		{"no URL", `"http://[::1"`, "", nodes.CodeExpression, "with.paginate.next gave something that is not a URL", 1},
		{"a number", "7", "", nodes.CodeExpression, "with.paginate.next must give a URL, an object of query parameters, or null", 1},
		{"a query that is none", `{"a": {"b": 1}}`, "", nodes.CodeExpression, "with.paginate.next gave a query value that is not text, a number or a boolean", 1},
		{"items that are none", "nil", "response.body", nodes.CodeExpression, "with.paginate.items gave something that is not a list", 1},
	}
	for _, test := range tests {
		t.Run(test.name, func(t *testing.T) {
			t.Parallel()
			url, asked := numbers(t, 1000)
			env := nodetest.New(t)
			env.Expressions = map[string]string{"paginate.next": test.next, "paginate.items": "response.body.items"}
			if test.items != "" {
				env.Expressions["paginate.items"] = test.items
			}
			_, err := env.Run(t, typeOf(t, "web_request"), map[string]any{"url": url + "/list?kind=a"})
			e := stepError(t, err)
			if e.Code != test.code || test.message != "" && e.Message != test.message {
				t.Errorf("%s: %s", e.Code, e.Message)
			}
			if len(*asked) != test.asked {
				t.Errorf("%d requests, want %d", len(*asked), test.asked)
			}
		})
	}
}
