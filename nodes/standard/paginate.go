package standard

import (
	"context"
	"maps"
	"strconv"

	"keyflow/nodes"
)

// Bounds of paginate: how many pages are read when the author says nothing, how many he may
// ask for, and how many bytes all pages may have together.
const (
	defaultPages = 100
	maxPages     = 10_000
	maxCollected = 64 << 20
)

func paginateParam() nodes.Param {
	one, most := 1, maxPages
	return nodes.Param{
		Name: "paginate", Kind: nodes.Object, Help: "Reads page after page; body of the output is the list of all items.",
		Fields: []nodes.Param{
			{
				Name: "next", Kind: nodes.Expression, Required: true, Scope: []string{"response", "page"},
				Help: "Over response and page (from 1): the next page's URL, an object to change the query by, or null after the last page.",
			},
			{
				Name: "items", Kind: nodes.Expression, Scope: []string{"response", "page"}, Default: "response.body",
				Help: "The list of a page's items.",
			},
			{
				Name: "max_pages", Kind: nodes.Integer, Minimum: &one, Maximum: &most, Default: strconv.Itoa(defaultPages),
				Help: "Stop after so many pages; more in the output says whether there were others. Without it, more than 100 pages are an error.",
			},
		},
	}
}

// pages collects the items of a paginated request.
type pages struct {
	env    nodes.Env
	with   map[string]any
	items  []any
	read   int             // pages
	bytes  int             // of all bodies
	more   bool            // there was another page than those read
	called map[string]bool // URLs: asking for one again would never end
}

// newPages returns nil for a request without paginate.
func newPages(env nodes.Env, with map[string]any) *pages {
	if !env.Has("paginate.next") {
		return nil
	}
	return &pages{env: env, with: with, items: []any{}, called: map[string]bool{}}
}

// next takes a page in and returns the parameters of the request for the next one; nil when
// there is none to be read.
func (p *pages) next(ctx context.Context, a *answer) (map[string]any, error) {
	p.read++
	p.called[a.asked.String()] = true
	if p.bytes += a.size; p.bytes > maxCollected {
		return nil, a.failed(nodes.CodeTooLarge, "the pages are larger than "+strconv.Itoa(maxCollected>>20)+" MiB together", nil)
	}
	vars := map[string]any{"response": a.data(), "page": p.read}
	if err := p.collect(ctx, a, vars); err != nil {
		return nil, err
	}
	v, _, err := p.env.Eval(ctx, "paginate.next", vars)
	if err != nil || v == nil || v == false || v == "" {
		return nil, err
	}
	with, err := p.params(a, v)
	if err != nil {
		return nil, err
	}
	limit, given := p.with["paginate.max_pages"].(int)
	switch {
	case given && p.read >= limit:
		p.more = true
		return nil, nil
	case p.read >= defaultPages && !given:
		return nil, a.failed(nodes.CodeTooLarge, "there are more than "+strconv.Itoa(defaultPages)+" pages: set paginate.max_pages", nil)
	}
	return with, nil
}

func (p *pages) collect(ctx context.Context, a *answer, vars map[string]any) error {
	v, given, err := p.env.Eval(ctx, "paginate.items", vars)
	if err != nil {
		return err
	}
	if !given {
		v = a.body
	}
	list, ok := v.([]any)
	if !ok && v != nil {
		return a.failed(nodes.CodeExpression, "with.paginate.items gave something that is not a list", nil)
	}
	p.items = append(p.items, list...)
	return nil
}

// params makes the parameters of the next request: the author's, at another URL. They stay on
// the origin that the author named: his headers and body are meant for it.
func (p *pages) params(a *answer, v any) (map[string]any, error) {
	u := *a.asked
	switch v := v.(type) {
	case string:
		to, err := u.Parse(v)
		if err != nil {
			return nil, a.failed(nodes.CodeExpression, "with.paginate.next gave something that is not a URL", nil)
		}
		u = *to
	case map[string]any:
		query := u.Query()
		for name, value := range v {
			texts, ok := textsOf(value)
			if !ok {
				return nil, a.failed(nodes.CodeExpression, "with.paginate.next gave a query value that is not text, a number or a boolean", nil)
			}
			query.Del(name)
			if len(texts) > 0 {
				query[name] = texts
			}
		}
		u.RawQuery = query.Encode()
	default:
		return nil, a.failed(nodes.CodeExpression, "with.paginate.next must give a URL, an object of query parameters, or null", nil)
	}
	u.Fragment, u.RawFragment = "", ""
	if u.Scheme != a.asked.Scheme || u.Host != a.asked.Host {
		return nil, a.failed(nodes.CodeHostNotAllowed, "with.paginate.next leads from "+a.asked.Host+" to another origin", nil)
	}
	if p.called[u.String()] {
		return nil, a.failed(nodes.CodeExpression, "with.paginate.next asks for a page that was read already; it would never end", nil)
	}
	with := maps.Clone(p.with)
	with["url"] = u.String()
	delete(with, "query") // it is in the URL now
	return with, nil
}

// output is that of the last request, with all items as its body; p may be nil.
func (p *pages) output(last map[string]any) map[string]any {
	if p == nil {
		return last
	}
	last["body"], last["pages"], last["more"] = p.items, p.read, p.more
	return last
}
