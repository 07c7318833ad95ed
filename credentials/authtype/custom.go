package authtype

import (
	"encoding/json"
	"errors"
	"maps"
	"mime"
	"net/http"
	"net/url"
	"slices"
	"strconv"
	"strings"

	"keyflow/credentials"
	"keyflow/credentials/internal/problem"
)

// custom sends any headers, query and body values, for what no other type covers.
func custom() Type {
	return Type{
		Name:    credentials.TypeCustom,
		Label:   "Custom",
		Summary: "Any headers, query parameters and body values, some of them secret.",
		Fields: []Field{
			{Name: "secret_headers", Label: "Secret headers", Kind: KindMap, Secret: true, Help: "Added to every request. Entered again, they replace all former ones."},
			{Name: "headers", Label: "Headers", Kind: KindMap, Help: "Added to every request. Values are shown; secrets belong above."},
			{Name: "secret_query", Label: "Secret query parameters", Kind: KindMap, Secret: true, Help: "Values in a query often end up in the logs of servers on the way; prefer headers."},
			{Name: "query", Label: "Query parameters", Kind: KindMap, Help: "Values are shown; secrets belong above."},
			{Name: "secret_body", Label: "Secret body values", Kind: KindMap, Secret: true, Help: "Added to bodies that are a JSON object or a form; any other body is an error."},
			{Name: "body", Label: "Body values", Kind: KindMap, Help: "Values are shown; secrets belong above."},
		},
		Check:        checkCustom,
		Authenticate: authenticateCustom,
		Placement:    placementCustom,
	}
}

func checkCustom(v *Values) []Issue {
	var found []Issue
	empty := true
	for _, f := range custom().Fields {
		empty = empty && len(v.Map(f.Name)) == 0 && v.Refs[f.Name] == ""
	}
	if empty {
		found = append(found, Issue{"secret_headers", problem.Required, "is required, or another of the fields: without any the type is no_auth"})
	}
	for _, pair := range [][2]string{{"secret_headers", "headers"}, {"secret_query", "query"}, {"secret_body", "body"}} {
		sealed := v.Map(pair[0])
		for name := range v.Map(pair[1]) {
			if _, twice := sealed[name]; twice {
				found = append(found, Issue{pair[1], problem.InvalidValue, "holds " + name + ", which " + pair[0] + " holds too"})
			}
		}
	}
	for _, field := range []string{"secret_headers", "headers"} {
		values := v.Map(field)
		for _, name := range slices.Sorted(maps.Keys(values)) {
			for _, i := range checkHeader(field, name, field, values[name]) {
				found = append(found, Issue{field, i.Code, "header " + strconv.Quote(name) + ": " + i.Message})
			}
		}
	}
	return found
}

func placementCustom(v *Values) string {
	var places []string
	for _, part := range []string{"headers", "query", "body"} {
		if len(v.Map(part))+len(v.Map("secret_"+part)) > 0 {
			places = append(places, part)
		}
	}
	return strings.Join(places, ", ")
}

func authenticateCustom(v *Values, req *http.Request, _ Proof) (wire []string, err error) {
	for name, value := range v.Map("headers") {
		req.Header.Set(name, value)
	}
	for name, value := range v.Map("query") {
		setQuery(req, name, value)
	}
	secretHeaders, secretQuery := v.Map("secret_headers"), v.Map("secret_query")
	for _, name := range slices.Sorted(maps.Keys(secretHeaders)) {
		req.Header.Set(name, secretHeaders[name])
		wire = append(wire, secretHeaders[name])
	}
	for _, name := range slices.Sorted(maps.Keys(secretQuery)) {
		wire = append(wire, setQuery(req, name, secretQuery[name])...)
	}
	open, sealed := v.Map("body"), v.Map("secret_body")
	for _, name := range slices.Sorted(maps.Keys(sealed)) {
		wire = append(wire, sealed[name], url.QueryEscape(sealed[name]))
	}
	if len(open)+len(sealed) == 0 {
		return wire, nil
	}
	values := maps.Clone(sealed)
	if values == nil {
		values = make(map[string]string)
	}
	maps.Copy(values, open)
	return wire, addToBody(req, values)
}

var errBodyForm = errors.New("its values belong into a JSON object or a form, and this request has neither as its body")

// addToBody puts values into the body of req, which must be a JSON object or a form. Values of
// the same name are replaced.
func addToBody(req *http.Request, values map[string]string) error {
	body, err := readBody(req)
	if err != nil {
		return err
	}
	media, _, err := mime.ParseMediaType(req.Header.Get("Content-Type"))
	if err != nil {
		return errBodyForm
	}
	switch {
	case media == "application/x-www-form-urlencoded":
		form, err := url.ParseQuery(string(body))
		if err != nil {
			return errBodyForm
		}
		for name, value := range values {
			form.Set(name, value)
		}
		body = []byte(form.Encode())
	case media == "application/json" || strings.HasSuffix(media, "+json"):
		var object map[string]json.RawMessage // members stay as they were written
		if err := json.Unmarshal(body, &object); err != nil || object == nil {
			return errBodyForm
		}
		for name, value := range values {
			if object[name], err = json.Marshal(value); err != nil {
				return err
			}
		}
		if body, err = json.Marshal(object); err != nil {
			return err
		}
	default:
		return errBodyForm
	}
	setBody(req, body)
	return nil
}
