package engine_test

import (
	"strings"
	"testing"

	"keyflow/engine/runs"
	"keyflow/internal/fault"
	"keyflow/internal/identity"
	"keyflow/workflows"
)

// TestNamesReachAsFarAsTheirAuthor: a workflow that is made, or moved, after its name was written
// down runs only where the author of the name may start workflows.
func TestNamesReachAsFarAsTheirAuthor(t *testing.T) {
	t.Parallel()
	w := setup(t)
	apply := func(by identity.Caller, definition string) {
		t.Helper()
		d, problems := workflows.Parse([]byte(definition))
		if len(problems) > 0 {
			t.Fatal(problems)
		}
		if _, err := w.catalog.Apply(t.Context(), by, d.ID, []byte(definition), -1); err != nil {
			t.Fatalf("%v %v", err, fault.ProblemsOf(err))
		}
	}
	target := func(id, folder string) string {
		return `{"id": "` + id + `", "folder": "` + folder + `", "nodes": {"n": {"type": "call", "with": {"name": "n"}}}, "output": "of ` + folder + `"}`
	}
	naming := func(id, target string) string {
		return `{"id": "` + id + `", "folder": "/a", "on_failure": "` + target + `", "nodes": {"n": {"type": "workflow", "with": {"workflow": "` + target + `"}}}, "output": "{{ nodes.n.output }}"}`
	}
	editor := identity.Caller{Name: "kim", Role: identity.Editor, Folder: "/a"}
	apply(identity.System(), target("moved", "/a/sub"))
	for id, name := range map[string]string{"sneak": "later", "stale": "moved", "fine": "near"} {
		apply(editor, naming(id, name))
	}
	apply(identity.System(), naming("admins", "later"))
	apply(identity.System(), target("later", "/secret"))
	apply(identity.System(), target("moved", "/secret"))
	apply(identity.System(), target("near", "/a/sub"))

	const refused = `may not be started by whoever applied version 1`
	for id, want := range map[workflows.ID]string{"sneak": refused, "stale": refused, "fine": `"of /a/sub"`, "admins": `"of /secret"`} {
		run, _ := w.wait(w.start(id, ""))
		got := string(run.Output)
		if run.Error != nil {
			got = run.Error.Message
		}
		if !strings.Contains(got, want) || strings.Contains(got, "secret") && id != "admins" {
			t.Errorf("%s: %s %s, want %s", id, run.Status, got, want)
		}
	}
	list, err := w.engine.Runs(t.Context(), runs.Filter{Workflow: "later", Limit: 10})
	if err != nil || len(list) != 1 {
		t.Errorf("%d runs of the secret workflow, want that of the administrator alone (%v)", len(list), err)
	}
}

// A step that names a workflow which its author may not see fails in the same words whether it
// exists or not, whatever input it wants.
func TestAStartDoesNotTellWhatExistsElsewhere(t *testing.T) {
	t.Parallel()
	w := setup(t)
	w.apply(`{"id": "secret", "folder": "/hr", "input": {"type": "object", "required": ["n"]}, "nodes": {"n": {"type": "call", "with": {"name": "n"}}}}`)
	editor := identity.Caller{Name: "kim", Role: identity.Editor, Folder: "/a"}
	for name, with := range map[string]string{"literal": `"%s"`, "computed": `"{{ '%s' }}"`} {
		messages := map[string]string{}
		for _, target := range []string{"secret", "absent"} {
			definition := `{"id": "names", "folder": "/a", "nodes": {"n": {"type": "workflow", "with": {"workflow": ` + strings.ReplaceAll(with, "%s", target) + `}}}}`
			if _, err := w.catalog.Apply(t.Context(), editor, "names", []byte(definition), -1); err != nil {
				t.Fatalf("%s: %s: %v", name, target, err)
			}
			run, _ := w.wait(w.start("names", ""))
			messages[target] = strings.NewReplacer(target, "TARGET", "version 1", "version N", "version 2", "version N", "version 3", "version N", "version 4", "version N").Replace(run.Error.Message)
		}
		if messages["secret"] != messages["absent"] {
			t.Errorf("%s: one that exists: %q, one that does not: %q", name, messages["secret"], messages["absent"])
		}
	}
}
