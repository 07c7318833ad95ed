package keyflow_test

import (
	"path/filepath"
	"reflect"
	"regexp"
	"slices"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"

	"keyflow/credentials/authtype"
	"keyflow/nodes/standard"
	"keyflow/web/api/run"
)

// TestEveryAuthenticationTypeIsDocumented holds the reference to the types that exist, to those
// that verify webhooks and to those that need no allowed hosts.
func TestEveryAuthenticationTypeIsDocumented(t *testing.T) {
	t.Parallel()
	var all, verifying, anywhere []string
	for _, typ := range authtype.All() {
		all = append(all, string(typ.Name))
		if typ.Verify != nil {
			verifying = append(verifying, string(typ.Name))
		}
		if typ.Anywhere {
			anywhere = append(anywhere, string(typ.Name))
		}
	}
	types := read(t, filepath.Join("docs", "reference", "credential-types.md"))
	rows := regexp.MustCompile("(?m)^\\| [A-Z][^|`]* `([a-z0-9_]+)` \\|").FindAllStringSubmatch(types, -1)
	var listed []string
	for _, row := range rows {
		listed = append(listed, row[1])
	}
	sameNames(t, "the first table of docs/reference/credential-types.md", all, listed)
	sameNames(t, "the sentence \"Only … verify inbound webhooks\" of docs/reference/credential-types.md",
		verifying, namesBetween(types, "Only ", " verify"))
	sameNames(t, "the sentence \"Every type except … requires it\" of docs/reference/credentials.md",
		anywhere, namesBetween(read(t, filepath.Join("docs", "reference", "credentials.md")), "Every type except", "requires it"))
}

// TestEveryNodeTypeIsDocumented holds the workflow format to have a section about each node type.
func TestEveryNodeTypeIsDocumented(t *testing.T) {
	t.Parallel()
	var headings []string
	for _, h := range heading.FindAllStringSubmatch(read(t, filepath.Join("docs", "reference", "workflow-format.md")), -1) {
		headings = append(headings, strings.Split(h[1], ", ")...)
	}
	for _, kind := range standard.Types() {
		if !slices.Contains(headings, kind.Name) {
			t.Errorf("docs/reference/workflow-format.md has no section about the node type %s: add a heading \"### %s\"", kind.Name, kind.Name)
		}
	}
}

// TestPageKnowsEveryAuthenticationType holds what the page repeats of the types: Korean words for
// each type and field, and which types need no allowed hosts.
func TestPageKnowsEveryAuthenticationType(t *testing.T) {
	t.Parallel()
	wordsFile := filepath.Join("web", "ui", "src", "i18n", "fields.ko.ts")
	types, fields, found := strings.Cut(read(t, wordsFile), "export const koFields")
	if !found {
		t.Fatalf("%s has no koFields", wordsFile)
	}
	has := func(words, name string) bool {
		return regexp.MustCompile(`(?m)^  '?` + regexp.QuoteMeta(name) + `'?: \{`).MatchString(words)
	}
	formFile := filepath.Join("web", "ui", "src", "pages", "credentials", "form.tsx")
	form := read(t, formFile)
	for _, typ := range authtype.All() {
		if !has(types, string(typ.Name)) {
			t.Errorf("%s has no Korean words for the type %s: add them to koTypes", wordsFile, typ.Name)
		}
		for _, f := range typ.Fields {
			if !has(fields, f.Name) && !has(fields, string(typ.Name)+"."+f.Name) {
				t.Errorf("%s has no Korean words for the field %s of %s: add %s to koFields, or '%s.%s' when another type has a field of that name",
					wordsFile, f.Name, typ.Name, f.Name, typ.Name, f.Name)
			}
		}
		if strings.Contains(form, "draft.type === '"+string(typ.Name)+"'") != typ.Anywhere {
			t.Errorf("%s and authtype disagree on whether %s needs allowed hosts: see AccessSection", formFile, typ.Name)
		}
	}
}

// TestPageKnowsEveryFieldOfARun holds the type of a run in the page to what the API answers.
func TestPageKnowsEveryFieldOfARun(t *testing.T) {
	t.Parallel()
	file := filepath.Join("web", "ui", "src", "api", "types.ts")
	_, declared, _ := strings.Cut(read(t, file), "export type RunSummary = {\n")
	declared, _, _ = strings.Cut(declared, "\n};")
	var inPage []string
	for _, member := range regexp.MustCompile(`(?m)^  (\w+)\??:`).FindAllStringSubmatch(declared, -1) {
		inPage = append(inPage, member[1])
	}
	var answered []string
	for field := range reflect.TypeFor[run.RunSummary]().Fields() {
		name, _, _ := strings.Cut(field.Tag.Get("json"), ",")
		answered = append(answered, name)
	}
	sameNames(t, "RunSummary in "+file, answered, inPage)
}

// namesBetween are the code spans of a text between two others.
func namesBetween(text, before, after string) []string {
	_, rest, _ := strings.Cut(text, before)
	rest, _, _ = strings.Cut(rest, after)
	var names []string
	for _, span := range codeSpan.FindAllString(rest, -1) {
		names = append(names, strings.Trim(span, "`"))
	}
	return names
}

func sameNames(t *testing.T, place string, want, got []string) {
	t.Helper()
	slices.Sort(want)
	slices.Sort(got)
	if diff := cmp.Diff(want, got); diff != "" {
		t.Errorf("%s does not name what exists (-exist +named):\n%s", place, diff)
	}
}
