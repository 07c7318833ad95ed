package editing

import (
	"maps"
	"regexp"
	"slices"
	"strings"

	"keyflow/credentials"
	"keyflow/credentials/authtype"
	"keyflow/credentials/document"
	"keyflow/credentials/internal/problem"
	"keyflow/credentials/internal/reach"
	"keyflow/internal/jsonvalue"
	"keyflow/internal/secret"
	"keyflow/internal/suggest"
)

// checkFields sorts the fields of the input into plain and given ones. Messages never show a
// value: it may be a secret in the wrong place.
func (e *Edit) checkFields() {
	for _, name := range slices.Sorted(maps.Keys(e.In.Fields)) {
		f := e.Typ.Field(name)
		if f == nil {
			e.unknownField(name)
			continue
		}
		value := e.In.Fields[name]
		if texts, ok := value.(map[string]string); ok {
			value = anyMap(texts)
		}
		if text, ok := value.(string); ok && text == "" && !f.Blank {
			value = nil
		}
		switch {
		case f.SecretIn(e.In.Fields):
			e.checkSecret(f, value)
		case value != nil && e.checkValue(f, value):
			e.plain[name] = value
		}
	}
}

func (e *Edit) unknownField(name string) {
	path := problem.Pointer("fields", name)
	if slices.Contains(e.Typ.Later, name) {
		e.Add(path, problem.NotSupported, "is not supported yet; leave it out")
		return
	}
	known := make([]string, len(e.Typ.Fields))
	for i, f := range e.Typ.Fields {
		known[i] = f.Name
	}
	what := "has no fields"
	if len(known) > 0 {
		what = "has " + strings.Join(known, ", ")
	}
	e.Add(path, problem.UnknownField, "is not a field of "+string(e.Typ.Name)+suggest.DidYouMean(name, known)+"; it "+what)
}

func (e *Edit) checkSecret(f *authtype.Field, value any) {
	if ref, ok := GivenReference(f, value); ok {
		e.checkReference(f, ref)
		return
	}
	if f.Kind == authtype.KindMap && value != nil {
		e.checkSecretMap(f, value)
		return
	}
	switch value := value.(type) {
	case nil:
		e.given[f.Name] = secret.Text{}
	case string:
		if e.checkText(f, value) {
			e.given[f.Name] = secret.New(value)
		}
	default:
		e.Add(problem.Pointer("fields", f.Name), problem.InvalidType, `must be a text, or a reference such as {"ref": "env:NAME"}`)
	}
}

// checkSecretMap keeps a map of secrets as one secret, its JSON text. An empty map clears it.
func (e *Edit) checkSecretMap(f *authtype.Field, value any) {
	if !e.checkMap(problem.Pointer("fields", f.Name), value) {
		return
	}
	text, err := jsonvalue.Encode(value)
	switch {
	case err != nil || len(text) > document.MaxText:
		e.Add(problem.Pointer("fields", f.Name), problem.InvalidValue, "is longer than 64 KiB")
	case len(value.(map[string]any)) == 0: //nolint:forcetypeassert // checkMap has seen to it
		e.given[f.Name] = secret.Text{}
	default:
		e.given[f.Name] = secret.New(string(text))
	}
}

// checkValue reports whether a plain value is what the field takes.
func (e *Edit) checkValue(f *authtype.Field, value any) bool {
	path := problem.Pointer("fields", f.Name)
	switch f.Kind {
	case authtype.KindBoolean:
		if _, ok := value.(bool); !ok {
			e.Add(path, problem.InvalidType, "must be true or false")
			return false
		}
		return true
	case authtype.KindMap:
		return e.checkMap(path, value)
	}
	text, ok := value.(string)
	if !ok {
		e.Add(path, problem.InvalidType, "must be a text")
		return false
	}
	if f.Kind == authtype.KindChoice && !slices.Contains(f.Choices, text) {
		if slices.Contains(f.Later, text) {
			e.Add(path, problem.NotSupported, text+" is not supported yet; this release has "+strings.Join(f.Choices, ", "))
		} else {
			e.Add(path, problem.InvalidValue, "must be one of "+strings.Join(f.Choices, ", "))
		}
		return false
	}
	return e.checkText(f, text)
}

func (e *Edit) checkText(f *authtype.Field, text string) bool {
	message := ""
	switch {
	case len(text) > document.MaxText:
		message = "is longer than 64 KiB"
	case f.Pattern != "" && !regexp.MustCompile(`^(?:`+f.Pattern+`)$`).MatchString(text):
		message = "must match " + f.Pattern
	case f.Format == authtype.FormatURL:
		message = e.checkTokenURL(text)
	case f.Format == authtype.FormatDuration:
		if _, err := credentials.ParseDuration(text); err != nil {
			message = "is not a duration such as 90m, 12h or 30d"
		}
	}
	if message != "" {
		e.Add(problem.Pointer("fields", f.Name), problem.InvalidValue, message)
	}
	return message == ""
}

// checkTokenURL requires https, except on loopback and where allowed_hosts says http://.
func (e *Edit) checkTokenURL(text string) string {
	u, message := checkURL(text)
	if message != "" || u.Scheme == "https" || reach.ParseHosts(append([]string{u.Hostname()}, e.In.AllowedHosts...)).Allow(u) {
		return message
	}
	return "must begin with https://" + insecureHint(u)
}

func (e *Edit) checkMap(path string, value any) bool {
	m, ok := value.(map[string]any)
	if !ok {
		e.Add(path, problem.InvalidType, "must be an object of texts")
		return false
	}
	if len(m) > document.MaxEntries {
		e.Add(path, problem.TooLong, "holds too many entries")
		return false
	}
	valid := true
	for key, value := range m {
		if text, ok := value.(string); !ok || key == "" || len(key)+len(text) > document.MaxText {
			e.Add(path+problem.Pointer(key), problem.InvalidType, "must be a text with a name")
			valid = false
		}
	}
	return valid
}

// anyMap is the form that decoded JSON has.
func anyMap(m map[string]string) map[string]any {
	plain := make(map[string]any, len(m))
	for key, value := range m {
		plain[key] = value
	}
	return plain
}
