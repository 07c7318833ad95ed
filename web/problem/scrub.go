package problem

import (
	"net/http"
	"strings"

	"github.com/danielgtaylor/huma/v2"

	"keyflow/internal/fault"
)

// Scrub is a huma transformer: it turns huma's own errors, which carry the submitted value
// and sometimes the whole body, into problems without them.
func Scrub(ctx huma.Context, _ string, v any) (any, error) {
	e, ok := v.(*huma.ErrorModel)
	if !ok {
		return v, nil
	}
	p := New(ctx.Context(), e.Status, scrubbedDetail(e.Status))
	for _, d := range e.Errors {
		if d != nil {
			p.Errors = append(p.Errors, scrubbed(d))
		}
	}
	if len(p.Errors) == 1 {
		p.Detail = p.Errors[0].Message
	}
	return p, nil
}

func scrubbedDetail(status int) string {
	switch status {
	case http.StatusUnprocessableEntity:
		return "the request is not valid"
	case http.StatusBadRequest:
		return "the body is missing"
	case http.StatusRequestEntityTooLarge:
		return "the body is too large"
	case http.StatusRequestTimeout:
		return "the body did not arrive in time"
	default:
		return http.StatusText(status)
	}
}

// scrubbed keeps the name of the parameter and, for the rules that this API declares, the rule.
func scrubbed(d *huma.ErrorDetail) fault.Problem {
	where, name, _ := strings.Cut(d.Location, ".")
	message := "the value is not valid"
	switch {
	case strings.HasPrefix(d.Message, "unknown query parameter"):
		message = "unknown query parameter"
		if !IsName(name) {
			return fault.Problem{Path: "?", Code: "unknown_parameter", Message: message}
		}
	case strings.HasPrefix(d.Message, "expected number "), strings.HasPrefix(d.Message, "expected value to be one of "),
		strings.HasPrefix(d.Message, "expected length "), d.Message == "invalid integer", d.Message == "invalid boolean":
		message = d.Message
	case strings.HasPrefix(d.Message, "invalid date/time"):
		message = "a time in RFC 3339 is expected, such as 2026-03-01T09:00:00Z"
	}
	p := fault.Problem{Path: "/" + name, Code: "invalid_parameter", Message: name + ": " + message}
	if where == "query" {
		p.Path = "?" + name
	}
	return p
}
