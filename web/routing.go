package web

import (
	"cmp"
	"fmt"
	"maps"
	"net/http"
	"net/url"
	"path"
	"slices"
	"strings"

	"keyflow/internal/fault"
	"keyflow/web/problem"
	"keyflow/web/request"
)

// crossOrigin refuses changes that a page of another site sends with the session cookie.
func (s *server) crossOrigin() (*http.CrossOriginProtection, error) {
	c := http.NewCrossOriginProtection()
	if err := c.AddTrustedOrigin(s.public.Scheme + "://" + s.public.Host); err != nil {
		return nil, fmt.Errorf("public URL: %w", err)
	}
	c.SetDenyHandler(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		s.problems.Fail(r.Context(), w, fault.New(fault.Forbidden, "the request comes from another site's page: open Keyflow at its public URL"))
	}))
	return c, nil
}

// split removes the path of the public URL, refuses paths that are not clean (nothing is redirected
// to another route), and passes requests for hooks and callbacks to their handlers. Authors of
// workflows write the answers of those: a policy gives them no power over this origin, and they
// never get the session cookie.
func (s *server) split(own http.Handler, strangers map[string]http.Handler) http.Handler {
	return http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		r = s.belowBase(r)
		if r.URL.Path != cleaned(r.URL.Path) || !request.IsText(r.URL.Path) {
			s.problems.Fail(r.Context(), w, fault.New(fault.NotFound, "nothing is at this path"))
			return
		}
		first, _, _ := strings.Cut(r.URL.Path[1:], "/")
		if handler := strangers["/"+first]; handler != nil {
			request.From(r.Context()).Route = "/" + first + "/"
			w.Header().Set("Content-Security-Policy", "sandbox")
			handler.ServeHTTP(w, s.session.WithoutSession(r))
			return
		}
		own.ServeHTTP(w, r)
	})
}

// belowBase strips the public URL's path for proxies that pass it on.
func (s *server) belowBase(r *http.Request) *http.Request {
	rest, ok := strings.CutPrefix(r.URL.Path, s.base)
	if s.base == "" || !ok || rest != "" && rest[0] != '/' {
		return r
	}
	below := new(http.Request)
	*below = *r
	below.URL = new(url.URL)
	*below.URL = *r.URL
	below.URL.Path = cmp.Or(rest, "/")
	below.URL.RawPath = strings.TrimPrefix(r.URL.RawPath, s.base) // escaped: hooks distinguish %2F from /
	return below
}

// routed finds the route before the sign-in is checked. A request without a route is for the admin
// page, or answered with 404 or 405 as a problem.
func (s *server) routed(next http.Handler) http.Handler {
	return http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		unmatched, pattern := s.api.Match(r)
		if pattern == "" {
			s.unmatched(w, r, unmatched)
			return
		}
		request.From(r.Context()).Route = pattern
		if err := checkQuery(r.URL.Query()); err != nil {
			s.problems.Fail(r.Context(), w, err)
			return
		}
		next.ServeHTTP(w, r)
	})
}

// checkQuery refuses parameters that are not text, or given twice: one of two values would
// be ignored silently.
func checkQuery(query url.Values) error {
	var repeated []fault.Problem
	for _, name := range slices.Sorted(maps.Keys(query)) {
		if !request.IsText(name) || slices.ContainsFunc(query[name], func(v string) bool { return !request.IsText(v) }) {
			return fault.New(fault.Malformed, "a query parameter is not text in UTF-8")
		}
		if len(query[name]) < 2 {
			continue
		}
		p := fault.Problem{Path: "?", Code: "repeated_parameter", Message: "a query parameter is given more than once: give it once"}
		if problem.IsName(name) {
			p.Path, p.Message = "?"+name, name+": is given more than once: give it once"
		}
		repeated = append(repeated, p)
	}
	if len(repeated) == 0 {
		return nil
	}
	return fault.Problems(repeated[0].Message, repeated)
}

func cleaned(p string) string {
	clean := path.Clean("/" + p)
	if strings.HasSuffix(p, "/") && clean != "/" {
		clean += "/"
	}
	return clean
}

// unmatched serves the admin page, or renders the mux's own 404 and 405 as problems.
func (s *server) unmatched(w http.ResponseWriter, r *http.Request, mux http.Handler) {
	var said refusal
	mux.ServeHTTP(&said, r)
	if said.status == http.StatusMethodNotAllowed {
		w.Header().Set("Allow", said.Header().Get("Allow"))
		problem.Write(w, problem.New(r.Context(), said.status, "this path takes "+said.Header().Get("Allow")))
		return
	}
	if s.pages.Serve(w, r) {
		request.From(r.Context()).Route = "page"
		return
	}
	s.problems.Fail(r.Context(), w, fault.New(fault.NotFound, "nothing is at this path"))
}

// refusal catches what http.ServeMux answers when nothing matches.
type refusal struct {
	header http.Header
	status int
}

// Header implements http.ResponseWriter.
func (r *refusal) Header() http.Header {
	if r.header == nil {
		r.header = http.Header{}
	}
	return r.header
}

// Write implements http.ResponseWriter and drops the text.
func (*refusal) Write(b []byte) (int, error) { return len(b), nil }

// WriteHeader implements http.ResponseWriter.
func (r *refusal) WriteHeader(status int) { r.status = status }

// authenticated requires a sign-in for every route that is not registered as open.
func (s *server) authenticated(next http.Handler) http.Handler {
	return http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		ctx, rec := r.Context(), request.From(r.Context())
		if !s.api.Open(rec.Route) {
			who, err := s.session.Authenticate(ctx, r)
			if err != nil {
				s.problems.Fail(ctx, w, err)
				return
			}
			rec.Who = who
		}
		next.ServeHTTP(w, r)
	})
}
