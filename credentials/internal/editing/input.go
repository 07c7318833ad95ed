package editing

import (
	"fmt"
	"net/url"
	"slices"
	"strings"
	"unicode"

	"keyflow/credentials"
	"keyflow/credentials/authtype"
	"keyflow/credentials/document"
	"keyflow/credentials/internal/decrypted"
	"keyflow/credentials/internal/problem"
	"keyflow/credentials/internal/reach"
	"keyflow/credentials/sources"
	"keyflow/internal/identity"
	"keyflow/internal/secret"
)

// Sizes that no real credential reaches.
const (
	maxYear     = 9999 // the last that RFC 3339 can write
	shortSecret = 8    // secrets below this length cannot be redacted wherever they appear
)

// Edit is an input on its way to become a record: checked, normalized, its secrets apart.
type Edit struct {
	problem.List
	In    credentials.Input
	Typ   *authtype.Type
	plain map[string]any         // plain fields as written
	given map[string]secret.Text // secret fields of the input; one that is not set clears
	refs  map[string]string      // those that are references

	caller  identity.Caller
	sources *sources.Sources
}

func (e *Edit) checkDescription() {
	in := &e.In
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

// checkReach checks and normalizes where and by whom the credential may be used.
func (e *Edit) checkReach() {
	in := &e.In
	if len(in.AllowedHosts) == 0 && !e.Typ.Anywhere {
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
func (e *Edit) checkRotation() {
	if len(e.In.RotatableBy) > document.MaxEntries {
		e.Add("/rotatable_by", problem.TooLong, fmt.Sprintf("can hold at most %d patterns", document.MaxEntries))
	}
	for i, pattern := range e.In.RotatableBy {
		if err := reach.CheckWorkflows(pattern); err != nil {
			e.Add(fmt.Sprintf("/rotatable_by/%d", i), problem.InvalidValue, err.Error())
		}
	}
	if e.In.Grace != "" {
		if _, err := credentials.ParseDuration(e.In.Grace); err != nil {
			e.Add("/grace", problem.InvalidValue, err.Error())
		}
	}
}

func (e *Edit) checkTestURL() {
	if e.In.TestURL == "" {
		return
	}
	u, message := checkURL(e.In.TestURL)
	switch {
	case message != "":
		e.Add("/test_url", problem.InvalidValue, message)
	case len(e.In.AllowedHosts) > 0 && !reach.ParseHosts(e.In.AllowedHosts).Allow(u):
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
func warnings(o *decrypted.Credential) []string {
	var list []string
	for i, p := range o.Hosts {
		if p.AnyHost() {
			list = append(list, "any host may receive this credential: allowed_hosts holds "+o.AllowedHosts[i])
		}
		if p.Unencrypted() {
			list = append(list, "requests to "+o.AllowedHosts[i]+" may be unencrypted")
		}
	}
	for _, f := range o.AuthType.Fields {
		text, ok := o.Secret[f.Name]
		if ok && slices.ContainsFunc(o.SecretTexts(f.Name, text), isShort) {
			list = append(list, fmt.Sprintf("%s is shorter than %d characters: easy to guess, and not recognized when an answer repeats it alone", f.Name, shortSecret))
		}
	}
	return list
}
