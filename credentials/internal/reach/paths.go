package reach

import (
	"errors"
	"path"
	"regexp"
	"strings"
)

const maxPathLength = 512

// IDForm is the regular expression of ids: of credentials, and of the segments of a folder.
const IDForm = `^[a-z0-9][a-z0-9_-]{0,62}$`

var (
	idForm      = regexp.MustCompile(IDForm)
	patternForm = regexp.MustCompile(`^[a-z0-9_*-]+$`)
)

// IsID reports whether text has the form of an id.
func IsID(text string) bool { return idForm.MatchString(text) }

// CheckFolder finds what is wrong with a folder: "/" or segments such as /partners/acme.
func CheckFolder(folder string) error {
	if folder == "/" {
		return nil
	}
	if !strings.HasPrefix(folder, "/") || len(folder) > maxPathLength {
		return errors.New("is not a folder: write / or a path such as /partners/acme")
	}
	for segment := range strings.SplitSeq(folder[1:], "/") {
		if !idForm.MatchString(segment) {
			return errors.New("is not a folder: segments are made of a-z, 0-9, - and _, for example /partners/acme")
		}
	}
	return nil
}

// CheckWorkflows finds what is wrong with an entry of allowed_workflows: a path of
// folder and workflow id in which * stands for any part of a segment and ** for any number
// of segments (at the end: at least one).
func CheckWorkflows(pattern string) error {
	if !strings.HasPrefix(pattern, "/") || len(pattern) > maxPathLength {
		return errors.New("must begin with a slash, for example /hr/** or /marketing/sync-*")
	}
	deep := 0
	for segment := range strings.SplitSeq(pattern[1:], "/") {
		switch {
		case segment == "**":
			deep++
		case strings.Contains(segment, "**"):
			return errors.New("** must be a whole segment, for example /hr/**")
		case !patternForm.MatchString(segment):
			return errors.New("segments are made of a-z, 0-9, -, _ and *, for example /hr/** or /marketing/sync-*")
		}
	}
	if deep > 2 {
		return errors.New("can hold ** at most twice")
	}
	return nil
}

// OwnFolder is the default of allowed_workflows: the credential's folder and below.
func OwnFolder(folder string) []string { return []string{strings.TrimSuffix(folder, "/") + "/**"} }

// AllowWorkflow reports whether any of the patterns covers the workflow in its folder.
func AllowWorkflow(patterns []string, folder, workflow string) bool {
	if workflow == "" || strings.Contains(workflow, "/") || !strings.HasPrefix(folder, "/") {
		return false
	}
	full := strings.TrimSuffix(folder, "/") + "/" + workflow
	for _, p := range patterns {
		if rest, ok := strings.CutPrefix(p, "/"); ok && matchPath(rest, full[1:]) {
			return true
		}
	}
	return false
}

func matchPath(pattern, full string) bool {
	segment, rest, more := strings.Cut(pattern, "/")
	if segment == "**" {
		if !more {
			return full != ""
		}
		for {
			if matchPath(rest, full) {
				return true
			}
			_, after, ok := strings.Cut(full, "/")
			if !ok {
				return false
			}
			full = after
		}
	}
	first, after, deeper := strings.Cut(full, "/")
	if ok, err := path.Match(segment, first); err != nil || !ok {
		return false
	}
	if !more || !deeper {
		return more == deeper
	}
	return matchPath(rest, after)
}

// List is patterns as a message names them.
func List(patterns []string) string {
	if len(patterns) == 0 {
		return "none"
	}
	return strings.Join(patterns, ", ")
}
