package vault

import (
	"fmt"
	"net/url"
	"slices"
	"strconv"
	"strings"
	"time"
	"unicode"

	"keyflow/credentials"
	"keyflow/credentials/authtype"
	"keyflow/credentials/document"
	"keyflow/credentials/internal/problem"
	"keyflow/credentials/internal/reach"
	"keyflow/credentials/sources"
	"keyflow/internal/identity"
	"keyflow/internal/secret"
	"keyflow/internal/suggest"
)

// Sizes that no honest credential reaches.
const (
	maxYear     = 9999 // the last that RFC 3339 can write
	shortSecret = 8    // secrets below this length cannot be redacted wherever they appear
)

// Editor checks inputs and makes records of them. It is safe for concurrent use.
type Editor struct {
	records   credentials.Store
	reader    *Reader
	sealer    *Sealer
	sources   *sources.Sources
	viewer    *Viewer
	connected func(id credentials.ID)
	plan      func() // is called after an edit, which may have planned a reminder
	now       func() time.Time
}

// edit is an input on its way to become a record: checked, normalized, its secrets apart.
type edit struct {
	problem.List
	in    credentials.Input
	typ   *authtype.Type
	plain map[string]any         // plain fields as written
	given map[string]secret.Text // secret fields of the input; one that is not set clears
	refs  map[string]string      // those that are references

	caller  identity.Caller
	sources *sources.Sources
}

// check reads an input completely; nothing in the result may be used when it has problems.
// Type and id have been settled by the caller.
func (ed *Editor) check(caller identity.Caller, in credentials.Input) *edit {
	e := &edit{
		in: in, plain: make(map[string]any), given: make(map[string]secret.Text), refs: make(map[string]string),
		caller: caller, sources: ed.sources,
	}
	e.checkDescription()
	if e.typ = ed.checkType(e, in.Type); e.typ == nil {
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
			e.Add("/id", problem.Required, "is required: workflows name the credential by it"+proposeID(in.Name))
		} else {
			e.Add("/id", problem.InvalidValue, "must be 1 to 63 lower-case letters, digits, '-' or '_', beginning with a letter or digit"+proposeID(string(in.ID)))
		}
	}
	if in.Name == "" {
		in.Name = string(in.ID)
	}
	if len(in.Name) > document.MaxName || strings.ContainsFunc(in.Name, unicode.IsControl) {
		e.Add("/name", problem.InvalidValue, fmt.Sprintf("must be at most %d bytes on one line", document.MaxName))
	}
	if len(in.Description) > document.MaxDescription {
		e.Add("/description", problem.TooLong, fmt.Sprintf("must be at most %d bytes", document.MaxDescription))
	}
	if len(in.Labels) > document.MaxEntries {
		e.Add("/labels", problem.TooLong, fmt.Sprintf("can hold at most %d labels", document.MaxEntries))
	}
	for key, value := range in.Labels {
		if key == "" || len(key) > document.MaxName || len(value) > document.MaxName {
			e.Add(problem.Pointer("labels", key), problem.InvalidValue, fmt.Sprintf("keys have 1 to %d bytes, values at most %d", document.MaxName, document.MaxName))
		}
	}
	if in.Folder == "" {
		in.Folder = "/"
	}
	if err := reach.CheckFolder(in.Folder); err != nil {
		e.Add("/folder", problem.InvalidValue, err.Error())
	}
	if in.RotateEvery != "" {
		if _, err := credentials.ParseDuration(in.RotateEvery); err != nil {
			e.Add("/rotate_every", problem.InvalidValue, err.Error())
		}
	}
	if in.ExpiresAt != nil {
		at := in.ExpiresAt.UTC()
		if at.Year() < 1 || at.Year() > maxYear {
			e.Add("/expires_at", problem.InvalidValue, "must lie in the years 1 to 9999, in UTC")
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

func (ed *Editor) checkType(e *edit, name credentials.TypeName) *authtype.Type {
	if t := authtype.Named(name); t != nil {
		return t
	}
	var known []string
	for _, t := range authtype.All() {
		known = append(known, string(t.Name))
	}
	list := strings.Join(known, ", ")
	switch name {
	case "":
		e.Add("/type", problem.Required, "is required: one of "+list)
	case "aws_sigv4", "digest_auth":
		e.Add("/type", problem.NotSupported, fmt.Sprintf("%q is not supported yet; this release has %s", name, list))
	default:
		what := "this"
		if problem.IsName(string(name)) { // anything else could be a secret in the wrong place
			what = strconv.Quote(string(name))
		}
		e.Add("/type", problem.InvalidValue, fmt.Sprintf("%s is not an authentication type%s; there are %s", what, suggest.DidYouMean(string(name), known), list))
	}
	return nil
}

// checkReach checks and normalizes where and by whom the credential may be used.
func (e *edit) checkReach() {
	in := &e.in
	if len(in.AllowedHosts) == 0 && !e.typ.Anywhere {
		e.Add("/allowed_hosts", problem.Required, `is required: the hosts that may receive this credential, for example ["api.example.com"]`)
	}
	if len(in.AllowedHosts) > document.MaxEntries || len(in.AllowedWorkflows) > document.MaxEntries {
		e.Add("", problem.TooLong, fmt.Sprintf("allowed_hosts and allowed_workflows can hold at most %d patterns each", document.MaxEntries))
	}
	normal := make([]string, len(in.AllowedHosts))
	for i, text := range in.AllowedHosts {
		p, err := reach.ParseHost(text)
		if err != nil {
			e.Add(fmt.Sprintf("/allowed_hosts/%d", i), problem.InvalidValue, err.Error())
		}
		normal[i] = p.String()
	}
	in.AllowedHosts = normal
	for i, pattern := range in.AllowedWorkflows {
		if err := reach.CheckWorkflows(pattern); err != nil {
			e.Add(fmt.Sprintf("/allowed_workflows/%d", i), problem.InvalidValue, err.Error())
		}
	}
}

// checkRotation checks by whom and within which time the fields may be changed for others.
func (e *edit) checkRotation() {
	if len(e.in.RotatableBy) > document.MaxEntries {
		e.Add("/rotatable_by", problem.TooLong, fmt.Sprintf("can hold at most %d patterns", document.MaxEntries))
	}
	for i, pattern := range e.in.RotatableBy {
		if err := reach.CheckWorkflows(pattern); err != nil {
			e.Add(fmt.Sprintf("/rotatable_by/%d", i), problem.InvalidValue, err.Error())
		}
	}
	if e.in.Grace != "" {
		if _, err := credentials.ParseDuration(e.in.Grace); err != nil {
			e.Add("/grace", problem.InvalidValue, err.Error())
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
		e.Add("/test_url", problem.InvalidValue, message)
	case len(e.in.AllowedHosts) > 0 && !reach.ParseHosts(e.in.AllowedHosts).Allow(u):
		e.Add("/test_url", problem.InvalidValue, "its host is not in allowed_hosts"+insecureHint(u))
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
		text, ok := o.Secret[f.Name]
		if ok && slices.ContainsFunc(o.secretTexts(f.Name, text), isShort) {
			list = append(list, fmt.Sprintf("%s is shorter than %d characters: easy to guess, and not recognized when an answer repeats it alone", f.Name, shortSecret))
		}
	}
	return list
}
