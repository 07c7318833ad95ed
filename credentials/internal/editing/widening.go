package editing

import (
	"fmt"
	"net/url"
	"slices"
	"strings"

	"keyflow/credentials/internal/decrypted"
	"keyflow/credentials/internal/problem"
	"keyflow/credentials/internal/reach"
)

// Widenings lists the changes from old to next after which a secret could go somewhere new.
func Widenings(old, next *decrypted.Credential) []string {
	var paths []string
	for i, p := range next.Hosts {
		if !slices.ContainsFunc(old.Hosts, func(was reach.Host) bool { return was.Covers(p) }) {
			paths = append(paths, fmt.Sprintf("/allowed_hosts/%d", i))
		}
	}
	if next.TestURL != "" && next.TestURL != old.TestURL && !knownOrigin(old, next.TestURL) {
		paths = append(paths, "/test_url")
	}
	for _, f := range next.AuthType.Fields {
		if f.Steers && old.Text(f.Name) != next.Text(f.Name) {
			paths = append(paths, problem.Pointer("fields", f.Name))
		}
	}
	return paths
}

// knownOrigin reports whether those who set the secret named the host of text itself, as
// allowed host or in the former test_url. A pattern with * does not name a host.
func knownOrigin(old *decrypted.Credential, text string) bool {
	u, err := url.Parse(text)
	if err != nil {
		return false
	}
	if was, err := url.Parse(old.TestURL); err == nil && was.Scheme == u.Scheme && was.Host == u.Host {
		return true
	}
	return old.Hosts.Named().Allow(u)
}

// checkWidening refuses a change that could send a stored secret somewhere new, unless every
// stored secret is given again: otherwise whoever may edit could read them.
func (e *Edit) checkWidening(old *decrypted.Current, o *decrypted.Credential) {
	var kept []string
	for name := range old.Decrypted.Secret {
		if _, given := e.given[name]; !given && o.Secret[name].IsSet() {
			kept = append(kept, name)
		}
	}
	if len(kept) == 0 {
		return
	}
	slices.Sort(kept)
	for _, path := range Widenings(old.Decrypted, o) {
		e.Add(path, problem.SecretRequired, "this change could send the stored secret somewhere new: enter "+strings.Join(kept, " and ")+" again together with it")
	}
}
