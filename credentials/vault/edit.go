package vault

import (
	"fmt"
	"net/url"
	"slices"
	"strconv"
	"strings"
	"unicode"

	"keyflow/credentials"
	"keyflow/credentials/internal/reach"
	"keyflow/credentials/sources"
	"keyflow/internal/identity"
	"keyflow/internal/secret"
	"keyflow/internal/suggest"
)

// Sizes that no honest credential reaches.
const (
	maxName        = 200
	maxDescription = 4096
	maxEntries     = 100
	maxText        = 64 << 10
	maxYear        = 9999 // the last that RFC 3339 can write
	shortSecret    = 8    // secrets below this length cannot be redacted wherever they appear
)

// edit is an input on its way to become a record: checked, normalized, its secrets apart.
type edit struct {
	problems
	in    credentials.Input
	typ   *Type
	plain map[string]any         // plain fields as written
	given map[string]secret.Text // secret fields of the input; one that is not set clears
	refs  map[string]string      // those that are references

	caller  identity.Caller
	sources *sources.Sources
}

// check reads an input completely; nothing in the result may be used when it has problems.
// Type and id have been settled by the caller.
func (v *Vault) check(caller identity.Caller, in credentials.Input) *edit {
	e := &edit{
		in: in, plain: make(map[string]any), given: make(map[string]secret.Text), refs: make(map[string]string),
		caller: caller, sources: v.sources,
	}
	e.checkDescription()
	if e.typ = v.checkType(e, in.Type); e.typ == nil {
		return e
	}
	e.checkReach()
	e.checkFields()
	e.checkTestURL()
	e.checkLimits()
	e.checkRules()
	e.checkRotation()
	return e
}

func (e *edit) checkDescription() {
	in := &e.in
	if !reach.IsID(string(in.ID)) {
		if in.ID == "" {
			e.add("/id", codeRequired, "is required: workflows name the credential by it"+proposeID(in.Name))
		} else {
			e.add("/id", codeInvalidValue, "must be 1 to 63 lower-case letters, digits, '-' or '_', beginning with a letter or digit"+proposeID(string(in.ID)))
		}
	}
	if in.Name == "" {
		in.Name = string(in.ID)
	}
	if len(in.Name) > maxName || strings.ContainsFunc(in.Name, unicode.IsControl) {
		e.add("/name", codeInvalidValue, fmt.Sprintf("must be at most %d bytes on one line", maxName))
	}
	if len(in.Description) > maxDescription {
		e.add("/description", codeTooLong, fmt.Sprintf("must be at most %d bytes", maxDescription))
	}
	if len(in.Labels) > maxEntries {
		e.add("/labels", codeTooLong, fmt.Sprintf("can hold at most %d labels", maxEntries))
	}
	for key, value := range in.Labels {
		if key == "" || len(key) > maxName || len(value) > maxName {
			e.add(pointer("labels", key), codeInvalidValue, fmt.Sprintf("keys have 1 to %d bytes, values at most %d", maxName, maxName))
		}
	}
	if in.Folder == "" {
		in.Folder = "/"
	}
	if err := reach.CheckFolder(in.Folder); err != nil {
		e.add("/folder", codeInvalidValue, err.Error())
	}
	if in.RotateEvery != "" {
		if _, err := credentials.ParseDuration(in.RotateEvery); err != nil {
			e.add("/rotate_every", codeInvalidValue, err.Error())
		}
	}
	if in.ExpiresAt != nil {
		at := in.ExpiresAt.UTC()
		if at.Year() < 1 || at.Year() > maxYear {
			e.add("/expires_at", codeInvalidValue, "must lie in the years 1 to 9999, in UTC")
		}
		in.ExpiresAt = &at
	}
}

// proposeID makes an id of a name, for a message.
func proposeID(name string) string {
	id := strings.Map(func(r rune) rune {
		switch r = unicode.ToLower(r); {
		case r >= 'a' && r <= 'z', r >= '0' && r <= '9':
			return r
		case r == ' ', r == '-', r == '_', r == '.':
			return '-'
		default:
			return -1
		}
	}, name)
	id = strings.Trim(id, "-")
	if !reach.IsID(id) {
		return ""
	}
	return `, for example "` + id + `"`
}

func (v *Vault) checkType(e *edit, name credentials.TypeName) *Type {
	if t, ok := v.types[name]; ok {
		return t
	}
	var known []string
	for _, t := range builtinTypes() {
		known = append(known, string(t.Name))
	}
	list := strings.Join(known, ", ")
	switch name {
	case "":
		e.add("/type", codeRequired, "is required: one of "+list)
	case "aws_sigv4", "digest_auth":
		e.add("/type", codeNotSupported, fmt.Sprintf("%q is not supported yet; this release has %s", name, list))
	default:
		what := "this"
		if nameForm.MatchString(string(name)) { // anything else could be a secret in the wrong place
			what = strconv.Quote(string(name))
		}
		e.add("/type", codeInvalidValue, fmt.Sprintf("%s is not an authentication type%s; there are %s", what, suggest.DidYouMean(string(name), known), list))
	}
	return nil
}

// checkReach checks and normalizes where and by whom the credential may be used.
func (e *edit) checkReach() {
	in := &e.in
	if len(in.AllowedHosts) == 0 && !e.typ.anywhere {
		e.add("/allowed_hosts", codeRequired, `is required: the hosts that may receive this credential, for example ["api.example.com"]`)
	}
	if len(in.AllowedHosts) > maxEntries || len(in.AllowedWorkflows) > maxEntries {
		e.add("", codeTooLong, fmt.Sprintf("allowed_hosts and allowed_workflows can hold at most %d patterns each", maxEntries))
	}
	normal := make([]string, len(in.AllowedHosts))
	for i, text := range in.AllowedHosts {
		p, err := reach.ParseHost(text)
		if err != nil {
			e.add(fmt.Sprintf("/allowed_hosts/%d", i), codeInvalidValue, err.Error())
		}
		normal[i] = p.String()
	}
	in.AllowedHosts = normal
	for i, pattern := range in.AllowedWorkflows {
		if err := reach.CheckWorkflows(pattern); err != nil {
			e.add(fmt.Sprintf("/allowed_workflows/%d", i), codeInvalidValue, err.Error())
		}
	}
}

// checkRotation checks by whom and within which time the fields may be changed for others.
func (e *edit) checkRotation() {
	if len(e.in.RotatableBy) > maxEntries {
		e.add("/rotatable_by", codeTooLong, fmt.Sprintf("can hold at most %d patterns", maxEntries))
	}
	for i, pattern := range e.in.RotatableBy {
		if err := reach.CheckWorkflows(pattern); err != nil {
			e.add(fmt.Sprintf("/rotatable_by/%d", i), codeInvalidValue, err.Error())
		}
	}
	if e.in.Grace != "" {
		if _, err := credentials.ParseDuration(e.in.Grace); err != nil {
			e.add("/grace", codeInvalidValue, err.Error())
		}
	}
}

func (e *edit) checkTestURL() {
	if e.in.TestURL == "" {
		return
	}
	u, message := checkURL(e.in.TestURL)
	switch {
	case message != "":
		e.add("/test_url", codeInvalidValue, message)
	case len(e.in.AllowedHosts) > 0 && !reach.ParseHosts(e.in.AllowedHosts).Allow(u):
		e.add("/test_url", codeInvalidValue, "its host is not in allowed_hosts"+insecureHint(u))
	}
}

// checkURL says what is wrong with an absolute URL; "" is nothing.
func checkURL(text string) (*url.URL, string) {
	u, err := url.Parse(text)
	switch {
	case err != nil || u.Host == "" || u.Hostname() == "" || u.Scheme != "https" && u.Scheme != "http":
		return nil, "is not a complete URL, for example https://example.com/oauth/token"
	case u.User != nil:
		return nil, "cannot hold a user name or password"
	case u.Fragment != "":
		return nil, "cannot hold a fragment (#)"
	}
	return u, ""
}

func insecureHint(u *url.URL) string {
	if u.Scheme == "http" {
		return "; for an unencrypted request put http:// in front of the host there"
	}
	return ""
}

func isShort(text string) bool { return text != "" && len(text) < shortSecret }

// warnings is advice about a record that is valid.
func warnings(o *opened) []string {
	var list []string
	for i, p := range o.hosts {
		if p.AnyHost() {
			list = append(list, "any host may receive this credential: allowed_hosts holds "+o.AllowedHosts[i])
		}
		if p.Unencrypted() {
			list = append(list, "requests to "+o.AllowedHosts[i]+" may be unencrypted")
		}
	}
	for _, f := range o.typ.Fields {
		text, ok := o.secrets[f.Name]
		if ok && slices.ContainsFunc(o.secretTexts(f.Name, text), isShort) {
			list = append(list, fmt.Sprintf("%s is shorter than %d characters: easy to guess, and not recognized when an answer repeats it alone", f.Name, shortSecret))
		}
	}
	return list
}
