package standard

import (
	"context"
	"net/http"
	"strings"

	"keyflow/internal/jsonvalue"
	"keyflow/nodes"
)

func respondType() nodes.Type {
	lowest, highest := http.StatusOK, 599
	return nodes.Type{
		Name:    nodes.TypeRespond,
		Summary: "Answers the inbound webhook that started the run, at once, and the run goes on.",
		Params: []nodes.Param{
			{Name: "status", Kind: nodes.Integer, Default: "200", Minimum: &lowest, Maximum: &highest, Help: "The status of the answer."},
			{Name: "headers", Kind: nodes.Object, Help: "Headers of the answer; a list repeats one, null leaves it out."},
			{Name: "body", Kind: nodes.Any, Help: "Text is sent as it is, anything else as JSON; without, the body is empty."},
		},
		Output: []string{"status", "responded", "reason"},
		New:    func() nodes.Node { return respond{} },
	}
}

// respond makes an answer; whether anybody waits for it is not its business.
type respond struct{}

var _ nodes.Node = respond{}

// Run implements nodes.Node.
func (respond) Run(_ context.Context, _ nodes.Env, in nodes.Input) (nodes.Result, error) {
	out := nodes.Respond{Status: integerOr(in.With, "status", http.StatusOK)}
	if out.Status < http.StatusOK || out.Status > 599 {
		return nil, invalid("status", "must be between 200 and 599")
	}
	var err error
	if out.Header, err = responseHeader(object(in.With, "headers")); err != nil {
		return nil, err
	}
	v, given := in.With["body"]
	switch text, isText := v.(string); {
	case !given:
		return out, nil
	case isText:
		out.Body = []byte(text)
		setDefault(out.Header, "Content-Type", "text/plain; charset=utf-8")
	default:
		if out.Body, err = jsonvalue.Encode(v); err != nil {
			return nil, invalid("body", "cannot be written as JSON")
		}
		setDefault(out.Header, "Content-Type", "application/json")
	}
	if len(out.Body) > 0 && bodyless(out.Status) {
		return nil, invalid("body", "an answer with status %d has none", out.Status)
	}
	return out, nil
}

// bodyless are the statuses whose answers end with the headers (RFC 9110 section 15).
func bodyless(status int) bool {
	return status == http.StatusNoContent || status == http.StatusResetContent || status == http.StatusNotModified
}

// maxResponseHeader bounds the names and values of an answer's headers, in bytes.
const maxResponseHeader = 16 << 10

// originWide are the headers of an answer that act on more than that answer: on the whole
// origin, which is Keyflow's own, on its pages and on whoever is signed in there.
var originWide = map[string]bool{
	"Set-Cookie": true, "Set-Cookie2": true, "Clear-Site-Data": true, "Www-Authenticate": true,
	"Content-Security-Policy": true, "Content-Security-Policy-Report-Only": true, "X-Content-Type-Options": true,
	"X-Frame-Options": true, "Strict-Transport-Security": true, "Public-Key-Pins": true, "Expect-Ct": true,
	"Service-Worker-Allowed": true, "Origin-Agent-Cluster": true, "Alt-Svc": true, "Accept-Ch": true, "Critical-Ch": true,
	"Nel": true, "Report-To": true, "Reporting-Endpoints": true, "X-Request-Id": true,
}

// responseHeader checks the headers that an author wants in an answer.
func responseHeader(object map[string]any) (http.Header, error) {
	out, err := header(object)
	if err != nil {
		return nil, err
	}
	size := 0
	for name, values := range out {
		if originWide[name] || strings.HasPrefix(name, "Keyflow-") {
			return nil, invalid("headers", "%s is not for answers of workflows: it would act on Keyflow itself", name)
		}
		for _, value := range values {
			size += len(name) + len(value)
		}
	}
	if size > maxResponseHeader {
		return nil, &nodes.Error{Code: nodes.CodeTooLarge, Message: "with.headers: more than 16 KiB in all", Permanent: true}
	}
	return out, nil
}
