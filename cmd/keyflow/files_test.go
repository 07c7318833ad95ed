package main

import (
	"os"
	"path/filepath"
	"strings"
	"testing"

	"github.com/spf13/cobra"
)

// writeFiles writes files into a new folder, which becomes part of no message.
func writeFiles(t *testing.T, files map[string]string) string {
	t.Helper()
	dir := t.TempDir()
	for name, text := range files {
		if err := os.WriteFile(filepath.Join(dir, name), []byte(text), 0o600); err != nil {
			t.Fatal(err)
		}
	}
	return dir
}

const one = `{"id": "ID", "triggers": {"t": {"type": "webhook", "path": "PATH"}}, "nodes": {"a": {"type": "transform", "with": {"value": EXPR}}}}`

func definition(id, path, value string) string {
	return strings.NewReplacer("ID", id, "PATH", path, "EXPR", value).Replace(one)
}

// A file is checked against the others of the command: the server would refuse the second.
func TestFilesMustNotContradictOneAnother(t *testing.T) {
	t.Parallel()
	s := serve(t, "")
	dir := writeFiles(t, map[string]string{
		"1.json": definition("same", "orders/{id}", "1"),
		"2.json": definition("same", "other", "1"),
		"3.json": definition("third", "orders/{number}", "1"),
	})
	for _, command := range [][]string{{"validate", dir}, {"workflows", "apply", dir}} {
		r := keyflow(t, s.env(), command...)
		said := strings.ReplaceAll(r.stdout+r.stderr, dir+string(filepath.Separator), "")
		for _, want := range []string{
			`2.json:1:8: /id: the file 1.json also has the id "same"`,
			`3.json:1:63: /triggers/t/path: the workflow "same" already has a webhook at this path`,
		} {
			if r.code != exitUsage || !strings.Contains(said, want) {
				t.Errorf("%v: exit code %d, no %q in\n%s", command, r.code, want, said)
			}
		}
	}
	if list := keyflow(t, s.env(), "workflows", "list"); !strings.HasPrefix(list.stdout, "no workflows yet") {
		t.Errorf("something was applied:\n%s", list.stdout)
	}
}

// Every command that reads a file reports all its mistakes, not only those of its structure.
func TestEveryMistakeOfAFile(t *testing.T) {
	t.Parallel()
	s := serve(t, "")
	dir := writeFiles(t, map[string]string{
		"bad.json":    strings.Replace(definition("bad", "x", `"{{ 1 + }}"`), `"nodes"`, `"naem": 1, "nodes"`, 1),
		"broken.json": `{"id": `,
	})
	bad, broken := filepath.Join(dir, "bad.json"), filepath.Join(dir, "broken.json")
	for _, command := range [][]string{
		{"validate", bad}, {"run", bad}, {"run", bad, "--via-server"}, {"workflows", "apply", bad},
	} {
		r := keyflow(t, s.env(), command...)
		said := r.stdout + r.stderr
		for _, want := range []string{`bad.json:1:68: /naem: unknown field "naem" (did you mean "name"?)`, "bad.json:1:134: /nodes/a/with/value: unexpected end"} {
			if r.code != exitUsage || !strings.Contains(said, want) {
				t.Errorf("%v: exit code %d, no %q in\n%s", command, r.code, want, said)
			}
		}
	}
	for _, command := range [][]string{{"validate", broken}, {"run", broken}, {"workflows", "apply", broken}} {
		r := keyflow(t, s.env(), command...)
		if r.code != exitUsage || !strings.Contains(r.stdout+r.stderr, "broken.json:1:8: not valid JSON: the text ends in the middle of a value") {
			t.Errorf("%v: exit code %d\n%s%s", command, r.code, r.stdout, r.stderr)
		}
	}
}

func TestValidateAsJSON(t *testing.T) {
	t.Parallel()
	dir := writeFiles(t, map[string]string{"good.json": `{"id": "good", "nodes": {"a": {"type": "transform", "with": {"value": 1}}}}`})
	r := keyflow(t, nil, "validate", dir, "--output", "json")
	for _, want := range []string{`"valid": true`, `"errors": []`, `"warnings": []`} {
		if r.code != exitOK || !strings.Contains(r.stdout, want) {
			t.Errorf("exit code %d, no %s in\n%s", r.code, want, r.stdout)
		}
	}
}

// A word that is no command must not look like success, and one of a later release says so.
func TestUnknownCommands(t *testing.T) {
	t.Parallel()
	tests := map[string]string{
		"nope":                 `keyflow: unknown command "nope" for "keyflow"; see keyflow --help`,
		"server":               `keyflow: unknown command "server" for "keyflow" (did you mean "serve"?); see keyflow --help`,
		"worker":               `keyflow: keyflow worker is not supported by this release`,
		"credentials lst":      `keyflow: unknown command "lst" for "keyflow credentials" (did you mean "list"?); see keyflow credentials --help`,
		"credentials rollback": `keyflow: keyflow credentials rollback needs exactly one ID; see keyflow credentials rollback --help`,
		"workflows graph w":    `keyflow: keyflow workflows graph is not supported by this release`,
		"validate":             `keyflow: keyflow validate needs at least one FILE or folder; see keyflow validate --help`,
		"run a b":              `keyflow: keyflow run needs exactly one FILE or workflow ID; see keyflow run --help`,
	}
	for command, want := range tests {
		r := keyflow(t, unreachable(t), strings.Fields(command)...)
		if r.code != exitUsage || strings.TrimSpace(r.stderr) != want || r.stdout != "" {
			t.Errorf("%s: exit code %d, said %q, want %q\n%s", command, r.code, r.stderr, want, r.stdout)
		}
	}
	for _, command := range []string{"", "credentials", "schema"} {
		if r := keyflow(t, nil, strings.Fields(command)...); r.code != exitOK || !strings.Contains(r.stdout, "Available Commands:") {
			t.Errorf("%q: exit code %d\n%s", command, r.code, r.stdout)
		}
	}
}

// What is printed as JSON is what the API answered, with every property.
func TestListsAsJSON(t *testing.T) {
	t.Parallel()
	s := serve(t, "")
	s.apply("w", definition("w", "in", "1"))
	s.must("POST", "/api/v1/credentials", map[string]any{"id": "c", "type": "no_auth"})
	started := keyflow(t, s.env(), "run", "w", "--watch=false", "--output", "json")
	var run map[string]any
	if decode(t, started.stdout, &run); len(run) != 2 || run["id"] == "" || run["status"] == "" {
		t.Errorf("a start that is not followed: %s", started.stdout)
	}
	tests := map[string]string{
		"workflows list":         "updated_by",
		"runs list":              "folder",
		"triggers list":          "methods",
		"credentials list":       "failure_rules",
		"credentials versions c": "fingerprints",
		"tokens create --name n": "created_by",
		"tokens list":            "created_by",
	}
	for _, command := range []string{
		"workflows list", "runs list", "triggers list", "credentials list", "credentials versions c", "tokens create --name n", "tokens list",
	} {
		r := keyflow(t, s.env(), append(strings.Fields(command), "--output", "json")...)
		if r.code != exitOK || !strings.Contains(r.stdout, `"`+tests[command]+`": `) {
			t.Errorf("%s: exit code %d, no %s in\n%s%s", command, r.code, tests[command], r.stdout, r.stderr)
		}
	}
}

// runs list asks for what the API can tell apart.
func TestRunsListFilters(t *testing.T) {
	t.Parallel()
	s := serve(t, "")
	s.apply("w", definition("w", "in", "1"))
	if got := s.do("POST", "/hooks/in", nil); got.status != 202 {
		t.Fatalf("the webhook: %d %s", got.status, got.body)
	}
	for _, tt := range []struct {
		args []string
		want int
	}{
		{[]string{"--trigger", "t"}, 1},
		{[]string{"--trigger", "manual"}, 0},
		{[]string{"--since", "2000-01-01T00:00:00Z", "--until", "2999-01-01T00:00:00+09:00"}, 1},
		{[]string{"--since", "2999-01-01T00:00:00+09:00"}, 0},
		{[]string{"--until", "2000-01-01T00:00:00Z"}, 0},
	} {
		r := keyflow(t, s.env(), append([]string{"runs", "list", "--output", "json"}, tt.args...)...)
		var runs []map[string]any
		if decode(t, r.stdout, &runs); len(runs) != tt.want {
			t.Errorf("%v: %d %s%s", tt.args, r.code, r.stdout, r.stderr)
		}
	}
	if r := keyflow(t, s.env(), "runs", "list", "--since", "yesterday"); r.code != exitUsage || !strings.Contains(r.stderr, "--since") {
		t.Errorf("no moment: %d %s", r.code, r.stderr)
	}
}

// A problem is said once, also when the answer's detail repeats it.
func TestProblemsAreSaidOnce(t *testing.T) {
	t.Parallel()
	s := serve(t, "")
	r := keyflow(t, s.env(), "runs", "list", "--status", "bad")
	if r.code != exitUsage || strings.Count(r.stderr, "succeeded") != 1 {
		t.Errorf("exit code %d: %s", r.code, r.stderr)
	}
	r = keyflow(t, s.env(), "run", "f.json", "--data-dir", s.dir)
	if r.code != exitUsage {
		t.Errorf("no such file: exit code %d: %s", r.code, r.stderr)
	}
	file := filepath.Join(writeFiles(t, map[string]string{"f.json": definition("f", "f", "1")}), "f.json")
	r = keyflow(t, s.env(), "run", file, "--data-dir", s.dir)
	if r.code != exitCannotStart || !strings.Contains(r.stderr, "is in use by another keyflow process (pid ") || !strings.Contains(r.stderr, "--via-server") {
		t.Errorf("folder in use: exit code %d: %s", r.code, r.stderr)
	}
}

// The help of every command shows how it is used.
func TestEveryCommandHasAnExample(t *testing.T) {
	t.Parallel()
	var walk func(cmd *cobra.Command)
	walk = func(cmd *cobra.Command) {
		if cmd.Short == "" || cmd.Example == "" && !cmd.HasSubCommands() {
			t.Errorf("%s has no summary or no example", cmd.CommandPath())
		}
		for _, sub := range cmd.Commands() {
			walk(sub)
		}
	}
	walk(newRoot(process{getenv: func(string) string { return "" }}))
}
