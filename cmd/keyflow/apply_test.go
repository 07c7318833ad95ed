package main

import (
	"os"
	"path/filepath"
	"strings"
	"testing"
)

// plain is a workflow that only a person starts.
func plain(id, value string) string {
	return `{"id": "` + id + `", "nodes": {"a": {"type": "transform", "with": {"value": ` + value + `}}}}`
}

func TestApplyShowsWhatItWouldDo(t *testing.T) {
	t.Parallel()
	s := serve(t, "")
	dir := writeFiles(t, map[string]string{
		"a.json": plain("a", "1"), "b.json": plain("b", "1"), "c.json": plain("c", "1"),
	})
	if r := keyflow(t, s.env(), "workflows", "apply", dir); r.code != 0 || r.stdout != "a version 1\nb version 1\nc version 1\n" {
		t.Fatalf("apply: %d\n%s%s", r.code, r.stdout, r.stderr)
	}
	write := func(name, text string) {
		t.Helper()
		if err := os.WriteFile(filepath.Join(dir, name), []byte(text), 0o600); err != nil {
			t.Fatal(err)
		}
	}
	write("b.json", plain("b", "2"))
	write("d.json", plain("d", "1"))
	if err := os.Remove(filepath.Join(dir, "c.json")); err != nil {
		t.Fatal(err)
	}
	steps := []struct {
		name string
		args []string
		code int
		want string // stdout
		err  string // in stderr
	}{
		{"dry run", []string{"--dry-run", "--prune"}, 0, "a version 1 unchanged\nb would update\n  ~ /nodes/a/with/value: 1 -> 2\nd would create\nc would delete\n", ""},
		{"nothing was done", []string{"--dry-run", "--prune"}, 0, "a version 1 unchanged\nb would update\n  ~ /nodes/a/with/value: 1 -> 2\nd would create\nc would delete\n", ""},
		{"prune asks", []string{"--prune"}, exitUsage, "", "Delete 1 workflow that no file defines (c)? This cannot be undone. Repeat with --yes to confirm"},
		{"only below a folder", []string{"--prune", "--folder", "/hr", "--dry-run"}, 0, "a version 1 unchanged\nb would update\n  ~ /nodes/a/with/value: 1 -> 2\nd would create\n", ""},
		{"folder without prune", []string{"--folder", "/hr"}, exitUsage, "", "give both"},
		{"prune", []string{"--prune", "--yes"}, 0, "a version 1 unchanged\nb version 2\n  ~ /nodes/a/with/value: 1 -> 2\nd version 1\nc deleted\n", ""},
		{"again", []string{"--prune"}, 0, "a version 1 unchanged\nb version 2 unchanged\nd version 1 unchanged\n", ""},
	}
	for _, step := range steps {
		r := keyflow(t, s.env(), append([]string{"workflows", "apply", dir}, step.args...)...)
		if r.code != step.code || r.stdout != step.want || !strings.Contains(r.stderr, step.err) {
			t.Errorf("%s: code %d\n%s%s", step.name, r.code, r.stdout, r.stderr)
		}
	}
	write("b.json", `{"id": "b"}`)
	write("a.json", plain("a", "3"))
	if r := keyflow(t, s.env(), "workflows", "apply", dir, "--prune", "--yes"); r.code != exitUsage || !strings.Contains(r.stderr, "nothing was applied") {
		t.Errorf("a bad file: %d\n%s", r.code, r.stderr)
	}
	if r := keyflow(t, s.env(), "workflows", "get", "a"); !strings.Contains(r.stdout, `"version": 1`) {
		t.Errorf("a bad file changed another workflow:\n%s", r.stdout)
	}
}

// A file that got another id keeps its webhook path: the workflow of the former id goes first.
func TestApplyRenames(t *testing.T) {
	t.Parallel()
	s := serve(t, "")
	dir := writeFiles(t, map[string]string{"a.json": definition("former", "kept", "1")})
	apply := func(args ...string) result {
		return keyflow(t, s.env(), append([]string{"workflows", "apply", dir}, args...)...)
	}
	if r := apply(); r.code != 0 {
		t.Fatalf("apply: %d %s", r.code, r.stderr)
	}
	rename := func(definition string) {
		t.Helper()
		if err := os.WriteFile(filepath.Join(dir, "a.json"), []byte(definition), 0o600); err != nil {
			t.Fatal(err)
		}
	}
	rename(definition("latter", "kept", "2"))
	if r := apply(); r.code != exitUsage || !strings.Contains(r.stderr, `the workflow "former" already has a webhook at this path`) {
		t.Errorf("without --prune: %d %s", r.code, r.stderr)
	}
	if r := apply("--prune", "--yes", "--folder", "/elsewhere"); r.code != exitUsage || !strings.Contains(r.stderr, `the workflow "former" already has a webhook at this path`) {
		t.Errorf("pruning elsewhere: %d %s", r.code, r.stderr)
	}
	if r := apply("--prune", "--yes"); r.code != 0 || r.stdout != "latter version 1\nformer deleted\n" && !strings.HasPrefix(r.stdout, "latter version 1\n  warning: ") {
		t.Errorf("with --prune: %d\n%s%s", r.code, r.stdout, r.stderr)
	}
	if got := s.do("POST", "/hooks/kept", nil); got.status != 202 {
		t.Errorf("the webhook: %d %s", got.status, got.body)
	}
	rename(definition("third", "kept", "3"))
	if err := os.WriteFile(filepath.Join(dir, "b.json"), []byte(definition("fourth", "kept", "3")), 0o600); err != nil {
		t.Fatal(err)
	}
	if r := apply("--prune", "--yes"); r.code != exitUsage || !strings.Contains(r.stderr, `the workflow "third" already has a webhook at this path`) {
		t.Errorf("two files: %d %s", r.code, r.stderr)
	}
}

// serve --workflows keeps the server in step with a folder, and a bad file changes nothing.
func TestFolderOfWorkflows(t *testing.T) {
	t.Parallel()
	dir := filepath.Join(t.TempDir(), "flows[1]*?") // no pattern
	if err := os.Mkdir(dir, 0o700); err != nil {
		t.Fatal(err)
	}
	write := func(name, text string) {
		t.Helper()
		if err := os.WriteFile(filepath.Join(dir, name), []byte(text), 0o600); err != nil {
			t.Fatal(err)
		}
	}
	write("a.json", definition("a", "a", "1"))
	if r := keyflow(t, nil, "validate", dir); r.code != 0 {
		t.Errorf("validate: %d %s", r.code, r.stderr)
	}
	s := serve(t, "", "--workflows", dir)
	stored := func(id string) string { return keyflow(t, s.env(), "workflows", "get", id).stdout }
	logged := func(text string) func() bool {
		return func() bool { return strings.Contains(s.stderr.String(), text) }
	}
	eventually(t, "the file is applied at the start", func() bool { return strings.Contains(stored("a"), `"version": 1`) })

	write("b.json", definition("b", "a", "1")) // the path of another file's webhook
	write("a.json", definition("a", "a", "2"))
	eventually(t, "the problem is logged", logged("workflow files have problems; nothing was applied"))
	eventually(t, "with its place", logged("b.json:1:"))
	if !strings.Contains(stored("a"), `"version": 1`) || stored("b") != "" {
		t.Errorf("a bad file changed something:\n%s%s", stored("a"), stored("b"))
	}

	write("b.json", definition("b", "b", "1"))
	eventually(t, "both are applied", func() bool {
		return strings.Contains(stored("a"), `"version": 2`) && strings.Contains(stored("b"), `"version": 1`)
	})
	if err := os.Remove(filepath.Join(dir, "b.json")); err != nil {
		t.Fatal(err)
	}
	eventually(t, "a file that went is reported", logged("a workflow is no longer in the folder"))
	if !strings.Contains(stored("b"), `"version": 1`) {
		t.Error("a file that went took its workflow with it")
	}
	if r := keyflow(t, nil, "serve", "--listen", "127.0.0.1:0", "--workflows", filepath.Join(dir, "nowhere")); r.code != exitUsage || !strings.Contains(r.stderr, "is not a folder") {
		t.Errorf("no folder: %d %s", r.code, r.stderr)
	}
}

// Who applies a workflow is told where its webhooks are called.
func TestApplyShowsWebhooks(t *testing.T) {
	t.Parallel()
	s := serve(t, "", "--public-url", "https://keyflow.example.com/base")
	dir := writeFiles(t, map[string]string{
		"a.json": plain("a", "1"),
		"orders.json": `{"id": "orders", "triggers": {
			"in":  {"type": "webhook", "path": "orders"},
			"put": {"type": "webhook", "path": "orders/{id}", "methods": ["PUT", "PATCH"]},
			"day": {"type": "cron", "schedule": "@daily"}},
			"nodes": {"a": {"type": "transform", "with": {"value": 1}}}}`,
	})
	const hooks = "  webhook in: POST https://keyflow.example.com/base/hooks/orders\n  webhook put: PUT or PATCH https://keyflow.example.com/base/hooks/orders/{id}\n"
	for _, want := range []string{"a version 1\norders version 1\n", "a version 1 unchanged\norders version 1 unchanged\n"} {
		r := s.cli(exitOK, "workflows", "apply", dir)
		if lines := strings.Split(r.stdout, "  warning: "); !strings.HasPrefix(r.stdout, want) || !strings.HasSuffix(lines[len(lines)-1], hooks) {
			t.Errorf("printed\n%s", r.stdout)
		}
	}
	if r := s.cli(exitOK, "workflows", "apply", dir, "--output", "json"); !strings.Contains(r.stdout, `"url": "https://keyflow.example.com/base/hooks/orders/{id}"`) {
		t.Errorf("as JSON:\n%s", r.stdout)
	}
	yaml := writeFiles(t, map[string]string{"a.yaml": "id: a\n"})
	if r := s.cli(exitUsage, "workflows", "apply", yaml); !strings.Contains(r.stderr, "workflows are JSON, and a.yaml is YAML") {
		t.Errorf("a folder of YAML: %s", r.stderr)
	}
}
