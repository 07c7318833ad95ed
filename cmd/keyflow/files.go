package main

import (
	"context"
	"encoding/json"
	"fmt"
	"io"
	"io/fs"
	"net/http"
	"os"
	"path/filepath"
	"slices"
	"strings"

	"keyflow/engine/plan"
	"keyflow/nodes"
	"keyflow/nodes/standard"
	"keyflow/triggers"
	"keyflow/workflows"
)

// definitionFiles expands folders to the .json files directly inside them, sorted.
func definitionFiles(paths []string) ([]string, error) {
	var files []string
	for _, path := range paths {
		info, err := os.Stat(path)
		if err != nil {
			return nil, usagef("%w", err)
		}
		if !info.IsDir() {
			files = append(files, path)
			continue
		}
		found, err := jsonFiles(path)
		if err != nil {
			return nil, usagef("%w", err)
		}
		if len(found) == 0 {
			return nil, usagef("%s contains no .json file%s", path, yamlHint(path))
		}
		files = append(files, found...)
	}
	return files, nil
}

// yamlHint explains why the YAML files of a folder, if it has any, are not read.
func yamlHint(dir string) string {
	for _, pattern := range []string{"*.yaml", "*.yml"} {
		if found, _ := fs.Glob(os.DirFS(dir), pattern); len(found) > 0 { // the pattern is well formed
			return fmt.Sprintf("; workflows are JSON, and %s is YAML: convert it, for example with yq -o=json", found[0])
		}
	}
	return ""
}

// jsonFiles are the .json files directly in a folder, sorted. The name of the folder is taken literally.
func jsonFiles(dir string) ([]string, error) {
	entries, err := os.ReadDir(dir)
	if err != nil {
		return nil, err
	}
	var files []string
	for _, entry := range entries {
		if strings.HasSuffix(entry.Name(), ".json") {
			files = append(files, filepath.Join(dir, entry.Name()))
		}
	}
	return files, nil
}

// checkedFile is a workflow file with its problems.
type checkedFile struct {
	File     string              `json:"file"`
	Valid    bool                `json:"valid"`
	Errors   []workflows.Problem `json:"errors"`
	Warnings []workflows.Problem `json:"warnings"`

	definition *workflows.Definition // nil when it is not JSON
	source     []byte
}

func (c *checkedFile) found(problems, warnings []workflows.Problem) {
	c.Errors, c.Warnings = append([]workflows.Problem{}, problems...), append([]workflows.Problem{}, warnings...)
	c.Valid = len(problems) == 0
}

// readFiles reads and parses files; a check reports their problems.
func readFiles(p process, files []string) ([]checkedFile, error) {
	read := make([]checkedFile, len(files))
	for i, f := range files {
		source, err := readFile(p, f)
		if err != nil {
			return nil, err
		}
		d, _ := workflows.Parse(source)
		read[i] = checkedFile{File: f, definition: d, source: source}
	}
	return read, nil
}

// checkOffline checks files without a server: each by itself, and against the ones before it.
func checkOffline(ctx context.Context, files []checkedFile) {
	types := nodes.NewRegistry(standard.Types()...)
	for i := range files {
		others := siblings(files[:i])
		catalog := workflows.NewCatalog(nil, workflows.CatalogOptions{
			Checkers: []workflows.Checker{plan.NewChecker(types), triggers.NewChecker(others), others},
		})
		files[i].found(catalog.Validate(ctx, files[i].source))
	}
}

// checkOnServer asks the server, which knows its workflows and credentials, to check files, and
// checks that they do not conflict with one another. Conflicts with workflows that are deleted do
// not count.
func checkOnServer(ctx context.Context, c *client, files []checkedFile, deleted siblings) error {
	for i := range files {
		f := &files[i]
		answer, err := c.send(ctx, http.MethodPost, "/api/v1/workflows/validate", f.source)
		if err != nil {
			return fmt.Errorf("%s: %w", f.File, err)
		}
		if err := json.Unmarshal(answer, f); err != nil {
			return &exitError{exitFailed, fmt.Errorf("%s sent a response that this version does not understand: %w", c.base, err)}
		}
		if f.definition == nil {
			continue
		}
		f.ignorePathsOf(ctx, deleted)
		f.compareWith(ctx, siblings(files[:i]))
	}
	return nil
}

// ignorePathsOf drops the problems that webhook paths are used by deleted workflows.
func (c *checkedFile) ignorePathsOf(ctx context.Context, deleted siblings) {
	freed, _ := triggers.NewChecker(deleted).Check(ctx, c.definition)
	c.Errors = slices.DeleteFunc(c.Errors, func(p workflows.Problem) bool {
		return p.Code == "path_taken" && slices.ContainsFunc(freed, func(f workflows.Problem) bool { return f.Path == p.Path && f.Code == p.Code })
	})
	c.Valid = len(c.Errors) == 0
}

// compareWith adds the conflicts with the files before this one.
func (c *checkedFile) compareWith(ctx context.Context, others siblings) {
	twice, _ := others.Check(ctx, c.definition)
	taken, _ := triggers.NewChecker(others).Check(ctx, c.definition)
	for _, problem := range append(twice, taken...) {
		if !slices.ContainsFunc(c.Errors, func(known workflows.Problem) bool { return known.Path == problem.Path }) {
			c.Errors, c.Valid = append(c.Errors, problem), false
		}
	}
}

// siblings are the files before one in the same command.
type siblings []checkedFile

var (
	_ workflows.Checker = siblings(nil)
	_ triggers.Routes   = siblings(nil)
)

// Check implements workflows.Checker: an ID names one file.
func (s siblings) Check(_ context.Context, d *workflows.Definition) (problems, warnings []workflows.Problem) {
	for _, f := range s {
		if f.definition != nil && f.definition.ID == d.ID && d.ID != "" {
			return []workflows.Problem{d.Problemf("/id", "duplicate", "the file %s also has the id %q; give each workflow its own id", f.File, d.ID)}, nil
		}
	}
	return nil, nil
}

// Taken implements triggers.Routes for the webhook paths in the other files.
func (s siblings) Taken(path string, except workflows.ID) (workflows.ID, bool) {
	for _, f := range s {
		if f.definition == nil || f.definition.ID == except {
			continue
		}
		for _, t := range f.definition.Triggers {
			if t.Type == workflows.TriggerWebhook && pathShape(t.Path) == pathShape(path) {
				return f.definition.ID, true
			}
		}
	}
	return "", false
}

// pathShape is a webhook path without the names of its parameters.
func pathShape(path string) string {
	parts := strings.Split(path, "/")
	for i, part := range parts {
		if strings.HasPrefix(part, "{") {
			parts[i] = "{}"
		}
	}
	return strings.Join(parts, "/")
}

// refuse prints every problem and returns the error that ends the command, nil without problems.
func refuse(w io.Writer, files []checkedFile) error {
	total := 0
	for _, f := range files {
		printProblems(w, f.File, f.Errors)
		total += len(f.Errors)
	}
	if total == 0 {
		return nil
	}
	return &exitError{exitUsage, fmt.Errorf("%s in %s", count(total, "problem"), count(len(files), "file"))}
}

// printProblems prints one problem a line, as file:line:col: pointer: message.
func printProblems(w io.Writer, file string, problems []workflows.Problem) {
	for _, problem := range problems {
		_, _ = fmt.Fprintf(w, "%s:%d:%d: %s%s\n", file, max(problem.Line, 1), max(problem.Column, 1), pointerPrefix(problem), problem.Message)
	}
}

// pointerPrefix is the pointer of a problem and a colon; a problem of the whole file has none.
func pointerPrefix(p workflows.Problem) string {
	if p.Path == "" {
		return ""
	}
	return p.Path + ": "
}

func count(n int, noun string) string {
	if n == 1 {
		return "1 " + noun
	}
	return fmt.Sprintf("%d %ss", n, noun)
}
